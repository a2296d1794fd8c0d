"""The language models of a run, by role: made of its settings once, shared by all threads."""

import threading
import time
from collections.abc import Callable

from agents import Model
from agents.breaker import Breaker
from agents.prices import Prices
from evolution import keys
from evolution.agent_settings import AgentSettings

#: What plays the roles of an Anthropic run that names no models of its own.
LARGE, SMALL = "claude-opus-5-5", "claude-haiku-5-5"


#: Everyone who asks a model in a run.
ROLES = ("mutator", "crossover", "minimizer", "repairer", "critic", "librarian")


def check_models(settings: AgentSettings) -> list[str]:
    """The models that ``settings`` ask for, by name; asks none of them.

    Raises:
        EvolveError: One has no key, or no price.
    """
    models = Models(settings, clock=time.monotonic)
    try:
        names = list(dict.fromkeys(models.of(role).name for role in ROLES))
    finally:
        models.close()
    prices = Prices.standard().changed(settings.prices)
    for name in names:
        prices.of(name)
    return names


class Models:
    """Makes each model when it is first asked for; behind each stands a circuit breaker.

    Args:
        settings: Of a kind other than ``off``.
        clock: Seconds, from any origin.

    Raises:
        EvolveError: From ``of``: no key is there, or the settings name no usable model.
    """

    def __init__(self, settings: AgentSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Model] = {}
        self._doors: list[Callable[[], None]] = []

    def of(self, role: str) -> Model:
        """The model that plays ``role``."""
        name = self._settings.model_of(role, LARGE, SMALL)
        with self._lock:
            if name not in self._known:
                self._known[name] = Breaker(self._made(name), clock=self._clock)
            return self._known[name]

    def close(self) -> None:
        """End every connection; calls that are under way break off."""
        for close in self._doors:
            close()

    def _made(self, name: str) -> Model:
        from agents.claude import Claude
        from agents.messages_api import ClaudeSettings

        settings = self._settings
        address = ClaudeSettings(
            model=name,
            platform=settings.provider,
            region=settings.region,
            project=settings.project,
            base_url=settings.base_url,
            headers=settings.headers,
            thinking=settings.thinking,
            effort=settings.effort,
            reply_seconds=settings.timeout_seconds,
        )
        with keys.shown():
            claude = Claude(address, environ=keys.environment())
        self._doors.append(claude.close)
        return claude
