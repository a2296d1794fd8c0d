"""The library of structural edits: each one made on the syntax tree of any genome.

To add an edit, write a function that finds its changes and list it in its module's ``EDITS``.
"""

from agents.structure import (
    ablations,
    attention,
    blocks,
    functions,
    learned,
    norms,
    optimizers,
    penalties,
    schedules,
    stacking,
    starts,
    steps,
    trades,
)
from agents.structure.edit import Change, Edit, Edited, Kind, Unedited, apply_edit, undone

EDITS: tuple[Edit, ...] = (
    *attention.EDITS,
    *norms.EDITS,
    *functions.EDITS,
    *starts.EDITS,
    *learned.EDITS,
    *optimizers.EDITS,
    *steps.EDITS,
    *schedules.EDITS,
    *trades.EDITS,
    *stacking.EDITS,
    *blocks.EDITS,
    *penalties.EDITS,
    *ablations.EDITS,
)


def draw_shares() -> list[float]:
    """How often each edit is drawn: every kind as often as any other, then by weight."""
    totals: dict[Kind, float] = {}
    for edit in EDITS:
        totals[edit.kind] = totals.get(edit.kind, 0.0) + edit.weight
    return [edit.weight / totals[edit.kind] / len(totals) for edit in EDITS]


__all__ = [
    "EDITS",
    "Change",
    "Edit",
    "Edited",
    "Kind",
    "Unedited",
    "apply_edit",
    "draw_shares",
    "undone",
]
