"""Seccomp: which system calls a process may make, as a small program that the kernel runs.

The program is assembled here, for the machine at hand, from the lists below. It refuses by an
error number and kills nothing, so that an honest genome gets an error that it can read: EPERM,
and ENOSYS for ``clone3`` and for calls newer than our table, which makes the C library fall back.
Standard library only.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evolution.sandbox import syscalls

_LOAD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_AT_LEAST = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06

_ALLOW = 0x7FFF0000
_ERROR = 0x00050000
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

_SET_MODE_FILTER = 1
_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC
# Kernels before 5.16 slow every filtered process down against attacks on its own memory.
_WITHOUT_SLOWDOWN = 4  # SECCOMP_FILTER_FLAG_SPEC_ALLOW

_NEW_NAMESPACES = 0x7E020000
_CLONE_PARENT = 0x8000
_CLONE_THREAD = 0x10000

_NEVER = """
    socket socketpair connect bind listen accept accept4 sendmmsg setsockopt
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
    move_pages migrate_pages
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
    add_key request_key keyctl seccomp memfd_secret lookup_dcookie lsm_set_self_attr
    shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl
    mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr statmount
    listmount unshare setns pivot_root chroot swapon swapoff quotactl quotactl_fd acct
    reboot kexec_load kexec_file_load init_module finit_module delete_module create_module
    query_module get_kernel_syms syslog settimeofday clock_settime clock_adjtime adjtimex
    sethostname setdomainname iopl ioperm modify_ldt vhangup nfsservctl personality uselib _sysctl
    ustat sysfs
    open_by_handle_at name_to_handle_at fanotify_init fanotify_mark
    inotify_init inotify_init1 inotify_add_watch truncate
    sched_setaffinity sched_setscheduler sched_setparam sched_setattr setpriority ioprio_set
""".split()  # noqa: SIM905 - a hundred names read better as lines of words
_METADATA = """
    fallocate
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat
    setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
