"""Does the search find again what is known to help, and sooner than random order does?

It starts from the *stripped genome*: the baseline without every change of the catalogue
(``benchmarks.discoveries``) that can be taken out. For each kind of change the bar is what the best
one of that kind is worth there: its gain at equal tokens over fresh seeds. Two arms breed from the
stripped genome with the same built-in operators, asked equally often, and train for real:

- ``search``: the engine with its default settings, early stopping aside, since trials are counted;
- ``random``: the same operators in random order: each parent is drawn evenly from all variants that
  trained.

A bar is reached at the first trial whose leader (best mean of its scores so far) beats the stripped
genome by as much, *on fresh seeds that neither the arms nor the bars saw*. Kinds without a
measurable effect set no bar; bars are the best of many measured gains, so rather too high, for
both arms alike. Reported: trials to each bar, and random's over search's: the geometric mean over
bars of each seed, then over seeds, with a t-interval of the logarithms. A bar that is not reached
counts as one trial more than there were; how many were missed is told by arm: missed ones of
``random`` make the ratio too small, those of ``search`` too large.

The arms differ in more than selection: with nothing believed, ``random`` learns no scales of knobs
either. The trials of the baseline that tell the noise (three) are counted for neither.

    python -m benchmarks.rediscovery --seeds 3 --trials 80 --folder build/rediscovery

What was trained is kept in the folder, so that the same command goes on where it was ended.
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from scipy.stats import ttest_ind

from benchmarks.discoveries import DISCOVERIES, stripped_genome
from benchmarks.effects import Interval
from benchmarks.trainings import Order, prepared, train_all
from evolution.breeding import Breeder, Knowledge, Offspring
from evolution.config import EvolutionConfig
from evolution.engine import Engine
from evolution.executors import Job, ScriptedExecutor
from evolution.operators import built_in
from evolution.profiles import load_profile
from evolution.repertoire import Repertoire
from evolution.workspace import Workspace, create_run, open_run
from population import (
    BudgetKind,
    Calibration,
    Conditions,
    Failure,
    FailureClass,
    Fitness,
    Manual,
    Outcome,
    Purpose,
    TrialStatus,
    set_knobs,
)

ARMS = ("search", "random")
#: First seeds of the measurements of bars and of leaders: none of them is one of a search.
BARS, LEADERS = 900_001, 910_001


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change is worth to the stripped genome, in bits per byte, positive if it helps."""

    name: str
    kind: str
    gain: float
    reach: float  # half of the 95 % interval

    @property
    def is_measurable(self) -> bool:
        """True if the whole interval lies above nought."""
        return self.gain > self.reach


@dataclass(slots=True)
class Course:
    """One arm with one seed: what led after each trial, by what it is worth on fresh seeds."""

    arm: str
    seed: int
    leaders: list[tuple[int, float]] = field(default_factory=list)
    trial_count: int = 0

    def trials_to(self, gain: float) -> int:
        """The first trial at which the leader is worth ``gain``; one more than all if none is."""
        reached = (trial for trial, worth in self.leaders if worth >= gain)
        return next(reached, self.trial_count + 1)


class Archive:
    """Trainings by what was trained, kept in a folder that several processes may share.

    Args:
        train: Makes what is not there.
        folder: Each process adds lines to a file of its own, and reads all of them once.
        tokens: Of each training.
    """

    def __init__(self, train: Callable[[Order], float | None], folder: Path, tokens: int) -> None:
        self._train = train
        self._path = folder / f"trained-{os.getpid()}.jsonl"
        self._tokens = tokens
        self._known: dict[str, float | None] = {}
        for path in sorted(folder.glob("trained-*.jsonl")):
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # a torn one was not finished
            self._known |= {row["key"]: row["bpb"] for row in map(json.loads, lines)}

    def score(self, text: str, rng_seed: int, depth_scale: float = 1.0) -> float | None:
        """Bits per byte of a training, made now or earlier; None if it fails."""
        what = f"{self._tokens} {rng_seed} {depth_scale} {text}"
        key = hashlib.sha256(what.encode()).hexdigest()[:24]
        if key not in self._known:
            bpb = self._known[key] = self._train(Order(text, rng_seed, depth_scale))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "bpb": bpb}) + "\n")
        return self._known[key]

    def gains(self, text: str, reference: str, seeds: range) -> list[float]:
        """Paired gains of ``text`` over ``reference`` on fresh seeds; a failure gains nothing."""
        gains: list[float] = []
        for seed in seeds:
            one, other = self.score(text, seed), self.score(reference, seed)
            assert other is not None, "the reference trains"
            gains.append(other - one if one is not None else -math.inf)
        return gains


# --- the two arms --------------------------------------------------------------------------------


