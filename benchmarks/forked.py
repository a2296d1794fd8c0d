"""Real trainings at the price of their steps: children of one process that has loaded torch.

A trial of the search pays for a box, an import of torch, a calibration and an audited score. A
benchmark that trains a thousand genomes of its own making needs none of these: each is trained by
``prepare.py``'s own clock, data and metric at a fixed number of tokens, in a process that is
forked for it and ended with it. Never for genomes that anybody else wrote: there is no box.
"""

import json
import math
import os
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evolution.ruler import Ruler
from evolution.sandbox.environment import CPU_SETTINGS
from evolution.templates import template_path

#: Address space of a child, in bytes: a genome that asks for more fails, and not the machine.
MEMORY_BYTES = 8 * 2**30
_TOLD = 600  # characters of a failure that are kept


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of one training.

    Attributes:
        val_bpb: Bits per byte on the split; None if the training failed.
        cpu_seconds: Of the child, start to end, without the import of torch.
        peak_memory_mb: Peak resident memory of the child, torch included.
        summary: The ``name: value`` lines that the genome printed.
        failure: The last of what it said, if it failed.
    """

    val_bpb: float | None
    cpu_seconds: float
    peak_memory_mb: float
    summary: Mapping[str, float]
    failure: str = ""


def under_trainer_settings() -> None:
    """Start this program anew under a trainer's settings for OpenMP and memory, unless it is.

    They are read once, by the loader. Without them a step costs half as much again.
    """
    if any(os.environ.get(name) != value for name, value in CPU_SETTINGS.items()):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **CPU_SETTINGS})


class ForkedTrainer:
    """Trains genomes, one after the other, at one profile.

    Args:
        profile: Whose data and tokenizer; prepared at first use.
        time_limit: Wall seconds of one training; then it is killed.
        say: Told of the preparation, for people.
    """

    def __init__(
        self, profile: str, *, time_limit: float = 300.0, say: Callable[[str], None] | None = None
    ) -> None:
        self._ruler = Ruler.load(template_path("prepare.py"))
        data = self._ruler.prepare(profile, progress=say)
        self._data = Path(data.path)
        self._time_limit = time_limit
        import torch  # here, once for all children

        torch.set_num_threads(1)

    def train(
        self,
        genome: str,
        *,
        tokens: int,
        rng_seed: int,
        depth_scale: float = 1.0,
        split: str = "validation",
    ) -> Trained:
        """Train ``genome`` for ``tokens`` tokens and score it."""
        conditions = {
            "data": str(self._data),
            "budget": {"kind": "tokens", "amount": tokens},
            "rng_seed": rng_seed,
            "depth_scale": depth_scale,
            "split": split,
        }
        folder = Path(tempfile.mkdtemp(prefix="forked-"))
        try:
            (folder / "train.py").write_text(genome, encoding="utf-8")
            shutil.copy(self._ruler.path, folder / "prepare.py")
            pid = os.fork()
            if pid == 0:
                _become_trainer(folder, json.dumps(conditions))
            status, usage = self._wait(pid)
            said = (folder / "said").read_text(encoding="utf-8", errors="replace")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        summary = _summary(said)
        score = summary.get("val_bpb")
        is_whole = status == 0 and score is not None and math.isfinite(score)
        return Trained(
            val_bpb=score if is_whole else None,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_memory_mb=usage.ru_maxrss / 1024,
            summary=summary,
            failure="" if is_whole else said.strip()[-_TOLD:] or f"ended by status {status}",
        )

    def _wait(self, pid: int) -> tuple[int, resource.struct_rusage]:
        until = time.monotonic() + self._time_limit
        while True:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return status, usage
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                _, _, usage = os.wait4(pid, 0)
                return -1, usage
            time.sleep(0.005)


def _become_trainer(folder: Path, conditions: str) -> None:
    """In the child: run the genome as a program of its own, and end."""
    code = 1
    try:
        descriptor = os.open(folder / "said", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(folder)
        os.environ["EVORESEARCH_CONDITIONS"] = conditions
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sys.path.insert(0, str(folder))
        sys.argv = ["train.py"]
        runpy.run_path("train.py", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = 0 if end.code in (None, 0) else 1
        if code:
            print(end.code, flush=True)
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _summary(said: str) -> dict[str, float]:
    """The numbers of ``name: value`` lines after the last ``---``."""
    found: dict[str, float] = {}
    for line in said.rpartition("---\n")[2].splitlines():
        name, colon, value = line.partition(":")
        try:
            found[name.strip()] = float(value) if colon else 0.0
        except ValueError:
            continue
    return found
