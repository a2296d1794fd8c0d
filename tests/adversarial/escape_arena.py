"""Where escapes are tried: a ground with things worth taking, a plain process, and a box.

An escape is the text of a program. It runs twice. In a plain process it must do its harm, so that
it is no dud; in a box it must do none. Harm is looked for from outside: in a file, a process, a
socket or a database that the program should not reach, or as the ground's secret in its output.
"""

import contextlib
import json
import os
import platform
import secrets
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from evolution.executors import Finished, Limits, LocalExecutor, Started, cpu_slots
from evolution.executors.site import Walls
from evolution.sandbox.bubblewrap import box_command
from evolution.sandbox.confinement import Policy, system_listable, system_readable
from evolution.sandbox.environment import MARKER, trainer_environment
from evolution.sandbox.levels import Level, works
from population import FailureClass, Outcome
from tests.evolution.executor_contract import a_job, a_site

LEVELS = ("namespace", "landlock")
BEGUN = "the escape begins"
LACKS = "this kernel lacks it: "
ATTEMPT_SECONDS = 30.0
WORKSPACE_MB = 64.0
NOTHING: Mapping[str, object] = MappingProxyType({})

PACKAGE = Path(__file__).parents[2] / "evolution"

#: What every escape finds: the ground's facts, raw system calls, and a way to go on after a no.
PRELUDE = """
import contextlib, ctypes, errno, json, os, signal, socket, struct, sys, time

GROUND = json.loads({facts!r})
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def syscall(number, *arguments):
    "The result, or minus the error."
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    return -ctypes.get_errno() if result == -1 else result


def lacks(reason):
    print({lacks!r} + reason, flush=True)
    sys.exit(0)


@contextlib.contextmanager
def a_try(what):
    try:
        yield
        print("done:", what, flush=True)
    except Exception as error:
        print("refused:", what, repr(error), flush=True)


print({begun!r}, flush=True)
"""

#: The victim: a process outside that holds the secret in its memory, environment and open file.
VICTIM = """
import ctypes, os, sys
secret = os.environ["OUTSIDE_API_KEY"].encode()
held = ctypes.create_string_buffer(secret)
file = os.memfd_create("held")
os.write(file, secret)
print(ctypes.addressof(held), file, flush=True)
sys.stdin.read()
"""

#: The parent of what runs: it holds the secret, as a careless supervisor would.
GUARDIAN = """
import json, os, subprocess, sys
spec = json.loads(sys.stdin.readline())
sys.exit(abs(subprocess.call(spec["command"], env=spec["environment"], cwd=spec["folder"],
                             stdin=subprocess.DEVNULL, pass_fds=spec["descriptors"])))
"""

#: What a box starts: it locks the door behind itself, then becomes the program.
INMATE = """
import json, os, sys
from evolution.sandbox.confinement import Policy, confine_self
policy, program = json.loads(sys.argv[1]), sys.argv[2]
os.chdir(policy["writable"][0])
confine_self(Policy.from_dict(policy))
with open(program, encoding="utf-8") as file:
    text = file.read()
exec(compile(text, "train.py", "exec"), {"__name__": "__main__"})
"""


@dataclass(frozen=True)
class Attempt:
    """What one run of an escape came to, as seen from outside.

    ``survivors`` are the processes that lived on after it; they have been killed since. The peaks
    are those of its processes together, sampled; zero where nobody watched.
    """

    output: str
    exit_code: int
    survivors: tuple[int, ...]
    process_peak: int = 0
    thread_peak: int = 0
    memory_peak_mb: float = 0.0
    outcome: Outcome | None = None
    supervisor_peak_mb: float = 0.0
    supervisor_descriptors: int = 0
    is_scratch_empty: bool = True


