"""Short trainings by the thousand: each in a process of its own, forked where torch is loaded.

A fork starts in milliseconds where an interpreter needs a second or two. What a genome does to its
process ends with it: time, memory and files are limited, and its word for how it went is a file.
Not a sandbox: use it for proposals of operators alone, never for those of people or models.
"""

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

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


def train_all(
    texts: Sequence[str], *, data: Path, steps_tokens: int, folder: Path, workers: int, limit: float
) -> Iterator[tuple[int, Training]]:
    """Train each text for so many tokens; yields index and outcome as they end.

    Args:
        texts: Genomes of one file.
        data: Folder of the prepared profile.
        steps_tokens: Tokens of a training.
        folder: Holds ``prepare.py``; scratch of the trainings.
        workers: Processes at once.
        limit: Wall seconds of one; it is killed then.
    """
    waiting = list(enumerate(texts))[::-1]
    running: dict[int, tuple[int, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, text = waiting.pop()
                pid = os.fork()
                if pid == 0:
                    _run(text, data, steps_tokens, folder / f"{index}.json")
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


def _run(text: str, data: Path, tokens: int, path: Path) -> None:
    """Train and write how it went; never comes back."""
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        found = _trained(text, data, tokens)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.rename(path)
    finally:
        os._exit(0)


def _trained(text: str, data: Path, tokens: int) -> dict[str, object]:
    import prepare

    conditions = {
        "data": str(data),
        "budget": {"kind": "tokens", "amount": tokens},
        "rng_seed": 1,
    }
    os.environ["EVORESEARCH_CONDITIONS"] = json.dumps(conditions)
    names: dict[str, object] = {"__name__": "__main__"}
    scores: list[float] = []
    sys.stdout = _Tee(scores)  # type: ignore[assignment]  # write and flush are all that print asks
    stage, reason = "scored", ""
    try:
        exec(compile(text, "train.py", "exec"), names)
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
    if stage == "scored":
        prepare._state.cache_clear()
        os.environ["EVORESEARCH_CONDITIONS"] = json.dumps(conditions | {"depth_scale": _DEEPER})
        deeper, why = _builds(text)
        reason = why
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
