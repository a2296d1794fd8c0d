"""The language models of a run, by role: made of its settings once, shared by all threads."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agents import Model
from agents.batching import Batched, Pace
from agents.breaker import Breaker
from agents.prices import Prices
from evolution import keys
from evolution.agent_settings import AgentSettings
from population import EvolveError

if TYPE_CHECKING:
    from agents.claude import Claude

#: What plays the roles of an Anthropic run that names no models of its own.
LARGE, SMALL = "claude-opus-5-5", "claude-haiku-5-5"


#: Who makes offspring by asking a model: nobody waits for them.
PROPOSERS = ("mutator", "crossover", "minimizer", "repairer")
#: Everyone who asks a model in a run.
ROLES = (*PROPOSERS, "critic", "librarian")


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


class ModelSettingsError(EvolveError):
    """The settings name a kind of model that cannot be had here."""


class Models:
    """Makes each model when it is first asked for; behind each stands a circuit breaker.

    Args:
        settings: Of a kind other than ``off``.
        clock: Seconds, from any origin.
        pace: Of batches.

    Raises:
        EvolveError: From ``of``: no key is there, or the settings name no usable model.
    """

    def __init__(
        self, settings: AgentSettings, *, clock: Callable[[], float], pace: Pace | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pace = pace
        self._lock = threading.Lock()
        self._known: dict[tuple[str, bool], Model] = {}
        self._doors: list[Callable[[], None]] = []
        self._batched: list[Batched] = []

    @property
    def defers(self) -> bool:
        """True if replies may take hours, and can be had in a later sitting."""
        return self._settings.batches

    def of(self, role: str) -> Model:
        """The model that plays ``role``; by batches only if nobody waits for the role."""
        name = self._settings.model_of(role, *self._defaults())
        is_batched = self._settings.batches and role in PROPOSERS
        key = name, is_batched
        with self._lock:
            if key not in self._known:
                self._known[key] = self._by_batches(name) if is_batched else self._at_once(name)
            return self._known[key]

    def call_off(self) -> None:
        """Nobody needs the replies any more that may take hours: they are not waited for."""
        for batched in self._batched:
            batched.call_off()

    def close(self) -> None:
        """End every connection; calls that are under way break off."""
        for batched in self._batched:
            batched.close()
        for close in self._doors:
            close()

    def _defaults(self) -> tuple[str, str]:
        """What plays the roles that settings name no model for: large and small."""
        settings = self._settings
        if settings.kind == "claude":
            return LARGE, SMALL
        own = Path(settings.command[0]).name if settings.kind == "command" else ""
        return settings.model or own, settings.model or own

    def _by_batches(self, name: str) -> Model:
        batched = Batched(self._claude(name), pace=self._pace)
        self._batched.append(batched)
        return batched

    def _at_once(self, name: str) -> Model:
        return Breaker(self._made(name), clock=self._clock)

    def _made(self, name: str) -> Model:
        match self._settings.kind:
            case "openai":
                return self._openai(name)
            case "command":
                return self._command(name)
            case _:
                return self._claude(name)

    def _claude(self, name: str) -> "Claude":
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

    def _openai(self, name: str) -> Model:
        from agents.chat_api import OpenAISettings

        try:
            from agents.openai import OpenAI
        except ModuleNotFoundError as error:
            raise ModelSettingsError(
                f"[agents] kind is 'openai', but {error.name} is not installed. "
                "Install the extra: pip install 'evoresearch[openai]'."
            ) from error
        settings = self._settings
        address = OpenAISettings(
            model=name,
            base_url=settings.base_url,
            headers=settings.headers,
            effort=settings.effort,
            reply_seconds=settings.timeout_seconds,
        )
        with keys.shown():
            model = OpenAI(address, environ=keys.environment())
        self._doors.append(model.close)
        return model

    def _command(self, name: str) -> Model:
        from agents.command import Command
        from evolution.command_box import CommandBox, Room

        settings = self._settings
        box = CommandBox(
            settings.command,
            model=name,
            key=settings.command_key,
            environ=keys.environment(),
            has_network=settings.command_network,
            shows=settings.command_shows,
            room=Room(seconds=settings.timeout_seconds),
        )
        self._doors += [box.close, keys.hold(settings.command_key)]
        return Command(name, box.run)