def searched(workspace: Workspace, archive: Archive, trials: int, tick: Callable[[], None]) -> None:
    """The engine's own search, to ``trials`` trials beside those of the baseline."""

    def play(job: Job) -> Outcome:
        conditions = job.conditions
        bpb = archive.score(job.genome.main, conditions.rng_seed, conditions.depth_scale)
        tick()
        return outcome_of(bpb)

    def no_price() -> Calibration:
        raise AssertionError("a budget of tokens has no price")

    def watch(_: Mapping[int, float]) -> None:
        if len(tried(workspace)) >= trials:
            engine.request_stop()

    executor = ScriptedExecutor(play, slot_count=1)
    engine = Engine(workspace, executor, built_in(), measure_baseline=no_price, watch=watch)
    engine.run()


def ordered_by_chance(
    workspace: Workspace, archive: Archive, trials: int, tick: Callable[[], None]
) -> None:
    """The same operators; every variant that trained is as likely a parent as any other."""
    store, config = workspace.store, workspace.config
    record = store.run()
    rng = np.random.default_rng(record.rng_seed)
    breeder = Breeder(
        run=record.name,
        store=store,
        branches=workspace.branches,
        operators=built_in(),
        weights=Repertoire(store, config.operator_weights(), is_adaptive=False).weights,
        settings=config.population.model_copy(update={"survivors": 10_000, "tournament": 1}),
        clock=lambda: 0.0,
        contract=workspace.task.contract,
    )
    alike = Fitness(0.0, 1.0, 1)
    trained = {record.baseline or "": alike}
    while len(tried(workspace)) < trials:
        made = breeder.breed(Knowledge(dict(trained), None, (), Manual()), rng)
        if not isinstance(made, Offspring):
            continue
        sha, seed = made.variant.sha, int(rng.integers(2**31))
        conditions = Conditions(workspace.budget, seed)
        trial = store.queue_trial(sha, purpose=Purpose.SCREEN, conditions=conditions, at=0.0)
        store.start_trial(trial.id, slot=0, lease_seconds=1.0, at=0.0)
        outcome = outcome_of(archive.score(breeder.genome(sha).main, seed))
        store.finish_trial(trial.id, 1, outcome, at=0.0)
        if outcome.val_bpb is not None:
            trained[sha] = alike
        tick()


def outcome_of(bpb: float | None) -> Outcome:
    """A trial's outcome from a training's score."""
    if bpb is None:
        failure = Failure(FailureClass.ERROR, "it did not train")
        return Outcome(TrialStatus.CRASHED, failure=failure)
    return Outcome(TrialStatus.COMPLETE, bpb, train_seconds=1.0, total_seconds=1.0)


def tried(workspace: Workspace) -> list[tuple[str, float | None]]:
    """Trials of the search in their order, each with its score: the baseline's own are not."""
    return [
        (trial.variant, trial.outcome.val_bpb)
        for trial in workspace.store.trials()
        if trial.purpose in (Purpose.SCREEN, Purpose.REPLICATE) and trial.outcome is not None
    ]


def course_of(
    arm: str, seed: int, archive: Archive, asked: argparse.Namespace, tick: Callable[[], None]
) -> Course:
    """Run one arm with one seed in a folder of its own, then weigh its leaders."""
    config = EvolutionConfig.model_validate(
        {
            "run": {"profile": asked.profile, "rng_seed": seed},
            "limits": {"trials": asked.trials + 1},
            "population": {"seeds": ""},
            "stopping": {"enabled": False},
        }
    )
    course = Course(arm, seed)
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        (project / "train.py").write_text(start_of(asked.profile), encoding="utf-8")
        paths = create_run(project / "runs", config, name=f"{arm}-{seed}", project=project)
        with open_run(paths) as workspace:
            arms = {"search": searched, "random": ordered_by_chance}
            arms[arm](workspace, archive, asked.trials, tick)
            told = tried(workspace)[: asked.trials]
            texts = {sha: workspace.branches.genome(sha).main for sha in {s for s, _ in told}}
    course.trial_count = len(told)
    reference = start_of(asked.profile)
    for trial, sha in leaders(told):
        gains = archive.gains(texts[sha], reference, range(LEADERS, LEADERS + asked.fresh))
        course.leaders.append((trial, statistics.fmean(gains)))
    return course


def leaders(told: Sequence[tuple[str, float | None]]) -> Iterator[tuple[int, str]]:
    """Whenever another variant has the best mean of its scores so far: the trial, and which."""
    scores: dict[str, list[float]] = {}
    leader = ""
    for trial, (sha, bpb) in enumerate(told, 1):
        if bpb is None:
            continue
        scores.setdefault(sha, []).append(bpb)
        best = min(scores, key=lambda each: statistics.fmean(scores[each]))
        if best != leader:
            leader = best
            yield trial, best


# --- what is asked of them -----------------------------------------------------------------------


def start_of(profile: str) -> str:
    """The stripped genome at a profile's sizes."""
    return set_knobs(stripped_genome(), dict(load_profile(profile).knobs))


