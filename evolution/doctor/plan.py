"""What `evolve run` would do here, and how long it would take: one line, with its basis."""

from collections.abc import Sequence

from evolution.config import EvolutionConfig
from evolution.doctor.earlier import Earlier
from evolution.doctor.finding import Finding, Level
from evolution.doctor.pace import Pace, pace_here
from evolution.doctor.project import Project
from evolution.doctor.torch_probe import TorchProbe
from population import Budget, BudgetKind


def plan_finding(
    project: Project, gpus: Sequence[str], probe: TorchProbe | None, earlier: Earlier | None
) -> Finding:
    """The plan of a run with the project's settings; the project must be whole."""
    config, title, budget = project.whole()
    kind = "script" if config.task.is_script else "profile"
    workers, device = crew(config, budget, gpus)
    pace = pace_here(config, budget, probe, earlier)
    seconds = run_seconds(config, pace, workers)
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


def crew(config: EvolutionConfig, budget: Budget, gpus: Sequence[str]) -> tuple[int, str]:
    """How many train at once, and on what."""
    on_gpu = budget.kind is BudgetKind.WALL and bool(gpus)
    workers = config.worker_count(len(gpus) if on_gpu else 0)
    return (min(workers, len(gpus)), gpus[0]) if on_gpu else (workers, "cpu")


def verdict_trials(config: EvolutionConfig, pairs: int) -> float:
    """Runs of a verdict of so many pairs at each depth, in runs at home depth.

    A deeper one counts by its depth.
    """
    return 2 * pairs * sum(config.verdict.depths)


def run_seconds(config: EvolutionConfig, pace: Pace, workers: int) -> float:
    """Baseline, offspring and the least verdict."""
    limits = config.limits
    ends = [limits.hours * 3600] if limits.hours else []
    if limits.trials:
        ends.append((config.baseline.repeats + limits.trials) * pace.seconds / workers)
    if limits.device_hours:
        ends.append(limits.device_hours * 3600 / workers)
    return min(ends) + verdict_trials(config, config.verdict.pairs) * pace.seconds / workers


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
