"""Landlock: which files a process may touch, by rules that it puts on itself for good.

Everything that the kernel's version knows is handled, so that what no rule grants is denied. What
Landlock does not cover at all — chmod, UDP, stat, and truncate below version 3 — is left to
``seccomp``. Standard library only.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable, Mapping

from evolution.sandbox.syscalls import call, machine

_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

#: Read and execute below a folder.
READ = EXECUTE | READ_FILE | READ_DIR
#: Everything below a folder but device nodes and sockets.
WRITE = (READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG) | (
    MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE
)
#: Use a device node.
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV

_FIRST_VERSION = 13  # rights that the first version knows
_LAST_RIGHT = {1: _FIRST_VERSION, 2: _FIRST_VERSION + 1, 3: _FIRST_VERSION + 2, 4: 15}
_ALL_RIGHTS = 16
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_TCP = 0b11  # bind and connect, from version 4
_SCOPES = 0b11  # abstract sockets and signals, from version 6
_SIGNALS_SINCE = 6


def version() -> int:
    """The version of the kernel's Landlock; 0 where there is none."""
    return 0 if why_missing() else _version()


def why_missing() -> str:
    """Why Landlock does not work here; "" if it does."""
    if machine() is None:
        return "there is no Landlock on this system"
    try:
        _version()
    except OSError as error:
        return {
            errno.ENOSYS: "the kernel has no Landlock (Linux 5.13 and later have it)",
            errno.EOPNOTSUPP: "Landlock is off: boot the kernel with landlock in lsm=",
            errno.EPERM: "the container refuses Landlock: its seccomp profile is too old",
        }.get(error.errno or 0, str(error))
    return ""


def scopes_signals() -> bool:
    """True where Landlock keeps signals inside."""
    return version() >= _SIGNALS_SINCE


def restrict(rules: Mapping[int, Iterable[str]]) -> None:
    """Deny this thread, and all it makes, every file that no rule grants, TCP, and outsiders.

    ``no_new_privs`` must be set.

    Args:
        rules: Files and folders for each set of rights; those that do not exist are left out.

    Raises:
        OSError: The kernel refused.
    """
    known = _version()
    handled = (1 << _LAST_RIGHT.get(known, _ALL_RIGHTS)) - 1
    fields = [handled]
    if known >= 4:
        fields.append(_TCP)
    if known >= _SIGNALS_SINCE:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for rights, paths in rules.items():
            for path in paths:
                _grant(ruleset, path, rights & handled)
        call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _version() -> int:
    return call("landlock_create_ruleset", ctypes.c_void_p(None), 0, _CREATE_VERSION)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # what cannot be reached needs no grant
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        if rights:
            rule = struct.pack("=Qi", rights, descriptor)
            call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