def effects(archive: Archive, profile: str, count: int, tick: Callable[[], None]) -> list[Effect]:
    """What each change of the catalogue is worth to the stripped genome."""
    start, found = start_of(profile), []
    for discovery in DISCOVERIES:
        changed = discovery.apply(start)
        seeds = range(BARS, BARS + count)
        gains = [g for g in archive.gains(changed, start, seeds) if math.isfinite(g)]
        tick()
        if len(gains) == count:
            worth = Interval.of(gains)
            found.append(Effect(discovery.name, discovery.kind, worth.mean, worth.half_width))
    return found


def bars(found: Sequence[Effect]) -> dict[str, Effect]:
    """By kind, the change of the largest measurable gain."""
    best: dict[str, Effect] = {}
    for effect in found:
        known = best.get(effect.kind)
        if effect.is_measurable and (known is None or effect.gain > known.gain):
            best[effect.kind] = effect
    return best


def ratio(courses: Sequence[Course], gains: Sequence[float]) -> dict[str, float]:
    """Random's trials over search's: geometric mean over bars and seeds, Welch's 95 % interval."""
    means = {
        arm: [
            statistics.fmean(math.log(course.trials_to(gain)) for gain in gains)
            for course in courses
            if course.arm == arm
        ]
        for arm in ARMS
    }
    one, other = means["random"], means["search"]
    middle = statistics.fmean(one) - statistics.fmean(other)
    answer = {"mean": math.exp(middle)}
    if min(len(one), len(other)) > 1:
        interval = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
        answer |= {"low": math.exp(interval.low), "high": math.exp(interval.high)}
    return answer


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each arm")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--trials", type=int, default=80, help="of each search")
    parser.add_argument("--fresh", type=int, default=4, help="fresh seeds that weigh a leader")
    parser.add_argument("--effect-seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--folder", type=Path, default=Path("build/rediscovery"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    asked.folder = asked.folder.absolute()
    asked.json = asked.json and asked.json.absolute()
    budget = load_profile(asked.profile).budget
    if budget.kind is not BudgetKind.TOKENS:
        parser.error(
            f"profile {asked.profile} has a budget of {budget.kind}, and tokens are needed"
        )
    tokens = int(budget.amount)
    with prepared(asked.profile) as (data, folder):

        def train(order: Order) -> float | None:
            (ended,) = train_all([order], data=data, tokens=tokens, folder=folder, limit=600)
            if ended[1].stage == "time":  # a busy or sleeping machine says nothing of a genome
                raise SystemExit(
                    "A training took ten minutes. What was trained is kept: go on later."
                )
            return ended[1].val_bpb

        found, courses = measured(Archive(train, asked.folder, tokens), asked)
    report(found, courses, asked)


def measured(archive: Archive, asked: argparse.Namespace) -> tuple[list[Effect], list[Course]]:
    """Effects of the catalogue, then every arm with every seed."""
    courses = []
    with Progress(console=Console(stderr=True), transient=True) as progress:

        def bar(words: str, total: int) -> Callable[[], None]:
            task = progress.add_task(words, total=total)
            return lambda: progress.advance(task)

        tick = bar("effects", len(DISCOVERIES))
        found = effects(archive, asked.profile, asked.effect_seeds, tick)
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            for arm in asked.arms:
                tick = bar(f"{arm}, seed {seed}", asked.trials)
                courses.append(course_of(arm, seed, archive, asked, tick))
    return found, courses


def report(found: Sequence[Effect], courses: Sequence[Course], asked: argparse.Namespace) -> None:
    """Print what was found; keep it as JSON if asked to."""
    best = bars(found)
    gains = [effect.gain for effect in best.values()]
    print("what each change is worth to the stripped genome, mbpb (95 %):")
    for effect in sorted(found, key=lambda e: -e.gain):
        mark = "bar" if best.get(effect.kind) is effect else ""
        worth = f"{1e3 * effect.gain:+8.1f} ± {1e3 * effect.reach:5.1f}"
        print(f"  {effect.kind:15} {effect.name:28} {worth} {mark}")
    answer: dict[str, Any] = {"effects": [asdict(effect) for effect in found], "courses": []}
    print(f"trials to the worth of the best of each kind (of {asked.trials}):")
    for course in courses:
        reached = {kind: course.trials_to(effect.gain) for kind, effect in best.items()}
        answer["courses"].append({**asdict(course), "trials_to": reached})
        shown = ", ".join(f"{kind} {trials}" for kind, trials in reached.items())
        final = course.leaders[-1][1] if course.leaders else 0.0
        print(f"  {course.arm} {course.seed}: {shown}; leader at the end {1e3 * final:+.1f} mbpb")
    if gains and {course.arm for course in courses} == set(ARMS):
        answer["ratio"] = whole = ratio(courses, gains)
        span = f" (95 %: {whole['low']:.2f} to {whole['high']:.2f})" if "low" in whole else ""
        print(f"random order takes {whole['mean']:.2f} × as many trials{span}")
        for arm in ARMS:
            missed = [
                c.trials_to(g) > c.trial_count for c in courses if c.arm == arm for g in gains
            ]
            print(f"  {arm} missed {sum(missed)} of {len(missed)} bars")
    if asked.json:
        asked.json.write_text(json.dumps(answer, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
