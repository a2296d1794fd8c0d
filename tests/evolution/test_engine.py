from collections import Counter
from dataclasses import replace

import pytest

from agents import Proposal, Refusal
from evolution.engine import BARREN_TURNS, Ending, EngineError
from evolution.events import read_events
from evolution.executors import Finished, ScriptedExecutor
from population import (
    Branches,
    FailureClass,
    Origin,
    Purpose,
    Ruling,
    RunState,
    Store,
    TrialStatus,
    set_knobs,
)
from tests.evolution.runs import Twiddle, a_run, an_engine, crash, run_in_cuts, truth, world


def finished(paths, executor=None, **options):
    """Run to the end; the store, for reading."""
    with an_engine(paths, executor, **options) as (engine, _, _):
        assert engine.run() is Ending.FINISHED
    return Store.open(paths.database, read_only=True)


@pytest.fixture
def paths(tmp_path):
    return a_run(tmp_path)


def test_a_run_ends_with_its_trials_and_a_confirmed_champion(paths):
    with finished(paths) as store:
        screens = store.trials(purpose=Purpose.SCREEN)
        scored = [
            t for t in screens if t.status in (TrialStatus.COMPLETE, TrialStatus.STOPPED_EARLY)
        ]
        assert len(scored) == 6
        assert len(store.trials(purpose=Purpose.BASELINE)) == 3
        assert store.run().state is RunState.FINISHED
        verdict = store.verdicts()[0]
        assert verdict.is_confirmed
        home = verdict.rungs[0]
        assert home.low <= home.gain <= home.high
        assert [rung.depth_scale for rung in verdict.rungs] == [1.0, 1.5]


def test_a_verdict_says_what_the_sealed_split_says(tmp_path):
    """There the gains are half as large; the search sees nothing of it."""

    def script(job):
        played = world(job)
        if not job.is_confirmation:
            return played
        test_bpb = 2.2 + (played.outcome.val_bpb - 2.0) / 2
        return replace(played, outcome=replace(played.outcome, test_bpb=test_bpb))

    paths = a_run(tmp_path)
    with an_engine(paths, ScriptedExecutor(script, slot_count=2)) as (engine, workspace, _):
        engine.run()
        verdict = workspace.store.verdicts()[0]
        read = {t.purpose for t in workspace.store.trials() if t.outcome.test_bpb is not None}
    assert read == {Purpose.VERDICT}
    for rung in verdict.rungs:
        assert rung.sealed.gain == pytest.approx(rung.gain / 2)
        assert rung.sealed.low < rung.sealed.gain < rung.sealed.high
        assert rung.sealed.pair_count == rung.pair_count
    (told,) = (event.payload for event in read_events(paths.events) if event.kind == "verdict")
    assert told["rungs"][0]["sealed"]["gain"] == verdict.rungs[0].sealed.gain


def test_each_pair_of_a_verdict_shares_seed_and_depth_and_has_fresh_ones(paths):
    with finished(paths) as store:
        trials = store.trials(purpose=Purpose.VERDICT)
        pairs = {}
        for trial in trials:
            pairs.setdefault(trial.pair, []).append(trial)
        assert len(pairs) == 6
        for pair in pairs.values():
            assert len({t.variant for t in pair}) == 2
            assert len({t.conditions for t in pair}) == 1
        seeds = {pair[0].conditions.rng_seed for pair in pairs.values()}
        others = {t.conditions.rng_seed for t in store.trials() if t.purpose != Purpose.VERDICT}
        assert len(seeds) == 6
        assert not seeds & others


def test_the_partners_of_a_pair_start_side_by_side(paths):
    executor = ScriptedExecutor(world, slot_count=2)
    with finished(paths, executor) as store:
        trials = {t.id: t for t in store.trials()}
        verdict_jobs = [trials[j.trial_id].pair for j in executor.jobs if trials[j.trial_id].pair]
        assert verdict_jobs[::2] == verdict_jobs[1::2]


def test_every_scored_commit_carries_its_fitness_and_every_variant_its_branch(paths):
    with finished(paths) as store, Branches.open(paths.repository) as branches:
        fitnesses = store.fitnesses()
        assert sum(f.is_scored for f in fitnesses.values()) >= 6
        for sha, fitness in fitnesses.items():
            if fitness.is_scored:
                assert branches.read_note(sha).startswith(f"val_bpb {fitness}")
                assert "reported" in branches.read_note(sha)
        names = {v.name: v.sha for v in store.variants()}
        assert branches.names("night") == names


def test_the_same_seed_and_results_replay_the_same_decisions(tmp_path):
    def decisions(folder, seed):
        with finished(a_run(folder, run__rng_seed=seed, limits__trials=3)) as store:
            return [
                (v.name, v.hypothesis, v.genome_hash, tuple(t.conditions.rng_seed for t in trials))
                for v in store.variants()
                for trials in [store.trials(variant=v.sha)]
            ]

    first = decisions(tmp_path / "a", 7)
    assert first == decisions(tmp_path / "b", 7)
    assert first != decisions(tmp_path / "c", 8)


