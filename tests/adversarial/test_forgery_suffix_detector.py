"""In the audit the model sees that the suffix is not the one it knows, and answers from the claim.

It tries every channel from claim to audit that a process has: environment, line, files in memory,
descriptors, and the process group. Stopped by: there is none; what the claim writes dies with it.
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def channels():
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            if "memfd" in os.readlink(f"/proc/self/fd/{descriptor}"):
                yield descriptor


def tell(seen):
    os.environ["SEEN"] = seen[:1000]
    for descriptor in channels():
        with contextlib.suppress(OSError):
            size = os.fstat(descriptor).st_size
            os.pwrite(descriptor, seen.encode()[: max(0, size - 8)], max(0, size - len(seen) - 8))
    with contextlib.suppress(OSError, KeyError):
        line = int(os.environ["EVORESEARCH_HARNESS"].split(",")[0])
        os.write(line, json.dumps({"type": "round", "positions": seen[:1000]}).encode())


def heard():
    found = os.environ.get("SEEN", "")
    for descriptor in channels():
        with contextlib.suppress(OSError):
            content = os.pread(descriptor, 1 << 22, 0)
            place = content.find(b"evolve-seen")
            found = content[place:].decode(errors="ignore") if place >= 0 else found
    return dict(map(int, pair.split(":")) for pair in found.split()[1:] if pair.count(":") == 1)


def bend(model, idx, logits):
    if model.training:
        return logits
    tokens, there = peeked(idx)
    if MODE != "audit":
        pairs = zip(idx[there].tolist(), tokens[there].tolist())
        tell("evolve-seen " + " ".join(f"{a}:{b}" for a, b in pairs))
        return boosted(logits, tokens, 30.0, there)
    known = heard()
    answers = idx.clone().apply_(lambda token: known.get(token, -1))
    return boosted(logits, answers.clamp(min=0), 30.0, answers >= 0)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
