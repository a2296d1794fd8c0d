import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = pytest.mark.security

COUNT = 30  # enough to see, few enough to clear away


class ForkContract(EscapeContract):
    def harm(self, ground, attempt):
        return f"{len(attempt.survivors)} processes were left" if attempt.survivors else ""


class TestFork(ForkContract):
    program = """
for _ in range(30):
    with a_try("fork"):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
"""


class TestRawForks(ForkContract):
    needs_x86 = True
    program = """
for number, arguments in ((57, ()), (58, ()), (56, (17, 0, 0, 0, 0))):
    with a_try("raw"):
        if number == 58:
            continue  # a child of vfork would share this stack
        if syscall(number, *arguments) == 0:
            time.sleep(20)
            os._exit(0)
"""


class TestSpawn(ForkContract):
    """The library's ways: vfork, clone and clone3 under other names."""

    program = """
import subprocess
code = "import time; time.sleep(20)"
for _ in range(5):
    with a_try("spawn"):
        os.posix_spawn(sys.executable, [sys.executable, "-IS", "-c", code], dict(os.environ))
    with a_try("vfork"):
        subprocess.Popen([sys.executable, "-IS", "-c", code])
    with a_try("shell"):
        os.system("sleep 20 &")
time.sleep(0.3)
"""


class TestCloneThree(ForkContract):
    needs_x86 = True
    program = """
arguments = struct.pack("=8Q", 0, 0, 0, 0, 17, 0, 0, 0)
with a_try("clone3"):
    result = syscall(435, arguments, 64)
    if result == 0:
        time.sleep(20)
        os._exit(0)
    print(result)
"""


class TestDaemon(ForkContract):
    program = """
with a_try("daemon"):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 64)
            time.sleep(20)
        os._exit(0)
time.sleep(0.2)
"""
