"""Gives up every privilege of a process, for good, so that root inside a box is root of nothing.

A capable root process reads its parent's environment and sends signals despite Landlock: what it
may do as root has to go first. Standard library only.
"""

import ctypes
import errno
import struct
from collections.abc import Callable

from evolution.sandbox.syscalls import call, prctl

_CAPBSET_READ = 23
_CAPBSET_DROP = 24
_SET_SECUREBITS = 28
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT = 47
_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

# Root is a number like any other (NOROOT), changing user changes nothing else (NO_SETUID_FIXUP),
# and nothing is raised again; the second bit of each pair locks it.
_SECUREBITS = 0b1110_1111


def drop_capabilities() -> None:
    """Empty the bounding, ambient, inheritable, permitted and effective sets of this thread.

    Raises:
        OSError: A capability is still held afterwards.
    """
    _where_allowed(_drop_bounding_set)
    _where_allowed(lambda: prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL))
    _where_allowed(lambda: prctl(_SET_SECUREBITS, _SECUREBITS))
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    call("capset", header, ctypes.create_string_buffer(bytes(24)))
    if held := held_capabilities():
        raise OSError(errno.EPERM, f"capabilities {held:#x} could not be dropped")


def held_capabilities() -> int:
    """The permitted capabilities of this thread as a bit mask; 0 for none."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    call("capget", header, data)
    low, high = struct.unpack("=4xI8xI4x", data.raw[:24])
    return int(low | high << 32)


def renounce_new_privileges() -> None:
    """No program that is executed from here on gains a right by its file's owner or mode."""
    prctl(_SET_NO_NEW_PRIVS, 1)


def _drop_bounding_set() -> None:
    for capability in range(_MOST_CAPABILITIES):
        try:
            is_bounding = prctl(_CAPBSET_READ, capability)
        except OSError:  # past the last one
            return
        if is_bounding:
            prctl(_CAPBSET_DROP, capability)


def _where_allowed(step: Callable[[], object]) -> None:
    """Do what an ordinary user may not do, and need not: he has no privilege to lose."""
    try:
        step()
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
