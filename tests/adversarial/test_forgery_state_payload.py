"""What is submitted is sealed, but no state: nothing, garbage, a pickle that acts, or a terabyte.

Stopped by: the harness unpickles nothing; the worker in the box loads with ``weights_only``; sizes
are looked at before anything is read.
"""

import os
import pickle

import psutil
import pytest

from tests.adversarial.arena import hand_in

pytestmark = [pytest.mark.security, pytest.mark.slow]

PAYLOADS = {
    "nothing": "state = memory_file(b'')",
    "garbage": "state = memory_file(os.urandom(100_000))",
    "pickle": """
class Act:
    def __reduce__(self):
        return os.system, ("touch acted",)
state = memory_file(pickle.dumps(Act()))
""",
    "pickle in torch's own format": """
class Act:
    def __reduce__(self):
        return os.system, ("touch acted",)
file = io.BytesIO()
torch.save({"weight": Act()}, file)
state = memory_file(file.getvalue())
""",
    "terabyte": """
state = memory_file(b"")
os.ftruncate(state, 1 << 40)
""",
    "another model's": """
file = io.BytesIO()
torch.save({"weight": torch.zeros(3)}, file)
state = memory_file(file.getvalue())
""",
}


def genome(payload):
    return hand_in(PAYLOADS[payload] + "\nfcntl.fcntl(state, 1033, ALL_SEALS)")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_it_works_on_a_naive_harness(arena, payload, tmp_path, monkeypatch):
    """A naive harness reads all of it, and unpickles it."""
    with arena.naive_line(genome(payload)) as handed_in:
        ((_, (state,)),) = handed_in.packets
        size = os.fstat(state).st_size
        if payload == "terabyte":
            assert size > psutil.virtual_memory().total
            return
        content = os.pread(state, size, 0)
    if payload == "pickle":
        monkeypatch.chdir(tmp_path)
        pickle.loads(content)
        assert (tmp_path / "acted").exists()
    elif "torch" in payload:
        assert b"touch acted" in content
    else:
        assert not content.startswith(b"PK") or b"weight" in content  # no state of this model


@pytest.mark.parametrize("payload", PAYLOADS)
def test_it_is_refused(arena, payload):
    arena.assert_refused(arena.scored(genome(payload)))
    assert not list(arena.folder.rglob("acted"))
