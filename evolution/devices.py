"""The GPUs of this machine, and those this process may use. Knows nothing of runs."""

import os
import shutil
import subprocess


def visible_devices(gpu_count: int) -> list[str]:
    """GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` calls them; all if it is not set."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [str(index) for index in range(gpu_count)]
    return [device.strip() for device in allowed.split(",") if device.strip() not in ("", "-1")]


def gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs of this machine; the search itself never loads torch."""
    return _ask_driver("name")


def gpu_watts() -> float | None:
    """The driver's limit on the power of the first GPU, in watts; None if it tells none."""
    try:
        return float(_ask_driver("power.limit", "nounits")[0])
    except (IndexError, ValueError):
        return None


def _ask_driver(field: str, *form: str) -> list[str]:
    """One field of each GPU, as ``nvidia-smi`` prints it; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={field}", f"--format={','.join(('csv', 'noheader', *form))}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
