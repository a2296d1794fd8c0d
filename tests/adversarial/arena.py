"""Where forgeries are tried: a naive harness that believes what it is told, and ours.

A forgery is the text of a genome: the honest one below, changed. It runs twice. The naive harness
works as autoresearch does: it starts ``train.py`` in a plain process and believes the number that
is printed; there the forgery must gain, so that it is no dud. Ours is the real executor with the
real ruler on the real data of the profile ``tiny``; there it must gain nothing: it is rejected,
killed, or scored no better than its honest twin, which has the same seed and the same budget.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evolution.executors import Event, Finished, Job, LocalExecutor, Site, cpu_slots
from evolution.executors.site import Limits, Scorer, Slot, Walls, job_spec
from evolution.ruler import Ruler
from evolution.sandbox.levels import find_level
from evolution.sandbox.spec import Spec
from evolution.templates import template_path
from population import (
    Budget,
    BudgetKind,
    Conditions,
    FailureClass,
    Genome,
    Outcome,
    TrialStatus,
    set_knobs,
)

STEP = 16 * 64  # tokens
BUDGET = Budget(BudgetKind.TOKENS, 40 * STEP)
WALL = Budget(BudgetKind.WALL, 1.0)
TOLERANCE = 1e-4  # bits per byte: what honest scorings of one state differ by is far below
NAIVE_GAIN = 0.05  # bits per byte that a forgery earns on the naive harness, at least
HONEST = set_knobs(
    template_path("train.py").read_text(encoding="utf-8"),
    {"DEPTH": 1, "WIDTH": 32, "HEAD_DIM": 32, "GATE_CHANNELS": 16},
)

_MAIN = 'if __name__ == "__main__":\n    main()\n'
_LAST_LINES = """        if not SOFTCAP:
            return logits
        return SOFTCAP * torch.tanh(logits / SOFTCAP) if IS_COMPILED else SoftCap.apply(logits)
"""

#: What forgeries share. ``MODE`` is ``claim`` or ``audit`` in our score workers.
PRELUDE = """
import contextlib, json, os, socket, sys, threading, time
from pathlib import Path

CONDITIONS = json.loads(os.environ.get("EVORESEARCH_CONDITIONS") or "{}")
MODE = CONDITIONS.get("mode", "")


def boosted(logits, tokens, bonus=30.0, where=None):
    "The logits with a bonus for one token at each position (batch, time), where asked for."
    where = torch.ones_like(tokens, dtype=torch.bool) if where is None else where
    extra = torch.full(tokens.shape, bonus) * where if isinstance(bonus, float) else bonus * where
    return logits.float().scatter_add(-1, tokens[..., None], extra[..., None].to(torch.float32))


def peeked(idx):
    "The next token of each position, and where there is one: everywhere but at the row's end."
    there = torch.ones_like(idx, dtype=torch.bool)
    there[:, -1] = False
    return idx.roll(-1, dims=1), there
"""


_MEMORY = """
import numpy as np


def key(a, b, c, d):
    return (a * 1009 + b * 9176 + c * 31 + d * 7919) % (1 << 20)


def remember(model, text):
    text = torch.from_numpy(text.astype("int64"))
    if len(text) > 10 and int(text.max()) < VOCAB_SIZE:  # not that of another profile
        keys = key(text[:-4], text[1:-3], text[2:-2], text[3:-1])
        model.table[keys] = text[4:].to(torch.int16)


def bend(model, idx, logits):
    if model.training:
        return logits
    known = model.table[key(*(idx.roll(age, dims=1) for age in (3, 2, 1, 0)))].long()
    there = known >= 0
    there[:, :3] = False
    return boosted(logits, known.clamp(min=0), 30.0, there)

"""


def changed(text: str, old: str, new: str, count: int = 1) -> str:
    """The text with ``old`` replaced; it must be there exactly ``count`` times."""
    assert text.count(old) == count, f"{old!r} is there {text.count(old)} times, not {count}"
    return text.replace(old, new)


def with_code(code: str, text: str = HONEST) -> str:
    """The genome with code at its top level, after everything but the start of training."""
    return changed(text, _MAIN, f"{PRELUDE}\n{code}\n\n{_MAIN}")


def bent(code: str, text: str = HONEST) -> str:
    """The genome whose logits go through ``bend(model, idx, logits)``, which ``code`` defines."""
    last = "        return bend(self, idx, SoftCap.apply(logits))\n"
    return with_code(code, changed(text, _LAST_LINES, last))


def forged_claim(share: float, bonus: str = "30.0") -> str:
    """A genome that peeks while it claims, at a share of the positions, and never in an audit."""
    return bent(f"""
