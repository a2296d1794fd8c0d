"""The staff of a run: its operators that ask language models, each call booked and paid for."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from agents import Model, ModelCrossover, Mutator, Operator
from agents.prices import Prices
from agents.spend import Purse, limit_of
from evolution import keys
from evolution.agent_settings import AgentSettings
from evolution.models import ROLES, Models
from population import Store

_UNITERS = ("crossover",)


class AgentStaff:
    """Carries out the commissions of a run.

    Args:
        settings: Of a kind other than ``off``.
        store: Of the run: where every call is booked.
        models: By role.
        clock: Seconds since the epoch.

    Raises:
        EvolveError: A model has no key, or no price.
    """

    def __init__(
        self,
        settings: AgentSettings,
        store: Store,
        models: Models,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._models = models
        prices = Prices.standard().changed(settings.prices)
        limit_usd = limit_of(store, store.run())
        self._purse = Purse(
            store, prices, limit_usd=limit_usd, clock=clock, environment=keys.environment()
        )
        for role in ROLES:
            prices.of(models.of(role).name)
        self._make: Mapping[str, Callable[[Model], Operator]] = {
            "mutator": partial(Mutator, context_tokens=settings.context_tokens),
            "crossover": partial(ModelCrossover, context_tokens=settings.context_tokens),
        }

    def model(self, role: str, commission: int) -> Model:
        """The model that plays ``role``; it pays for each call before it makes it."""
        return self._purse.metered(self._models.of(role), commission=commission, role=role)

    @property
    def operators(self) -> Collection[str]:
        """Names of the operators that it has."""
        return self._make.keys()

    def parent_count(self, name: str) -> int:
        """2 for a crossover, 1 for everything else."""
        return 2 if name in _UNITERS else 1

    def operator(self, name: str, model: Model) -> Operator:
        """The operator ``name``, asking ``model``."""
        return self._make[name](model)

    def close(self) -> None:
        """Break off every call that is under way."""
        self._models.close()
