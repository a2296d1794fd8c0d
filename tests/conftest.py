"""Shared by all tests: one cache of prepared data, and real trainers that speak over real pipes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
import torch

from evolution.ruler import Ruler
from evolution.sandbox.line import PACKETS, is_sealed
from evolution.templates import template_path
from population import set_knobs

# An example that took long says nothing but that the machine was busy. Examples are the same at
# every run, so that a test which fails is a change's doing; `make test-all` draws new ones.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None)
hypothesis.settings.load_profile("same")

TRAINER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "68719476736",
    "MALLOC_TOP_PAD_": "268435456",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TORCHDYNAMO_DISABLE": "1",
}


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the whole test run, whatever the number of workers; never the user's own."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prepared"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVORESEARCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_data(cache: Path) -> Path:
    """The folder of the prepared ``tiny`` profile. Do not write to it."""
    return Ruler.load(template_path("prepare.py")).prepare("tiny").path


class TrainerProcess:
    """A trainer on the other side of the line, and the folder it works in."""

    def __init__(self, scratch: Path, environment: dict[str, str], *, has_harness: bool) -> None:
        theirs: tuple[int, ...] = ()
        if has_harness:
            self._packets, packets = socket.socketpair(socket.AF_UNIX, PACKETS)
            self._reads, their_writes = os.pipe()
            theirs = (packets.detach(), their_writes)
            environment = {**environment, "EVORESEARCH_HARNESS": f"{theirs[0]},{theirs[1]}"}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "train.py"],
            cwd=scratch,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=theirs,
        )
        for descriptor in theirs:
            os.close(descriptor)
        self._lines = os.fdopen(self._reads) if has_harness else None

    def go(self, descriptors: Sequence[int] = ()) -> None:
        socket.send_fds(self._packets, [b'{"type": "go"}'], list(descriptors))

    def handed_in(self, answer: dict) -> tuple[dict, dict]:
        """What it hands in next, message and state; it goes on with the answer."""
        data, descriptors, _, _ = socket.recv_fds(self._packets, 65_536, 1)
        assert is_sealed(descriptors[0])
        with os.fdopen(descriptors[0], "rb") as state:
            learnt = torch.load(state, weights_only=True)
        self._packets.send(json.dumps(answer).encode())
        return json.loads(data), learnt

    def message(self) -> dict | None:
        """The next message; None when the trainer has closed its end."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def messages(self) -> list[dict]:
        """All that are still to come; each start or batch is answered by go."""
        received = []
        while message := self.message():
            received.append(message)
            if message["type"] in ("start", "batch"):
                self.go()
        return received

    def hang_up(self) -> None:
        """Close both ends, as a supervisor that dies does."""
        if self._lines is not None:
            self._lines.close()
            self._packets.close()
            self._lines = None

    def end(self) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        out, err = self.process.communicate(timeout=120)
        self.hang_up()
        return self.process.returncode, out, err


@pytest.fixture
def start_trainer(tmp_path: Path, tiny_data: Path) -> Iterator[Callable[..., TrainerProcess]]:
    """Start a genome as a trainer does: ``start_trainer(text, budget=…, harness=True, …)``."""
    started: list[TrainerProcess] = []

    def start(text: str, *, harness: bool = False, **conditions: object) -> TrainerProcess:
        scratch = tmp_path / f"scratch-{len(started)}"
        scratch.mkdir()
        (scratch / "train.py").write_text(text, encoding="utf-8")
        shutil.copyfile(template_path("prepare.py"), scratch / "prepare.py")
        given = {"data": str(tiny_data), "rng_seed": 1, **conditions}
        environment = {
            **{name: os.environ[name] for name in ("PATH", "EVORESEARCH_CACHE")},
            **TRAINER_ENVIRONMENT,
            "EVORESEARCH_CONDITIONS": json.dumps(given),
            "HOME": str(scratch),
        }
        started.append(TrainerProcess(scratch, environment, has_harness=harness))
        return started[-1]

    yield start
    for trainer in started:
        trainer.process.kill()
        trainer.process.communicate()
        trainer.hang_up()


@pytest.fixture(scope="session")
def tiny_genome() -> str:
    """The baseline at the sizes of the ``tiny`` profile."""
    text = template_path("train.py").read_text(encoding="utf-8")
    return set_knobs(text, {"DEPTH": 1, "WIDTH": 64})