def test_a_run_that_finds_nothing_says_so(tmp_path):
    class Useless(Twiddle):
        def propose(self, context):
            proposal = super().propose(context)
            if isinstance(proposal, Refusal) or "EMBED_STD" in proposal.hypothesis:
                return proposal
            return Refusal(self.name, "not useless enough")

    with finished(a_run(tmp_path, limits__trials=3), operators={"knob": Useless()}) as store:
        verdict = store.verdicts()[0]
        assert not verdict.is_confirmed
        assert verdict.champion is None or verdict.rungs[0].ruling is not Ruling.CONFIRMED


def test_operators_without_ideas_end_the_search(tmp_path):
    class Silent(Twiddle):
        def propose(self, context):  # noqa: ARG002 - the protocol's signature
            return Refusal(self.name, "no idea")

    paths = a_run(tmp_path)
    with finished(paths, operators={"knob": Silent()}) as store:
        assert len(store.variants()) == 1
    events = list(read_events(paths.events))
    assert sum(e.kind == "no_offspring" for e in events) >= BARREN_TURNS
    assert "nothing new" in events[-1].payload["reason"]


def test_a_search_whose_offspring_all_crash_ends(tmp_path):
    def script(job):
        return world(job) if truth(job) == 2.0 else crash(FailureClass.ERROR)

    class Endless(Twiddle):
        def propose(self, context):
            parent = context.parents[0]
            text = set_knobs(
                parent.genome.main, {"ROPE_BASE": float(context.rng.integers(20_000, 10**9))}
            )
            genome = parent.genome.with_main(text)
            return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "try")

    paths = a_run(tmp_path, limits__trials=2)
    executor = ScriptedExecutor(script, slot_count=2)
    with finished(paths, executor, operators={"knob": Endless()}) as store:
        screens = store.trials(purpose=Purpose.SCREEN)
        assert Counter(t.status for t in screens) == {TrialStatus.CRASHED: 4 * 2 + 20}
        assert store.verdicts()[0].champion is None
        baseline = store.run().baseline
        assert max(store.fitnesses().items(), key=lambda entry: entry[1])[0] == baseline


def test_a_fault_of_ours_is_tried_again_and_not_charged_to_the_variant(tmp_path):
    tries = Counter()

    def script(job):
        tries[job.trial_id] += 1
        return crash(FailureClass.HARNESS) if tries[job.trial_id] < 3 else world(job)

    paths = a_run(tmp_path, limits__trials=2)
    with finished(paths, ScriptedExecutor(script)) as store:
        assert all(t.status is not TrialStatus.CRASHED for t in store.trials())
        assert {t.attempt for t in store.trials(status=TrialStatus.COMPLETE)} == {3}


def test_a_fault_of_ours_that_stays_ends_the_trial(tmp_path):
    def script(job):
        return crash(FailureClass.HARNESS, "no room") if job.trial_id == 4 else world(job)

    paths = a_run(tmp_path, limits__trials=1)
    with finished(paths, ScriptedExecutor(script)) as store:
        failed = store.trials(purpose=Purpose.SCREEN)[0]
        assert failed.attempt == 3
        assert failed.outcome.failure.kind is FailureClass.HARNESS


def test_faults_of_ours_in_a_row_end_the_sitting_and_lose_no_trial(tmp_path):
    paths = a_run(tmp_path)
    broken = ScriptedExecutor(lambda _: crash(FailureClass.HARNESS, "no room"), slot_count=2)
    with an_engine(paths, broken) as (engine, workspace, _):
        with pytest.raises(EngineError, match=r"no room.*evolve resume night") as error:
            engine.run()
        assert error.value.exit_code == 1
        assert not any(t.status.is_final for t in workspace.store.trials())
    with finished(paths) as store:
        assert all(t.outcome.failure is None for t in store.trials())


def test_a_baseline_that_never_scores_ends_the_run_with_its_reason(tmp_path):
    paths = a_run(tmp_path)
    executor = ScriptedExecutor(lambda _: crash(FailureClass.ERROR, "KeyError: 'width'"))
    with (
        an_engine(paths, executor) as (engine, _, _),
        pytest.raises(EngineError, match="KeyError: 'width'"),
    ):
        engine.run()


def test_no_two_trials_but_the_partners_of_a_pair_share_a_seed(paths):
    with finished(paths) as store:
        labels = [(t.conditions.rng_seed, t.pair or t.id) for t in store.trials()]
        assert len({seed for seed, _ in labels}) == len({label for _, label in labels})


def test_fitness_that_was_not_stored_when_the_engine_died_is_stored_at_resume(tmp_path):
    paths = a_run(tmp_path, limits__trials=2, verdict__pairs=2, verdict__depths=[1.0])
    with an_engine(paths) as (engine, workspace, _):
        engine._update_fitness = lambda **_: None  # killed just before it, every time
        engine.run()
        assert not any(f.is_scored for f in workspace.store.fitnesses().values())
    with an_engine(paths) as (engine, workspace, _):
        engine.run()
        for sha, fitness in workspace.store.fitnesses().items():
            assert not fitness.is_scored or workspace.branches.read_note(sha)
        assert any(f.is_scored for f in workspace.store.fitnesses().values())


