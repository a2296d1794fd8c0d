"""Credit: how often each operator is asked, by what its offspring brought for the cost (pure).

A bandit. Each offspring that ended is a *play*: what it is believed to have gained over its fitter
parent, and the device-seconds and dollars that it cost. An operator's worth is its gain for the
cost, drawn towards that of all operators together by a prior of `PRIOR_PLAYS` plays, as the mean of
a Gamma posterior is; its share is the weight of the settings times that worth. So without a play
the shares are the weights, and evidence moves them gradually.

What a play gained counts between nothing and `MOST_GAIN`: a disaster costs its time alone, and one
lucky find does not decide a search. It is what the posterior believes after the training, never
what an operator predicted. Old plays fade by half every `HALF_LIFE` plays of all operators, for
gains shrink as a search goes on, and what is worth asking changes with the line that is best.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The least share of an operator that has a weight; its own, where the weights give it less.
FLOOR = 0.03
#: Plays of all operators after which one counts half.
HALF_LIFE = 100.0
#: Latest plays that count at all: what is older counts less than one in two hundred.
LATEST = 800
#: Plays of average worth that each operator is taken to have had. Gains are rare: with one edit in
#: ten helping, a mean over 30 plays is as uncertain as operators differ, by about a factor of two.
PRIOR_PLAYS = 30.0
#: In σ: the most that one play counts for.
MOST_GAIN = 3.0
#: Device-seconds for a dollar, where the limits of a run do not say: a GPU rented for two an hour.
RENTED_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Play:
    """An offspring that ended.

    Attributes:
        operator: Who made it.
        gain: How much better it is believed than its fitter parent, in σ; 0 or less for none.
        seconds: For which its training held a device.
        usd: Dollars for the calls that led to it.
    """

    operator: str
    gain: float
    seconds: float
    usd: float = 0.0


def shares(
    weights: Mapping[str, float], plays: Sequence[Play], *, seconds_per_usd: float = RENTED_SECONDS
) -> dict[str, float]:
    """How often each operator is asked: shares of all, 1 together.

    Args:
        weights: How often each is to be asked while nothing is known, relative to the others.
        plays: What ended, oldest first; those of operators without a weight are passed over.
        seconds_per_usd: Device-seconds that a dollar is worth.
    """
    total = sum(weights.values())
    asked = {name: weight / total for name, weight in weights.items() if weight > 0}
    worth = _worth(asked, plays, seconds_per_usd)
    floors = {name: min(FLOOR, share) for name, share in asked.items()}
    return _raised({name: share * worth[name] for name, share in asked.items()}, floors)


def seconds_per_usd(limit_seconds: float | None, limit_usd: float | None) -> float:
    """Device-seconds that a dollar is worth: who grants a run so much of both holds them equal."""
    return limit_seconds / limit_usd if limit_seconds and limit_usd else RENTED_SECONDS


def _worth(
    asked: Mapping[str, float], plays: Sequence[Play], seconds_per_usd: float
) -> dict[str, float]:
    """Gain for the cost of each operator, over that of all; 1 of each while nothing was gained."""
    known = [play for play in plays if play.operator in asked][-LATEST:]
    gains, costs = dict.fromkeys(asked, 0.0), dict.fromkeys(asked, 0.0)
    count = 0.0
    for age, play in enumerate(reversed(known)):
        weight = 0.5 ** (age / HALF_LIFE)
        count += weight
        gains[play.operator] += weight * min(max(play.gain, 0.0), MOST_GAIN)
        costs[play.operator] += weight * (play.seconds + seconds_per_usd * play.usd)
    gain, cost = sum(gains.values()), sum(costs.values())
    if gain <= 0 or cost <= 0:
        return dict.fromkeys(asked, 1.0)
    prior = PRIOR_PLAYS / count
    return {
        name: (gains[name] / gain + prior) / (costs[name] / cost + prior)  # its part of either
        for name in asked
    }


def _raised(sizes: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """Shares in proportion to ``sizes``, save those that would lie below their floors."""
    held: set[str] = set()
    while True:
        free = math.fsum(size for name, size in sizes.items() if name not in held)
        scale = (1.0 - math.fsum(floors[name] for name in held)) / free if free else 0.0
        found = {name: floors[name] if name in held else s * scale for name, s in sizes.items()}
        low = {name for name in found if name not in held and found[name] < floors[name]}
        if not low:
            return found
        held |= low
