"""Repertoire: the operators of a run, how often each is asked now, and what each has brought.

Reads the store; what is made of it is `credit`'s. All follows from what is stored, so that a
resumed run asks as the unbroken one does, and a reader sees what the engine goes by.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from agents import limit_of
from evolution.config import MODEL_OPERATORS, OperatorSettings
from evolution.credit import LATEST, Play, seconds_per_usd, shares
from evolution.manuals import manual_in_force, operator_weights
from population import (
    FailureClass,
    Fitness,
    Manual,
    Purpose,
    Store,
    Trial,
    Variant,
    gain_over_parent,
)


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """What one operator brought, and how often it is asked now.

    Attributes:
        operator: Which.
        share: Of all offspring, 0 to 1; None for one that is not asked: seeds, repairs.
        offspring: Variants that it made.
        trained: Those of them whose first trial has run.
        helped: Those that ran to their end and are believed better than their fitter parent.
        gain: What these gained together, in the unit of the run's score.
        device_hours: Of the first trials of its offspring.
        usd: Dollars for its calls, whatever became of them.
    """

    operator: str
    share: float | None
    offspring: int
    trained: int
    helped: int
    gain: float
    device_hours: float
    usd: float

    @property
    def gain_per_hour(self) -> float | None:
        """Gain for each device-hour; None before any."""
        return self.gain / self.device_hours if self.device_hours > 0 else None

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {**asdict(self), "gain_per_hour": self.gain_per_hour}


class Repertoire:
    """How often the operators of a run are asked.

    Args:
        store: Of the run.
        weights: As the settings have them, those of the staff included.
        is_adaptive: False to ask by the weights alone.
    """

    def __init__(
        self, store: Store, weights: Mapping[str, float], *, is_adaptive: bool = True
    ) -> None:
        self._store, self._weights, self._is_adaptive = store, weights, is_adaptive

    def weights(self, manual: Manual) -> dict[str, float]:
        """How often each operator that ``manual`` allows is asked now, relative to the others."""
        allowed = operator_weights(manual, self._weights)
        if not (allowed and self._is_adaptive):
            return allowed
        plays = self._plays(allowed)
        return shares(allowed, plays, seconds_per_usd=self._seconds_per_usd(plays))

    def _plays(self, allowed: Collection[str]) -> list[Play]:
        sigma = self._store.fact("sigma")
        if not isinstance(sigma, int | float) or sigma <= 0:
            return []
        usd = _usd_each(self._store) if any(name in MODEL_OPERATORS for name in allowed) else {}
        fitnesses = self._store.fitnesses()
        variants = {variant.sha: variant for variant in self._store.variants()}
        return [
            Play(variant.operator, gain / sigma, seconds, usd.get(variant.operator, 0.0))
            for trial in _ended(self._store)[-LATEST:]
            for variant in (variants[trial.variant],)
            for gain, seconds in (_gain_and_seconds(variant, trial, fitnesses),)
        ]

    def _seconds_per_usd(self, plays: Sequence[Play]) -> float:
        record = self._store.run()
        limits = record.settings.get("limits")
        known = limits if isinstance(limits, Mapping) else {}
        seconds = 3600.0 * _number(known.get("device_hours"))
        if not seconds and plays:
            each = sum(play.seconds for play in plays) / len(plays)
            seconds = each * _number(known.get("trials"))
        return seconds_per_usd(seconds, limit_of(self._store, record))


def repertoire_of(store: Store) -> Repertoire:
    """That of a stored run, by its own settings."""
    settings = store.run().settings
    operators = OperatorSettings.model_validate(settings.get("operators") or {})
    agents = settings.get("agents")
    kind = agents.get("kind", "off") if isinstance(agents, Mapping) else "off"
    weights = operators.weights(has_agents=kind != "off")
    return Repertoire(store, weights, is_adaptive=operators.adaptive)


def operator_records(store: Store) -> list[OperatorRecord]:
    """What each operator of a stored run brought: those that are asked, then others that bred."""
    asked = repertoire_of(store).weights(manual_in_force(store) or Manual())
    total = sum(asked.values())
    fitnesses, variants = store.fitnesses(), store.variants()
    made = Counter(variant.operator for variant in variants if variant.parents)
    trained, helped = Counter[str](), Counter[str]()
    gained, held = defaultdict[str, float](float), defaultdict[str, float](float)
    by_sha = {variant.sha: variant for variant in variants}
    for trial in _ended(store):
        variant = by_sha[trial.variant]
        gain, seconds = _gain_and_seconds(variant, trial, fitnesses)
        trained[variant.operator] += 1
        held[variant.operator] += seconds
        if gain > 0:
            helped[variant.operator] += 1
            gained[variant.operator] += gain
    usd = store.spending().usd_by_operator
    return [
        OperatorRecord(
            operator=name,
            share=asked[name] / total if name in asked else None,
            offspring=made[name],
            trained=trained[name],
            helped=helped[name],
            gain=gained[name],
            device_hours=held[name] / 3600,
            usd=usd.get(name, 0.0),
        )
        for name in dict.fromkeys((*asked, *sorted(made)))
    ]


def _ended(store: Store) -> list[Trial]:
    """First trials of variants that have run, by the order of their numbers."""
    return [
        trial
        for trial in store.trials(purpose=Purpose.SCREEN)
        if trial.status.has_run
        and trial.outcome is not None
        and not (
            trial.outcome.failure is not None and trial.outcome.failure.kind is FailureClass.HARNESS
        )
    ]


def _gain_and_seconds(
    variant: Variant, trial: Trial, fitnesses: Mapping[str, Fitness]
) -> tuple[float, float]:
    """Gain over the fitter parent, 0 of what did not run to its end, and device-seconds.

    What was stopped early may be believed good for the company that it keeps; it was not worth its
    own training.
    """
    assert trial.outcome is not None
    found = gain_over_parent(variant, fitnesses)
    is_whole = trial.outcome.val_bpb is not None
    return found[0] if found is not None and is_whole else 0.0, trial.outcome.total_seconds


def _usd_each(store: Store) -> dict[str, float]:
    """Dollars for one offspring, by operator: what asking in vain cost is borne by those made."""
    made = Counter(variant.operator for variant in store.variants())
    spent = store.spending().usd_by_operator
    return {name: usd / made[name] for name, usd in spent.items() if made[name]}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
