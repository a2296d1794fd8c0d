"""What the machine offers: cores, memory, GPUs, disk, clock. Knows nothing of settings."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil

from evolution.cgroups import free_memory_mb, usable_cores
from evolution.devices import gpu_names, visible_devices
from evolution.doctor.finding import Finding, Level
from evolution.doctor.torch_probe import REFERENCE_RATE, TorchProbe
from evolution.sizing import Machine
from evolution.sizing.choice import TRAINER_MB
from evolution.workspace import DISK_FLOOR_MB

_CACHE_FLOOR_MB = 200
_TEMP_FLOOR_MB = 50
_FIRST_YEAR, _LAST_YEAR = 2025, 2100
_JUMP_SECONDS = 1.0


def machine_of(probe: TorchProbe) -> Machine:
    """What there is to train on, as torch and the system tell it."""
    return Machine(
        core_count=len(usable_cores()),
        memory_mb=available_mb(),
        core_rate=probe.rate / REFERENCE_RATE if probe.rate else None,
        has_bf16=probe.has_bf16,
        gpus=probe.gpus,
        has_mps=probe.has_mps,
    )


def available_mb() -> float:
    """MiB of memory that are free, here and in the container that holds us."""
    free_mb, allowed_mb = psutil.virtual_memory().available / 2**20, free_memory_mb()
    return free_mb if allowed_mb is None else min(free_mb, allowed_mb)


def cores_finding() -> Finding:
    """Cores that this process may use, and how busy they are."""
    cores, load = usable_cores(), os.getloadavg()[0]
    facts = {"usable": len(cores), "present": os.cpu_count(), "load_1min": round(load, 2)}
    words = f"{len(cores)} usable of {os.cpu_count()}, load {load:.1f}"
    if load > 0.5 * len(cores):
        return Finding(
            "cores",
            Level.WARNING,
            f"{words}: others work here too",
            "Trials will take longer; their budget is calibrated work, so scores still compare.",
            facts,
        )
    return Finding("cores", Level.OK, words, facts=facts)


def memory_finding() -> Finding:
    """Free memory against what one trainer needs."""
    free_mb = available_mb() * 2**20 / 1e6
    facts = {"available_mb": round(free_mb), "trainer_mb": TRAINER_MB}
    words = f"{free_mb / 1000:.1f} GB available"
    room = int(free_mb // TRAINER_MB)
    if room < 1:
        remedy = f"A trainer takes about {TRAINER_MB} MB. End other programs."
        return Finding("memory", Level.PROBLEM, words, remedy, facts)
    if room < len(usable_cores()):
        remedy = f"Enough for {room} trainings at once: start with `--workers {room}`."
        return Finding("memory", Level.WARNING, words, remedy, facts)
    return Finding("memory", Level.OK, words, facts=facts)


def gpus_finding(probe: TorchProbe | None) -> tuple[list[str], Finding]:
    """Names of the GPUs that may be used, and whether torch can use them."""
    present = gpu_names()
    gpus = [present[0]] * len(visible_devices(len(present))) if present else []
    facts = {"names": present, "visible": len(gpus)}
    if not present:
        return [], Finding("gpus", Level.OK, "none: trials train on processor cores", facts=facts)
    words = f"{len(gpus)} of {len(present)} visible: {', '.join(sorted(set(present)))}"
    if probe is not None and probe.version is not None and not probe.has_cuda:
        remedy = f"torch {probe.version} cannot use them. Install a CUDA build of torch."
        return gpus, Finding("gpus", Level.WARNING, words, remedy, facts)
    return gpus, Finding("gpus", Level.OK, words, facts=facts)


def disk_findings(runs: Path, cache: Path) -> list[Finding]:
    """Whether the three places that a run writes to can be written, and have room."""
    return [
        _disk_finding("runs folder", runs, DISK_FLOOR_MB, "Choose another with --runs."),
        _disk_finding("cache", cache, _CACHE_FLOOR_MB, "Set EVORESEARCH_CACHE to another folder."),
        _disk_finding(
            "temporary files", Path(tempfile.gettempdir()), _TEMP_FLOOR_MB, "Set TMPDIR to another."
        ),
    ]


def _disk_finding(name: str, folder: Path, floor_mb: float, remedy: str) -> Finding:
    folder = folder.absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
        free_mb = psutil.disk_usage(str(there)).free / 1e6
    except OSError as error:
        words = f"{folder} cannot be written: {error.strerror or error}"
        facts: dict[str, object] = {"folder": str(folder), "is_writable": False}
        return Finding(name, Level.PROBLEM, words, remedy, facts)
    facts = {"folder": str(folder), "is_writable": True, "free_mb": round(free_mb)}
    words = f"{folder}, {free_mb / 1000:.1f} GB free"
    if free_mb < floor_mb:
        needs = f"At least {floor_mb:.0f} MB are needed. Free some space. {remedy}"
        return Finding(name, Level.PROBLEM, words, needs, facts)
    if free_mb < 3 * floor_mb:
        return Finding(name, Level.WARNING, words, f"That is little. {remedy}", facts)
    return Finding(name, Level.OK, words, facts=facts)


def clock_finding(before: float, after: float, elapsed: float) -> Finding:
    """Whether the clock shows a likely date, and ran evenly while the doctor looked.

    Args:
        before: Wall clock at first, in seconds since the epoch.
        after: Wall clock at last.
        elapsed: Seconds between the two by a clock that nobody sets.
    """
    moment, jump = datetime.fromtimestamp(after, UTC), after - before - elapsed
    facts = {"utc": moment.isoformat(timespec="seconds"), "jump_seconds": round(jump, 3)}
    words = f"{moment:%Y-%m-%d %H:%M} UTC"
    remedy = "Set the clock, e.g. with NTP: commits and limits in hours go by it."
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return Finding("clock", Level.WARNING, f"{words}: an unlikely date", remedy, facts)
    if abs(jump) > _JUMP_SECONDS:
        return Finding("clock", Level.WARNING, f"{words}, jumped {jump:+.1f} s", remedy, facts)
    return Finding("clock", Level.OK, words, facts=facts)
