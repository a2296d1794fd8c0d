"""CriticRecord: how often the critic was right, counted against the trials that followed. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from population import (
    Critique,
    FailureClass,
    Fitness,
    Judgement,
    Purpose,
    Trial,
    TrialStatus,
    Variant,
)


@dataclass(frozen=True, slots=True)
class CriticRecord:
    """What became of what the critic read.

    A proposal is *void* if its variant gave no score by its own fault, or is believed to be no
    better than its fitter parent. Rejecting a void one is right.

    Attributes:
        read: Proposals read.
        warned: Warned of.
        rejected: Rejected, whether or not they were trained.
        rejected_trained: Rejected, and trained all the same.
        rejected_void: Of those, the void ones.
        passed_trained: Passed or warned of, and trained.
        passed_void: Of those, the void ones.
    """

    read: int
    warned: int
    rejected: int
    rejected_trained: int
    rejected_void: int
    passed_trained: int
    passed_void: int

    @property
    def precision(self) -> float | None:
        """Share of the rejected that are void; None while none of them was trained."""
        return self.rejected_void / self.rejected_trained if self.rejected_trained else None

    @property
    def recall(self) -> float | None:
        """Share of the void that were rejected; None while it is unknown.

        Those that were rejected and not trained count as void by the precision.
        """
        if self.rejected and self.precision is None:
            return None
        caught = self.rejected * (self.precision or 0.0)
        void = caught + self.passed_void
        return caught / void if void else None

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        shares = {"precision": self.precision, "recall": self.recall}
        return {**dataclasses.asdict(self), **shares}


def critic_record(critiques: Sequence[Critique], is_void: Mapping[str, bool]) -> CriticRecord:
    """Count.

    Args:
        critiques: Of proposals.
        is_void: By commit, of the variants whose trial has ended.
    """
    rejected = [one for one in critiques if one.judgement is Judgement.REJECT]
    rest = [one for one in critiques if one.judgement is not Judgement.REJECT]
    caught, passed = (
        [is_void[one.variant] for one in some if one.variant is not None and one.variant in is_void]
        for some in (rejected, rest)
    )
    return CriticRecord(
        read=len(critiques),
        warned=sum(one.judgement is Judgement.WARN for one in critiques),
        rejected=len(rejected),
        rejected_trained=len(caught),
        rejected_void=sum(caught),
        passed_trained=len(passed),
        passed_void=sum(passed),
    )


def void_ones(
    variants: Iterable[Variant], trials: Iterable[Trial], fitnesses: Mapping[str, Fitness]
) -> dict[str, bool]:
    """Whether each variant that was tried is void, by commit; those still unknown are left out."""
    screens = {t.variant: t for t in trials if t.purpose is Purpose.SCREEN and t.status.is_final}
    found: dict[str, bool] = {}
    for variant in variants:
        trial = screens.get(variant.sha)
        if trial is None:
            continue
        means = [fitnesses[sha].mean for sha in variant.parents if sha in fitnesses]
        before = min((mean for mean in means if mean is not None), default=None)
        own = fitnesses.get(variant.sha)
        if trial.status not in (TrialStatus.COMPLETE, TrialStatus.STOPPED_EARLY):
            failure = trial.outcome.failure if trial.outcome is not None else None
            if failure is None or failure.kind is not FailureClass.HARNESS:
                found[variant.sha] = True
        elif own is not None and own.mean is not None and before is not None:
            found[variant.sha] = own.mean >= before
    return found