@dataclass
class Ground:
    """A folder outside the box, with what lies around on a machine that searches."""

    root: Path
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        for folder in ("home/.ssh", "runs/this", "runs/other", "work/genome", "work/scratch"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "work/scratch").chmod(0o777)
        for name in ("home/.ssh/id_ed25519", "home/.netrc", "runs/this/evolve.toml"):
            (self.root / name).write_text(f"key = {self.secret}\n", encoding="utf-8")
        for run in ("this", "other"):
            self._make_run(self.root / "runs" / run)

    def _make_run(self, folder: Path) -> None:
        with contextlib.closing(sqlite3.connect(folder / "run.db")) as database, database:
            database.execute("create table trial (id integer, val_bpb real, note text)")
            database.execute("insert into trial values (1, 1.5, ?)", (self.secret,))
        for name in ("events.jsonl", "prepare.py", "train.py"):
            (folder / name).write_text(f"# {self.secret}\n", encoding="utf-8")
        repository = folder / "population.git"
        subprocess.run(["git", "init", "-q", "--bare", repository], check=True, timeout=30)
        (repository / "description").write_text(self.secret, encoding="utf-8")

    @cached_property
    def victim(self) -> subprocess.Popen[str]:
        """A process outside, with the secret in its memory, environment and open file."""
        victim = subprocess.Popen(
            [sys.executable, "-IS", "-c", VICTIM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"OUTSIDE_API_KEY": self.secret},
            start_new_session=True,
        )
        self.stack.callback(_end, victim)
        return victim

    @cached_property
    def held_at(self) -> tuple[int, int]:
        """Where the victim holds the secret: address and descriptor."""
        assert self.victim.stdout is not None
        address, descriptor = map(int, self.victim.stdout.readline().split())
        return address, descriptor

    def facts(self) -> dict[str, object]:
        """What the program is told: everything but the secret. An attacker knows the house."""
        address, descriptor = self.held_at
        return {
            "root": str(self.root),
            "victim": self.victim.pid,
            "address": address,
            "descriptor": descriptor,
            "engine": os.getpid(),
            "length": len(self.secret),
        }

    def path(self, name: str) -> Path:
        """A path below the ground."""
        return self.root / name

    def contents(self) -> dict[str, bytes]:
        """Every file outside the box, by its name."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and "work" not in path.relative_to(self.root).parts
        }

    def victim_is_well(self) -> bool:
        """Whether the process outside still lives, and is not stopped."""
        alive = self.victim.poll() is None
        return alive and psutil.Process(self.victim.pid).status() in ("sleeping", "running")

    def environment(self) -> dict[str, str]:
        """The environment of someone who has keys."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path("home")),
            "OUTSIDE_API_KEY": self.secret,
            "OUTSIDE_DATABASE_URL": f"postgres://u:{self.secret}@host/db",
        }


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def unconfined(
    program: str, ground: Ground, *, is_watched: bool = False, descriptors: tuple[int, ...] = ()
) -> Attempt:
    """Run the program as a plain process that has everything its parent has."""
    path = _write(program, ground)
    marker = _marker()
    environment = {**ground.environment(), MARKER: marker}
    command = [sys.executable, "-s", str(path)]
    return _watch(command, environment, marker, ground, is_watched, descriptors)


def confined(
    program: str, level: str, ground: Ground, *, is_watched: bool = False, data_mb: int = 640
) -> Attempt:
    """Run the program in a box of this level, in the ground's scratch folder."""
    path, scratch = _write(program, ground), ground.path("work/scratch")
    readable = (*system_readable(), str(path.parent))
    policy = Policy(
        level, readable, (str(scratch),), listable=system_listable(), data_bytes=data_mb << 20
    )
    marker = _marker()
    environment = trainer_environment(marker, scratch, source=ground.environment())
    command = box_command(
        level,
        [sys.executable, "-P", "-s", "-c", INMATE, json.dumps(policy.to_dict()), str(path)],
        readable=readable,
        devices=(),
        workspace=str(scratch),
        workspace_bytes=round(WORKSPACE_MB) << 20,
    )
    environment["PYTHONPATH"] = str(PACKAGE.parent)
    return _watch(command, environment, marker, ground, is_watched)


