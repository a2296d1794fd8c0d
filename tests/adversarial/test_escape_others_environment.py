import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestEnvironmentOfParentsAndOutsiders(EscapeContract):
    program = """
pids = {GROUND["victim"], GROUND["engine"], os.getppid(), 1}
with a_try("the list of processes"):
    pids |= {int(name) for name in os.listdir("/proc") if name.isdigit()}
for pid in sorted(pids):
    for name in ("environ", "cmdline", "task/%d/environ" % pid):
        with contextlib.suppress(OSError):
            print(pid, open(f"/proc/{pid}/{name}").read())
"""
