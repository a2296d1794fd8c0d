"""Engine: the steady-state loop. Whenever a worker is free it gets the trial worth most.

The engine alone decides and writes a run's state. Everything it knows it reads from the store, so
that a run killed anywhere goes on from what is on disk. How parents are picked, fitness believed,
trials stopped and gains judged lives in `breeding`, `belief`, `stopping` and `confirmation`.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, cast

import numpy as np

from agents import Operator
from evolution.accounts import Accounts
from evolution.archipelago import MIGRATION, Archipelago, to_json
from evolution.belief import Believer
from evolution.breeding import Breeder, Knowledge, Offspring
from evolution.briefings import Briefings
from evolution.commissions import Commissions, Staff
from evolution.confirmation import Confirmation, trial_seed
from evolution.errands import Errands
from evolution.executors.protocol import Event, Executor, Finished, SnapshotTaken, Started
from evolution.hardware import machine_facts
from evolution.ideas import IdeaFolder
from evolution.jobs import Jobs
from evolution.lessons import Lessons
from evolution.manuals import Circumstances, Manuals
from evolution.marking import MARKS, withdraw_barred
from evolution.mishaps import Mishaps
from evolution.noise import Posterior
from evolution.progress import Progress
from evolution.publication import Publishing
from evolution.racing import REPLICATE_SHARE, contender
from evolution.repertoire import Repertoire
from evolution.requests import answered
from evolution.review import Reviewer, reading_of
from evolution.selection import HallOfFame
from evolution.stopping import Earlier, costs_of, decide
from evolution.story import Story
from evolution.workspace import Workspace
from population import (
    BudgetKind,
    Calibration,
    Conditions,
    FailureClass,
    Fitness,
    Manual,
    Outcome,
    Purpose,
    RunState,
    Trial,
    TrialStatus,
    Variant,
)
from population.assurance import by_variant
from population.errors import EvolveError
from population.pedigree import VariantNode
from population.records import Json

#: Attempts at a trial that fails by our own fault, before it is recorded as failed.
HARNESS_ATTEMPTS = 3
#: So many such failures in a row, of more than one trial, mean that the machine is at fault.
FAULTS_IN_A_ROW = 4
#: Turns of breeding in a row that made nothing, before the search gives up.
BARREN_TURNS = 25
#: A stored fitness is written anew once it is off by this share of its sd.
STALE = 1e-3
#: Longest wait for news from the workers, in seconds.
POLL_SECONDS = 1.0


class EngineError(EvolveError):
    """The sitting cannot go on; the run can, once the cause is mended."""

    exit_code = 1


class Ending(StrEnum):
    """How a sitting of the engine ended."""

    FINISHED = "finished"
    PAUSED = "paused"


class Engine:
    """One sitting of a run.

    Args:
        workspace: The open run.
        executor: Trains.
        operators: Make offspring at once, by name; those without a weight in the settings stay
            idle.
        staff: Makes offspring by language models, ahead of need; None to ask none.
        measure_baseline: Measures the baseline for the yardstick; only asked for ``cpu`` budgets.
        device_class: Of the executor's slots.
        clock: Seconds since the epoch.
        watch: Called after every turn with the share of its budget each running trial has used.
    """

    def __init__(
        self,
        workspace: Workspace,
        executor: Executor,
        operators: Mapping[str, Operator],
        *,
        measure_baseline: Callable[[], Calibration],
        staff: Staff | None = None,
        device_class: str = "cpu",
        clock: Callable[[], float] = time.time,
        watch: Callable[[Mapping[int, float]], None] | None = None,
    ) -> None:
        self._workspace = workspace
        self._store = store = workspace.store
        self._config = config = workspace.config
        self._executor = executor
        self._device_class = device_class
        self._clock = clock
        self._watch = watch
        self._budget = workspace.budget
        record = store.run()
        self._baseline = store.variant(record.baseline or "")
        self._rng = np.random.default_rng(record.rng_seed)
        self._story = Story(store=store, events=workspace.events)
        self._accounts = Accounts(store=store, limits=config.limits, clock=clock)
        self._progress = Progress(store, config.plateau, worker_count=executor.slot_count)
        self._archipelago = Archipelago(
            store,
            config.islands,
            worker_count=executor.slot_count,
            is_flat=lambda: self._progress.answers,
        )
        self._repertoire = Repertoire(
            store, config.operator_weights(), is_adaptive=config.operators.adaptive
        )
        self._breeder = Breeder(
            run=record.name,
            store=store,
            branches=workspace.branches,
            operators=operators,
            weights=self._repertoire.weights,
            settings=config.population,
            clock=clock,
            contract=workspace.task.contract,
            ring=self._archipelago.ring,
            is_flat=lambda: self._progress.answers,
        )
        self._lessons = Lessons(
            store=store,
            path=workspace.paths.lessons,
            run=record.name,
            story=self._story,
            clock=clock,
        )
        self._has_models = staff is not None
        briefings = Briefings(
            store=store,
            breeder=self._breeder,
            machine=machine_facts(device_class, executor.slot_count, self._budget),
            lessons=self._lessons.shown,
            tokens=config.agents.context_tokens,
        )
        self._mishaps = Mishaps(store=store, story=self._story, logs=workspace.paths.logs)
        self._commissions = self._made_commissions(staff, record.rng_seed, briefings)
        self._errands = Errands(
            store=store,
            breeder=self._breeder,
            briefings=briefings,
            lessons=self._lessons,
            staff=staff,
            settings=config.agents,
            story=self._story,
            mishaps=self._mishaps,
            rng_seed=record.rng_seed,
            clock=clock,
        )
        self._manuals = Manuals(
            store,
            workspace.paths.program,
            Circumstances(
                metric=store.metric(),
                budget=self._budget,
                baseline=workspace.baseline,
                weights=config.operator_weights(),
                contract=workspace.task.contract,
            ),
            clock=clock,
        )
        self._confirmation = Confirmation(
            store=store,
            settings=config.verdict,
            baseline=self._baseline.sha,
            budget=self._budget,
            device_class=device_class,
            clock=clock,
        )
        self._publishing = Publishing(
            store=store,
            baseline=self._baseline.sha,
            budget=self._budget,
            device_class=device_class,
            share=config.verdict.publication_share,
            clock=clock,
        )
        self._jobs = Jobs(
            store=store,
            events=workspace.events,
            baseline=self._baseline,
            budget=self._budget,
            measure_baseline=measure_baseline,
        )
        self._ideas = IdeaFolder(
            workspace.paths.ideas if config.agents.ideas else None,
            store,
            self._story,
            clock=clock,
        )
        self._believer = Believer(store, stop_fraction=config.stopping.fraction, keeps=True)
        self._posterior: Posterior | None = None
        self._hall_of_fame = HallOfFame(1)
        self._barren_turns = 0
        self._faults: Counter[int] = Counter()
        self._faults_in_a_row: list[int] = []
        self._is_draining = False
        self._must_stop = False

    def _made_commissions(
        self, staff: Staff | None, rng_seed: int, briefings: Briefings
    ) -> Commissions:
        agents = self._config.agents
        return Commissions(
            store=self._store,
            breeder=self._breeder,
            staff=staff,
            weights=self._repertoire.weights,
            story=self._story,
            rng_seed=rng_seed,
            clock=self._clock,
            briefings=briefings,
            mishaps=self._mishaps,
            reviewer=Reviewer(reading_of(agents)) if agents.critic_reads else None,
        )

    def request_drain(self) -> None:
        """Start nothing more; end when what runs has finished. Safe in a signal handler."""
        self._is_draining = True

    def request_stop(self) -> None:
        """End now; what runs is killed and queued again. Safe in a signal handler."""
        self._must_stop = True

    def run(self) -> Ending:
        """Search until a limit is reached, then try the champion; or until asked to end."""
        try:
            self._begin()
            while not (self._must_stop or self._is_over()):
                self.step()
            self._errands.conclude(self._known, lambda: self._must_stop)
        finally:
            self._executor.close()
            self._commissions.close()
            self._errands.close()
            self._requeue_running("the engine ended before it did")
            self._accounts.save()
        return self._end()

    def step(self) -> None:
        """Give every free worker the trial worth most, then take in what has happened."""
        self._hear_requests()
        self._ideas.look()
        self._lessons.look()
        self._errands.attend(self._known, may_ask=not (self._is_draining or self._must_stop))
        self._commissions.attend(self._known, self._manual(), self._wanted_proposals())
        for _ in range(self._executor.free_slots()):
            trial = self._next_trial()
            if trial is None:
                break
            self._start(trial)
        for event in self._news():
            self._take(event)
        if self._watch is not None:
            self._watch(self._executor.progress())

    def _news(self) -> list[Event]:
        """What the workers report; an engine that waits for proposals alone waits for those."""
        is_idle = self._executor.free_slots() == self._executor.slot_count
        if not (is_idle and self._commissions.in_flight):
            return self._executor.poll(POLL_SECONDS)
        self._commissions.wait(POLL_SECONDS)
        return self._executor.poll(0.0)

    # --- what to do next -----------------------------------------------------------------------

    def _next_trial(self) -> Trial | None:
        """What is queued; else an offspring; else, once the search is over, a verdict run."""
        if self._is_draining or self._must_stop:
            return None
        queued = self._store.trials(status=TrialStatus.QUEUED)
        if not queued and self._reason_to_end() is None:
            return self._next_search_trial()
        if not queued and not self._store.trials(status=TrialStatus.RUNNING):
            queued = self._queue_verdict_trials()
        return self._startable(queued)

    def _startable(self, queued: list[Trial]) -> Trial | None:
        """The first queued trial; the first of a pair waits until both can start."""
        if not queued:
            return None
        trial = queued[0]
        has_partner = trial.pair is not None and any(t.pair == trial.pair for t in queued[1:])
        must_wait = has_partner and self._executor.free_slots() < 2 <= self._executor.slot_count
        return None if must_wait else trial

    def _next_search_trial(self) -> Trial | None:
        """A further run of a contender, or an offspring; None if neither is wanted now."""
        if not self._accounts.has_room():
            return None
        self._look_for_plateau()
        self._settle_publication()
        fresh = self._publishing.queue_next(self._belief)
        if fresh:
            self._decided("publication_runs", {"trials": [trial.id for trial in fresh]})
            return fresh[0]
        promising = self._contender()
        if promising is not None:
            trial = self._queue(promising, Purpose.REPLICATE)
            self._decided("replicate", {"variant": promising.sha, "trial": trial.id})
            return trial
        variant = self._offspring()
        if variant is None:
            return None
        self._barren_turns = 0
        trial = self._queue(variant, Purpose.SCREEN)
        self._decided("offspring", {"variant": variant.sha, "trial": trial.id})
        self._story.born(variant)
        return trial

    def _offspring(self) -> Variant | None:
        """What a language model has proposed, or else what a built-in operator makes at once."""
        manual = self._manual()
        self._migrate()
        proposed = None
        if self._commissions.goes_first(self._rng, manual):
            proposed = self._commissions.offspring(manual)
        if proposed is not None:
            return proposed
        bred = self._breeder.breed(self._known(), self._rng)
        if isinstance(bred, Offspring):
            return bred.variant
        proposed = self._commissions.offspring(manual)
        if proposed is None and bred:
            self._story.no_offspring(bred)
        if proposed is None and not self._commissions.is_hopeful(manual):
            # While something trains, its result may yet give the operators new ground.
            self._barren_turns += not self._store.trials(status=TrialStatus.RUNNING)
        return proposed

    def _migrate(self) -> None:
        """Copy elites from island to island, where that is due."""
        migration = self._archipelago.migrate()
        if migration is not None:
            self._decided(MIGRATION, to_json(migration))
            names = [self._store.variant(sha).name for sha in migration.elites]
            self._story.tell("migration", island=migration.island, elites=names)

    def _look_for_plateau(self) -> None:
        """Notice when the search turns flat, and when it goes on."""
        change = self._progress.look(self._store.fitnesses(), self._belief().sigma)
        if change is not None:
            kind, facts = change
            self._decided(kind, facts)
            self._story.tell(kind, **facts, champion=self._store.champion())

    def _wanted_proposals(self) -> int:
        """How many proposals of language models shall be under way or wait, as things stand."""
        if self._is_draining or self._must_stop or self._reason_to_end() is not None:
            return 0
        if len(self._store.trials(status=TrialStatus.QUEUED)) >= self._executor.slot_count:
            return 0  # the workers have enough to do, and what they find will be worth knowing
        wanted = self._config.agents.in_flight or self._executor.slot_count
        room = self._accounts.room()
        return wanted if room is None else min(wanted, room)

    def _known(self) -> Knowledge:
        """What breeding goes by now."""
        return Knowledge(
            fitnesses=self._store.fitnesses(),
            sigma=self._belief().sigma,
            # Models alone read it, and what each edit gained is reckoned anew for each belief.
            history=self._story.history(self._belief() if self._has_models else None),
            manual=self._manual(),
            belief=self._belief(),
        )

    def _contender(self) -> Variant | None:
        """A promising, undecided variant that deserves a further run; never one that runs."""
        screens = self._store.trials(purpose=Purpose.SCREEN)
        replicates = self._store.trials(purpose=Purpose.REPLICATE)
        if len(replicates) >= REPLICATE_SHARE * len(screens):
            return None
        busy = {t.variant for t in (*screens, *replicates) if not t.status.is_final}
        without = busy | self._store.barred()
        candidates = [v.sha for v in self._store.variants() if v.sha not in without]
        sha = contender(self._belief(), candidates, self._baseline.sha)
        return None if sha is None else self._store.variant(sha)

    def _queue_verdict_trials(self) -> list[Trial]:
        """What the claim under trial still needs; the champion is put forward first."""
        claim = self._confirmation.claim()
        if claim is None:
            if self._is_judged():
                return []
            claim = self._confirmation.put_forward(self._belief())
            self._story.tell("claim", label=claim.label, champion=claim.champion)
        queued = self._confirmation.queue_next(claim, self._belief())
        if queued:
            self._decided(
                "verdict_pairs", {"label": claim.label, "trials": [trial.id for trial in queued]}
            )
        return queued

    def _is_judged(self) -> bool:
        """True if nothing was learnt since the last verdict."""
        verdicts = self._store.verdicts()
        ended = [
            trial.finished_at
            for trial in self._store.trials()
            if trial.purpose.informs and trial.finished_at is not None
        ]
        return bool(verdicts) and max(ended, default=0.0) <= verdicts[-1].created_at

    def _reason_to_end(self) -> str | None:
        if self._barren_turns >= BARREN_TURNS:
            failure = self._commissions.failure
            why = f"; the model's last call failed: {failure}" if failure else ""
            return f"the operators have nothing new to propose{why}"
        return self._accounts.limit_reached()

    def _is_over(self) -> bool:
        """True once nothing runs, nothing is left to start, and the champion is judged."""
        if self._store.trials(status=TrialStatus.RUNNING) or self._commissions.must_be_awaited:
            return False
        if self._is_draining:
            return True
        if self._reason_to_end() is None or self._store.trials(status=TrialStatus.QUEUED):
            return False
        if self._commissions.in_flight:
            self._commissions.call_off()
            return False
        if self._queue_verdict_trials():
            return False
        claim = self._confirmation.claim()
        if claim is not None:
            verdict = self._confirmation.judge(claim, self._belief())
            self._story.judged(verdict)
            self._errands.explain(verdict, self._known)
        return True

    # --- starting ------------------------------------------------------------------------------

    def _queue(self, variant: Variant, purpose: Purpose) -> Trial:
        number = len(self._store.trials()) + 1
        conditions = Conditions(
            budget=self._budget,
            rng_seed=trial_seed(self._store.run().rng_seed, f"trial {number}"),
            device_class=self._device_class,
        )
        return self._store.queue_trial(
            variant.sha, purpose=purpose, conditions=conditions, at=self._clock()
        )

    def _start(self, trial: Trial) -> None:
        """Row first, then the process: a killed engine leaves a row to requeue, never a stray."""
        lease_seconds = self._jobs.lease_seconds()
        running = self._store.start_trial(
            trial.id, slot=0, lease_seconds=lease_seconds, at=self._clock()
        )
        variant = self._store.variant(running.variant)
        self._story.started(running, variant)
        genome = self._breeder.genome(variant.sha)
        self._executor.submit(self._jobs.job(running, variant, genome, self._manual().limits))

    # --- taking in -----------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                if event.supervisor_pid is not None:
                    self._store.set_supervisor(event.trial_id, event.attempt, event.supervisor_pid)
            case SnapshotTaken():
                self._store.add_snapshot(event.trial_id, event.attempt, event.snapshot)
                self._consider_stopping(event)
            case Finished():
                self._finish(event)
            case _:  # points of a curve are display; the outcome brings them whole
                pass

    def _consider_stopping(self, event: SnapshotTaken) -> None:
        settings = self._config.stopping
        trial = self._store.trial(event.trial_id)
        is_screen = trial.purpose is Purpose.SCREEN
        if not (settings.enabled and is_screen and event.snapshot.fraction == settings.fraction):
            return
        decision = decide(
            self._belief(),
            VariantNode.of(self._store.variant(trial.variant)),
            event.snapshot,
            threshold=settings.p_better,
            exempt_share=settings.exempt,
            earlier=self._earlier(event.snapshot.fraction),
            rng=self._rng,
        )
        facts = {
            "trial": trial.id,
            "p_better": decision.p_better,
            "worth": decision.worth,
            "exempt": decision.exempt,
        }
        self._decided("stop" if decision.stop else "go_on", facts)
        if decision.stop:
            self._story.tell("stopping", trial=trial.id, reason=decision.reason)
            self._executor.stop(trial.id, decision.reason)

    def _earlier(self, fraction: float) -> Earlier:
        """What was decided at earlier snapshots, the last time each trial came so far."""
        found = self._store.decided("stop", "go_on")
        facts = {str(each["trial"]): each for each in found if isinstance(each, dict)}
        worths = [each.get("worth") for each in facts.values()]
        return Earlier(
            costs=costs_of(self._store.trials(), fraction),
            worths=[float(worth) for worth in worths if isinstance(worth, float)],
            exempt_trials=[int(trial) for trial, each in facts.items() if each["exempt"]],
        )

    def _finish(self, event: Finished) -> None:
        if self._is_tried_again(event):
            return
        now = self._clock()
        if not self._store.finish_trial(event.trial_id, event.attempt, event.outcome, at=now):
            return
        trial = self._store.trial(event.trial_id)
        variant = self._store.variant(trial.variant)
        if trial.purpose.informs:  # what bears a claim out reads its own from its trials
            self._keep_calibration(variant, event.outcome)
        self._update_fitness()
        self._accounts.save()
        self._story.finished(trial, variant, event.outcome)
        if trial.purpose is Purpose.PUBLICATION:
            self._settle_publication()
        self._errands.note(trial)
        self._mend(trial)
        self._check_baseline()

    def _settle_publication(self) -> None:
        publication = self._publishing.settle(self._belief())
        if publication is not None:
            self._story.published(publication)

    def _mend(self, trial: Trial) -> None:
        """Have an offspring repaired that crashed, if the settings allow it."""
        if self._config.agents.repair and trial.purpose is Purpose.SCREEN:
            self._commissions.mend(trial)

    def _is_tried_again(self, event: Finished) -> bool:
        """Requeue a trial that failed by our own fault; give up on the sitting if all do."""
        failure = event.outcome.failure
        if failure is None or failure.kind is not FailureClass.HARNESS:
            self._faults_in_a_row.clear()
            return False
        self._faults_in_a_row.append(event.trial_id)
        self._faults[event.trial_id] += 1
        may_try = self._faults[event.trial_id] < HARNESS_ATTEMPTS
        row = self._faults_in_a_row
        is_hopeless = len(row) >= FAULTS_IN_A_ROW and len(set(row)) > 1
        if not (may_try or is_hopeless):
            return False
        self._store.requeue_trial(event.trial_id, failure.message)
        self._story.tell("trial_requeued", trial=event.trial_id, reason=failure.message)
        withdraw_barred(self._store)
        if is_hopeless:
            raise EngineError(
                f"The last {len(row)} trials failed by no fault of their genomes, the latest with: "
                f"{failure.message}. Workers need room on the disk, memory, and the "
                f"prepared data. Mend that, then `evolve resume {self._workspace.name}`."
            )
        return True

    def _check_baseline(self) -> None:
        """Without a single score of the baseline there is nothing to compare with."""
        repeats = self._store.trials(purpose=Purpose.BASELINE)
        if any(not t.status.is_final or t.outcome is None for t in repeats):
            return
        if repeats and all(t.outcome is not None and t.outcome.val_bpb is None for t in repeats):
            failure = repeats[-1].outcome.failure if repeats[-1].outcome is not None else None
            reason = failure.message if failure is not None else "no score"
            raise EngineError(
                f"None of {len(repeats)} runs of the baseline gave a score, the last: {reason}. "
                "A search needs a baseline that trains. Run its "
                f"{self._workspace.baseline.entry} alone, mend it, and start a new run; the logs "
                f"are in {self._workspace.paths.logs}."
            )

    def _keep_calibration(self, variant: Variant, outcome: Outcome) -> None:
        if outcome.is_suspect:
            self._store.drop_calibrations(variant.genome_hash, self._device_class)
        elif outcome.calibration is not None:
            self._store.add_calibration(outcome.calibration)

    def _belief(self) -> Posterior:
        """The posterior over all that is known; computed again after each finished trial."""
        if self._posterior is None:
            self._posterior = self._believer.believe()
        return self._posterior

    def _update_fitness(self, *, everywhere: bool = False) -> None:
        """Store every fitness that moved, and write it beside its commit, or beside every one."""
        self._posterior = None
        posterior = self._belief()
        known = self._store.fitnesses()
        believed = posterior.fitnesses()
        now = {variant.sha: believed[variant.sha] for variant in self._store.variants()}
        moved = {sha: fitness for sha, fitness in now.items() if _moved(known.get(sha), fitness)}
        self._store.save_fitnesses(moved)
        self._store.set_fact("sigma", posterior.sigma)
        metric, how = self._workspace.task.metric, by_variant(self._store.trials())
        self._workspace.branches.notes(
            {
                sha: f"{metric.words(fitness)}, trials {fitness.trial_count}, {how.get(sha, '—')}"
                for sha, fitness in (now if everywhere else moved).items()
                if fitness.is_scored
            }
        )
        self._put_forward(now)

    def _put_forward(self, fitnesses: Mapping[str, Fitness]) -> None:
        """Let plain ``git log`` tell the best one's story, banned lines aside."""
        barred = self._store.barred()
        self._hall_of_fame.forget(barred)
        self._hall_of_fame.update([e for e in fitnesses.items() if e[0] not in barred])
        for sha, _ in self._hall_of_fame.best():
            name = self._store.variant(sha).name
            self._workspace.branches.point_head(run=self._workspace.name, name=name)

    # --- beginning and ending ------------------------------------------------------------------

    def _begin(self) -> None:
        """Take up what an earlier sitting left, then make sure that the noise gets measured."""
        state = self._store.last_rng_state()
        if state is not None:
            self._rng.bit_generator.state = cast("Mapping[str, Any]", state)
        self._requeue_running("the engine that ran it is gone")
        withdraw_barred(self._store)  # what trained when its line was banned does not begin again
        self._store.update_run(state=RunState.RUNNING)
        self._story.tell("engine_started", slots=self._executor.slot_count)
        if self._budget.kind is BudgetKind.CPU:
            self._jobs.yardstick()
        known = self._store.trials()
        repeats = sum(trial.purpose is Purpose.BASELINE for trial in known)
        for _ in range(repeats, self._config.baseline.repeats):
            self._queue(self._baseline, Purpose.BASELINE)
        # An engine killed between a variant's row and its trial's left the variant untried.
        tried = {trial.variant for trial in known} | {self._baseline.sha, *self._store.barred()}
        for variant in self._store.variants():
            if variant.sha not in tried:
                self._queue(variant, Purpose.SCREEN)
        self._decided("begin", {"sitting_began": self._clock()})
        self._lessons.begin(has_readers=self._has_models)
        self._commissions.begin(self._known)
        self._errands.begin(self._known)
        for trial in known:
            self._mend(trial)
        if any(t.outcome is not None and t.outcome.val_bpb is not None for t in known):
            self._update_fitness(everywhere=True)  # it was killed before it could, perhaps
            self._settle_publication()
        self._check_baseline()

    def _requeue_running(self, reason: str) -> None:
        for lease in self._store.running():
            self._store.requeue_trial(lease.trial.id, reason)
            self._story.tell("trial_requeued", trial=lease.trial.id, reason=reason)

    def _end(self) -> Ending:
        asked = self._must_stop or self._is_draining
        self._store.update_run(state=RunState.PAUSED if asked else RunState.FINISHED)
        self._hear_requests()  # from here on `evolve seed` refuses; what came before waits queued
        asked = asked or bool(self._store.trials(status=TrialStatus.QUEUED))
        ending = Ending.PAUSED if asked else Ending.FINISHED
        if asked:
            self._store.update_run(state=RunState.PAUSED)
        reason = "asked to end" if asked else self._reason_to_end()
        self._story.tell("engine_ended", ending=ending.value, reason=reason)
        self._workspace.branches.pack()
        return ending

    def _hear_requests(self) -> None:
        for request in self._store.pending_requests():
            answer = answered(
                request,
                self._store,
                self._breeder,
                self._manual(),
                clock=self._clock,
                queue=self._queue_first,
            )
            if answer.born is not None:
                self._queue_first(answer.born)
                self._story.born(answer.born)
            if answer.decided:
                self._decided(request.kind, answer.decided)
            if request.kind in MARKS:
                self._put_forward(self._store.fitnesses())
            self._store.settle_request(request.id, answer.text)
            self._story.tell("request", request=request.kind, answer=answer.text)

    def _queue_first(self, variant: Variant) -> Trial:
        """Queue the first trial of a variant that came from people, or was given back by them."""
        return self._queue(variant, Purpose.SCREEN)

    def _manual(self) -> Manual:
        """The manual in force: a valid edit of its file counts from here on."""
        edit = self._manuals.look()
        if edit is not None:
            self._story.tell(edit.kind, old=edit.old, new=edit.new, problem=edit.problem)
            self._decided(edit.kind, {"old": edit.old, "new": edit.new})
        return self._manuals.in_force

    def _decided(self, kind: str, facts: Mapping[str, Json]) -> None:
        """Keep a decision with the state that chance had after it."""
        self._store.record_decision(
            kind, facts, rng_state=cast("Json", self._rng.bit_generator.state)
        )


def _moved(before: Fitness | None, now: Fitness) -> bool:
    """True if a fitness is worth writing anew: each trial moves that of every relative a little."""
    if before is None or before.trial_count != now.trial_count:
        return True
    if before.mean is None or now.mean is None:
        return before.mean is not now.mean
    least = STALE * now.sd
    return abs(before.mean - now.mean) > least or abs(before.sd - now.sd) > least
