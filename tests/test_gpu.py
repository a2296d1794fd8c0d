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


WINDOWS = """
import runpy
import torch
import torch.nn.functional as F

genome = runpy.run_path("train.py", run_name="genome")
torch.manual_seed(1)
model = genome["build_model"]()
with torch.no_grad():  # blocks begin as the identity: give them something to do
    for p in model.parameters():
        p.add_(0.05 * torch.randn_like(p))
idx = torch.randint(genome["VOCAB_SIZE"], (4, genome["MAX_SEQ_LEN"]), device="cuda")


def outcome(run):
    model.zero_grad()
    logits = run(idx)
    F.cross_entropy(logits.flatten(0, 1), idx.flatten()).backward()
    return [logits.detach().float()] + [p.grad.float() for p in model.parameters()]


def largest_difference(ones, others):
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ones, others))


masked = outcome(model)
near = largest_difference(outcome(torch.compile(model, dynamic=False)), masked)
for block in model.blocks:
    block.attention.window = genome["MAX_SEQ_LEN"]
far = largest_difference(outcome(model), masked)
print(near, far)
assert near < 0.05, "compiled windows see something else than masked ones"
assert far > 4 * near, "the comparison would not notice a missing window"
"""


def test_compiled_windows_see_what_masked_ones_see(tmp_path, genome):
    """FlexAttention's block mask against the mask of a plain model: values and gradients."""
    text = template_path("prepare.py").read_text(encoding="utf-8")
    text = text.replace('"device": "cpu"', '"device": "auto"').replace(
        '"seq_len": 64', '"seq_len": 512'
    )
    (tmp_path / "prepare.py").write_text(text, encoding="utf-8")
    (tmp_path / "train.py").write_text(genome.main, encoding="utf-8")
    data = Ruler.load(tmp_path / "prepare.py").prepare("cpu").path
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS],
        cwd=tmp_path,
        env={**os.environ, "EVORESEARCH_CONDITIONS": json.dumps({"data": str(data)})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
