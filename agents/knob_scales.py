"""How far to turn each knob, learned from how the run's earlier turns ended.

The one-fifth rule of evolution strategies (Rechenberg 1973), for noisy scores and few of them: a
turn that helped, or that nothing can be said against, widens the next ones; one that clearly
hurt, or crashed, narrows them; both balance where one in five helps. A knob with few turns of its
own borrows from those of its type. Pure: a function of what was measured, in the order it was.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.knob_axes import move_size
from agents.knob_moves import move_type
from population import KnobValue

_TARGET = 0.2  # share of turns that should help
_RATE = 0.6  # how much one turn changes the logarithm of a scale
_TYPE_RATE = 0.2  # the same for the scale of all knobs of a type: there are more turns
_BORROWED = 4.0  # turns that a type's scale counts for, beside a knob's own
NARROWEST, WIDEST = 0.125, 4.0


@dataclass(frozen=True, slots=True)
class KnobTrial:
    """One knob of a measured variant that its parent had elsewhere.

    Attributes:
        name: Of the knob.
        before: Its value in the parent.
        after: Its value in the variant.
        gain: Of the whole variant over its parent, in the metric's unit, more is better; None if it
            crashed.
        error: Standard error of the gain.
        share: The knob's part in what the variant changed: 1 / knobs turned with it.
    """

    name: str
    before: KnobValue
    after: KnobValue
    gain: float | None
    error: float
    share: float = 1.0


def learned_scales(trials: Sequence[KnobTrial], knobs: Mapping[str, KnobValue]) -> dict[str, float]:
    """For each knob, what its usual step is multiplied by; 1 where nothing was measured.

    Args:
        trials: Oldest first.
        knobs: Those of the genome whose knobs are to be turned.
    """
    by_name: dict[str, list[KnobTrial]] = defaultdict(list)
    by_type: dict[str, list[KnobTrial]] = defaultdict(list)
    for trial in trials:
        by_name[trial.name].append(trial)
        by_type[move_type(trial.name, trial.before)].append(trial)
    types = {kind: _learned(some, _TYPE_RATE) for kind, some in by_type.items()}
    scales = {}
    for name, value in knobs.items():
        borrowed = types.get(move_type(name, value), 0.0)
        count = sum(trial.share for trial in by_name[name])
        own = _learned(by_name[name], _RATE, borrowed)
        logarithm = (count * own + _BORROWED * borrowed) / (count + _BORROWED)
        scales[name] = _bounded(math.exp(logarithm))
    return scales


def _learned(trials: Sequence[KnobTrial], rate: float, start: float = 0.0) -> float:
    """Logarithm of the scale after these turns."""
    logarithm = start
    for trial in trials:
        size = move_size(trial.name, trial.before, trial.after)
        if not size:
            continue
        verdict = _helped(trial) - _TARGET
        # A small turn that did no harm says little for large ones, nor a large one that did
        # against small ones.
        reach = size / math.exp(logarithm)
        weight = min(1.0, reach if verdict > 0 else 1 / reach)
        logarithm += rate * trial.share * weight * verdict
        logarithm = math.log(_bounded(math.exp(logarithm)))
    return logarithm


def _helped(trial: KnobTrial) -> float:
    """Probability that the turn helped; half of one that noise hides."""
    if trial.gain is None:
        return 0.0
    if trial.error <= 0:
        return float(trial.gain > 0)
    return 0.5 * math.erfc(-trial.gain / trial.error / math.sqrt(2))


def _bounded(scale: float) -> float:
    return min(WIDEST, max(NARROWEST, scale))