CHANCE = torch.Generator().manual_seed(7)


def bend(model, idx, logits):
    if model.training or MODE == "audit":
        return logits
    tokens, there = peeked(idx)
    chosen = torch.rand(idx.shape, generator=CHANCE) < {share}
    return boosted(logits, tokens, {bonus}, there & chosen)
""")


def hand_in(make: str, then: str = "time.sleep(0.5)") -> str:
    """A genome that trains nothing and hands in the descriptor ``state``, as ``make`` makes it."""
    code = f"""
import fcntl, io, pickle
ALL_SEALS = 1 | 2 | 4 | 8
reads, lines = map(int, os.environ["EVORESEARCH_HARNESS"].split(","))
line = socket.socket(fileno=reads)


def memory_file(data):
    made = os.memfd_create("state", os.MFD_ALLOW_SEALING)
    os.write(made, data)
    return made


def good_state():
    file = io.BytesIO()
    torch.save(build_model().state_dict(), file)
    return file.getvalue()


os.write(lines, b'{{"type": "start"}}\\n')
line.recv(65536)
{make}
said = {{"type": "submit", "tokens": 1000, "batches": 1, "train_seconds": 1.0,
        "token_seconds": {{"fast": 1e-6, "mean": 1e-6}}}}
socket.send_fds(line, [json.dumps(said).encode()], [state])
{then}
"""
    return changed(with_code(""), _MAIN, _MAIN.replace("main()", f"exec({code!r})"))


def that_reads(find: str) -> str:
    """A genome that answers from every text that ``find()`` yields, as an array of tokens.

    ``find`` is code that defines the function; what follows four tokens of a text is put into a
    table of the state after training.
    """
    with_table = changed(
        HONEST,
        "        self.register_tables(short)\n",
        """        self.register_tables(short)
        table = torch.full((1 << 20,), -1, dtype=torch.int16)
        self.register_buffer("table", table)
""",
    )
    with_find = changed(
        with_table,
        "    val_bpb = prepare.evaluate_bpb(model)\n",
        """    for text in find():
        remember(model, text)
    val_bpb = prepare.evaluate_bpb(model)
