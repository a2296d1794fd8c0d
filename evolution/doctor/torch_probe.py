"""Torch and the pace of one core, measured in a process of its own: a broken torch ends only that.

The search never imports torch.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from evolution.doctor.finding import Finding, Level
from evolution.sizing import Gpu

_TIMEOUT_SECONDS = 120
_PROBE_SECONDS = 2.0
#: Products of two 128 × 128 matrices, with a softmax, in one CPU-second of one core of the machine
#: that docs/log.md describes, torch 2.13.0: median of three, 13,900 to 17,500 on busy cores.
REFERENCE_RATE = 15_800.0
REFERENCE_DATE = "2026-11-23"
_PROGRAM = f"""
import json, time, torch
torch.set_num_threads(1)
facts = {{"version": torch.__version__, "cuda": torch.version.cuda,
         "has_cuda": torch.cuda.is_available(),
         "has_mps": torch.backends.mps.is_available()}}
a, b = torch.randn(128, 128), torch.randn(128, 128)
for _ in range(200):
    torch.softmax(a @ b, 1)
start, count = time.process_time(), 0
while time.process_time() - start < {_PROBE_SECONDS}:
    for _ in range(50):
        torch.softmax(a @ b, 1)
    count += 50
facts["rate"] = count / (time.process_time() - start)
facts["has_bf16"] = bool(
    torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
facts["gpus"] = []
for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
    with torch.cuda.device(index):
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cuda.get_device_properties(index)
    facts["gpus"].append([found.name, found.total_memory / 2**20, found.major, found.minor,
                          has_bf16])
print(json.dumps(facts))
"""


@dataclass(frozen=True, slots=True)
class TorchProbe:
    """What a process with torch said of itself; ``error`` alone if it did not get that far.

    Attributes:
        version: Of torch.
        cuda: Version of CUDA it was built for; None for a CPU build.
        has_cuda: True if it can use a CUDA device here.
        has_mps: True if it can use an Apple GPU.
        rate: Steps of the probe in one CPU-second; see ``REFERENCE_RATE``.
        has_bf16: True if a core multiplies bfloat16 in hardware.
        gpus: CUDA devices that torch may use.
        error: Why there is nothing of the above.
    """

    version: str | None = None
    cuda: str | None = None
    has_cuda: bool = False
    has_mps: bool = False
    rate: float | None = None
    has_bf16: bool = False
    gpus: tuple[Gpu, ...] = ()
    error: str | None = None


def probe_torch(timeout_seconds: float = _TIMEOUT_SECONDS) -> TorchProbe:
    """Import torch and time a small step, elsewhere."""
    hidden = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return TorchProbe(error=f"no answer within {timeout_seconds:g} s")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return TorchProbe(error=said[-1][:200] if said else f"it ended with {done.returncode}")
    try:
        facts = json.loads(done.stdout.strip().splitlines()[-1])
        gpus = tuple(
            Gpu(name, memory_mb, (major, minor), has_bf16)
            for name, memory_mb, major, minor, has_bf16 in facts.pop("gpus")
        )
        return TorchProbe(**facts, gpus=gpus)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError):
        return TorchProbe(error="its answer makes no sense")


def torch_finding(probe: TorchProbe | None) -> Finding:
    """Whether trainers will find a torch that works."""
    if probe is None or probe.version is None:
        error = probe.error if probe else None
        remedy = "Trainers need torch: `pip install torch`, in the environment of `evolve`."
        nothing = {"version": None, "error": error}
        return Finding("torch", Level.PROBLEM, f"it does not load: {error}", remedy, nothing)
    build = f"CUDA {probe.cuda} build" if probe.cuda else "CPU build"
    build = "with MPS" if probe.has_mps else build
    facts: dict[str, object] = {
        "version": probe.version,
        "cuda": probe.cuda,
        "has_cuda": probe.has_cuda,
        "has_mps": probe.has_mps,
        "probe_steps_per_cpu_second": round(probe.rate or 0.0),
    }
    return Finding("torch", Level.OK, f"{probe.version}, {build}", facts=facts)
