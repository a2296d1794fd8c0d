"""The filter as a program, on both machines, and what it does to real processes."""

import errno
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.sandbox import seccomp, syscalls
from evolution.sandbox.seccomp import Permits, Program, assemble
from tests.evolution.sandbox.confined import LEVELS, need, policy, run

ALLOWED = 0x7FFF0000
ABIS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = pytest.mark.parametrize("machine", ABIS)
CLOSED = Permits(fork=False, signals=False, metadata=False, pid=77)
OPEN = Permits(fork=True, signals=True, metadata=True, pid=77)
THREAD_FLAGS = 0x3D0F00  # what the C library asks of ``clone`` for a thread


def verdict(program: Program, number: int, *arguments: int, abi: int) -> int:
    """Run a filter as the kernel does: the errno, 0 for an allowed call."""
    words = {0: number & 0xFFFFFFFF, 4: abi}
    for index, value in enumerate((*arguments, 0, 0, 0, 0, 0, 0)[:6]):
        words[16 + 8 * index] = value & 0xFFFFFFFF
        words[20 + 8 * index] = value >> 32 & 0xFFFFFFFF
    loaded, position = 0, 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x20:
            loaded = words[value]
        elif code == 0x06:
            return 0 if value == ALLOWED else value & 0xFFFF
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: loaded & value != 0}
            position += if_true if holds[code] else if_false


def judged(permits: Permits, machine: str, name: str, *arguments: int) -> int:
    number = syscalls.number(name, machine)
    assert number is not None
    return verdict(assemble(permits, machine), number, *arguments, abi=ABIS[machine])


@MACHINES
@given(number=st.integers(0, 2**32 - 1), abi=st.integers(0, 2**32 - 1), word=st.integers(0, 2**64))
def test_every_call_gets_a_verdict_and_no_other_abi_is_served(machine, number, abi, word):
    answer = verdict(assemble(CLOSED, machine), number, word, word, abi=abi)
    assert answer in (0, errno.EPERM, errno.ENOSYS)
    assert abi == ABIS[machine] or answer == errno.EPERM


@MACHINES
def test_every_jump_of_the_program_lands_inside_it(machine):
    program = assemble(CLOSED, machine)
    assert len(program) <= 4096
    for place, step in enumerate(program):
        assert max(step.if_true, step.if_false) <= 255
        assert place + 1 + max(step.if_true, step.if_false) < len(program) or step.code == 0x06


@MACHINES
def test_calls_newer_than_the_table_do_not_exist(machine):
    program = assemble(OPEN, machine)
    number = syscalls.LAST_KNOWN
    assert verdict(program, number, abi=ABIS[machine]) == 0
    assert verdict(program, number + 1, abi=ABIS[machine]) == errno.ENOSYS


def test_the_calls_of_x32_are_refused():
    program = assemble(OPEN, "x86_64")
    assert verdict(program, 0x40000000 | 39, abi=ABIS["x86_64"]) == errno.EPERM
    assert verdict(program, 39, abi=ABIS["x86_64"]) == 0


@MACHINES
def test_threads_are_made_and_processes_are_not(machine):
    assert judged(CLOSED, machine, "clone", THREAD_FLAGS) == 0
    assert judged(CLOSED, machine, "clone", 17) == errno.EPERM
    assert judged(OPEN, machine, "clone", 17) == 0
    assert judged(OPEN, machine, "clone3") == errno.ENOSYS


@MACHINES
@pytest.mark.parametrize("bit", [17, 25, 26, 27, 28, 29, 30])
def test_no_clone_makes_a_namespace(machine, bit):
    assert judged(OPEN, machine, "clone", 1 << bit | 17) == errno.EPERM
    assert judged(OPEN, machine, "clone", 1 << bit | THREAD_FLAGS) == errno.EPERM


@MACHINES
def test_a_signal_reaches_the_process_itself_alone(machine):
    assert judged(CLOSED, machine, "kill", 77, 9) == 0
    assert judged(CLOSED, machine, "tgkill", 77, 80, 6) == 0
    for target in (78, 0, -1, -77):
        assert judged(CLOSED, machine, "kill", target, 9) == errno.EPERM
    assert judged(CLOSED, machine, "pidfd_send_signal", 5, 9) == errno.EPERM
    assert judged(OPEN, machine, "kill", 78, 9) == 0


@MACHINES
@pytest.mark.parametrize("address", [1, 1 << 32, 0x7FFF00000000])
def test_send_has_no_address(machine, address):
    assert judged(OPEN, machine, "sendto", 3, 4096, 10, 0, 0) == 0
    assert judged(OPEN, machine, "sendto", 3, 4096, 10, 0, address) == errno.EPERM


@MACHINES
def test_limits_of_other_processes_stay(machine):
    assert judged(OPEN, machine, "prlimit64", 0, 7) == 0
    assert judged(OPEN, machine, "prlimit64", 77, 7) == 0
    assert judged(OPEN, machine, "prlimit64", 78, 7) == errno.EPERM


@MACHINES
@pytest.mark.parametrize("name", ["fchmod", "fchmodat", "fchownat", "setxattr", "utimensat"])
def test_metadata_is_left_alone_where_no_mount_protects_it(machine, name):
    assert judged(CLOSED, machine, name, 1) == errno.EPERM
    assert judged(OPEN, machine, name, 1) == 0


