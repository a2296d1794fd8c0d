"""Honest genomes are what they say: they keep the contract, look at no later token, and train."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolution.executors import LocalExecutor, Site, cpu_slots
from evolution.templates import template_path
from population import (
    Budget,
    BudgetKind,
    Conditions,
    Genome,
    TrialStatus,
    canonical_hash,
    contract_problems,
)
from tests.adversarial.controls import CONTROLS
from tests.conftest import TRAINER_ENVIRONMENT
from tests.evolution.executor_contract import a_job, a_site, outcome_of_job

pytestmark = pytest.mark.security

STEPS = 24
FIRST_FEW = ("token choice",)
#: Bits per byte of a model that knows nothing: about 10 bits a token, 3 bytes a token.
IGNORANCE = 3.4

#: Asks each model, as it begins: do other rows, or later tokens, change what it says?
LOOK = """
import runpy, sys, torch

found = {}
for path in sys.argv[1:]:
    torch.manual_seed(1)
    model = runpy.run_path(path, run_name="genome")["build_model"]().eval()
    one = torch.randint(1000, (4, 64))
    other = one.clone()
    other[:, 40:] = torch.randint(1000, (4, 24))
    other[2] = torch.randint(1000, (64,))
    with torch.inference_mode():
        gap = (model(one) - model(other))[[0, 1, 3], :40].abs().max().item()
        moved = (model(one) - model(other))[0, 40:].abs().max().item()
        again = (model(one) - model(one)).abs().max().item()
    assert gap <= 1e-5 and again == 0 and moved > 1e-4, (path, gap, again, moved)
"""


@pytest.fixture
def executor(tmp_path: Path, tiny_data: Path) -> Iterator[LocalExecutor]:
    ruler = template_path("prepare.py")
    site: Site = replace(
        a_site(tmp_path),
        ruler=ruler,
        ruler_hash=hashlib.sha256(ruler.read_bytes()).hexdigest(),
        data=tiny_data,
        baseline=Genome.single(CONTROLS["plain"]),
    )
    executor = LocalExecutor(site, cpu_slots(1))
    yield executor
    executor.close()


def test_there_are_at_least_ten_and_all_differ():
    assert len(CONTROLS) >= 10
    assert len({canonical_hash(Genome.single(text)) for text in CONTROLS.values()}) == len(CONTROLS)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_keeps_the_contract(name):
    assert contract_problems(Genome.single(CONTROLS[name])) == []


def test_no_control_looks_at_later_tokens_or_other_rows(tmp_path, tiny_data):
    shutil.copyfile(template_path("prepare.py"), tmp_path / "prepare.py")
    names = []
    for number, text in enumerate(CONTROLS.values()):
        (tmp_path / f"control{number}.py").write_text(text, encoding="utf-8")
        names.append(f"control{number}.py")
    answer = subprocess.run(
        [sys.executable, "-c", LOOK, *names],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "EVORESEARCH_CONDITIONS": json.dumps({"data": str(tiny_data), "rng_seed": 1}),
            **TRAINER_ENVIRONMENT,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert answer.returncode == 0, answer.stderr


def trains(executor: LocalExecutor, name: str) -> None:
    conditions = Conditions(Budget(BudgetKind.TOKENS, STEPS * 16 * 64), rng_seed=3)
    outcome = outcome_of_job(executor, a_job(CONTROLS[name], conditions=conditions))
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure
    assert outcome.val_bpb is not None
    assert outcome.val_bpb < IGNORANCE


@pytest.mark.parametrize("name", FIRST_FEW)
def test_a_control_trains(executor, name):
    trains(executor, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CONTROLS) - set(FIRST_FEW)))
def test_every_other_control_trains(executor, name):
    trains(executor, name)
