"""What a run may spend, what it has spent, and what is left (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass

#: A search whose every offspring crashes ends after so many attempts per trial, and some.
ATTEMPTS_PER_TRIAL = 4
SPARE_ATTEMPTS = 20
#: The pace of a run is that of its latest trials.
PACE_WINDOW = 12


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has spent so far.

    Attributes:
        trials: Offspring trials that ended complete or were stopped early.
        attempts: Offspring trials that were started, whatever became of them.
        hours: Time the engine was up, over all sittings.
        device_hours: Sum over all trials, each on its own device.
    """

    trials: int = 0
    attempts: int = 0
    hours: float = 0.0
    device_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends the search, whichever comes first; None is no limit."""

    trials: int | None = None
    hours: float | None = None
    device_hours: float | None = None

    @property
    def attempts(self) -> int | None:
        """Offspring trials that may be started at most, successes included."""
        if self.trials is None:
            return None
        return ATTEMPTS_PER_TRIAL * self.trials + SPARE_ATTEMPTS

    def reached(self, spent: Spent) -> str | None:
        """Which limit is reached, in words; None while there is room."""
        if self.trials is not None and spent.trials >= self.trials:
            return f"{spent.trials} of {self.trials} trials are done"
        if self.attempts is not None and spent.attempts >= self.attempts:
            return (
                f"{spent.attempts} attempts gave {spent.trials} trials with a reading, "
                f"of {self.trials} asked for: nearly all offspring fail"
            )
        if self.hours is not None and spent.hours >= self.hours:
            return f"{spent.hours:.2f} of {self.hours:g} hours have passed"
        if self.device_hours is not None and spent.device_hours >= self.device_hours:
            return f"{spent.device_hours:.2f} of {self.device_hours:g} device-hours are spent"
        return None

    def left(self, spent: Spent) -> "Limits":
        """What may still be spent."""
        return Limits(
            trials=None if self.trials is None else max(0, self.trials - spent.trials),
            hours=None if self.hours is None else max(0.0, self.hours - spent.hours),
            device_hours=(
                None
                if self.device_hours is None
                else max(0.0, self.device_hours - spent.device_hours)
            ),
        )

    def room(self, spent: Spent, *, under_way: int) -> int | None:
        """How many further offspring may be started now; None if trials are not counted."""
        if self.reached(spent) is not None:
            return 0
        if self.trials is None or self.attempts is None:
            return None
        wanted = self.trials - spent.trials - under_way
        return max(0, min(wanted, self.attempts - spent.attempts))

    def seconds_left(
        self, spent: Spent, *, finished_at: Sequence[float] = (), now: float = 0.0
    ) -> float | None:
        """An estimate of when the first limit is reached, at the pace of late.

        Args:
            spent: So far.
            finished_at: When offspring trials ended with a reading, in seconds since the epoch.
            now: The present, on the same clock.

        Returns:
            None while there is no telling.
        """
        left, estimates = self.left(spent), list[float]()
        if left.hours is not None:
            estimates.append(3600 * left.hours)
        if left.trials is not None:
            estimates += _at_pace(left.trials, finished_at, now)
        if left.device_hours is not None and spent.device_hours > 0:
            estimates.append(3600 * spent.hours * left.device_hours / spent.device_hours)
        return min(estimates, default=None)


def _at_pace(trials: int, finished_at: Sequence[float], now: float) -> list[float]:
    recent = sorted(finished_at)[-PACE_WINDOW:]
    if trials == 0:
        return [0.0]
    if len(recent) < 2:
        return []
    # The wait since the latest one counts, too: a run that hangs must not promise an end.
    waited = max(0.0, now - recent[-1])
    gap = max((recent[-1] - recent[0]) / (len(recent) - 1), waited)
    return [trials * gap - waited]
