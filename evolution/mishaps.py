"""Mishaps: work in a thread that raised an error. It is told and kept; the search goes on.

A bug of an operator, or a reply that trips one, must not end a run of days. Nor must it be hidden:
the traceback is in the run's logs, the event log and the status say so, and an operator that breaks
again and again rests until the next sitting.
"""

import traceback
from collections import Counter
from pathlib import Path

from agents.secrets import Secrets
from evolution import keys
from evolution.story import Story
from population import Commission, CommissionState, Store, one_line
from population.syntax import quiet_parser

#: So many in a row, and the operator rests for the rest of the sitting.
IN_A_ROW = 3
#: How the reason begins for which such a commission is closed.
BROKE = "its thread broke: "
_REASON_CHARACTERS, _LOG_CHARACTERS = 400, 64_000


class Mishaps:
    """Of one sitting. The engine's thread alone calls it.

    Args:
        store: Of the run.
        story: Is told.
        logs: Folder that gets the tracebacks.
    """

    def __init__(self, *, store: Store, story: Story, logs: Path) -> None:
        self._store = store
        self._story = story
        self._logs = logs
        self._in_a_row: Counter[str] = Counter()

    def rests(self, operator: str) -> bool:
        """True if nothing is asked of it any more, in this sitting."""
        return self._in_a_row[operator] >= IN_A_ROW

    def note_good(self, operator: str) -> None:
        """Its thread came to an end, whatever came of it."""
        self._in_a_row[operator] = 0

    def take(self, commission: Commission, error: Exception) -> None:
        """Close a commission whose thread raised ``error``; what was set aside is charged."""
        secrets = Secrets(keys.environment())
        said = one_line(secrets.blotted(f"{type(error).__name__}: {error}"), _REASON_CHARACTERS)
        log = self._logs / f"commission-{commission.id}.txt"
        with quiet_parser():  # a traceback has the syntax tree of its lines made
            told = secrets.blotted("".join(traceback.format_exception(error)))
        log.write_text(told[-_LOG_CHARACTERS:], encoding="utf-8", errors="backslashreplace")
        self._store.close_commission(
            commission.id,
            CommissionState.REFUSED,
            reason=f"{BROKE}{said} ({log.name} in logs/)",
            was_read=False,  # a person's suggestion waits for one that works
        )
        self._in_a_row[commission.operator] += 1
        self._story.tell(
            "commission_broke",
            commission=commission.id,
            operator=commission.operator,
            error=said,
            log=log.name,
            rests=self.rests(commission.operator),
        )


def broken_commissions(store: Store) -> list[Commission]:
    """The commissions of a run whose threads raised an error, oldest first."""
    refused = store.commissions(CommissionState.REFUSED)
    return [commission for commission in refused if commission.reason.startswith(BROKE)]
