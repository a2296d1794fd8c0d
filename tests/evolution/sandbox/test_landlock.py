"""Files, processes and privileges that a box keeps closed, each shown to be open without it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolution.sandbox import landlock
from evolution.sandbox.confinement import Policy
from tests.evolution.sandbox.confined import LEVELS, need, policy, run

WALLED = ("namespace", "landlock")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A workspace, and a folder beside it that is none of the box's business."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("planted")
    return workspace, outside


@pytest.fixture
def stranger() -> Iterator[int]:
    """Another process of this user, with a secret in its environment."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
        env={"API_KEY": "planted"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.communicate(b"")


OUTSIDE = {
    "read": "return Path(argument, 'secret').read_text()",
    "list": "return os.listdir(argument)",
    "write": "Path(argument, 'new').write_text('x'); return 'done'",
    "append": "open(Path(argument, 'secret'), 'a').close(); return 'done'",
    "remove": "Path(argument, 'secret').unlink(); return 'done'",
    "rename": "os.rename(Path(argument, 'secret'), Path(argument, 'other')); return 'done'",
    "link here": "os.link(Path(argument, 'secret'), 'mine'); return Path('mine').read_text()",
    "symlink here": "os.symlink(Path(argument, 'secret'), 'm'); return Path('m').read_text()",
    "folder": "Path(argument, 'folder').mkdir(); return 'done'",
    "fifo": "os.mkfifo(Path(argument, 'fifo')); return 'done'",
}
REFUSED = ("EACCES", "ENOENT", "EPERM", "EXDEV", "EROFS")


@pytest.mark.parametrize("level", WALLED)
@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_is_read_or_written(name, level, places):
    need(level)
    workspace, outside = places
    assert run(OUTSIDE[name], workspace, rules=policy(level, workspace), argument=str(outside)) in (
        REFUSED
    )
    assert [path.name for path in outside.iterdir()] == ["secret"]
    free = run(OUTSIDE[name], workspace, rules=None, argument=str(outside))
    assert free not in REFUSED


@pytest.mark.parametrize("level", WALLED)
def test_an_open_folder_is_no_way_out(level, places):
    need(level)
    workspace, _ = places
    body = "return os.listdir(f'/proc/self/fd/{argument}/..')"
    descriptor = os.open(workspace, os.O_RDONLY)
    try:
        rules = policy(level, workspace)
        options = {"argument": descriptor, "pass_fds": (descriptor,)}
        assert "outside" in run(body, workspace, rules=None, **options)
        if level == "landlock":
            assert run(body, workspace, rules=rules, **options) == "EACCES"
        climb = "return os.open('../outside/secret', os.O_RDONLY, dir_fd=argument)"
        assert run(climb, workspace, rules=rules, **options) in REFUSED
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("level", WALLED)
def test_another_process_is_not_read(level, tmp_path, stranger):
    need(level)
    environment = "return 'planted' in Path(f'/proc/{argument}/environ').read_text()"
    assert run(environment, tmp_path, rules=None, argument=stranger) is True
    for name in ("environ", "mem", "maps"):
        body = f"return len(open('/proc/' + str(argument) + '/{name}', 'rb').read(1))"
        said = run(body, tmp_path, rules=policy(level, tmp_path), argument=stranger)
        assert said in ("EACCES", "EPERM", "ENOENT")
    for name in ("root", "cwd", "fd/0"):
        body = f"return os.readlink('/proc/' + str(argument) + '/{name}')"
        said = run(body, tmp_path, rules=policy(level, tmp_path), argument=stranger)
        assert said in ("EACCES", "EPERM", "ENOENT")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("may_fork", [False, True])
def test_another_process_gets_no_signal(level, may_fork, tmp_path, stranger):
    need(level)
    body = "os.kill(argument, signal.SIGCONT); return 'sent'"
    assert run(body, tmp_path, rules=None, argument=stranger) == "sent"
    rules = policy(level, tmp_path, may_fork=may_fork)
    assert run(body, tmp_path, rules=rules, argument=stranger) in ("EPERM", "ESRCH")


@pytest.mark.parametrize("level", LEVELS)
def test_a_process_may_signal_itself(level, tmp_path):
    need(level)
    body = """
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append("heard"))
os.kill(os.getpid(), signal.SIGUSR1)
signal.raise_signal(signal.SIGUSR1)
return len(heard)
"""
    assert run(body, tmp_path, rules=policy(level, tmp_path)) == 2


def test_modes_and_owners_of_files_stay(places):
    need("landlock")
    workspace, outside = places
    target = outside / "secret"
    target.chmod(0o640)
    rules = policy("landlock", workspace, readable=(*policy("landlock", workspace).readable,
                                                    str(outside)))  # fmt: skip
    for body in (
        "os.chmod(argument, 0o4777); return 'done'",
        "descriptor = os.open(argument, os.O_RDONLY); os.fchmod(descriptor, 0o777); return 'done'",
        "os.utime(argument); return 'done'",
        "os.setxattr(argument, 'user.mark', b'x'); return 'done'",
    ):
        assert run(body, workspace, rules=rules, argument=str(target)) == "EPERM"
    assert target.stat().st_mode & 0o7777 == 0o640
    chmod = "os.chmod(argument, 0o600); return 'done'"
    assert run(chmod, workspace, rules=None, argument=str(target)) == "done"


@pytest.mark.parametrize("older", range(1, 8))
def test_an_older_kernel_leaves_no_hole(older, places, stranger):
    """What an older Landlock does not know — signals, truncation — is seccomp's to refuse."""
    need("landlock")
    if older > landlock.version():
        pytest.skip(f"this kernel has version {landlock.version()}")
    workspace, outside = places
    before = f"import evolution.sandbox.landlock as walls; walls._version = lambda: {older}"
    body = """
folder, pid = argument
def refused(action):
    try: action()
    except OSError: return True
    return False
Path("own").write_text("written")
return [
    refused(lambda: Path(folder, "secret").read_text()),
    refused(lambda: Path(folder, "new").write_text("x")),
    refused(lambda: os.truncate(Path(folder, "secret"), 0)),
    refused(lambda: os.kill(pid, signal.SIGCONT)),
    refused(lambda: os.rename("own", Path(folder, "own"))),
]
"""
    argument = [str(outside), stranger]
    for may_fork in (False, True):
        rules = policy("landlock", workspace, may_fork=may_fork)
        said = run(body, workspace, rules=rules, argument=argument, before=before)
        assert said == [True] * 5
    assert run(body, workspace, rules=None, argument=argument) == [False] * 5


@pytest.mark.skipif(os.getuid() != 0, reason="only root has privileges to lose")
@pytest.mark.parametrize("level", LEVELS)
def test_root_has_no_privilege_left(level, tmp_path):
    need(level)
    body = """
lines = dict(l.split(':\\t') for l in Path('/proc/self/status').read_text().splitlines()
             if l.startswith(('Cap', 'NoNewPrivs', 'Seccomp:')))
return lines
"""
    status = run(body, tmp_path, rules=policy(level, tmp_path))
    assert isinstance(status, dict)
    assert {int(status[name], 16) for name in status if name.startswith("Cap")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(run(body, tmp_path, rules=None)["CapEff"], 16) != 0  # type: ignore[call-overload,index]


@pytest.mark.parametrize("level", LEVELS)
def test_a_second_thread_stops_the_confinement(level, tmp_path):
    need(level)
    before = """
wait = threading.Event()
threading.Thread(target=wait.wait, daemon=True).start()
original = confine
def confine():
    from evolution.sandbox.confinement import ConfinementError
    try: original()
    except ConfinementError as error: attempt.__globals__['problem'] = str(error)
    wait.set()
"""
    said = run("return problem", tmp_path, rules=policy(level, tmp_path), before=before)
    assert "more than one thread" in str(said)


@pytest.mark.parametrize("level", LEVELS)
def test_limits_hold(level, tmp_path):
    need(level)
    rules = policy(level, tmp_path, data_bytes=1 << 29, file_bytes=1 << 20, open_files=32)
    memory = """
try: bytearray(1 << 30)
except MemoryError: return 'no memory'
return 'done'
"""
    assert run(memory, tmp_path, rules=rules) == "no memory"
    assert run(memory, tmp_path, rules=None) == "done"
    big = "open('big', 'wb').write(bytes(2 << 20)); open('big', 'ab').write(b'x'); return 'done'"
    assert run(big, tmp_path, rules=rules) == "EFBIG"
    in_memory = "os.ftruncate(os.memfd_create('x'), 2 << 20); return 'done'"
    assert run(in_memory, tmp_path, rules=rules) == "EFBIG"
    many = "files = [open('/dev/null') for _ in range(64)]; return 'done'"
    assert run(many, tmp_path, rules=rules) == "EMFILE"
    assert run(many, tmp_path, rules=None) == "done"


TRAINING = """
import numpy, torch
torch.manual_seed(0)
model = torch.nn.Linear(8, 4)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(3):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(torch.randn(16, 8)).square().mean()
    loss.backward(); optimizer.step(); optimizer.zero_grad()
state = os.fdopen(os.memfd_create("state", os.MFD_ALLOW_SEALING), "w+b")
torch.save(model.state_dict(), state)
state.flush(); state.seek(0)
torch.load(state, weights_only=True)
import mmap
tokens = numpy.frombuffer(mmap.mmap(argument, 0, access=mmap.ACCESS_READ), dtype=numpy.uint16)
with tempfile.TemporaryDirectory(dir=".") as folder:
    Path(folder, "x").write_text("x")
done = []
thread = threading.Thread(target=lambda: done.append(torch.ones(9).sum().item()))
thread.start(); thread.join()
status = Path("/proc/self/status").read_text()
return [bool(torch.isfinite(loss)), int(tokens.sum()), done, "VmRSS" in status]
"""
AFTER_A_FORK = """
import torch
torch.ones(64, 64) @ torch.ones(64, 64)
if child := os.fork():
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("before", ["", AFTER_A_FORK], ids=["torch loads inside", "forked"])
def test_torch_trains_in_the_box(level, before, tmp_path):
    pytest.importorskip("torch")
    need(level)
    file = tmp_path / "tokens"
    file.write_bytes(bytes([1, 0, 2, 0]))
    with file.open("rb") as tokens:
        said = run(
            TRAINING,
            tmp_path,
            rules=policy(level, tmp_path, data_bytes=4 << 30),
            argument=tokens.fileno(),
            before=before,
            pass_fds=(tokens.fileno(),),
        )
    assert said == [True, 3, [9.0], True]


def test_a_policy_survives_json():
    rules = Policy(level="landlock", readable=("/usr",), writable=("/x",), data_bytes=5)
    assert Policy.from_dict(rules.to_dict()) == rules


def test_a_kernel_without_landlock_is_named(monkeypatch):
    def refuse(*_: object) -> int:
        raise OSError(38, "no such call")

    monkeypatch.setattr(landlock, "call", refuse)
    assert landlock.version() == 0
    assert "5.13" in landlock.why_missing()
