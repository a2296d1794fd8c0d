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
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