""".split()  # noqa: SIM905 - a hundred names read better as lines of words
_TO_ONE_PROCESS = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_TO_ANY_PROCESS = ("tkill", "pidfd_send_signal")

# Typing into a terminal, sending signals by way of a descriptor, flags of a file.
_IOCTLS = (0x5412, 0x541C, 0x5423, 0x8901, 0x8902, 0x40086602, 0x401C5820)
# F_SETOWN, F_SETSIG, F_SETOWN_EX; F_SETLEASE makes whoever opens the file wait; F_NOTIFY; hints
# that stay on the file, whoever opens it next.
_FCNTLS = (8, 10, 15, 1024, 1026, 1036, 1038)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, sizes of pipes, seals. No locks:
# they stay on a file that another process of the trial has open, and would tell it things.
_HARMLESS_FCNTLS = (0, 1, 2, 3, 4, 1030, 1031, 1032, 1033, 1034)
# What is in the machine's cache of files is seen by all who may read a file.
_PAGE_CACHE = ("fadvise64", "mincore", "cachestat", "readahead", "preadv2", "pwritev2")
_MADVISES = (20, 21)  # COLD, PAGEOUT
# PDEATHSIG, DUMPABLE, SECCOMP, MM, CHILD_SUBREAPER, SCHED_CORE, PTRACER: how it is watched.
_PRCTLS = (1, 4, 22, 35, 36, 62, 0x59616D61)


class Instruction(NamedTuple):
    """One step of a classic BPF program: after a jump, how many steps to leave out."""

    code: int
    if_true: int
    if_false: int
    value: int


Program = list[Instruction]


@dataclass(frozen=True, slots=True)
class Permits:
    """What a box leaves to a process beside the calls that every process may make.

    Attributes:
        fork: New processes, and locks on files for them to keep apart; threads are always allowed.
        signals: Signals to any process; else to itself alone.
        metadata: Modes, owners, times and extended attributes of files, and space that is taken
            without a byte written: a folder of the host has no size of its own.
        pid: The process itself.
    """

    fork: bool
    signals: bool
    metadata: bool
    pid: int


def why_missing() -> str:
    """Why no filter can be made here; "" if one can."""
    if syscalls.machine() is None:
        return "there is no seccomp here, or its system calls are not known for this machine"
    return ""


def restrict(permits: Permits) -> None:
    """Put the filter on every thread of this process, for good. ``no_new_privs`` must be set.

    Raises:
        OSError: The kernel refused.
    """
    machine = syscalls.machine()
    if machine is None:
        raise OSError(errno.ENOSYS, why_missing())
    program = assemble(permits, machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program), ctypes.addressof(code)), struct.calcsize("@HP")
    )
    flags = _ALL_THREADS | _WITHOUT_SLOWDOWN
    if thread := syscalls.call("seccomp", _SET_MODE_FILTER, flags, header):
        raise OSError(errno.EBUSY, f"thread {thread} of process {os.getpid()} takes no filter")


def assemble(permits: Permits, machine: str) -> Program:
    """The program for one machine."""
    program = [
        Instruction(_LOAD, 0, 0, 4),  # the ABI of the call
        Instruction(_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _error(errno.EPERM),
        Instruction(_LOAD, 0, 0, 0),  # the number of the call
        *([*_if(_JUMP_AT_LEAST, _X32, [_error(errno.EPERM)])] if machine == "x86_64" else []),
        *_if(_JUMP_AT_LEAST, syscalls.LAST_KNOWN + 1, [_error(errno.ENOSYS)]),
    ]
    for name, body in _rules(permits):
        if (number := syscalls.number(name, machine)) is not None:
            program += _if(_JUMP_EQUAL, number, body)
    return [*program, _allow()]


def _rules(permits: Permits) -> Iterable[tuple[str, Program]]:
    """What happens to each call that is not simply allowed; the bodies end by returning."""
    refused = [_error(errno.EPERM)]
    yield from ((name, refused) for name in _NEVER)
    yield "clone3", [_error(errno.ENOSYS)]
    yield "clone", _clone(may_fork=permits.fork)
    yield "ioctl", _all_but(1, _IOCTLS)
    yield "fcntl", _all_but(1, _FCNTLS) if permits.fork else _only(1, _HARMLESS_FCNTLS)
    yield "madvise", _all_but(2, _MADVISES)
    yield from ((name, refused) for name in _PAGE_CACHE)
    yield "prctl", _all_but(0, _PRCTLS)
    yield "prlimit64", _only(0, (0, permits.pid))
    yield "sendto", _without_address()
    if not permits.fork:
        yield from ((name, refused) for name in ("fork", "vfork", "flock"))
    if not permits.metadata:
        yield from ((name, refused) for name in _METADATA)
    if not permits.signals:
        yield from ((name, _only(0, (permits.pid,))) for name in _TO_ONE_PROCESS)
        yield from ((name, refused) for name in _TO_ANY_PROCESS)


def _clone(*, may_fork: bool) -> Program:
    refused = _if(_JUMP_ANY_BIT, _NEW_NAMESPACES | _CLONE_PARENT, [_error(errno.EPERM)])
    if may_fork:
        return [_argument(0), *refused, _allow()]
    thread = _if(_JUMP_ANY_BIT, _CLONE_THREAD, [_allow()])
    return [_argument(0), *refused, *thread, _error(errno.EPERM)]


def _without_address() -> Program:
    """``sendto`` as ``send`` makes it: the pointer to an address is null, both halves of it."""
    low = _if(_JUMP_EQUAL, 0, [_argument(4, high=True), *_if(_JUMP_EQUAL, 0, [_allow()])])
    return [_argument(4), *low, _error(errno.EPERM)]


def _only(index: int, values: Sequence[int]) -> Program:
    """Allowed with one of these 32-bit values, else refused."""
    allowed = [step for value in values for step in _if(_JUMP_EQUAL, value, [_allow()])]
    return [_argument(index), *allowed, _error(errno.EPERM)]


def _all_but(index: int, values: Sequence[int]) -> Program:
    """Refused with one of these 32-bit values, else allowed."""
    error = [_error(errno.EPERM)]
    refused = [step for value in values for step in _if(_JUMP_EQUAL, value, error)]
    return [_argument(index), *refused, _allow()]


def _if(jump: int, value: int, body: Program) -> Program:
    """The body where the comparison holds; else what comes after it."""
    return [Instruction(jump, 0, len(body), value), *body]


def _argument(index: int, *, high: bool = False) -> Instruction:
    """Load half of an argument; both machines keep the low half first."""
    return Instruction(_LOAD, 0, 0, 16 + 8 * index + 4 * high)


def _error(code: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, _ERROR | code)


def _allow() -> Instruction:
    return Instruction(_RETURN, 0, 0, _ALLOW)
