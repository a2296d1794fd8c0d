"""Assurance: how far a score can be relied on, shown wherever the score is. Pure.

Two things decide it: who computed the score, and what held the trainer that could have forged it.
Where several scores stand behind one figure, the weakest of each counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from population.trial import Scoring, Trial

#: Levels of containment, strongest first. What is none of them counts as weaker than the last.
CONTAINMENTS = ("namespace", "landlock", "basic")
#: The level that keeps no genome from reading what its user may read.
UNSAFE = "basic"


@dataclass(frozen=True, slots=True)
class Assurance:
    """How a score was obtained, and what held its trainer.

    Attributes:
        scoring: Who computed it.
        containment: Level of the box: one of ``CONTAINMENTS``.
    """

    scoring: Scoring
    containment: str

    @property
    def is_contained(self) -> bool:
        """True if the trainer was in a box that it could not read or write out of."""
        return self.containment in CONTAINMENTS and self.containment != UNSAFE

    def __str__(self) -> str:
        """``trusted, namespace``; what held nothing is marked: ``reported, basic!``."""
        return f"{self.scoring}, {self.containment}{'' if self.is_contained else '!'}"


def weakest(assurances: Iterable[Assurance]) -> Assurance | None:
    """What can be said of several scores together; None of none."""
    every = list(assurances)
    if not every:
        return None
    is_trusted = all(one.scoring is Scoring.TRUSTED for one in every)
    containment = max((one.containment for one in every), key=_weakness)
    return Assurance(Scoring.TRUSTED if is_trusted else Scoring.REPORTED, containment)


def common(assurances: Iterable[Assurance]) -> Assurance | None:
    """The one that all scores of a table share, to be said once; None if they differ."""
    different = set(assurances)
    return different.pop() if len(different) == 1 else None


def of_trials(trials: Iterable[Trial]) -> Assurance | None:
    """What can be said of all readings of some trials together; None if they gave none."""
    return weakest(one for trial in trials if (one := of_trial(trial)) is not None)


def of_trial(trial: Trial) -> Assurance | None:
    """That of one trial's score, or of its snapshots; None if it gave neither."""
    outcome = trial.outcome
    if outcome is None or (outcome.val_bpb is None and not outcome.snapshots):
        return None
    return Assurance(outcome.scoring, outcome.containment)


def by_variant(trials: Iterable[Trial]) -> dict[str, Assurance]:
    """The weakest of each variant's readings, by its commit."""
    found: dict[str, list[Assurance]] = {}
    for trial in trials:
        if (one := of_trial(trial)) is not None:
            found.setdefault(trial.variant, []).append(one)
    return {sha: known for sha, every in found.items() if (known := weakest(every)) is not None}


def of_verdict(label: str, trials: Iterable[Trial]) -> Assurance | None:
    """That of a verdict's pairs; None if none of them gave a score."""
    return of_trials(t for t in trials if (t.pair or "").partition(":")[0] == label)


def _weakness(containment: str) -> int:
    known = containment in CONTAINMENTS
    return CONTAINMENTS.index(containment) if known else len(CONTAINMENTS)
