"""A hundred broken genomes through the real executor: it never dies, hangs, or leaves anything."""

import gc
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evolution.executors import Finished, Limits, LocalExecutor, Site, cpu_slots
from evolution.executors.site import Walls
from evolution.sandbox.environment import MARKER
from evolution.sandbox.levels import find_level
from evolution.templates import template_path
from population import Budget, BudgetKind, Conditions, Genome, Outcome, TrialStatus
from tests.adversarial.mutants import Mutant, mutant_of, mutants
from tests.evolution.executor_contract import GOOD, a_job, a_site, outcome_of_job

pytestmark = pytest.mark.security

#: The longest that a trial of these limits may take, with room for a busy machine.
LIMITS = Limits(startup_seconds=4, token_seconds=3, finish_seconds=1, memory_share=0.05)
MOST_SECONDS = 60.0
MOST_LOG_BYTES = 200_000  # 64 KiB are kept; a byte that is no text is written as three
MOST_TAIL_CHARS = 20_000
MOST_GROWTH_MB = 48.0
SAMPLE = (
    *("truncated", "NUL bytes", "endless loop", "fork bomb", "gigabyte of output"),
    *("deleted folder", "closed descriptors", "ten gigabytes", "noise on the line"),
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = replace(a_site(tmp_path), walls=Walls(level=find_level().level))
    site.data.mkdir()
    assert site.logs is not None
    site.logs.mkdir(exist_ok=True)
    return site


@pytest.fixture
def checked(site: Site) -> Iterator[Callable[..., list[Outcome]]]:
    """Runs mutants on a site; afterwards nothing of them is left, and honest work still runs."""
    used: list[Site] = []

    def run(mutants: Sequence[Mutant], at: Site = site, **changes: object) -> list[Outcome]:
        used.append(at)
        executor = LocalExecutor(at, cpu_slots(2), limits=replace(LIMITS, **changes))
        descriptors = open_descriptors()
        try:
            outcomes = outcomes_of(executor, mutants)
            assert open_descriptors() == descriptors
        finally:
            executor.close()
        return outcomes

    yield run
    for one in used:
        assert members_of(one.run_id) == []
        assert list(one.scratch.iterdir()) == []
        assert one.logs is not None
        assert all(path.stat().st_size < MOST_LOG_BYTES for path in one.logs.iterdir())
    executor = LocalExecutor(site, cpu_slots(1))
    assert outcome_of_job(executor, a_job(GOOD)).status is TrialStatus.COMPLETE
    executor.close()


def outcomes_of(executor: LocalExecutor, mutants: Sequence[Mutant]) -> list[Outcome]:
    """What each comes to; each within its deadlines."""
    waiting = list(enumerate(mutants, start=1))
    submitted_at: dict[int, float] = {}
    outcomes: dict[int, Outcome] = {}
    conditions = Conditions(Budget(BudgetKind.TOKENS, 4096), rng_seed=1)
    while len(outcomes) < len(mutants):
        while waiting and executor.free_slots():
            trial_id, mutant = waiting.pop(0)
            submitted_at[trial_id] = time.monotonic()
            executor.submit(a_job(mutant.text, trial_id, conditions=conditions))
        for event in executor.poll(1.0):
            if isinstance(event, Finished):
                outcomes[event.trial_id] = event.outcome
        for trial_id in submitted_at.keys() - outcomes.keys():
            is_late = time.monotonic() - submitted_at[trial_id] > MOST_SECONDS
            assert not is_late, f"{mutants[trial_id - 1]} hangs"
    return [outcomes[trial_id] for trial_id in sorted(outcomes)]


def members_of(run_id: str) -> list[int]:
    """Processes of a run that are still alive."""
    found = []
    for pid in psutil.pids():
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"{MARKER}={run_id}/".encode() in environ:
            found.append(pid)
    return found


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names, not paths


def resident_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


def test_a_sample_of_broken_genomes_are_outcomes_and_leave_nothing(checked):
    sample = [mutant_of(kind, GOOD, rng_seed=1) for kind in SAMPLE]
    outcomes = checked(sample, startup_seconds=2, token_seconds=2)
    assert TrialStatus.COMPLETE not in {outcome.status for outcome in outcomes[:3]}
    tails = [outcome.failure.log_tail for outcome in outcomes if outcome.failure is not None]
    assert all(len(tail) <= MOST_TAIL_CHARS for tail in tails)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ninety_broken_genomes_leave_nothing_and_memory_stays_flat(checked):
    checked(mutants(GOOD, 10, rng_seed=0))
    before = resident_mb()
    outcomes = checked(mutants(GOOD, 80, rng_seed=2))
    assert resident_mb() - before < MOST_GROWTH_MB
    kinds = {outcome.status for outcome in outcomes}
    assert {TrialStatus.CRASHED, TrialStatus.TIMED_OUT} <= kinds


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_broken_genomes_of_the_real_task_leave_nothing(
    checked, site, tmp_path, tiny_data, tiny_genome
):
    ruler = template_path("prepare.py")
    real = replace(
        site,
        run_id=f"{site.run_id}-real",
        scratch=tmp_path / "real",
        ruler=ruler,
        ruler_hash=hashlib.sha256(ruler.read_bytes()).hexdigest(),
        data=tiny_data,
        baseline=Genome.single(tiny_genome),
    )
    outcomes = checked(mutants(tiny_genome, 10, rng_seed=3), real, startup_seconds=30)
    assert all(outcome.status is not TrialStatus.REJECTED for outcome in outcomes)