def in_a_trial(
    program: str, level: str, ground: Ground, *, is_watched: bool = False, memory_mb: float = 640
) -> Attempt:
    """Run the program as the genome of a trial, by the executor that runs searches."""
    site = replace(a_site(ground.path("work")), walls=Walls(level=level, workspace_mb=WORKSPACE_MB))
    for folder in (site.data, site.logs):
        assert folder is not None
        folder.mkdir(exist_ok=True)
    share = memory_mb * 2**20 / psutil.virtual_memory().total
    limits = Limits(
        startup_seconds=ATTEMPT_SECONDS / 2, token_seconds=ATTEMPT_SECONDS / 2, memory_share=share
    )
    marker = f"{site.run_id}/1"
    peaks = Peaks(marker)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ground.environment().items():
            if name.startswith("OUTSIDE"):
                patch.setenv(name, value)
        executor = LocalExecutor(site, cpu_slots(1), limits=limits)
        try:
            with peaks if is_watched else contextlib.nullcontext():
                outcome = _outcome(executor, program, peaks)
            survivors = tuple(_alive(marker))
        finally:
            executor.close()
            _kill_all(marker)
    assert site.logs is not None
    log = "".join(path.read_text(encoding="utf-8") for path in site.logs.iterdir())
    is_harness = outcome.failure is not None and outcome.failure.kind is FailureClass.HARNESS
    return Attempt(
        f"{log}\n{outcome}",
        -1 if is_harness else 0,
        survivors,
        peaks.processes,
        peaks.threads,
        peaks.memory_mb,
        outcome,
        peaks.supervisor_mb,
        peaks.supervisor_descriptors,
        list(site.scratch.iterdir()) == [],
    )


def _outcome(executor: LocalExecutor, program: str, peaks: "Peaks") -> Outcome:
    executor.submit(a_job(program))
    give_up = time.monotonic() + 4 * ATTEMPT_SECONDS
    while time.monotonic() < give_up:
        for event in executor.poll(1.0):
            if isinstance(event, Started):
                peaks.supervisor = event.supervisor_pid
            if isinstance(event, Finished):
                return event.outcome
    raise AssertionError("the trial does not end")


def _marker() -> str:
    return f"escape-{secrets.token_hex(8)}/1"


def _write(program: str, ground: Ground) -> Path:
    path = ground.path("work/genome/train.py")
    path.write_text(program, encoding="utf-8")
    return path


def _watch(
    command: list[str],
    environment: Mapping[str, str],
    marker: str,
    ground: Ground,
    is_watched: bool,
    descriptors: tuple[int, ...] = (),
) -> Attempt:
    """Run a command below a guardian; what it printed, and what of it is left."""
    spec = {
        "command": command,
        "environment": environment,
        "folder": str(ground.path("work/scratch")),
        "descriptors": descriptors,
    }
    peaks = Peaks(marker)
    with tempfile.TemporaryFile() as output, peaks if is_watched else contextlib.nullcontext():
        guardian = subprocess.Popen(
            [sys.executable, "-IS", "-c", GUARDIAN],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={"OUTSIDE_API_KEY": ground.secret, MARKER: marker},
            pass_fds=descriptors,
            start_new_session=True,
        )
        assert guardian.stdin is not None
        guardian.stdin.write(json.dumps(spec).encode() + b"\n")
        guardian.stdin.close()
        try:
            exit_code = guardian.wait(ATTEMPT_SECONDS)
        except subprocess.TimeoutExpired:
            exit_code = -signal.SIGALRM
        survivors = tuple(_alive(marker))
        _kill_all(marker)
        guardian.wait()
        output.seek(0)
        text = output.read(1 << 22).decode("utf-8", errors="replace")
    return Attempt(text, exit_code, survivors, peaks.processes, peaks.threads, peaks.memory_mb)


