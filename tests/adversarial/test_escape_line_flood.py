import pytest

from tests.adversarial.escape_arena import TrialContract, a_line_to_nobody

pytestmark = [pytest.mark.security, pytest.mark.slow]


class LineContract(TrialContract):
    """What is written to the supervisor. A careless one would keep it all."""

    is_watched = True
    start = """
packets, news = map(int, os.environ["EVORESEARCH_HARNESS"].split(","))
"""

    def test_it_works_where_there_is_no_box(self, ground):
        taken, descriptor_count = a_line_to_nobody(self.text(ground), ground)
        assert taken > 2 << 20 or descriptor_count > 100

    def harm(self, ground, attempt):
        if attempt.supervisor_peak_mb > 80:
            return f"the supervisor grew to {attempt.supervisor_peak_mb:.0f} MB"
        if attempt.supervisor_descriptors > 60:
            return f"the supervisor held {attempt.supervisor_descriptors} descriptors"
        return "the harness stumbled" if attempt.exit_code else ""


class TestALineWithoutAnEnd(LineContract):
    program = (
        LineContract.start
        + """
with a_try("a line"):
    for _ in range(2000):
        os.write(news, b"[" * 65536)
"""
    )


class TestMessagesWithoutNumber(LineContract):
    program = (
        LineContract.start
        + """
message = json.dumps({"type": "report", "loss": 1.0, "scalars": {str(n): n for n in range(300)}})
with a_try("messages"):
    for _ in range(3000):
        os.write(news, message.encode() + b"\\n")
"""
    )


class TestNoise(LineContract):
    program = (
        LineContract.start
        + """
with a_try("noise"):
    for _ in range(500):
        os.write(news, os.urandom(65536))
"""
    )


class TestPackets(LineContract):
    program = (
        LineContract.start
        + """
line = socket.socket(fileno=packets)
for letter in (b"x", b"\\xff", b"{", json.dumps({"type": "submit"}).encode()):
    with a_try("packets"):
        for _ in range(2000):
            line.send(letter * (60000 if len(letter) == 1 else 1), socket.MSG_DONTWAIT)
            time.sleep(0.0002)
"""
    )


class TestPacketsFullOfDescriptors(LineContract):
    program = (
        LineContract.start
        + """
line = socket.socket(fileno=packets)
many = [os.memfd_create("x") for _ in range(100)]
for message in ({"type": "submit"}, {"type": "snapshot", "fraction": 0.5}, {"type": "odd"}):
    with a_try("descriptors"):
        for _ in range(100):
            socket.send_fds(line, [json.dumps(message).encode()], many)
    with a_try("one each"):
        for _ in range(300):
            socket.send_fds(line, [json.dumps(message).encode()], many[:1])
time.sleep(0.3)
"""
    )

    def harm(self, ground, attempt):
        """The kernel counts what is under way for each user: while it lasts, no trial hands in."""
        if attempt.outcome is None or "rule line" not in str(attempt.outcome.failure):
            return f"it was let go on: {attempt.outcome}"
        return super().harm(ground, attempt)
