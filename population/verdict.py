"""Verdicts and publications: what fresh seeds say of a claimed gain."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Ruling(StrEnum):
    """What a rung of the ladder says of a claim."""

    CONFIRMED = "confirmed"  # the whole interval of the gain is above zero
    NOT_CONFIRMED = "not_confirmed"  # the interval holds zero
    REVERSED = "reversed"  # the whole interval is below zero
    UNDECIDED = "undecided"  # too few pairs gave two scores


@dataclass(frozen=True, slots=True)
class SealedGain:
    """The gain of the same pairs on the sealed test split, which nothing is selected by.

    What it falls short of the gain on the validation split is what selection made of that text's
    own chances.

    Attributes:
        gain: Mean of (baseline − champion), in bpb; positive is better.
        low: Lower end of the 95 % interval.
        high: Upper end.
        pair_count: Pairs in which both were scored there.
    """

    gain: float
    low: float
    high: float
    pair_count: int


@dataclass(frozen=True, slots=True)
class RungVerdict:
    """What one rung — one depth — says of champion against baseline.

    Attributes:
        depth_scale: Factor on both genomes' depth; 1 at home.
        gain: Mean of (baseline − champion) over the pairs, in bpb; positive is better.
        low: Lower end of the 95 % interval of the gain.
        high: Upper end.
        p_better: Probability that the champion is better.
        pair_count: Pairs in which both gave a score.
        ruling: What it comes to, by the validation split.
        sealed: The same on the sealed test split; None where that was not read.
    """

    depth_scale: float
    gain: float | None
    low: float | None
    high: float | None
    p_better: float | None
    pair_count: int
    ruling: Ruling
    sealed: SealedGain | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one champion: one entry a rung, home first.

    Attributes:
        label: ``v001``, … in the order of the run.
        champion: Commit of the variant that claimed a gain; None if no variant made a claim.
        baseline: Commit it was compared with.
        rungs: What each depth says.
        created_at: Seconds since the epoch.
    """

    label: str
    champion: str | None
    baseline: str
    rungs: tuple[RungVerdict, ...]
    created_at: float

    @property
    def is_confirmed(self) -> bool:
        """True if the gain at home depth is confirmed."""
        return any(r.depth_scale == 1.0 and r.ruling is Ruling.CONFIRMED for r in self.rungs)


@dataclass(frozen=True, slots=True)
class FreshGain:
    """What runs that took no part in selection say of two variants.

    The same runs decide whether a champion is published, and the luckier ones are: of many it
    says too much, and it is no verdict.

    Attributes:
        gain: Of the one over the other, in bpb; positive is better.
        low: Lower end of the 95 % interval of one comparison that nobody chose.
        high: Upper end.
        p_better: Probability that it is better, likewise.
    """

    gain: float
    low: float
    high: float
    p_better: float


@dataclass(frozen=True, slots=True)
class Publication:
    """A champion that was put forward while the search went on, and what came of it.

    Attributes:
        label: ``p001``, … in the order of the run.
        variant: Its commit.
        before: Commit of the champion that was published last; of the baseline before the first.
        is_published: True if it takes that one's place.
        step: Its gain over that one; None if too few of its runs gave a score.
        gain: Its gain over the baseline; None likewise.
        trials: Numbers of its runs.
        created_at: Seconds since the epoch.
    """

    label: str
    variant: str
    before: str
    is_published: bool
    step: FreshGain | None
    gain: FreshGain | None
    trials: tuple[int, ...]
    created_at: float


def last_published(
    publications: Sequence[Publication], without: Collection[str] = ()
) -> Publication | None:
    """The last champion that was published, but for those ``without``."""
    standing = (p for p in reversed(publications) if p.is_published and p.variant not in without)
    return next(standing, None)
