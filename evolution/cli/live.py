"""LiveView: a sitting as people see it, on stderr: redrawn on a terminal, else line by line."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evolution.cli.tables import phase_words, running_table, status_lines
from evolution.cli.text import clean, duration, number, one_line, score
from evolution.status import RunStatus, run_status
from population import Metric, Purpose, Store, Trial, TrialStatus
from population.assurance import of_trial

if TYPE_CHECKING:
    from population import Variant

#: Seconds between two readings of the store, and times what one reading took.
_PAUSE_SECONDS, _PAUSE_FACTOR = 1.0, 30.0
_MARKS = {
    TrialStatus.COMPLETE: ("✓", "green"),
    TrialStatus.STOPPED_EARLY: ("▿", "yellow"),
}


class LiveView:
    """Shows a run while its engine works; ``refresh`` is the engine's ``watch``.

    ``note`` is one line that stays on show: what the user's last signal led to.
    """

    def __init__(self, store: Store, console: Console) -> None:
        self.note = ""
        self._store = store
        self._console = console
        self._told: set[int] = {t.id for t in store.trials() if t.status.is_final}
        self._names: dict[str, Variant] = {}
        self._next_reading = 0.0
        self._last_note = ""
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveView":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if error is None:
            self._tell_finished()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(Text(clean(text), style="dim"))

    def refresh(self, progress: Mapping[int, float]) -> None:
        """Show how things stand; cheap to call often, as the store is read only now and then."""
        began = time.monotonic()
        if self.note != self._last_note:
            self._last_note, self._next_reading = self.note, 0.0
            if self._live is None:
                self.say(self.note)
        if began < self._next_reading:
            return
        status = self._tell_finished(progress)
        if self._live is not None:
            self._live.update(live_panel(status, self.note), refresh=True)
        took = time.monotonic() - began
        self._next_reading = began + max(_PAUSE_SECONDS, _PAUSE_FACTOR * took)

    def _tell_finished(self, progress: Mapping[int, float] | None = None) -> RunStatus:
        """A line for each trial that has ended since the last look."""
        status = run_status(self._store, time.time(), progress=progress)
        ended = [t for t in self._store.trials() if t.status.is_final and t.id not in self._told]
        for trial in ended:
            self._told.add(trial.id)
            line = trial_line(trial, self._variant(trial.variant), status.metric)
            self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        if ended and self._live is None:
            self._console.print(Text(summary_line(status), style="dim"), soft_wrap=True)
        return status

    def _variant(self, sha: str) -> "Variant":
        if sha not in self._names:
            self._names[sha] = self._store.variant(sha)
        return self._names[sha]


def trial_line(trial: Trial, variant: "Variant", metric: Metric) -> Text:
    """What came of one trial, in a line."""
    mark, style = _MARKS.get(trial.status, ("✗", "red"))
    outcome = trial.outcome
    what = str(trial.status).replace("_", " ")
    if outcome is not None and outcome.val_bpb is not None:
        what = f"{number(metric.shown(outcome.val_bpb))} ({of_trial(trial)})"
    elif outcome is not None and outcome.failure is not None:
        what = f"{what}: {one_line(outcome.failure.message, 80)}"
    line = Text.assemble((mark, style), f" {clean(variant.name)}  {what}")
    if trial.purpose is Purpose.SCREEN:
        line.append(f"  {one_line(variant.operator, 20)}: ", style="cyan")
        line.append(one_line(variant.hypothesis), style="dim")
    else:
        depth = trial.conditions.depth_scale
        scale = f" at depth × {depth:g}" if trial.purpose is Purpose.VERDICT else ""
        line.append(f"  {trial.purpose}{scale}", style="dim")
    return line


def summary_line(status: RunStatus) -> str:
    """Where the run stands, in a line."""
    parts = [f"{status.offspring_done}{_limit(status)} offspring"]
    best = status.champion
    if best is not None:
        worth = score(best.fitness, best.fitness_sd, best.assurance, status.metric)
        parts.append(f"best {clean(best.name)} {worth}")
    if status.seconds_left:
        parts.append(f"about {duration(status.seconds_left)} left")
    return "  " + ", ".join(parts)


def live_panel(status: RunStatus, note: str = "") -> RenderableType:
    """The part of the screen that is drawn again and again."""
    head = Table.grid(padding=(0, 2))
    done, limit = status.offspring_done, status.offspring_limit
    bar = ProgressBar(total=limit, completed=min(done, limit), width=40) if limit else Text("")
    head.add_row(Text(phase_words(status), style="bold"), bar, Text(f"{done}{_limit(status)}"))
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(no_wrap=True, overflow="ellipsis")
    for label, value in status_lines(status):
        if label in ("champion", "gain", "noise", "trials", "time"):
            lines.add_row(label, value)
    parts: list[RenderableType] = [Text(""), head, lines, running_table(status.running)]
    if note:
        parts.append(Text(note, style="yellow"))
    return Group(*parts)


def _limit(status: RunStatus) -> str:
    return f"/{status.offspring_limit}" if status.offspring_limit is not None else ""
