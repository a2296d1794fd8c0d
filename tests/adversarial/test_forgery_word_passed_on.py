"""A claim passes on to the audit what it saw, by whatever a kernel keeps of a file or a folder.

Seals stop writes; they stop neither locks nor positions, attributes, times or hints. Each channel
takes a word from one process to the next in the open.
Stopped by: each scorer has files of its own, no lock, hint or attribute may be set, the cache of
files may not be asked, and nobody can guess where another trainer's folder was.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.adversarial.arena import with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

WORD = 0b1011001110001111

CHANNELS = """
import fcntl, os, struct

WORD = 0b1011001110001111
LIBRARY = os.path.realpath(os.__file__)


def lock(kind, start, length):
    return struct.pack("hhqqi4x", kind, 0, start, length, 0)


class ByLock:
    def put(self, state):
        fcntl.fcntl(state, fcntl.F_OFD_SETLK, lock(fcntl.F_RDLCK, WORD, 1))

    def get(self, state):
        asked = lock(fcntl.F_WRLCK, 0, 1 << 40)
        return struct.unpack("hhqqi4x", fcntl.fcntl(state, fcntl.F_GETLK, asked))[2]


class ByLockOnInput:
    def put(self, state):
        ByLock().put(0)

    def get(self, state):
        return ByLock().get(os.open("/dev/null", os.O_RDWR))


class ByPosition:
    def put(self, state):
        os.lseek(state, WORD, os.SEEK_SET)

    def get(self, state):
        return os.lseek(state, 0, os.SEEK_CUR)


class ByTime:
    def put(self, state):
        os.utime(state, ns=(WORD, WORD))

    def get(self, state):
        return os.fstat(state).st_mtime_ns


class ByMode:
    def put(self, state):
        os.fchmod(state, WORD & 0o777)

    def get(self, state):
        return WORD if os.fstat(state).st_mode & 0o777 == WORD & 0o777 else 0


class ByHint:
    def put(self, state):
        fcntl.fcntl(os.open(LIBRARY, os.O_RDONLY), 1036, struct.pack("Q", 4))

    def get(self, state):
        found = fcntl.fcntl(os.open(LIBRARY, os.O_RDONLY), 1035, struct.pack("Q", 0))
        return WORD if struct.unpack("Q", found)[0] == 4 else 0


class ByLeftovers:
    def put(self, state):
        os.mkdir("kept", 0o300)
        os.symlink(str(WORD), "kept/word")

    def get(self, state):
        for name in [".", *(f"../{name}" for name in os.listdir(".."))]:
            try:
                return int(os.readlink(f"{name}/kept/word"))
            except OSError:
                continue
        return 0


CHANNELS = {kind.__name__: kind() for kind in (
    ByLock, ByLockOnInput, ByPosition, ByTime, ByMode, ByHint, ByLeftovers)}


def tried(action, state):
    try:
        return action(state)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
"""

GENOME = with_code(
    CHANNELS
    + """
import json as _json

_honest = build_model
_mode = CONDITIONS["mode"]


def sealed():
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if fcntl.fcntl(number, 1034) & 8:
                yield number
        except OSError:
            continue


def build_model():
    if _mode == "claim":
        for channel in CHANNELS.values():
            tried(channel.put, min(sealed()))
    if _mode == "audit":
        said = {name: tried(c.get, min(sealed())) for name, c in CHANNELS.items()}
        heard = [name for name, word in said.items() if word == WORD]
        raise SystemExit(f"{len(said)} channels, HEARD " + _json.dumps(heard))
    return _honest()
"""
)

PLAIN = (
    CHANNELS
    + """
import json, sys

channel, state = CHANNELS[sys.argv[1]], int(sys.argv[2])
if sys.argv[3] == "put":
    os.makedirs("claim", exist_ok=True)
    os.chdir("claim")
    channel.put(state)
else:
    os.makedirs("audit", exist_ok=True)
    os.chdir("audit")
    print(json.dumps(channel.get(state)))
"""
)
NAMES = ["ByLock", "ByLockOnInput", "ByPosition", "ByTime", "ByMode", "ByHint", "ByLeftovers"]


@pytest.mark.parametrize("name", NAMES)
def test_it_works_on_a_naive_harness(tmp_path, name):
    """One open file is handed to two processes, one after the other."""
    state = os.memfd_create("state", os.MFD_ALLOW_SEALING)
    entrance = os.open("/dev/null", os.O_RDWR)
    said = ""
    try:
        for what in ("put", "get"):
            said = subprocess.run(
                [sys.executable, "-c", PLAIN, name, str(state), what],
                cwd=tmp_path,
                stdin=entrance,
                pass_fds=[state],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
    finally:
        os.close(state)
        os.close(entrance)
    assert json.loads(said) == WORD


def test_the_audit_hears_nothing(arena):
    outcome = arena.scored(GENOME)
    assert outcome.failure is not None, outcome
    assert f"{len(NAMES)} channels, HEARD []" in outcome.failure.message, outcome.failure
