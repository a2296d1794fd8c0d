"""The command that puts another command into a box of namespaces, by bubblewrap (``bwrap``).

In the box there is its own process table, no network, a minimal ``/dev``, read-only copies of what
was named, and memory-backed folders of a stated size. Standard library only.
"""

import functools
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

_NAMESPACE = "namespace"
_SMALL_BYTES = 64 << 20
_SCRIPT_BYTES = 1 << 30  # /tmp and /dev/shm of a script of the user's own
_PROBE_SECONDS = 10.0
_MADE_BY_BWRAP = (Path("/proc"), Path("/dev"))
_OPTIONS = ("--unshare-user", "--size", "--remount-ro", "--die-with-parent", "--cap-drop")
_NETWORK = "--unshare-net"
_NAMESPACES = (
    *("--unshare-user", "--unshare-pid", _NETWORK),
    *("--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
)
# Read-only: a box of root's is root to /proc/sys, and bubblewrap alone leaves that open.
_OWN_PROC = ("--proc", "/proc", "--remount-ro", "/proc")
_OUTER_PROC = ("--ro-bind", "/proc", "/proc")


def box_command(
    level: str,
    command: Sequence[str],
    *,
    readable: Iterable[str],
    devices: Iterable[str] = (),
    hidden: Iterable[str] = (),
    workspace: str,
    workspace_bytes: int | None,
    has_network: bool = False,
) -> list[str]:
    """The command in a box at level ``namespace``; at another level the command as it is.

    The environment is the caller's; descriptors that it passes on reach the command.

    Args:
        level: Containment level.
        command: Program and arguments, with paths as they are inside.
        readable: Files and folders shown read-only, at their own paths. What does not exist is
            left out, and so are ``/proc`` and ``/dev``, of which the box has its own.
        devices: Device nodes to show.
        hidden: Folders below what is shown that are empty in the box.
        workspace: Absolute path of the folder that the command works in, and may write to.
        workspace_bytes: Size of the empty memory-backed folder there. None shows the folder of
            that path itself, to read and write.
        has_network: True leaves it the machine's network. Never for a genome.
    """
    if level != _NAMESPACE:
        return list(command)
    other_bytes = _SCRIPT_BYTES if workspace_bytes is None else _SMALL_BYTES
    namespaces = [kind for kind in _NAMESPACES if not (has_network and kind == _NETWORK)]
    return [
        *(shutil.which("bwrap") or "bwrap", *namespaces),
        *("--hostname", "box", "--die-with-parent", "--cap-drop", "ALL"),
        *("--dev", "/dev", *_memory_folder("/dev/shm", other_bytes)),
        *_device_mounts(devices),
        *("--remount-ro", "/dev", *_proc_mount()),
        *_memory_folder("/tmp", other_bytes),
        *_read_only_mounts(readable),
        *_empty_folders(hidden),
        *_workspace_mount(workspace, workspace_bytes),
        *("--remount-ro", "/", "--chdir", workspace, "--", *command),
    ]


def why_missing() -> str:
    """Why bubblewrap cannot be used here at all; "" if it is installed and knows its options."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed (`apt install bubblewrap`, `dnf install bubblewrap`)"
    try:
        known = _run([program, "--help"]).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"bubblewrap does not start: {error}"
    missing = [option for option in _OPTIONS if option not in known]
    return f"bubblewrap is too old: it does not know {', '.join(missing)}" if missing else ""


def _device_mounts(devices: Iterable[str]) -> list[str]:
    found = [node for node in sorted(set(devices)) if Path(node).exists()]
    return [argument for node in found for argument in ("--dev-bind", node, node)]


def _read_only_mounts(readable: Iterable[str]) -> list[str]:
    """Folders before their contents; what a shown folder holds is not mounted again."""
    shown: list[Path] = []
    for path in sorted({Path(entry) for entry in readable}):
        is_shown = any(path.is_relative_to(folder) for folder in (*shown, *_MADE_BY_BWRAP))
        if not is_shown and path.exists():
            shown.append(path)
    return [argument for path in shown for argument in ("--ro-bind", str(path), str(path))]


def _empty_folders(hidden: Iterable[str]) -> list[str]:
    found = [folder for folder in sorted(set(hidden)) if Path(folder).is_dir()]
    return [
        argument
        for folder in found
        for argument in (*_memory_folder(folder, 4096), "--remount-ro", folder)
    ]


def _workspace_mount(workspace: str, size: int | None) -> list[str]:
    if size is None:
        return ["--bind", workspace, workspace]
    return _memory_folder(workspace, size)


def _memory_folder(path: str, size: int) -> list[str]:
    return ["--size", str(size), "--tmpfs", path]


@functools.cache
def _proc_mount() -> tuple[str, ...]:
    """The box's own /proc; the outer one, read-only, where a container refuses another."""
    program = shutil.which("bwrap")
    if program is None:
        return _OWN_PROC
    outside = [program, *_NAMESPACES, "--ro-bind", "/", "/"]
    for mount in (_OWN_PROC, _OUTER_PROC):
        try:
            if _run([*outside, *mount, "true"]).returncode == 0:
                return mount
        except (OSError, subprocess.SubprocessError):
            continue
    return _OWN_PROC


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
    )
