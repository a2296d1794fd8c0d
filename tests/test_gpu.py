"""What only a CUDA device can show. Run by `make test-gpu`; skipped where there is none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolution.executors import Finished, Job, LocalExecutor, Site, gpu_slots
from evolution.ruler import Ruler
from evolution.sitting import gpu_names
from evolution.templates import template_path
from population import Budget, BudgetKind, Conditions, Genome, TrialStatus, read_summary, set_knobs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not gpu_names(), reason="there is no NVIDIA GPU"),
    pytest.mark.timeout(600),
]

KNOBS = {"DEPTH": 4, "WIDTH": 256, "HEAD_DIM": 64, "BATCH_SIZE": 64}


@pytest.fixture
def ruler(tmp_path: Path) -> Ruler:
    """The ruler, with a small text profile that trains on the GPU."""
    text = template_path("prepare.py").read_text(encoding="utf-8")
    path = tmp_path / "ruler" / "prepare.py"
    path.parent.mkdir()
    path.write_text(text.replace('"device": "cpu"', '"device": "auto"'), encoding="utf-8")
    return Ruler.load(path)


@pytest.fixture
def genome() -> Genome:
    """The baseline, wide and deep enough to be worth a GPU."""
    return Genome.single(set_knobs(template_path("train.py").read_text(encoding="utf-8"), KNOBS))


def test_the_baseline_trains_compiled_on_a_gpu_and_reports_memory_and_mfu(tmp_path, ruler, genome):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "train.py").write_text(genome.main, encoding="utf-8")
    shutil.copyfile(ruler.path, scratch / "prepare.py")
    given = {
        "data": str(ruler.prepare("cpu").path),
        "budget": {"kind": "wall", "amount": 20},
        "rng_seed": 1,
    }
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=scratch,
        env={**os.environ, "EVORESEARCH_CONDITIONS": json.dumps(given)},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = read_summary(done.stdout)
    assert summary is not None, done.stderr[-2000:]
    assert summary.val_bpb < 1.9
    assert summary.values["peak_vram_mb"] > 0
    assert summary.values["mfu_percent"] > 0
    assert 18 < summary.values["training_seconds"] < 40


def test_a_wall_budget_runs_through_the_executor_on_a_gpu_slot(tmp_path, ruler, genome):
    site = Site(
        run_id="gpu-test",
        scratch=tmp_path / "scratch",
        ruler=ruler.path,
        ruler_hash=ruler.hash,
        data=ruler.prepare("cpu").path,
        baseline=genome,
    )
    conditions = Conditions(Budget(BudgetKind.WALL, 10), rng_seed=1, device_class=gpu_names()[0])
    executor = LocalExecutor(site, gpu_slots(["0"]))
    try:
        executor.submit(Job(1, 1, "baseline", genome, conditions))
        outcome = None
        while outcome is None:
            found = [e.outcome for e in executor.poll(1.0) if isinstance(e, Finished)]
            outcome = found[0] if found else None
    finally:
        executor.close()
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure
    assert [snapshot.fraction for snapshot in outcome.snapshots] == [0.1, 0.25, 0.5]
