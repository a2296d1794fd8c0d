"""One run of a script of the user's own: its clock, its output, its score.

There is no handshake: the script knows nothing of us. It has ``train_seconds`` of wall time from
its start to its end; then the whole tree is killed. The score is what it printed. Standard library
only.
"""

import time

from evolution.sandbox.box import Box, TrialOverError
from evolution.sandbox.metric_reader import MetricError, MetricReader
from evolution.sandbox.spec import Result, ScriptSpec

_PROGRESS_SECONDS = 1.0


class ScriptRun:
    """From the start of the script to its score, or to whatever ends it before."""

    def __init__(self, box: Box, result: Result, script: ScriptSpec) -> None:
        self._box = box
        self._result = result
        self._sign = script.sign
        self._told_at = time.monotonic()
        self._reader = MetricReader(
            script.metric, script.pattern, takes_last=script.pattern_use == "last"
        )
        self._trainer = box.start("genome", {"mode": "script"}, listener=self._reader.feed)
        self._began = time.monotonic()

    def run(self) -> None:
        """Fill in the result.

        Raises:
            TrialOverError: There is no score.
        """
        box, trainer = self._box, self._trainer
        box.deadline = self._began + box.spec.train_seconds
        while trainer.exit_code is None and not box.is_late():
            box.pump()
            self._tell_progress()
        self._result.train_seconds = time.monotonic() - self._began
        if trainer.exit_code is None:
            raise TrialOverError(
                "time_out",
                f"it still ran at its time limit of {box.spec.train_seconds:g} s and was ended: "
                "make it shorter, or raise time_limit under [task]",
            )
        if trainer.exit_code != 0:
            raise box.why_ended(trainer)
        trainer.drain()
        try:
            self._result.val_bpb = self._sign * self._reader.score()
        except MetricError as error:
            raise TrialOverError(error.kind, error.message + self._last_words()) from None

    def _tell_progress(self) -> None:
        """A script's progress is the share of its time limit that has passed."""
        now = time.monotonic()
        if now < self._told_at + _PROGRESS_SECONDS:
            return
        self._told_at = now
        share = min(1.0, (now - self._began) / self._box.spec.train_seconds)
        self._box.link.send({"type": "progress", "share": share}, may_drop=True)

    def _last_words(self) -> str:
        """The end of what it printed, on the same line."""
        lines = [line.strip() for line in self._trainer.log.tail(20).splitlines() if line.strip()]
        if not lines:
            return "; it printed nothing at all"
        return "; it ended with: " + " | ".join(line[:80] for line in lines[-3:])