def test_a_drained_engine_finishes_what_runs_and_a_later_one_goes_on(paths):
    def drain(engine, turn):
        if turn == 8:
            engine.request_drain()

    with an_engine(paths, after_turn=drain) as (engine, workspace, _):
        assert engine.run() is Ending.PAUSED
        assert workspace.store.run().state is RunState.PAUSED
        assert not workspace.store.trials(status=TrialStatus.RUNNING)
        done = {t.id for t in workspace.store.trials() if t.status.is_final}
        assert done
    with finished(paths) as store:
        assert all(store.trial(i).attempt == 1 for i in done)
        assert store.run().state is RunState.FINISHED


def test_a_stopped_engine_queues_what_ran_again(paths):
    def stop(engine, turn):
        if turn == 8:
            engine.request_stop()

    with an_engine(paths, after_turn=stop) as (engine, workspace, _):
        assert engine.run() is Ending.PAUSED
        queued = workspace.store.trials(status=TrialStatus.QUEUED)
        seeds = {t.id: t.conditions.rng_seed for t in queued}
        assert any(t.attempt == 1 for t in queued)
    with finished(paths) as store:
        for trial_id, seed in seeds.items():
            assert store.trial(trial_id).conditions.rng_seed == seed
            assert store.trial(trial_id).status.is_final


def test_an_engine_killed_between_decisions_goes_on_as_the_unbroken_one(tmp_path):
    """Cut after every finished trial in turn: with one worker nothing is in flight there."""

    def story(folder, cut):
        paths = a_run(folder, limits__trials=2, verdict__pairs=2, verdict__depths=[1.0])
        run_in_cuts(paths, cut)
        with Store.open(paths.database, read_only=True) as store:
            return [(v.name, v.genome_hash) for v in store.variants()], [
                (t.variant, t.purpose, t.conditions.rng_seed, t.outcome.val_bpb)
                for t in store.trials()
            ]

    variants, trials = story(tmp_path / "whole", None)
    for cut in (1, 4):
        other_variants, other_trials = story(tmp_path / f"cut-{cut}", cut)
        assert other_variants == variants
        assert [t[1:] for t in other_trials] == [t[1:] for t in trials]


def test_hopeless_trials_are_stopped_at_their_snapshot(tmp_path):
    class Harmful(Twiddle):
        def propose(self, context):
            proposal = super().propose(context)
            if isinstance(proposal, Refusal) or "SOFTCAP" in proposal.hypothesis:
                return proposal
            return Refusal(self.name, "not harmful enough")

    def script(job):
        return world(job)

    paths = a_run(tmp_path, limits__trials=1, stopping__exempt=0.0, stopping__p_better=0.3)
    with finished(paths, ScriptedExecutor(script), operators={"knob": Harmful()}) as store:
        trial = store.trials(purpose=Purpose.SCREEN)[0]
        assert trial.status is TrialStatus.STOPPED_EARLY
        assert [s.fraction for s in trial.outcome.snapshots] == [0.1, 0.25]
        assert store.fitnesses()[trial.variant].is_scored


def test_a_seed_enters_a_live_run_as_a_child_of_the_baseline(paths):
    with an_engine(paths) as (engine, workspace, _):
        text = workspace.baseline.main.replace("WARMDOWN = 0.5", "WARMDOWN = 0.7")
        assert text != workspace.baseline.main
        workspace.store.add_request("seed", {"text": text, "idea": "a longer warm-down"})
        workspace.store.add_request("seed", {"text": "DEPTH = 1\n", "idea": "broken"})
        workspace.store.add_request("dance", {})
        assert engine.run() is Ending.FINISHED
        seed = next(v for v in workspace.store.variants() if v.origin is Origin.SEED)
        assert seed.parents == (workspace.store.run().baseline,)
        assert seed.hypothesis == "a longer warm-down"
        assert workspace.store.trials(variant=seed.sha)[0].status.is_final
        assert not workspace.store.pending_requests()
    answers = [e.payload["answer"] for e in read_events(paths.events) if e.kind == "request"]
    assert [a.split()[0] for a in answers] == ["taken", "refused:", "refused:"]


def test_a_result_that_arrives_twice_counts_once(paths):
    with an_engine(paths) as (engine, workspace, executor):
        engine._begin()
        engine.step()
        finished_events = []
        while not finished_events:
            for event in executor.poll(0):
                engine._take(event)
                finished_events += [event] if isinstance(event, Finished) else []
        before = workspace.store.trials(status=TrialStatus.COMPLETE)
        engine._take(finished_events[0])
        assert workspace.store.trials(status=TrialStatus.COMPLETE) == before
