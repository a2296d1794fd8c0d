"""ModelSpending: what a run's language models cost, what came of it, and where it leads."""

import dataclasses
from dataclasses import dataclass

from agents import Forecast, forecast, limit_of
from evolution.critic_record import CriticRecord, critic_record, void_ones
from population import Lineage, Purpose, Spending, Store


@dataclass(frozen=True, slots=True)
class ConfirmedGain:
    """What a verdict confirmed, against all that models had cost.

    Attributes:
        label: Of the verdict.
        gain: At home depth, in the unit of the run's score; positive is better.
        usd_per_gain: Dollars for one unit of gain.
        kept: By ``role, model``: variants of theirs whose edits the champion carries.
    """

    label: str
    gain: float
    usd_per_gain: float
    kept: dict[str, int]


@dataclass(frozen=True, slots=True)
class ModelSpending:
    """What models cost.

    Attributes:
        spending: By role and model, and whole.
        limit_usd: The most they may cost; None is no limit.
        forecast: Where it leads at the pace of the run so far.
        confirmed: The last confirmed gain; None before one.
        critic: How often the critic was right about proposals; None if it read none.
    """

    spending: Spending
    limit_usd: float | None
    forecast: Forecast
    confirmed: ConfirmedGain | None = None
    critic: CriticRecord | None = None

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        critic = self.critic.as_dict() if self.critic is not None else None
        return {**dataclasses.asdict(self), "critic": critic}


def model_spending(store: Store, elapsed_seconds: float) -> ModelSpending | None:
    """What the models of a run cost; None if it has neither asked one nor set a limit."""
    spending, limit = store.spending(), limit_of(store, store.run())
    if not spending.roles and limit is None:
        return None
    pace = forecast(spending, limit_usd=limit, elapsed_seconds=elapsed_seconds)
    return ModelSpending(spending, limit, pace, _confirmed(store, spending), _critic(store))


def _critic(store: Store) -> CriticRecord | None:
    critiques = store.critiques()
    if not critiques:
        return None
    screens = store.trials(purpose=Purpose.SCREEN)
    return critic_record(critiques, void_ones(store.variants(), screens, store.fitnesses()))


def _confirmed(store: Store, spending: Spending) -> ConfirmedGain | None:
    for verdict in reversed(store.verdicts()):
        home = next((rung for rung in verdict.rungs if rung.depth_scale == 1.0), None)
        if verdict.champion is None or not verdict.is_confirmed or home is None or not home.gain:
            continue
        again = {variant.sha for variant in store.variants() if variant.is_repeat}
        line = Lineage(store.variants()).edits(verdict.champion) - again
        kept = {
            f"{role.operator}, {role.model}": len(line.intersection(role.variants))
            for role in spending.roles
        }
        return ConfirmedGain(verdict.label, home.gain, spending.spent_usd / home.gain, kept)
    return None
