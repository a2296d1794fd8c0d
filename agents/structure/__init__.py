"""The library of structural edits: each one made on the syntax tree of any genome.

To add an edit, write a function that finds its changes and list it in its module's ``EDITS``.
"""

from agents.structure import ablations, blocks, functions, norms, training
from agents.structure.edit import Change, Edit, Edited, Unedited, apply_edit

EDITS: tuple[Edit, ...] = (
    *functions.EDITS,
    *norms.EDITS,
    *blocks.EDITS,
    *ablations.EDITS,
    *training.EDITS,
)

__all__ = ["EDITS", "Change", "Edit", "Edited", "Unedited", "apply_edit"]
