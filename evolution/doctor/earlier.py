"""What the newest earlier run here tells of the next: its pace, its noise, its price."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolution.config import EvolutionConfig
from evolution.workspace import DRY_RUN
from population import Budget, EvolveError, Purpose, RunPaths, Store, TrialStatus
from population.records import script_files_of

_FEWEST_TRIALS = 3


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run with the same profile or script, and budget.

    Attributes:
        run: Its name.
        trial_seconds: Of each complete trial, verdicts aside.
        sigma: Seed noise of one trial as the run knew it, in the metric's unit; None before that.
        repeat_count: Scores of variants that were scored more than once: what σ rests on.
        usd_per_variant: What a variant of a language model cost; None if none came of one.
    """

    run: str
    trial_seconds: tuple[float, ...]
    sigma: float | None
    repeat_count: int
    usd_per_variant: float | None

    @property
    def median_seconds(self) -> float:
        """Of a trial."""
        return statistics.median(self.trial_seconds)


def earlier_run(runs: Path, config: EvolutionConfig, budget: Budget) -> Earlier | None:
    """The newest run here that the next one can be judged by; None if there is none."""
    found = (folder / "run.db" for folder in runs.iterdir()) if runs.is_dir() else ()
    databases = [file for file in found if file.is_file()]
    for file in sorted(databases, key=lambda f: f.stat().st_mtime, reverse=True):
        paths = RunPaths(file.parent)
        try:
            earlier = _read(paths, config, budget)
        except EvolveError:  # of another version, or damaged: no run to learn from
            continue
        if earlier is not None:
            return earlier
    return None


def _read(paths: RunPaths, config: EvolutionConfig, budget: Budget) -> Earlier | None:
    with Store.open(paths.database, read_only=True) as store:
        fact, ran = store.fact("budget"), store.run().settings
        same_task = _task_of(ran) == _task_of(config.model_dump(mode="json"))
        same_budget = fact == {"kind": budget.kind.value, "amount": budget.amount}
        if store.fact(DRY_RUN) or not (same_task and same_budget):
            return None
        scored = [
            trial
            for trial in store.trials()
            if trial.outcome is not None
            and trial.status is TrialStatus.COMPLETE
            and trial.purpose is not Purpose.VERDICT
        ]
        if len(scored) < _FEWEST_TRIALS:
            return None
        counts = [trial.variant for trial in scored]
        sigma, spending = store.fact("sigma"), store.spending()
        made = spending.variant_count
        return Earlier(
            run=paths.root.name,
            trial_seconds=tuple(t.outcome.total_seconds for t in scored if t.outcome),
            sigma=float(sigma) if isinstance(sigma, int | float) else None,
            repeat_count=sum(counts.count(variant) > 1 for variant in counts),
            usd_per_variant=spending.spent_usd / made if made else None,
        )


def _task_of(settings: Mapping[str, Any]) -> tuple[object, ...]:
    """What a run's settings let it train: a script's files and command, or a profile's sizes."""
    files = script_files_of(settings)
    if files:
        return files, settings["task"].get("command")
    run = settings.get("run") or {}
    return None, run.get("profile"), tuple(sorted((run.get("knobs") or {}).items()))
