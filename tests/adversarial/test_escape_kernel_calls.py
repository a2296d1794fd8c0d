import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestCallsThatNoTrainerNeeds(EscapeContract):
    """With arguments that the kernel refuses as wrong, so that nothing is done.

    An answer other than "not permitted" or "no such call" says that the call can be reached.
    """

    needs_x86 = True
    program = """
CALLS = {
    "init_module": (175, 0, 0, 0), "finit_module": (313, -1, 0, 0),
    "delete_module": (176, b"none", 0), "kexec_load": (246, 0, 0, 0, 1 << 40),
    "reboot": (169, 0, 0, 0, 0), "swapon": (167, b"/no", 0), "swapoff": (168, b"/no"),
    "acct": (163, b"/no"), "quotactl": (179, 0, b"/no", 0, 0), "bpf": (321, 999, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "userfaultfd": (323, 1),
    "fanotify_init": (300, 0, 0), "lookup_dcookie": (212, 0, 0, 0), "syslog": (103, 10, 0, 0),
    "mount": (165, 0, b"/no", 0, 0, 0), "umount2": (166, b"/no", 0), "fsopen": (430, b"none", 0),
    "open_tree": (428, -100, b"/no", 0), "fsmount": (432, -1, 0, 0),
    "move_mount": (429, -1, b"", -1, b"", 0), "mount_setattr": (442, -1, b"/no", 0, 0, 0),
    "pivot_root": (155, b"/no", b"/no"), "chroot": (161, b"/no"), "setns": (308, -1, 0),
    "unshare": (272, 1 << 62), "kcmp": (312, 0, 0, 99, 0, 0), "ptrace": (101, 9999, 0, 0, 0),
    "process_vm_readv": (310, 0, 0, 0, 0, 0, 1), "process_vm_writev": (311, 0, 0, 0, 0, 0, 1),
    "process_madvise": (440, -1, 0, 0, 0, 0), "pidfd_getfd": (438, -1, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0), "request_key": (249, 0, 0, 0, 0),
    "keyctl": (250, 9999, 0, 0, 0, 0), "io_uring_setup": (425, 0, 0),
    "io_uring_enter": (426, -1, 0, 0, 0, 0), "io_uring_register": (427, -1, 0, 0, 0),
    "personality": (135, 0x0040000), "settimeofday": (164, 1, 1), "clock_settime": (227, 99, 0),
    "adjtimex": (159, 0), "sethostname": (170, 0, 9999), "setdomainname": (171, 0, 9999),
    "iopl": (172, 9), "ioperm": (173, 1 << 30, 1, 1), "open_by_handle_at": (304, -1, 0, 0),
    "move_pages": (279, 1 << 22, 0, 0, 0, 0, 0), "migrate_pages": (256, 1 << 22, 0, 0, 0),
}
for name, (number, *arguments) in CALLS.items():
    answer = syscall(number, *arguments)
    if answer not in (-errno.EPERM, -errno.EACCES, -errno.ENOSYS):
        print("reached:", name, answer)
"""

    def harm(self, ground, attempt):
        reached = [line for line in attempt.output.splitlines() if line.startswith("reached:")]
        return "; ".join(reached)
