"""Is a calibrated CPU budget as repeatable as fixed steps, and fair to unlike genomes?

Two questions, each beside a busy process that comes and goes on every core (seeded):

1. *Score.* The baseline trains once for each seed under each arm: ``steps`` (the same tokens
   each time: what the seeds alone do), ``calibrated`` (as the search does it: every run is
   calibrated anew) and ``seconds`` (plain CPU-seconds). Reported: sd of val_bpb, and its ratio to
   ``steps`` with a bootstrap interval over seeds.
2. *Work.* The baseline, a memory-bound and a compute-bound genome are calibrated again and again.
   Reported: sd of the work granted, and its bias against whole quiet trainings: their mean
   CPU-seconds per token, start-up and evaluation taken out, genome and baseline in turn. The
   interval of the bias holds the error of that reference too.

    python -m benchmarks.budget --repeats 12 --json budget.json
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evolution.cgroups import usable_cores
from evolution.config import EvolutionConfig
from evolution.executors import Finished, Job, LocalExecutor, Slot
from evolution.sandbox.environment import trainer_environment
from evolution.sitting import local_executor
from evolution.workspace import Workspace, create_run, open_run
from population import Budget, BudgetKind, Conditions, Genome, KnobValue, Outcome, set_knobs

#: Unlike the baseline: most time in moving memory, and most time in matrix products.
GENOMES: dict[str, dict[str, KnobValue]] = {
    "baseline": {},
    "memory-bound": {"DEPTH": 1, "WIDTH": 64, "BATCH_SIZE": 48},
    "compute-bound": {"WIDTH": 256, "MLP_RATIO": 6, "SOFTCAP": 0.0},
}
#: Quiet trainings, in batches of 1024 tokens: what the longer costs more is training alone.
QUIET_BATCHES = (10, 60)


@dataclass(frozen=True, slots=True)
class Reference:
    """The cost ratio that a genome really has, and the relative error of knowing it."""

    ratio: float = 1.0
    error: float = 0.0


def spin(cpu: int, seed: int) -> None:
    """Keep one core busy now and then: 1 to 6 seconds of work, as many of rest."""
    os.sched_setaffinity(0, {cpu})
    chance = random.Random(seed)
    matrix = np.ones((256, 256))
    while True:
        until = time.monotonic() + chance.uniform(1, 6)
        while time.monotonic() < until:
            matrix @= matrix / 256
        time.sleep(chance.uniform(1, 6))


@contextmanager
def disturbance(seed: int) -> Iterator[None]:
    """A busy process that comes and goes on each core."""
    context = multiprocessing.get_context("spawn")
    spinners = [
        context.Process(target=spin, args=(cpu, seed + cpu), daemon=True) for cpu in usable_cores()
    ]
    for spinner in spinners:
        spinner.start()
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.terminate()
            spinner.join()


def train(executor: LocalExecutor, job: Job) -> Outcome:
    """One job to its end."""
    executor.submit(job)
    while True:
        for event in executor.poll(1.0):
            if isinstance(event, Finished):
                if event.outcome.val_bpb is None:
                    raise SystemExit(f"a trial failed: {event.outcome.failure}")
                return event.outcome


def train_for_seconds(workspace: Workspace, seconds: float, seed: int, core: int) -> float:
    """One run of the baseline under plain CPU-seconds, without a harness."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "train.py").write_text(workspace.baseline.main, encoding="utf-8")
        (folder / "prepare.py").write_bytes(workspace.paths.ruler.read_bytes())
        conditions = {
            "data": str(workspace.task.data.path),
            "budget": {"kind": "cpu", "amount": seconds},
            "rng_seed": seed,
        }
        environment = trainer_environment("benchmark/0", folder)
        environment["EVORESEARCH_CONDITIONS"] = json.dumps(conditions)
        done = subprocess.run(
            ["taskset", "-c", str(core), sys.executable, "train.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(x for x in done.stdout.splitlines() if x.startswith("val_bpb:"))
    return float(line.split()[1])


def score_arms(
    workspace: Workspace,
    executor: LocalExecutor,
    *,
    seconds: float,
    tokens: int,
    repeats: int,
    core: int,
) -> dict[str, list[float]]:
    """val_bpb of each arm, seed by seed, the arms in turn."""
    scores: dict[str, list[float]] = {"steps": [], "calibrated": [], "seconds": []}
    for seed in range(repeats):
        conditions = Conditions(Budget(BudgetKind.CPU, seconds), rng_seed=seed)
        job = Job(3 * seed + 1, 1, "baseline", workspace.baseline, conditions)
        fixed = train(executor, replace(job, token_budget=tokens))
        granted = train(executor, replace(job, trial_id=3 * seed + 2, calibrate=True))
        scores["steps"].append(_score(fixed))
        scores["calibrated"].append(_score(granted))
        scores["seconds"].append(train_for_seconds(workspace, seconds, seed, core))
        latest = ", ".join(f"{arm} {values[-1]:.4f}" for arm, values in scores.items())
        print(f"seed {seed}: {latest}, granted {granted.granted_tokens} of {tokens}", flush=True)
    return scores


def cost_ratios(
    executor: LocalExecutor, genome: Genome, repeats: int, first_id: int
) -> list[float]:
    """Cost ratios of one genome, calibrated again and again; each with a very short training."""
    ratios = []
    for repeat in range(repeats):
        conditions = Conditions(Budget(BudgetKind.CPU, 0.5), rng_seed=repeat)
        job = Job(first_id + repeat, 1, "genome", genome, conditions, calibrate=True)
        calibration = train(executor, job).calibration
        assert calibration is not None
        ratios.append(calibration.cost_ratio)
    return ratios


def quiet_ratio(
    executor: LocalExecutor, genome: Genome, baseline: Genome, first_id: int, repeats: int
) -> Reference:
    """Mean CPU-seconds per token of a genome ÷ the baseline's, from whole trainings in turn.

    The machine drifts by a fifth within a minute: a few repeats tell nothing to some percent.
    """
    costs: dict[Genome, list[float]] = {genome: [], baseline: []}
    job_id = first_id
    for repeat in range(repeats):
        for which in (genome, baseline):
            seconds = []
            for batches in QUIET_BATCHES:
                budget = Budget(BudgetKind.TOKENS, 1024 * batches)
                job = Job(job_id, 1, "quiet", which, Conditions(budget, rng_seed=repeat))
                seconds.append(train(executor, job).cpu_seconds)
                job_id += 1
            costs[which].append(seconds[1] - seconds[0])
    above, below = np.asarray(costs[genome]), np.asarray(costs[baseline])
    ratios = np.log(above / below)
    return Reference(
        float(above.mean() / below.mean()), float(ratios.std(ddof=1) / len(ratios) ** 0.5)
    )


def bootstrap_ratio(
    above: Sequence[float], below: Sequence[float], draws: int = 4000
) -> tuple[float, float, float]:
    """sd(above) ÷ sd(below), with a 95 % interval over resampled seeds."""
    one, other = np.asarray(above), np.asarray(below)
    chance = np.random.default_rng(0)
    picks = chance.integers(len(one), size=(draws, len(one)))
    ratios = one[picks].std(axis=1, ddof=1) / np.maximum(other[picks].std(axis=1, ddof=1), 1e-9)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(one.std(ddof=1) / other.std(ddof=1)), float(low), float(high)


def report_scores(scores: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Print and return the first table."""
    found: dict[str, object] = {}
    for arm, values in scores.items():
        sd = float(np.std(values, ddof=1))
        ratio, low, high = bootstrap_ratio(values, scores["steps"])
        found[arm] = {"scores": list(values), "sd": sd, "ratio": [ratio, low, high]}
        print(f"{arm:12} sd {1000 * sd:5.2f} mbpb, {ratio:.2f} × steps ({low:.2f} to {high:.2f})")
    return found


def report_work(ratios: Sequence[float], quiet: Reference) -> dict[str, object]:
    """Print and return a line of the second table."""
    grants = quiet.ratio / np.asarray(ratios)  # work granted, as a share of what is right
    sd, bias = float(grants.std(ddof=1)), float(grants.mean() - 1)
    error = float(np.hypot(sd / len(ratios) ** 0.5, quiet.error))
    print(
        f"  cost ratio {quiet.ratio:.3f}; work granted: sd {100 * sd:.1f} %, "
        f"bias {100 * bias:+.1f} ± {196 * error:.1f} %",
        flush=True,
    )
    return {
        "quiet_ratio": quiet.ratio,
        "quiet_error": quiet.error,
        "ratios": list(ratios),
        "sd": sd,
        "bias": bias,
    }


def main() -> None:
    """Run both parts, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=9.0)
    parser.add_argument("--part", choices=("score", "work", "both"), default="both")
    parser.add_argument("--core", type=int, default=usable_cores()[0], help="to train on")
    parser.add_argument("--seed", type=int, default=0, help="of the disturbance")
    parser.add_argument("--quiet-repeats", type=int, default=8, help="of the reference measurement")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    config = EvolutionConfig.from_mapping({"run": {"budget": options.seconds}})
    with tempfile.TemporaryDirectory() as folder:
        paths = create_run(Path(folder), config, name="benchmark", report=print)
        with open_run(paths) as workspace:
            found = measure(workspace, options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


def measure(workspace: Workspace, options: argparse.Namespace) -> dict[str, object]:
    """Both tables."""
    executor = local_executor(workspace, [Slot(cpu=options.core)])
    found: dict[str, object] = {}
    try:
        seconds_per_token = executor.calibrate_baseline().baseline_seconds
        executor.set_yardstick(seconds_per_token)
        tokens = round(options.seconds / seconds_per_token)
        if options.part != "score":
            found["work"] = measure_work(workspace, executor, options)
        if options.part != "work":
            with disturbance(options.seed):
                scores = score_arms(
                    workspace,
                    executor,
                    seconds=options.seconds,
                    tokens=tokens,
                    repeats=options.repeats,
                    core=options.core,
                )
            found["scores"] = report_scores(scores)
        return found
    finally:
        executor.close()


def measure_work(
    workspace: Workspace, executor: LocalExecutor, options: argparse.Namespace
) -> dict[str, object]:
    """The second table."""
    baseline = workspace.baseline
    work: dict[str, object] = {}
    for index, (name, changes) in enumerate(GENOMES.items()):
        genome = baseline.with_main(set_knobs(baseline.main, changes))
        quiet = Reference()
        if changes:
            repeats = options.quiet_repeats
            quiet = quiet_ratio(executor, genome, baseline, 1000 * (index + 1), repeats)
        with disturbance(options.seed):
            ratios = cost_ratios(executor, genome, options.repeats, 1000 * (index + 1) + 500)
        print(name, flush=True)
        work[name] = report_work(ratios, quiet)
    return work


def _score(outcome: Outcome) -> float:
    assert outcome.val_bpb is not None
    return outcome.val_bpb


if __name__ == "__main__":
    main()
