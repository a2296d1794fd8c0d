"""Short trainings by the thousand: each in a process of its own, forked where torch is loaded.

A fork starts in milliseconds where an interpreter needs a second or two. What a genome does to its
process ends with it: time, memory and files are limited, and its word for how it went is a file.
Not a sandbox: use it for proposals of operators alone, never for those of people or models.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.trainers import with_trainer_settings
from evolution.ruler import Ruler
from evolution.templates import template_path

#: Functions of a genome or of the ruler by which a traceback tells how far training came.
_STAGES = (("evaluate", {"evaluate_bpb"}), ("build", {"build_model", "build_optimizers"}))
_DEEPER = 1.5
_MEMORY_BYTES = 3 * 2**30


@dataclass(frozen=True, slots=True)
class Training:
    """How one short training ended.

    Attributes:
        val_bpb: The score; None if there was none.
        stage: "scored", or where it failed: build, train, diverged, evaluate, time, memory.
        reason: Last line of what went wrong; "" if nothing did.
        is_deeper: Whether the genome also builds, and reads a batch, at 1.5 times its depth; None
            where it was not asked.
        cpu_seconds: What its process used of a core.
    """

    val_bpb: float | None
    stage: str
    reason: str
    is_deeper: bool | None
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained.

    Attributes:
        text: A genome of one file.
        rng_seed: Of the training.
        depth_scale: Factor on the genome's own depth.
        asks_deeper: Whether to look if it builds at 1.5 times its depth, once it was scored.
    """

    text: str
    rng_seed: int = 1
    depth_scale: float = 1.0
    asks_deeper: bool = False


@contextlib.contextmanager
def prepared(profile: str) -> Iterator[tuple[Path, Path]]:
    """Data of a profile, and a folder for ``train_all``, as the present one, with the ruler in it.

    Starts the program anew, once, if it lacks a trainer's settings.

    Args:
        profile: Whose data; prepared at first use.
    """
    with_trainer_settings()
    torch.set_num_threads(1)
    data = Ruler.load(template_path("prepare.py")).prepare(profile).path
    with tempfile.TemporaryDirectory(prefix="evoresearch-trainings-") as name:
        shutil.copyfile(template_path("prepare.py"), Path(name) / "prepare.py")
        sys.path.insert(0, name)
        with contextlib.chdir(name):
            yield data, Path(name)


def train_all(
    orders: Sequence[Order],
    *,
    data: Path,
    tokens: int,
    folder: Path,
    workers: int = 1,
    limit: float = 60.0,
) -> Iterator[tuple[int, Training]]:
    """Train each for so many tokens; yields index and outcome as they end.

    Args:
        orders: What.
        data: Folder of the prepared profile.
        tokens: Of a training.
        folder: Holds ``prepare.py``; scratch of the trainings.
        workers: Processes at once.
        limit: Wall seconds of one; it is killed then.
    """
    waiting = list(enumerate(orders))[::-1]
    running: dict[int, tuple[int, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, order = waiting.pop()
                pid = os.fork()
                if pid == 0:
                    _run(order, data, tokens, folder / f"{index}.json")
                running[pid] = (index, time.monotonic())
            for pid, (index, started) in list(running.items()):
                seconds = time.monotonic() - started
                if seconds > limit:
                    os.kill(pid, signal.SIGKILL)
                is_late = seconds > limit
                ended, status, used = os.wait4(pid, 0 if is_late else os.WNOHANG)
                if ended:
                    del running[pid]
                    cpu_seconds = used.ru_utime + used.ru_stime
                    late = limit if is_late else None
                    yield index, _outcome(folder / f"{index}.json", status, cpu_seconds, late)
            time.sleep(0.005)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _outcome(path: Path, status: int, cpu_seconds: float, late: float | None) -> Training:
    """What the child wrote; ``late`` is the limit that it ran into, if it did."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    path.unlink(missing_ok=True)
    if found is not None:
        return Training(**found, cpu_seconds=cpu_seconds)
    if late is not None:
        return Training(None, "time", f"more than {late:g} s", None, cpu_seconds)
    return Training(None, "memory", f"the process died: status {status}", None, cpu_seconds)


# --- in the child --------------------------------------------------------------------------------


def _run(order: Order, data: Path, tokens: int, path: Path) -> None:
    """Train and write how it went; never comes back."""
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        found = _trained(order, data, tokens)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.rename(path)
    finally:
        os._exit(0)


def _trained(order: Order, data: Path, tokens: int) -> dict[str, object]:
    import prepare

    conditions = {
        "data": str(data),
        "budget": {"kind": "tokens", "amount": tokens},
        "rng_seed": order.rng_seed,
        "depth_scale": order.depth_scale,
    }
    os.environ["EVORESEARCH_CONDITIONS"] = json.dumps(conditions)
    names: dict[str, object] = {"__name__": "__main__"}
    scores: list[float] = []
    sys.stdout = _Tee(scores)  # type: ignore[assignment]  # write and flush are all that print asks
    stage, reason = "scored", ""
    try:
        exec(compile(order.text, "train.py", "exec"), names)
    except SystemExit as error:
        stage, reason = "diverged" if "diverged" in str(error) else "train", str(error)[:200]
    except MemoryError:
        stage, reason = "memory", f"more than {_MEMORY_BYTES >> 20} MiB"
    except Exception as error:  # noqa: BLE001 (whatever a genome raises is the outcome)
        called = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
        stage = next((name for name, of in _STAGES if of & called), "train")
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if stage == "scored" and not scores:
        stage, reason = "evaluate", "no val_bpb was printed"
    deeper = None
    if stage == "scored" and order.asks_deeper:
        prepare._state.cache_clear()
        os.environ["EVORESEARCH_CONDITIONS"] = json.dumps(conditions | {"depth_scale": _DEEPER})
        deeper, reason = _builds(order.text)
    return {
        "val_bpb": scores[0] if stage == "scored" else None,
        "stage": stage,
        "reason": reason,
        "is_deeper": deeper,
    }


def _builds(text: str) -> tuple[bool, str]:
    """Whether the genome builds at the depth that the ruler now says, and reads a batch."""
    names: dict[str, object] = {"__name__": "genome"}
    try:
        exec(compile(text, "train.py", "exec"), names)
        model = names["build_model"]()  # type: ignore[operator]  # the contract says it is there
        with torch.no_grad():
            model(torch.zeros(2, 64, dtype=torch.long))
    except Exception as error:  # noqa: BLE001 (the same)
        return False, f"deeper: {type(error).__name__}: {error}".splitlines()[0][:200]
    return True, ""


class _Tee:
    """Standard output of a genome: keeps its score, drops the rest."""

    def __init__(self, scores: list[float]) -> None:
        self._scores = scores
        self._rest = ""

    def write(self, text: str) -> int:
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()[-1000:]
        for line in lines:
            if line.startswith("val_bpb:"):
                self._scores.append(float(line.split()[1]))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
