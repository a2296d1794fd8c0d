"""Whether a search is flat: how much better its best got lately, as believed now (pure).

A search is asked for gain per device-hour. What it gained in a window is how much better the best
variant is than the best of those that were there when the window began, both by the posterior as it
stands now: scores of then were luckier than they are believed now. Device-seconds are the clock,
so that neither crashes nor early stops make a search look busy.

An episode begins when the gain of a window is below a bar, and ends when the best is better by that
bar than the best of those that were there when it began. The next window begins after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Whole trainings in a window: where one edit in ten helps, ten good ones come up in it.
WINDOW = 100
#: The same for each worker: what is bred follows what was believed one round before.
WINDOW_EACH = 6


@dataclass(frozen=True, slots=True)
class Point:
    """A variant, as far as progress goes.

    Attributes:
        bred_at: Device-seconds that the run had spent when it was bred.
        mean: What is believed of its score now, lower is better; None if nothing is.
    """

    bred_at: float
    mean: float | None


@dataclass(frozen=True, slots=True)
class Episode:
    """A time without progress.

    Attributes:
        began_at: Device-seconds that the run had spent when it was noticed.
        ended_at: The same when it ended; None while it goes on.
    """

    began_at: float
    ended_at: float | None = None


def gain_since(points: Sequence[Point], since: float) -> float | None:
    """How much better the best is than the best of those bred by ``since``; None without any."""
    best = min((p.mean for p in points if p.mean is not None), default=None)
    earlier = (p.mean for p in points if p.mean is not None and p.bred_at <= since)
    before = min(earlier, default=None)
    return None if best is None or before is None else before - best


def episode_now(
    points: Sequence[Point],
    spent: float,
    last: Episode | None,
    *,
    bar: float,
    window: float,
) -> Episode | None:
    """The episode that the search is in, the one that ended last, or None before any.

    Args:
        points: Every variant.
        spent: Device-seconds that the run has spent.
        last: What was returned the last time.
        bar: Gain of a window that is progress, in the unit of the means.
        window: Device-seconds.
    """
    if last is not None and last.ended_at is None:
        gain = gain_since(points, last.began_at)
        is_over = gain is not None and gain >= bar
        return Episode(last.began_at, spent) if is_over else last
    since = spent - window
    if since < (0.0 if last is None else last.ended_at or 0.0):
        return last
    gain = gain_since(points, since)
    return Episode(spent) if gain is not None and gain < bar else last