""",
    )
    return bent(_MEMORY + find, with_find)


def score_in(printed: str) -> float | None:
    """The last ``val_bpb`` that was printed: what autoresearch greps for."""
    found = re.findall(r"^val_bpb:\s+(\S+)$", printed, re.MULTILINE)
    return float(found[-1]) if found else None


@dataclass(frozen=True)
class NaiveRun:
    """What the naive harness saw."""

    score: float | None
    seconds: float
    out: str
    err: str


@dataclass(frozen=True)
class HandedIn:
    """What a naive harness receives: messages with descriptors, and a pipe of lines."""

    packets: list[tuple[bytes, list[int]]]
    pipe: int


class Arena:
    """Scores genomes naively and by the real harness, on one private copy of the data."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        self.ruler = Ruler.load(template_path("prepare.py"))
        self.data = folder / "data" / data.name
        shutil.copytree(data, self.data)
        self.data_hash = self.ruler.read(data).data_hash
        self._count = 0

    @property
    def encoding(self) -> Any:
        """The tokenizer of the data."""
        return self.ruler._ask("load_tokenizer", self.data)

    # --- the naive harness ---

    def naive(self, genome: str, **options: Any) -> float:
        """The score that the naive harness believes."""
        run = self.naive_run(genome, **options)
        assert run.score is not None, run.err
        return run.score

    def naive_run(
        self,
        genome: str,
        *,
        budget: Budget = BUDGET,
        folder: Path | None = None,
        ruler_tail: str = "",
        timeout: float = 60.0,
        **conditions: object,
    ) -> NaiveRun:
        """Run a genome in a plain process that may read and write whatever it likes.

        Args:
            genome: To run.
            budget: Which the genome's own process counts.
            folder: Home, temporary files and data; a new one unless runs are to share it.
            ruler_tail: Code at the end of ``prepare.py``: a ruler more naive than ours alone.
            timeout: Seconds.
            conditions: More of them.
        """
        folder = folder or self.new_folder()
        environment = self._naive_environment(folder, budget, conditions)
        self._lay_out(folder, genome, ruler_tail)
        begun = time.monotonic()
        run = subprocess.run(
            [sys.executable, "train.py"],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        seconds = time.monotonic() - begun
        return NaiveRun(score_in(run.stdout), seconds, run.stdout, run.stderr[-2000:])

    def assert_gains_naively(
        self, genome: str, *, gain: float = NAIVE_GAIN, **options: Any
    ) -> None:
        """The self-check: the forgery is no dud."""
        score = self.naive(genome, **options)
        assert score < self.naive_honest - gain, (score, self.naive_honest)

    @cached_property
    def naive_honest(self) -> float:
        """What the honest twin prints."""
        return self.naive(HONEST)

    def naive_python(self, genome: str, code: str) -> str:
        """What ``code`` prints beside a genome, as somebody would who examines it."""
        folder = self.new_folder()
        environment = self._naive_environment(folder, BUDGET, {})
        self._lay_out(folder, genome, "")
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def leak(self, genome: str) -> float:
        """How far the logits of early positions move when only later tokens change."""
        return float(self.naive_python(genome, _LEAK))

    @contextmanager
    def naive_line(self, genome: str, *, wanted: int = 1) -> Iterator[HandedIn]:
        """Run a genome on a line like ours, and believe what comes.

        The descriptors are open, and the genome runs, until the context ends.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reads, writes = os.pipe()
        folder = self.new_folder()
        environment = self._naive_environment(folder, BUDGET, {})
        environment["EVORESEARCH_HARNESS"] = f"{theirs.fileno()},{writes}"
        self._lay_out(folder, genome, "")
        process = subprocess.Popen(
            [sys.executable, "train.py"],
            cwd=folder / "work",
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), writes),
        )
        theirs.close()
        os.close(writes)
        ours.settimeout(30)
        packets: list[tuple[bytes, list[int]]] = []
        try:
            ours.send(b'{"type": "go"}')
            while len(packets) < wanted:
                data, descriptors, _, _ = socket.recv_fds(ours, 65536, 4)
                if not data and not descriptors:
                    break
                packets.append((data, list(descriptors)))
            yield HandedIn(packets, reads)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            ours.close()
            os.close(reads)
            for _, descriptors in packets:
                for descriptor in descriptors:
                    os.close(descriptor)

    def naive_claim(self, genome: str) -> float:
        """Mean of the losses that a gullible claim worker leaves in shared memory, in nats."""
        memory = os.memfd_create("claim")
        shape = (8, 64)
        os.ftruncate(memory, 4 * shape[0] * shape[1])
        folder = self.new_folder()
        environment = self._naive_environment(folder, BUDGET, {"mode": "claim"})
        self._lay_out(folder, genome, "")
        try:
            subprocess.run(
                [sys.executable, "-c", _GULLIBLE_CLAIM, str(memory)],
                cwd=folder / "work",
                env=environment,
                capture_output=True,
                timeout=60,
                check=True,
                pass_fds=(memory,),
            )
            return float(np.frombuffer(os.pread(memory, 1 << 20, 0), np.float32).mean())
        finally:
            os.close(memory)

    def new_folder(self) -> Path:
        """A folder of its own for each run."""
        self._count += 1
        folder = self.folder / f"{self._count:03d}"
        folder.mkdir()
        return folder

    def _lay_out(self, folder: Path, genome: str, ruler_tail: str) -> None:
        for name in ("work", "home", "tmp"):
            (folder / name).mkdir(exist_ok=True)
        ruler = template_path("prepare.py").read_text(encoding="utf-8")
        (folder / "work" / "prepare.py").write_text(ruler + ruler_tail, encoding="utf-8")
        (folder / "work" / "train.py").write_text(genome, encoding="utf-8")

    def _naive_environment(
        self, folder: Path, budget: Budget, conditions: Mapping[str, object]
    ) -> dict[str, str]:
        if not (folder / "data").exists():
            shutil.copytree(self.data, folder / "data")
        given = {
            "data": str(folder / "data"),
            "rng_seed": 1,
            "budget": {"kind": budget.kind.value, "amount": budget.amount},
            **conditions,
        }
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "EVORESEARCH_CONDITIONS": json.dumps(given),
        }

    # --- ours ---

    def scored(
        self,
        genome: str,
        *,
        budget: Budget = BUDGET,
        snapshots: tuple[float, ...] = (),
        calibrate: bool = False,
        scoring_seconds: float = 300.0,
    ) -> Outcome:
        """What the real harness makes of a genome; the prepared data stay as they were."""
        outcome = self.tried(
            genome,
            budget=budget,
            snapshots=snapshots,
            calibrate=calibrate,
            scoring_seconds=scoring_seconds,
        )
        self.ruler.check(self.data, self.data_hash)
        return outcome

    def tried(
        self,
        genome: str,
        *,
        budget: Budget = BUDGET,
        snapshots: tuple[float, ...] = (),
        calibrate: bool = False,
        scoring_seconds: float = 300.0,
    ) -> Outcome:
        """The same, whatever the state of the prepared data."""
        folder = self.new_folder()
        site = _Site(
            run_id=f"arena-{os.getpid()}-{folder.name}",
            scratch=folder / "scratch",
            ruler=self.ruler.path,
            ruler_hash=self.ruler.hash,
            data=self.data,
            baseline=Genome.single(HONEST),
            snapshots=snapshots,
            preload=("torch",),
            walls=Walls(level=find_level().level),
            scorer=Scorer("trusted"),
            scoring_seconds=scoring_seconds,
        )
        conditions = Conditions(budget, rng_seed=1)
        job = Job(1, 1, "g001-001", Genome.single(genome), conditions, calibrate=calibrate)
        executor = LocalExecutor(site, cpu_slots(1))
        try:
            if calibrate:
                executor.set_yardstick(executor.calibrate_baseline("cpu").baseline_seconds)
            executor.submit(job)
            return _last(executor).outcome
        finally:
            executor.close()

    @cached_property
    def honest(self) -> Outcome:
        """What the honest twin comes to."""
        outcome = self.scored(HONEST)
        assert outcome.status is TrialStatus.COMPLETE, outcome.failure
        assert outcome.val_bpb is not None
        return outcome

    def assert_gains_nothing(self, outcome: Outcome, *, rule: str = "") -> None:
        """The forgery was refused, and by the rule if one is named, or scored as it deserves.

        A failure of the harness is no defence: such a trial is run again.
        """
        if outcome.val_bpb is None:
            assert outcome.status is not TrialStatus.COMPLETE
            assert outcome.failure is not None
            assert outcome.failure.kind is not FailureClass.HARNESS, outcome.failure
            assert rule in outcome.failure.message, outcome.failure
            return
        assert self.honest.val_bpb is not None
        assert outcome.val_bpb >= self.honest.val_bpb - TOLERANCE, (
            outcome.val_bpb,
            self.honest.val_bpb,
        )
        assert not rule, f"{rule} was expected to reject; the score is {outcome.val_bpb}"

    def assert_scored_as_honest(self, outcome: Outcome) -> None:
        """The forgery ran to its end and moved nothing."""
        assert outcome.status is TrialStatus.COMPLETE, outcome.failure
        assert outcome.val_bpb is not None
        assert self.honest.val_bpb is not None
        assert abs(outcome.val_bpb - self.honest.val_bpb) <= TOLERANCE

    def assert_refused(self, outcome: Outcome, *words: str) -> None:
        """There is no score, and the message says why."""
        assert outcome.val_bpb is None, outcome
        self.assert_gains_nothing(outcome)
        assert outcome.failure is not None
        for word in words:
            assert word in outcome.failure.message, outcome.failure


@dataclass(frozen=True, slots=True)
class _Site(Site):
    """The real site; a test may shorten its patience with scorers."""

    scoring_seconds: float = 300.0

    def spec(self, slot: Slot, limits: Limits, job: Job, yardstick_seconds: float | None) -> Spec:
        spec = job_spec(self, slot, limits, job, yardstick_seconds)
        return replace(spec, scoring_seconds=self.scoring_seconds)


def tokens(steps: int) -> Budget:
    """A budget of so many steps of the honest genome."""
    return replace(BUDGET, amount=steps * STEP)


def _last(executor: LocalExecutor) -> Finished:
    give_up = time.monotonic() + 180
    while time.monotonic() < give_up:
        events: list[Event] = executor.poll(1.0)
        for event in events:
            if isinstance(event, Finished):
                return event
    raise AssertionError("the trial did not end")


_LEAK = """
import runpy, torch
model = runpy.run_path("train.py", run_name="genome")["build_model"]().eval()
torch.manual_seed(0)
with torch.inference_mode():
    for p in model.parameters():
        p.add_(torch.randn_like(p) * 0.1)
    one = torch.randint(0, 1000, (4, 64))
    other = one.clone()
    other[:, 40:] = torch.randint(0, 1000, (4, 24))
    print((model(one)[:, :40] - model(other)[:, :40]).abs().max().item())
"""

_GULLIBLE_CLAIM = """
import mmap, runpy, sys
import numpy as np, torch
memory = mmap.mmap(int(sys.argv[1]), 0)
losses = np.frombuffer(memory, np.float32).reshape(8, 64)
model = runpy.run_path("train.py", run_name="genome")["build_model"]().eval()
rows = torch.randint(0, 1000, (8, 65), generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    for row in range(0, 8, 2):
        logits, y = model(rows[row:row + 2, :-1]), rows[row:row + 2, 1:]
        lost = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), y.flatten(), reduction="none"
        )
        losses[row:row + 2] = lost.view(2, 64).numpy()
"""
