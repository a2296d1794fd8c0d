"""The manual's limits on a real genome: the baseline at the sizes of the ``tiny`` profile."""

import hashlib
from dataclasses import replace

import pytest

from evolution.executors import LocalExecutor, Site, cpu_slots
from evolution.templates import template_path
from population import (
    Budget,
    BudgetKind,
    Conditions,
    FailureClass,
    Genome,
    ManualLimits,
    TrialStatus,
)
from tests.evolution.executor_contract import a_job, outcome_of_job


@pytest.fixture
def outcome_within(tmp_path, tiny_data, tiny_genome):
    """What a short trial of the baseline comes to within some limits."""
    ruler, genome = template_path("prepare.py"), Genome.single(tiny_genome)
    site = Site(
        run_id=f"limits-{tmp_path.name}",
        scratch=tmp_path / "scratch",
        ruler=ruler,
        ruler_hash=hashlib.sha256(ruler.read_bytes()).hexdigest(),
        data=tiny_data,
        baseline=genome,
        snapshots=(),
    )
    conditions = Conditions(Budget(BudgetKind.TOKENS, 2048.0), rng_seed=1)
    executor = LocalExecutor(site, cpu_slots(1))

    def run(limits):
        job = replace(a_job(tiny_genome), conditions=conditions, limits=limits)
        return outcome_of_job(executor, job)

    yield run
    executor.close()


def test_a_genome_within_the_limits_trains(outcome_within):
    outcome = outcome_within(ManualLimits(parameters_millions=1.0, memory_mb=4000.0))
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure


def test_a_genome_with_too_many_parameters_is_rejected_before_it_trains(outcome_within):
    outcome = outcome_within(ManualLimits(parameters_millions=0.01))
    assert outcome.status is TrialStatus.REJECTED
    assert outcome.failure.kind is FailureClass.CONTRACT
    assert "limits.parameters_millions" in outcome.failure.message
    assert (outcome.train_tokens, outcome.step_count, outcome.val_bpb) == (0, 0, None)


def test_a_genome_that_holds_too_much_memory_is_ended(outcome_within):
    outcome = outcome_within(ManualLimits(memory_mb=60.0))  # torch alone needs more
    assert outcome.status is TrialStatus.CRASHED
    assert outcome.failure.kind is FailureClass.OUT_OF_MEMORY
    assert "limits.memory_mb" in outcome.failure.message
