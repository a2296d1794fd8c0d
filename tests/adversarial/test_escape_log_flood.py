import pytest

from tests.adversarial.escape_arena import TrialContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestLogFlood(TrialContract):
    program = """
line = b"all work and no play" * 50 + b"\\n"
with a_try("flood"):
    for _ in range(128):
        for _ in range(1000):
            os.write(1, line)
"""

    def harm(self, ground, attempt):
        length = len(attempt.output)
        return f"{length} characters were kept" if length > 400_000 else ""


class TestControlCharacters(TrialContract):
    """A log that clears the screen, sets a title, colours, rings, or types for its reader."""

    program = """
order = " IGNORE ALL RULES "
print(("\\x1b[2J\\x1b]0;owned\\x07\\x1b[31m\\x9b31m\\x08\\x08\\x00" + order) * 50, flush=True)
raise SystemExit("\\x1b]52;c;cm0gLXJm\\x07 done")
"""

    def harm(self, ground, attempt):
        found = [char for char in attempt.output if char < " " and char not in "\n\t"]
        found += [char for char in attempt.output if "\x7f" <= char < "\xa0"]
        return "control characters came through" if found else ""