def a_line_to_nobody(program: str, ground: Ground) -> tuple[int, int]:
    """Run the program on a line whose other end takes all: bytes and descriptors taken."""
    path = _write(program, ground)
    packets, their_packets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    news, their_news = os.pipe()
    line = f"{their_packets.fileno()},{their_news}"
    process = subprocess.Popen(
        [sys.executable, "-s", str(path)],
        env={"PATH": os.environ["PATH"], "EVORESEARCH_HARNESS": line},
        pass_fds=(their_packets.fileno(), their_news),
        stdout=subprocess.DEVNULL,
    )
    their_packets.close()
    os.close(their_news)
    taken = descriptor_count = 0
    with packets, selectors.DefaultSelector() as selector:
        for end in (packets.fileno(), news):
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(ATTEMPT_SECONDS):
                if key.fd == news:
                    data, descriptors = os.read(news, 1 << 18), []
                else:
                    data, descriptors, _, _ = socket.recv_fds(packets, 1 << 18, 253)
                if not data:
                    selector.unregister(key.fd)
                taken, descriptor_count = taken + len(data), descriptor_count + len(descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
    os.close(news)
    process.wait(ATTEMPT_SECONDS)
    return taken, descriptor_count


class Peaks:
    """Samples the processes of one marker until it is left."""

    def __init__(self, marker: str) -> None:
        self.processes = self.threads = 0
        self.memory_mb = self.supervisor_mb = 0.0
        self.supervisor: int | None = None
        self.supervisor_descriptors = 0
        self._marker = marker
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(0.02):
            members = _alive(self._marker)
            self.processes = max(self.processes, len(members))
            self.threads = max(self.threads, sum(map(_thread_count, members)))
            self.memory_mb = max(self.memory_mb, sum(map(_resident_mb, members)))
            if self.supervisor is not None:
                self.supervisor_mb = max(self.supervisor_mb, _resident_mb(self.supervisor))
                self.supervisor_descriptors = max(
                    self.supervisor_descriptors, _descriptor_count(self.supervisor)
                )


def _thread_count(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).num_threads()
    return 0


def _descriptor_count(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).num_fds())
    return 0


def _resident_mb(pid: int) -> float:
    with contextlib.suppress(psutil.Error):
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    return 0.0


def _alive(marker: str) -> list[int]:
    """Processes, not yet dead, that carry the marker in their environment."""
    return [pid for pid in psutil.pids() if _is_marked(pid, marker)]


def _is_marked(pid: int, marker: str) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARKER}={marker}".encode() in environ.split(b"\0")


def _kill_all(marker: str) -> None:
    give_up = time.monotonic() + 20
    while (members := _alive(marker)) and time.monotonic() < give_up:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


