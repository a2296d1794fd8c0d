"""The environment of a trainer: built from a short list, never inherited.

What is not named here does not reach a genome. Keys, tokens and secrets never do, not even when
a caller asks for it.
"""

import os
import site
from collections.abc import Mapping
from pathlib import Path

MARKER = "EVORESEARCH_TRIAL"
HARNESS = "EVORESEARCH_HARNESS"
CONDITIONS = "EVORESEARCH_CONDITIONS"

_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
)
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")

# One thread that does not spin: two default OpenMP threads beside a busy process ran 9 times
# slower. The malloc settings keep freed pages: page faults fell from 35 % to 3 % of CPU time.
CPU_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "68719476736",
    "MALLOC_TOP_PAD_": "268435456",
    "TORCHDYNAMO_DISABLE": "1",
}


def trainer_environment(
    marker: str, home: Path, gpu: str | None = None, source: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a trainer may know of this machine.

    Args:
        marker: ``<run id>/<trial id>``, by which orphans are found.
        home: Its scratch folder.
        gpu: The one device it sees; None for a trainer on a processor core.
        source: Where the allowed names are looked up; our own environment by default.
    """
    settings = CPU_SETTINGS if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    return {
        **_allowed(os.environ if source is None else source),
        **settings,
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        MARKER: marker,
    }


def supervisor_environment(marker: str, source: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a supervisor may know: a genome can read it, so it holds no secret either."""
    source = os.environ if source is None else source
    # A supervisor counts in the coverage of a test; a genome does not.
    measured = {name: source[name] for name in source if name.startswith("COVERAGE_PROCESS_")}
    package_root = Path(__file__).resolve().parents[2]
    return {**_allowed(source), **measured, "PYTHONPATH": str(package_root), MARKER: marker}


def _allowed(source: Mapping[str, str]) -> dict[str, str]:
    found = {name: source[name] for name in _INHERITED if name in source}
    if site.ENABLE_USER_SITE:  # HOME is about to change: packages of the user must still be found
        found["PYTHONUSERBASE"] = site.getuserbase()
    return {name: value for name, value in found.items() if not _is_secret(name)}


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in _SECRET_WORDS)
