"""The staff of a run: its operators that ask language models, each call booked and paid for."""

import time
from collections.abc import Callable, Collection, Mapping

from agents import (
    Asking,
    Desk,
    Minimizer,
    Model,
    ModelCrossover,
    Mutator,
    Operator,
    Repairer,
)
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
        desk: What models may look up before they answer.
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
        desk: Desk | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._models = models
        prices = Prices.standard().changed(settings.prices)
        limit_usd = limit_of(store, store.run())
        self._purse = Purse(
            store,
            prices,
            limit_usd=limit_usd,
            clock=clock,
            environment=keys.environment(),
            secret_names=(*keys.NAMES, settings.command_key),
        )
        for role in ROLES:
            prices.of(models.of(role).name)
        self._asking = asking_of(settings, desk or Desk())
        self._make: Mapping[str, Callable[[Model, Asking], Operator]] = {
            "mutator": Mutator,
            "crossover": ModelCrossover,
            "minimizer": Minimizer,
            **({"repairer": Repairer} if settings.repair else {}),
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
        return self._make[name](model, self._asking)

    @property
    def defers(self) -> bool:
        """True if replies may take hours, and can be had in a later sitting."""
        return self._models.defers

    def call_off(self) -> None:
        """Nobody needs the replies any more that may take hours."""
        self._models.call_off()

    def close(self) -> None:
        """Break off every call that is under way."""
        self._models.close()


def asking_of(settings: AgentSettings, desk: Desk) -> Asking:
    """How the operators of a run ask.

    A coding agent's command line edits files in one step: it is not asked for ideas first.
    """
    return Asking(
        context_tokens=settings.context_tokens,
        max_output_tokens=settings.max_output_tokens,
        tool_calls=settings.tool_calls if settings.may_look else 0,
        is_two_step=settings.two_step and settings.kind != "command",
        desk=desk,
    )
