"""Belief: the store's trials as readings, and the posterior that follows from them.

The one place that says which trials count for selection: every finished run that is not a verdict's
or a publication's, and the snapshots of those. Those stay out, so that they are fresh evidence.

What is believed is a function of the store: the trials that were read, in the order they ended.
To the first of them (`refit_at`) all is fitted: σ, scales, precision factors of edits. The others
are told one by one (`Posterior.after`), which takes milliseconds. A sitting remembers how far it
came; a resumed one tells them anew in the same order, and believes the same means to the bit.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evolution.config import StoppingSettings
from evolution.noise import Foresight, Posterior, Reading, Scales, VariantNode, fit
from population import Json, Store, Trial
from population.pedigree import with_relatives

#: Seed noise that is expected of bits per byte; of another metric nothing is.
BPB_SIGMA = 0.003
#: Fact of the store: the scales that were fitted last, and to how many trials.
SCALES = "scales"
#: Trials that must have ended before one is foreseen: repeats of the baseline, mostly.
FORESEEN_FROM = 3


class Believer:
    """Believes of a run's variants what its trials say, again and again as they end.

    The scales are fitted when an eighth more trials have ended than at the fit before, and kept in
    the store, so that a resumed run and readers need not fit them again.

    Args:
        store: Of the run.
        stop_fraction: Share of the budget at which snapshots are read for early stopping.
        keeps: True to keep fitted scales: the engine's business.
    """

    def __init__(self, store: Store, *, stop_fraction: float, keeps: bool = False) -> None:
        self._store, self._fraction, self._keeps = store, stop_fraction, keeps
        self._nodes: dict[str, VariantNode] = {}
        self._read: dict[int, list[Reading]] = {}  # of each trial that ended, in that order
        self._told: list[int] = []  # trials behind the posterior below
        self._posterior: Posterior | None = None

    def believe(self) -> Posterior:
        """What the trials say now."""
        for variant in self._store.variants()[len(self._nodes) :]:
            self._nodes[variant.sha] = VariantNode.of(variant)
        self._read_on()
        ended = self._informing()
        wanted = refit_at(len(ended))
        if self._posterior is None or len(self._told) < wanted:
            self._told = ended[:wanted]
            readings = [reading for trial in self._told for reading in self._read[trial]]
            self._posterior = self._fitted(self._with_relatives(readings), readings, wanted)
        for trial in ended[len(self._told) :]:
            readings = self._read[trial]
            self._posterior = self._posterior.after(self._with_relatives(readings), readings)
        self._told = ended
        unborn = [node for node in self._nodes.values() if node.sha not in self._posterior]
        if unborn:
            self._posterior = self._posterior.after(unborn, [])
        return self._posterior

    def foreseen(self, latest: int) -> Iterator[Foresight]:
        """The latest trials, each beside what was believed before it, at the scales of now.

        Args:
            latest: So many at most; of those before nothing is said.
        """
        scales, posterior = self.believe().scales, None
        ended = self._informing()
        for number in range(max(FORESEEN_FROM, len(ended) - latest), len(ended)):
            if posterior is None or refit_at(number) == number:
                before = [reading for trial in ended[:number] for reading in self._read[trial]]
                posterior = self._fit(self._with_relatives(before), before, scales)
            readings = self._read[ended[number]]
            posterior = posterior.after(self._with_relatives(readings), [])
            foresight = posterior.foresee(readings)
            if foresight is not None:
                yield foresight
            posterior = posterior.after([], readings)

    def _informing(self) -> list[int]:
        """Trials that tell something, in the order they ended."""
        return [trial for trial, readings in self._read.items() if readings]

    def _read_on(self) -> None:
        """Read the trials that ended since: the store has them end after those that were read."""
        new = [t for t in self._store.trials() if t.id not in self._read and t.outcome is not None]
        for trial in sorted(new, key=_ended):
            informs = trial.purpose.informs
            self._read[trial.id] = readings_of(trial, self._fraction) if informs else []

    def _with_relatives(self, readings: Iterable[Reading]) -> list[VariantNode]:
        """The variants that were read, and all that they descend from or took edits of."""
        return with_relatives(self._nodes, [reading.variant for reading in readings])

    def _fitted(
        self, nodes: Sequence[VariantNode], readings: Sequence[Reading], wanted: int
    ) -> Posterior:
        scales = self._kept(wanted)
        posterior = self._fit(nodes, readings, scales)
        if scales is None and self._keeps:
            fitted: dict[str, Json] = dataclasses.asdict(posterior.scales)
            self._store.set_fact(SCALES, {"trials": wanted, "scales": fitted})
        # Factors follow from scales alone, in the sitting that fitted these as in later ones.
        return self._fit(nodes, readings, posterior.scales) if scales is None else posterior

    def _kept(self, wanted: int) -> Scales | None:
        """The scales in the store, if they were fitted to so many trials."""
        fact = self._store.fact(SCALES)
        if not isinstance(fact, Mapping) or fact["trials"] != wanted:
            return None
        sizes = fact["scales"]
        assert isinstance(sizes, Mapping)
        return Scales(**{name: float(str(size)) for name, size in sizes.items()})

    def _fit(
        self, nodes: Sequence[VariantNode], readings: Sequence[Reading], scales: Scales | None
    ) -> Posterior:
        return fit(
            nodes,
            readings,
            fraction=self._fraction,
            prior_sigma=BPB_SIGMA if self._store.metric().unit == "bpb" else None,
            scales=scales,
        )


def _ended(trial: Trial) -> tuple[float, int]:
    return (math.inf if trial.finished_at is None else trial.finished_at), trial.id


def believe(store: Store) -> Posterior:
    """What a run's trials say of every variant, once, as its own settings have it."""
    return believer(store).believe()


def believer(store: Store) -> Believer:
    """Who believes it, for readers: nothing is kept."""
    return Believer(store, stop_fraction=_stop_fraction(store.run().settings))


def _stop_fraction(settings: Mapping[str, Json]) -> float:
    stopping = settings.get("stopping")
    fraction = stopping.get("fraction") if isinstance(stopping, Mapping) else None
    return float(fraction) if isinstance(fraction, int | float) else StoppingSettings().fraction


def refit_at(count: int) -> int:
    """Of ``count`` trials, at how many the scales are fitted: each of 8, then an eighth more."""
    fitted = 0
    while (following := fitted + 1 + fitted // 8) <= count:
        fitted = following
    return fitted


def readings_of(trial: Trial, stop_fraction: float) -> list[Reading]:
    """Score and snapshot of one finished trial at home depth; none while it runs."""
    if trial.outcome is None or trial.conditions.depth_scale != 1.0:
        return []
    device_class = trial.conditions.device_class
    readings = [
        Reading(trial.variant, snapshot.bpb, trial.id, snapshot.fraction, device_class)
        for snapshot in trial.outcome.snapshots
        if snapshot.fraction == stop_fraction
    ]
    if trial.outcome.val_bpb is not None:
        readings.append(Reading(trial.variant, trial.outcome.val_bpb, trial.id, 1.0, device_class))
    return readings
