import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class SignalContract(EscapeContract):
    def harm(self, ground, attempt):
        return "" if ground.victim_is_well() else "the process outside was hit"


class TestKill(SignalContract):
    program = """
with a_try("stop"):
    os.kill(GROUND["victim"], signal.SIGSTOP)
with a_try("kill"):
    os.kill(GROUND["victim"], signal.SIGKILL)
time.sleep(0.05)
"""


class TestKillingTheGroup(SignalContract):
    program = """
with a_try("kill"):
    os.killpg(GROUND["victim"], signal.SIGKILL)
time.sleep(0.05)
"""


class TestKillingAThread(SignalContract):
    needs_x86 = True
    program = """
print(syscall(234, GROUND["victim"], GROUND["victim"], 9), syscall(200, GROUND["victim"], 9))
time.sleep(0.05)
"""


class TestSignalByDescriptor(SignalContract):
    needs_x86 = True
    program = """
process = syscall(434, GROUND["victim"], 0)
print(process, syscall(424, process, 9, None, 0))
with a_try("through proc"):
    print(syscall(424, os.open(f"/proc/{GROUND['victim']}", os.O_RDONLY), 9, None, 0))
time.sleep(0.05)
"""


class TestQueuedSignal(SignalContract):
    needs_x86 = True
    program = """
information = struct.pack("=iii", 15, 0, -1).ljust(128, b"\\0")
print(syscall(129, GROUND["victim"], 15, information))
print(syscall(297, GROUND["victim"], GROUND["victim"], 15, information))
time.sleep(0.05)
"""


class TestSignalOfAPipe(SignalContract):
    program = """
import fcntl
for setter in (lambda end: fcntl.fcntl(end, fcntl.F_SETOWN, GROUND["victim"]),
               lambda end: fcntl.fcntl(end, 15, struct.pack("=ii", 1, GROUND["victim"]))):
    with a_try("own"):
        end, other = os.pipe()
        setter(end)
        fcntl.fcntl(end, 10, signal.SIGTERM)
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC)
        os.write(other, b"x")
time.sleep(0.05)
"""


class TestKillingTheSupervisor(EscapeContract):
    """The parent of the box. The program's own end may be a part of what it does."""

    program = """
for number in (signal.SIGTERM, signal.SIGKILL):
    with a_try("kill"):
        os.kill(os.getppid(), number)
time.sleep(0.2)
"""

    def harm(self, ground, attempt):
        return "the supervisor was killed" if attempt.exit_code < 0 else ""


class TestLimitsOfAnOutsider(EscapeContract):
    """A process that may open no file is as good as dead."""

    program = """
import resource
with a_try("limit"):
    print(resource.prlimit(GROUND["victim"], resource.RLIMIT_NOFILE, (3, 3)))
"""

    def harm(self, ground, attempt):
        import resource

        limits = resource.prlimit(ground.victim.pid, resource.RLIMIT_NOFILE)
        return "its limits were changed" if limits == (3, 3) else ""
