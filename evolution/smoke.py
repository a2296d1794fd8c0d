"""Smoke runs: two seconds of training in the box, for whoever wants to know whether a genome works.

A model that proposes a genome may look before it answers. The genome is held by the same walls as
in a trial, learns from the same text, and gives way to the trials beside it. Nothing is scored and
nothing is stored, and it never sees the text that scores are taken on.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evolution.executors import Job, Limits, Reported, Slot
from evolution.executors.attempt import Attempt
from evolution.executors.site import TrialSite, memory_mb
from evolution.sandbox.spec import Spec
from evolution.smoke_words import (
    NOT_RUN,
    cost_words,
    problem_words,
    script_words,
    training_words,
)
from population import (
    Budget,
    BudgetKind,
    Conditions,
    CurvePoint,
    FailureClass,
    Genome,
    ManualLimits,
    Outcome,
    TrialStatus,
    one_line,
)

#: Wall seconds of training.
SMOKE_SECONDS = 2.0
#: Wall seconds to load torch, build the box and come to the first batch, beside busy trainers.
STARTUP_SECONDS = 60.0
#: Wall seconds after the two that the step under way may take to its end.
GRACE_SECONDS = 10.0
#: Wall seconds that a caller waits for the smoke run before its own.
BUSY_SECONDS = 60.0
#: A trainer beside it on the same core gets twice its share.
NICENESS = 3

_CLEANING_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a genome is held to before and while it runs.

    Attributes:
        problems: What keeps a genome out of the run, in words; found without running it.
        limits: Of the manual in force.
        baseline_token_seconds: CPU-seconds of a token of the baseline; None if not known.
    """

    problems: Callable[[Genome], Sequence[str]]
    limits: Callable[[], ManualLimits]
    baseline_token_seconds: Callable[[], float | None]


class SmokeRuns:
    """Runs genomes for a moment, one at a time, for callers in any thread.

    Args:
        site: The run's, with an id, a scratch folder and walls as its trials have; it should score
            as ``trusted``, so that a genome sees no validation text.
        slot: Where to train; without a core of its own, so that no trial's core is taken.
        budget: Of one trial: what a genome may do before its first batch depends on it.
        rules: What genomes are held to.
        limits: As for trials; `startup_seconds` is how long the first batch may take to come.
        slot_count: How many trials share the machine's memory.
        busy_seconds: How long a caller waits for its turn.
    """

    def __init__(
        self,
        site: TrialSite,
        slot: Slot,
        budget: Budget,
        rules: Rules,
        *,
        limits: Limits | None = None,
        slot_count: int = 1,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._site = site
        self._slot = slot
        self._budget = budget
        self._rules = rules
        self._limits = limits or Limits(startup_seconds=STARTUP_SECONDS)
        self._slot_count = slot_count
        self._busy_seconds = busy_seconds
        self._turn = threading.Lock()
        self._serial = 0
        self._is_closed = False
        self._woken, self._wake = os.pipe()

    def run(self, genome: Genome) -> str:
        """Train a genome for two seconds and say what happened, for a model to read.

        A script has two seconds of wall time in all; one that still runs then is well.

        Args:
            genome: Any text at all.

        Returns:
            At most some 3,000 characters, without control characters, output fenced as data.
        """
        problems = self._rules.problems(genome)
        if problems:
            return problem_words(problems)
        if not self._turn.acquire(timeout=self._busy_seconds):
            return f"{NOT_RUN}busy with other smoke runs. Answer without one, or try again later."
        try:
            if self._is_closed:
                return f"{NOT_RUN}the search is ending."
            return self._carried_out(genome)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End a smoke run that is under way, and run no more; returns once nothing is left of it.

        May be called again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        os.write(self._wake, b".")
        with self._turn:
            os.close(self._wake)
            os.close(self._woken)

    def _carried_out(self, genome: Genome) -> str:
        self._serial += 1
        conditions = Conditions(self._budget, rng_seed=self._serial)
        # Trials count from 1 and the baseline's calibration is 0: nobody else is below.
        job = Job(-self._serial, 1, "smoke", genome, conditions, limits=self._rules.limits())
        spec = self._spec(job)
        try:
            attempt = Attempt(self._site, job, 0, spec)
        except OSError as error:
            return f"{NOT_RUN}it could not be started: {one_line(str(error))}"
        points = list[CurvePoint]()
        try:
            self._follow(attempt, points, _longest(spec))
        finally:
            attempt.abandon()
            outcome = attempt.end()
        if self._is_closed and outcome.status is not TrialStatus.COMPLETE:
            return f"{NOT_RUN}the search is ending."
        if spec.script is not None:
            return script_words(outcome, SMOKE_SECONDS)
        cost = cost_words(attempt.token_seconds(), self._rules.baseline_token_seconds())
        return training_words(outcome, points, cost) + self._memory_words(outcome)

    def _spec(self, job: Job) -> Spec:
        """The trial's own, shortened, without a score and without a core of its own."""
        spec = self._site.spec(self._slot, self._limits, job, None)
        short = replace(
            spec, niceness=NICENESS, memory_mb=self._memory_mb(), train_seconds=SMOKE_SECONDS
        )
        if spec.script is not None:
            return short
        return replace(
            short,
            conditions={**spec.conditions, "snapshots": []},
            environment={**spec.environment, "TORCHDYNAMO_DISABLE": "1"},  # compiling takes minutes
            budget_kind=BudgetKind.WALL.value,
            budget_amount=SMOKE_SECONDS,
            token_budget=None,
            train_only=True,
            train_seconds=SMOKE_SECONDS + GRACE_SECONDS,
        )

    def _memory_mb(self) -> float:
        """What trials leave free of the machine's memory, and no more than one of them may hold."""
        trials = self._limits.memory_share
        spare = memory_mb(self._limits, 1) * (1 - trials) / trials
        return min(spare, memory_mb(self._limits, self._slot_count))

    def _memory_words(self, outcome: Outcome) -> str:
        failure, mine = outcome.failure, self._memory_mb()
        a_trial = memory_mb(self._limits, self._slot_count)
        if failure is None or failure.kind is not FailureClass.OUT_OF_MEMORY or mine >= a_trial:
            return ""
        return f"\nA smoke run may hold {mine:.0f} MB; a trial may hold {a_trial:.0f} MB."

    def _follow(self, attempt: Attempt, points: list[CurvePoint], seconds: float) -> None:
        """Take its news until there are no more, it takes too long, or the search ends."""
        give_up = time.monotonic() + seconds
        while not self._is_closed and (left := give_up - time.monotonic()) > 0:
            ready, _, _ = select.select([attempt.fileno(), self._woken], [], [], left)
            if attempt.fileno() not in ready:
                continue
            events = attempt.read()
            if events is None:
                return
            points += [event.point for event in events if isinstance(event, Reported)]


def _longest(spec: Spec) -> float:
    """When not even the supervisor keeps its own deadlines: a count of parameters comes first."""
    return 2 * spec.startup_seconds + spec.train_seconds + _CLEANING_SECONDS