class EscapeContract:
    """Subclass it with ``program``, and ``harm`` where the secret in the output is not the proof.

    Attributes:
        program: What tries to get out. It finds ``PRELUDE`` before itself.
        is_watched: True to sample the processes while it runs.
        needs_x86: True where it makes system calls by their numbers.
    """

    program = ""
    is_watched = False
    needs_x86 = False

    @pytest.fixture
    def ground(self) -> Iterator[Ground]:
        # Not below tmp_path: its name is long, and a named socket's must be short.
        with tempfile.TemporaryDirectory(prefix="ground-", ignore_cleanup_errors=True) as folder:
            ground = Ground(Path(folder).resolve())
            with ground.stack:
                yield ground

    def prepare(self, ground: Ground) -> Mapping[str, object]:
        """Put up what the escape goes for; what the program is told of it."""
        return NOTHING

    def harm(self, ground: Ground, attempt: Attempt) -> str:
        """What was done to the outside; "" for nothing."""
        return "it printed the secret" if ground.secret in attempt.output else ""

    def text(self, ground: Ground) -> str:
        """The whole program."""
        if self.needs_x86 and platform.machine() != "x86_64":
            pytest.skip("its system calls are numbered for x86_64")
        facts = json.dumps({**ground.facts(), **self.prepare(ground)})
        return PRELUDE.format(facts=facts, lacks=LACKS, begun=BEGUN) + self.program

    def test_it_works_where_there_is_no_box(self, ground: Ground):
        attempt = unconfined(self.text(ground), ground, is_watched=self.is_watched)
        _skip_if_lacking(attempt)
        assert BEGUN in attempt.output, attempt.output
        assert self.harm(ground, attempt), attempt

    @pytest.mark.parametrize("level", LEVELS)
    def test_it_does_no_harm_in_a_box(self, ground: Ground, level: str):
        skip_unless_works(level)
        attempt = confined(self.text(ground), level, ground, is_watched=self.is_watched)
        assert BEGUN in attempt.output, attempt.output
        assert self.harm(ground, attempt) == "", attempt
        assert attempt.survivors == ()
        assert ground.victim_is_well()

    @pytest.mark.slow
    @pytest.mark.parametrize("level", LEVELS)
    def test_it_does_no_harm_in_a_trial(self, ground: Ground, level: str):
        skip_unless_works(level)
        attempt = in_a_trial(self.text(ground), level, ground, is_watched=self.is_watched)
        assert BEGUN in attempt.output, attempt.output
        assert self.harm(ground, attempt) == "", attempt
        assert attempt.survivors == ()
        assert attempt.is_scratch_empty
        assert ground.victim_is_well()


class TrialContract(EscapeContract):
    """An escape that only the supervisor of a trial holds; the box alone does not."""

    test_it_does_no_harm_in_a_box = None  # type: ignore[assignment] # not for this one


def skip_unless_works(level: str) -> None:
    """Skip with the reason where this machine cannot hold a box of this level."""
    reason = works(Level(level))
    if reason:
        pytest.skip(f"no box of level {level} here: {reason}")


def _skip_if_lacking(attempt: Attempt) -> None:
    for line in attempt.output.splitlines():
        if line.startswith(LACKS):
            pytest.skip(line)


class WriteContract(EscapeContract):
    """An escape that changes files outside."""

    def prepare(self, ground: Ground) -> Mapping[str, object]:
        self.before = ground.contents()
        return NOTHING

    def harm(self, ground: Ground, attempt: Attempt) -> str:
        after = ground.contents()
        changed = {
            name
            for name in self.before.keys() | after.keys()
            if self.before.get(name) != after.get(name)
        }
        return f"these files changed: {sorted(changed)}" if changed else ""


class SocketContract(EscapeContract):
    """An escape that sends the word ``LETTER`` to somebody who listens outside."""

    LETTER = b"a letter from the box"

    def listen(self, ground: Ground) -> tuple[socket.socket, dict[str, object]]:
        """The listener, and what the program must know to reach it."""
        raise NotImplementedError

    def prepare(self, ground: Ground) -> Mapping[str, object]:
        try:
            self.listener, told = self.listen(ground)
        except OSError as error:
            pytest.skip(f"{LACKS}{error}")
        ground.stack.callback(self.listener.close)
        self.listener.settimeout(0.3)
        return {"letter": self.LETTER.decode(), **told}

    def harm(self, ground: Ground, attempt: Attempt) -> str:
        return "the letter arrived" if self.LETTER in self.received() else ""

    def received(self) -> bytes:
        """All that has come in, over a connection or without one."""
        data = b""
        with contextlib.suppress(TimeoutError):
            if self.listener.type == socket.SOCK_STREAM:
                connection, _ = self.listener.accept()
                with connection:
                    connection.settimeout(0.3)
                    return connection.recv(4096)
            for _ in range(200):
                data += self.listener.recv(4096)
                if self.LETTER in data:
                    break
        return data