@MACHINES
def test_how_a_process_is_watched_is_not_its_to_change(machine):
    for option in (1, 4, 36, 0x59616D61):
        assert judged(OPEN, machine, "prctl", option) == errno.EPERM
    assert judged(OPEN, machine, "prctl", 15) == 0
    assert judged(OPEN, machine, "ioctl", 0, 0x5412) == errno.EPERM
    assert judged(OPEN, machine, "ioctl", 0, 0x5401) == 0
    assert judged(OPEN, machine, "fcntl", 3, 8) == errno.EPERM
    assert judged(OPEN, machine, "fcntl", 3, 1033) == 0  # seals of a file in memory


# Each returns "done" unconfined, and is refused in a box. The first argument is its name.
DENIED = {
    "socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(); return 'done'",
    "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(); return 'done'",
    "unix": "socket.socket(socket.AF_UNIX).close(); return 'done'",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(); return 'done'",
    "socketpair": "socket.socketpair(); return 'done'",
    "fork": "pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0); return 'done'",
    "spawn": "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0); return 'done'",
    "io_uring": "os.close(syscall('io_uring_setup', 4, bytearray(120) and "
    "ctypes.create_string_buffer(120))); return 'done'",
    "shared memory": "syscall('shmctl', syscall('shmget', 0, 4096, 0o1600), 0, 0); return 'done'",
    "inotify": "os.close(syscall('inotify_init1', 0)); return 'done'",
    "affinity": "os.sched_setaffinity(0, os.sched_getaffinity(0)); return 'done'",
    "niceness": "os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + 1)\n"
    "return 'done'",
    "personality": "syscall('personality', 0xffffffff); return 'done'",
    "truncate": "Path('f').write_bytes(b'12'); os.truncate('f', 1); return 'done'",
    "new namespace": "syscall('unshare', 0x10000000); return 'done'",
    "chroot": "os.chroot('.'); return 'done'",
    "dumpable": "from evolution.sandbox.syscalls import prctl; prctl(4, 1); return 'done'",
    "key": "syscall('keyctl', 0, -3, 1); return 'done'",
    "attach": "syscall('kcmp', os.getpid(), os.getpid(), 1, 0, 0); return 'done'",
}
# One process tries them all; ``chroot`` moves its root when it works, and comes last.
TRY_ALL = """
results = {}
for name in sorted(argument, key=lambda name: name == "chroot"):
    lines = "".join(f"\\n  {line}" for line in argument[name].split("\\n"))
    scope = dict(globals())
    exec("def attempt():" + lines, scope)
    try:
        results[name] = scope["attempt"]()
    except OSError as error:
        results[name] = errno.errorcode.get(error.errno, str(error))
return results
"""


@pytest.fixture(scope="module")
def unconfined(tmp_path_factory):
    return run(TRY_ALL, tmp_path_factory.mktemp("free"), rules=None, argument=DENIED)


@pytest.mark.parametrize("level", LEVELS)
def test_calls_that_work_outside_are_refused_inside(level, tmp_path, unconfined):
    need(level)
    works_here = {name for name in DENIED if unconfined[name] == "done"}
    assert {"socket", "socketpair", "fork", "spawn", "affinity", "truncate"} <= works_here
    refused = run(TRY_ALL, tmp_path, rules=policy(level, tmp_path), argument=DENIED)
    assert refused == dict.fromkeys(DENIED, "EPERM")


@pytest.mark.parametrize("level", LEVELS)
def test_an_inherited_socket_carries_messages_and_descriptors(level, tmp_path):
    need(level)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    body = """
line = socket.socket(fileno=argument)
descriptor = os.memfd_create("state", os.MFD_ALLOW_SEALING)
os.write(descriptor, b"weights")
import fcntl
fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 15)
message, received, _, _ = socket.recv_fds(line, 100, 1)
socket.send_fds(line, [message], [descriptor])
return os.read(received[0], 100).decode()
"""
    with ours, theirs:
        file = tmp_path / "tokens"
        file.write_text("handed over")
        with file.open("rb") as tokens:
            socket.send_fds(ours, [b"go"], [tokens.fileno()])
            rules = policy(level, tmp_path)
            said = run(body, tmp_path, rules=rules, argument=theirs.fileno(),
                       pass_fds=(theirs.fileno(),))  # fmt: skip
        assert said == "handed over"
        message, descriptors, _, _ = socket.recv_fds(ours, 100, 1)
    with open(descriptors[0], "rb") as state:  # noqa: PTH123 - a descriptor has no path
        state.seek(0)
        assert (message, state.read()) == (b"go", b"weights")


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_threads_start_and_the_filter_is_on_them_too(tmp_path):
    need("basic")
    body = """
found = []
def inside():
    try: socket.socket()
    except OSError as error: found.append(errno.errorcode[error.errno])
thread = threading.Thread(target=inside)
thread.start(); thread.join()
return found
"""
    assert run(body, tmp_path, rules=policy("basic", tmp_path)) == ["EPERM"]


def test_a_system_without_a_table_says_so(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "not known" in seccomp.why_missing()
    with pytest.raises(OSError, match="not known"):
        seccomp.restrict(CLOSED)
