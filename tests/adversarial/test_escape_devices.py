from pathlib import Path

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestDisks(EscapeContract):
    """The disk below all file systems; only the program can say that it read one."""

    program = """
import glob
for path in ["/dev/mem", "/dev/kmsg", "/dev/port", *sorted(glob.glob("/dev/[svx]d[a-z]*"))]:
    with a_try(path):
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        print("opened:", path)
"""

    def harm(self, ground, attempt):
        return "it opened a device" if "opened:" in attempt.output else ""


class TestMakingADevice(EscapeContract):
    program = """
import stat
for kind, number in ((stat.S_IFCHR, os.makedev(1, 11)), (stat.S_IFCHR, os.makedev(1, 1)),
                     (stat.S_IFBLK, os.makedev(7, 0))):
    with a_try("mknod"):
        os.mknod("device", kind | 0o666, number)
        os.close(os.open("device", os.O_RDONLY | os.O_NONBLOCK))
        print("opened:", number)
    with contextlib.suppress(OSError):
        os.remove("device")
"""

    def harm(self, ground, attempt):
        return "it opened a device" if "opened:" in attempt.output else ""


class TestTheTerminal(EscapeContract):
    """Characters pushed into a terminal are typed by its owner, as far as his shell knows."""

    program = """
import fcntl
with a_try("a terminal of its own"):
    owner, terminal = os.openpty()
    os.setsid() if os.getsid(0) != os.getpid() else None
    fcntl.ioctl(terminal, 0x540E, 1)
    fcntl.ioctl(terminal, 0x5412, b"x")
    print("typed: pushed")
"""

    def test_it_works_where_there_is_no_box(self, ground):
        path = Path("/proc/sys/dev/tty/legacy_tiocsti")
        if path.exists() and path.read_text(encoding="ascii").strip() == "0":
            pytest.skip("this kernel lacks it: characters cannot be pushed")
        super().test_it_works_where_there_is_no_box(ground)

    def harm(self, ground, attempt):
        return "it typed" if "typed:" in attempt.output else ""
