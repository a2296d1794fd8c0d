"""What `evolve run` would do here, and how long it would take: an estimate with its basis."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evolution.config import EvolutionConfig
from evolution.doctor.finding import Finding, Level
from evolution.doctor.project import Project
from evolution.doctor.torch_probe import REFERENCE_DATE, REFERENCE_RATE, TorchProbe
from evolution.workspace import DRY_RUN
from population import Budget, BudgetKind, EvolveError, Purpose, RunPaths, Store, TrialStatus
from population.records import script_files_of

#: Seconds of a trial beside its budget on the machine of the reference: start, calibration,
#: readings and score. From the first whole runs in docs/log.md (2026-11-23): 944 CPU-seconds for
#: about 43 trials of 9 s. A `tokens` trial of the tiny profile takes 3 s in all.
_OVERHEAD_SECONDS = {BudgetKind.CPU: 13.0, BudgetKind.WALL: 60.0, BudgetKind.TOKENS: 3.0}


class _Pace(NamedTuple):
    """Seconds of one trial at home depth, and where that is known from."""

    seconds: float
    basis: str


def plan_finding(
    runs: Path, project: Project, gpus: Sequence[str], probe: TorchProbe | None
) -> Finding:
    """The plan of a run with the project's settings; the project must be whole."""
    assert project.config is not None
    assert project.title is not None
    assert project.budget is not None
    config, title, budget = project.config, project.title, project.budget
    kind = "script" if config.task.is_script else "profile"
    on_gpu = budget.kind is BudgetKind.WALL and bool(gpus)
    workers = config.worker_count(len(gpus) if on_gpu else 0)
    if on_gpu:
        workers = min(workers, len(gpus))
    pace = _pace(runs, config, budget, probe)
    seconds = _run_seconds(config, pace.seconds, workers)
    device = gpus[0] if on_gpu else "cpu"
    amount = f"{budget.amount:g} {'tokens' if budget.kind is BudgetKind.TOKENS else 's'}"
    words = (
        f"{kind} {title}, {budget.kind} budget of {amount}, {_limits(config)}, "
        f"{workers} at once on {device}: about {_words(seconds)} ({pace.basis})"
    )
    facts = {
        kind: title,
        "budget": {"kind": str(budget.kind), "amount": budget.amount},
        "limits": config.limits.model_dump(),
        "workers": workers,
        "device": device,
        "trial_seconds": round(pace.seconds, 1),
        "run_seconds": round(seconds),
        "basis": pace.basis,
    }
    if budget.kind is BudgetKind.WALL and not gpus and not config.task.is_script:
        remedy = "This profile is meant for a GPU: take `--profile cpu` on processor cores."
        return Finding("evolve run", Level.WARNING, words, remedy, facts)
    return Finding("evolve run", Level.OK, words, facts=facts)


def _pace(runs: Path, config: EvolutionConfig, budget: Budget, probe: TorchProbe | None) -> _Pace:
    earlier = _earlier(runs, config, budget)
    if earlier is not None:
        return earlier
    if config.task.is_script:
        return _Pace(budget.amount, "at most: every trial to its limit")
    rate = probe.rate if probe is not None else None
    slower = REFERENCE_RATE / rate if rate else 1.0
    overhead = _OVERHEAD_SECONDS[budget.kind] * slower
    # Seconds are seconds everywhere; tokens, as all else, take longer on a slower core.
    training = 0.0 if budget.kind is BudgetKind.TOKENS else budget.amount
    if rate is None:
        return _Pace(training + overhead, f"reference of {REFERENCE_DATE}, not measured here")
    basis = f"a core here has {1 / slower:.1f} × the pace of the reference of {REFERENCE_DATE}"
    return _Pace(training + overhead, basis)


def _earlier(runs: Path, config: EvolutionConfig, budget: Budget) -> _Pace | None:
    """The pace of the newest run here with the same profile or script, and budget."""
    found = (folder / "run.db" for folder in runs.iterdir()) if runs.is_dir() else ()
    databases = [file for file in found if file.is_file()]
    for file in sorted(databases, key=lambda f: f.stat().st_mtime, reverse=True):
        paths = RunPaths(file.parent)
        try:
            seconds = _trial_seconds(paths, config, budget)
        except EvolveError:  # of another version, or damaged: no run to learn from
            continue
        if len(seconds) >= 3:
            basis = f"median of {len(seconds)} trials of run {paths.root.name}"
            return _Pace(statistics.median(seconds), basis)
    return None


def _trial_seconds(paths: RunPaths, config: EvolutionConfig, budget: Budget) -> list[float]:
    with Store.open(paths.database, read_only=True) as store:
        fact, ran = store.fact("budget"), store.run().settings
        same_task = _task_of(ran) == _task_of(config.model_dump(mode="json"))
        same_budget = fact == {"kind": budget.kind.value, "amount": budget.amount}
        if store.fact(DRY_RUN) or not (same_task and same_budget):
            return []
        return [
            trial.outcome.total_seconds
            for trial in store.trials()
            if trial.outcome is not None
            and trial.status is TrialStatus.COMPLETE
            and trial.purpose is not Purpose.VERDICT
        ]


def _task_of(settings: Mapping[str, Any]) -> tuple[object, object]:
    """What a run's settings let it train: a script's files and command, or a profile."""
    files = script_files_of(settings)
    if files:
        return files, settings["task"].get("command")
    return None, (settings.get("run") or {}).get("profile")


def _run_seconds(config: EvolutionConfig, trial_seconds: float, workers: int) -> float:
    """Baseline, offspring and the least verdict; a deeper trial counts by its depth."""
    verdict = 2 * config.verdict.pairs * sum(config.verdict.depths)
    limits = config.limits
    ends = [limits.hours * 3600] if limits.hours else []
    if limits.trials:
        ends.append((config.baseline.repeats + limits.trials) * trial_seconds / workers)
    if limits.device_hours:
        ends.append(limits.device_hours * 3600 / workers)
    return min(ends) + verdict * trial_seconds / workers


def _limits(config: EvolutionConfig) -> str:
    limits = config.limits
    parts = [f"{limits.trials} offspring"] if limits.trials else []
    parts += [f"{limits.hours:g} h"] if limits.hours else []
    parts += [f"{limits.device_hours:g} device-hours"] if limits.device_hours else []
    return " or ".join(parts)


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
