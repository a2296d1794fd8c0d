"""The inside of a forked trainer: runs a genome as a script and says what it took."""

import gc
import json
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from evolution.sandbox.environment import CONDITIONS, HARNESS
from population import read_summary


def become_a_trainer(
    folder: Path,
    conditions: Mapping[str, object],
    core: int | None,
    task: str,
    line: tuple[int, int],
) -> NoReturn:
    """In the forked process: run the genome, say what it took, and never return."""
    code = 1
    try:
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
        if core is not None:
            os.sched_setaffinity(0, {core})
        os.chdir(folder)
        os.environ[CONDITIONS] = json.dumps(conditions)
        os.environ[HARNESS] = f"{line[0]},{line[1]}"
        sys.path.insert(0, str(folder))
        sys.argv = ["train.py"]
        for name in ("prepare", "train"):
            sys.modules.pop(name, None)
        gc.enable()
        gc.freeze()  # what the parent made is not ours to look through
        message = _measured(task)
        os.write(line[1], json.dumps(message).encode() + b"\n")
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
        if not isinstance(leaving.code, int):
            print(leaving.code)
    except BaseException:  # noqa: BLE001  whatever it is, it ends this process and no other
        traceback.print_exc(file=sys.stdout)
    finally:
        os._exit(code)


def _measured(task: str) -> dict[str, object]:
    if task == "parameters":
        model = runpy.run_path("train.py", run_name="genome")["build_model"]()
        sizes = [(name, p.numel(), p.element_size()) for name, p in model.named_parameters()]
        return {"type": "parameters", "parameters": sizes}
    began = _status_mb("VmRSS")
    runpy.run_path("train.py", run_name="__main__")
    summary = read_summary(Path("log").read_text(encoding="utf-8"))
    values = dict(summary.values) if summary else {}
    on_gpu = float(values.get("peak_vram_mb", 0.0))
    return {
        "type": "end",
        "num_steps": int(values.get("num_steps", 0)),
        "peak_mb": on_gpu or _status_mb("VmHWM") - began,
        "mfu_percent": float(values.get("mfu_percent", 0.0)),
    }


def _status_mb(name: str) -> float:
    """A figure of this process's memory, in MiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    found = next(line for line in lines if line.startswith(f"{name}:"))
    return int(found.split()[1]) / 1024
