"""The twin of the Messages API: a local server that speaks it over HTTP, bills it and breaks it.

Tests and rehearsals point the real SDK at ``Twin(...).url``; nothing is patched. What it bills is
in its ledger, which a run's own books have to equal. ``python -m agents.twin`` is the same as a
process of its own. It knows nothing of ``agents.claude``.
"""

from agents.twin.author import Author
from agents.twin.cache import PromptCache
from agents.twin.faults import Fault, FaultKind, at_random, in_order
from agents.twin.ledger import LedgerRow, read_ledger
from agents.twin.server import Twin

__all__ = [
    "Author",
    "Fault",
    "FaultKind",
    "LedgerRow",
    "PromptCache",
    "Twin",
    "at_random",
    "in_order",
    "read_ledger",
]
