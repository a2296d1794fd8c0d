"""What the newest earlier run here tells of the next: its pace, its noise, its price."""

import contextlib
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolution.config import EvolutionConfig
from evolution.workspace import DRY_RUN
from population import Budget, EvolveError, RunPaths, Store, TrialStatus
from population.records import script_files_of

_FEWEST_TRIALS = 3


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run with the same profile or script, and budget; its text may be another.

    Attributes:
        run: Its name.
        trial_seconds: Of each complete trial, verdicts aside.
        sigma: Seed noise of one trial on the same text, in the metric's unit; None if no run here
            knew it.
        repeat_count: Scores of variants that were scored more than once: what σ rests on.
        usd_per_variant: What a variant of a language model cost; None if none came of one.
        sigma_run: Name of the run that knew σ, which may be an older one; None without σ.
    """

    run: str
    trial_seconds: tuple[float, ...]
    sigma: float | None
    repeat_count: int
    usd_per_variant: float | None
    sigma_run: str | None = None

    @property
    def median_seconds(self) -> float:
        """Of a trial."""
        return statistics.median(self.trial_seconds)


def earlier_run(runs: Path, config: EvolutionConfig, budget: Budget) -> Earlier | None:
    """The newest run here that the next one can be judged by; None if there is none.

    Where it had another text, its noise is not that of the next: σ is then that of the newest run
    with the same text.
    """
    newest: Earlier | None = None
    for database in _databases(runs):
        try:
            earlier = _read(RunPaths(database.parent), config, budget)
        except (EvolveError, OSError):  # of another version, damaged, or not ours to read
            continue
        if earlier is not None and earlier.sigma is not None:
            return replace(
                newest or earlier,
                sigma=earlier.sigma,
                repeat_count=earlier.repeat_count,
                sigma_run=earlier.run,
            )
        newest = newest or earlier
    return newest


def _databases(runs: Path) -> list[Path]:
    """Those of all runs that may be read, the newest first."""
    found: list[tuple[float, Path]] = []
    try:
        for folder in runs.iterdir():
            with contextlib.suppress(OSError):  # no run, or somebody else's
                found.append(((folder / "run.db").stat().st_mtime, folder / "run.db"))
    except OSError:  # there is no such folder, or it is closed to us
        return []
    return [database for _, database in sorted(found, reverse=True)]


def _read(paths: RunPaths, config: EvolutionConfig, budget: Budget) -> Earlier | None:
    """What a run tells; None if it had another task or budget, or too few trials."""
    wanted = config.model_dump(mode="json")
    with Store.open(paths.database, read_only=True) as store:
        fact, ran = store.fact("budget"), store.run().settings
        same_task = _task_of(ran) == _task_of(wanted)
        same_budget = fact == {"kind": budget.kind.value, "amount": budget.amount}
        if store.fact(DRY_RUN) or not (same_task and same_budget):
            return None
        scored = [
            trial
            for trial in store.trials()
            if trial.outcome is not None
            and trial.status is TrialStatus.COMPLETE
            and trial.purpose.informs
        ]
        if len(scored) < _FEWEST_TRIALS:
            return None
        counts = [trial.variant for trial in scored]
        sigma, spending = store.fact("sigma"), store.spending()
        made, is_known = spending.variant_count, _text_of(ran) == _text_of(wanted)
        return Earlier(
            run=paths.root.name,
            trial_seconds=tuple(t.outcome.total_seconds for t in scored if t.outcome),
            sigma=float(sigma) if is_known and isinstance(sigma, int | float) else None,
            repeat_count=sum(counts.count(variant) > 1 for variant in counts),
            usd_per_variant=spending.spent_usd / made if made else None,
        )


def _text_of(settings: Mapping[str, Any]) -> tuple[list[str], ...]:
    """Which files a run reads, by name: what they hold is known once they are prepared."""
    sections = (settings.get(name) or {} for name in ("run", "task"))
    return tuple(sorted(section.get("data") or ()) for section in sections)


def _task_of(settings: Mapping[str, Any]) -> tuple[object, ...]:
    """What a run's settings let it train: a script's files and command, or a profile's sizes."""
    files = script_files_of(settings)
    if files:
        return files, settings["task"].get("command")
    run = settings.get("run") or {}
    return None, run.get("profile"), tuple(sorted((run.get("knobs") or {}).items()))
