"""Breaker: leaves a model alone that does not answer, and asks again after a while.

Closed, calls go through. Failures in a row open it: calls are refused at once, for free, so that
the search goes on with what needs no model. After a pause one call may try (half open): if it is
answered, the breaker closes; if not, the next pause is twice as long.
"""

import threading
import time
from collections.abc import Callable

from agents.model import CallFailure, Model, ModelError, Prompt, Reply

_HOPELESS = (CallFailure.UNAUTHORISED,)  # no need to be told twice


class Breaker:
    """``model``, with pauses. Safe for several threads.

    Args:
        model: Who answers.
        failures: How many in a row open the breaker; a wrong key does at once, and so does a
            ``retry_after``, for as long as it says.
        pause_seconds: The first pause.
        longest_seconds: Of a pause; what the provider asks for may be longer.
        clock: Seconds, from any origin.
    """

    def __init__(
        self,
        model: Model,
        *,
        failures: int = 4,
        pause_seconds: float = 30.0,
        longest_seconds: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._failures = failures
        self._first_pause = pause_seconds
        self._longest = longest_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._pause = pause_seconds
        self._opens_until: float | None = None  # None while closed
        self._is_trying = False

    @property
    def name(self) -> str:
        """The model, as its provider names it."""
        return self._model.name

    @property
    def rest_seconds(self) -> float:
        """How long the model is still left alone; 0 if it may be asked."""
        with self._lock:
            return self._rest()

    def reply(self, prompt: Prompt) -> Reply:
        """Answer, unless the model is being left alone.

        Raises:
            ModelError: No reply could be had; ``RESTING`` if nobody was asked.
        """
        is_trial = self._enter()
        try:
            reply = self._model.reply(prompt)
        except ModelError as error:
            if error.kind.was_sent:
                self._failed(error, is_trial=is_trial)
            raise
        finally:
            if is_trial:
                self._is_trying = False
        self._answered()
        return reply

    def _enter(self) -> bool:
        """True for a call that finds out whether the model is back."""
        with self._lock:
            if self._opens_until is None:
                return False
            rest = self._rest()
            if rest > 0 or self._is_trying:
                raise ModelError(
                    f"{self.name} has failed {self._in_a_row} times in a row and is left alone for "
                    f"{rest:.0f} s more. The search goes on without it and tries again by itself.",
                    CallFailure.RESTING,
                    retry_after=rest,
                )
            self._is_trying = True
            return True

    def _failed(self, error: ModelError, *, is_trial: bool) -> None:
        wait = error.retry_after or 0.0
        with self._lock:
            self._in_a_row += 1
            is_open = self._opens_until is not None
            if is_open and not is_trial:  # begun before it opened: no news
                return
            if is_trial:
                self._pause = min(2 * self._pause, self._longest)
            if is_trial or error.kind in _HOPELESS or self._in_a_row >= self._failures:
                wait = max(wait, self._pause)
            if wait:
                self._opens_until = self._clock() + wait

    def _answered(self) -> None:
        with self._lock:
            self._in_a_row = 0
            self._pause = self._first_pause
            self._opens_until = None

    def _rest(self) -> float:
        until = self._opens_until
        return 0.0 if until is None else max(0.0, until - self._clock())
