"""What a folder holds, counted and removed without trusting what wrote it.

Folders are opened one below the other, so that no depth and no length of a path stops either.
Standard library only.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

_MOST_ENTRIES = 20_000
MORE_THAN_ANY = 1 << 62
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def written_bytes(folder: Path) -> int:
    """Bytes on disk below a folder; links are not followed.

    A flood of entries (20,000), of folders in folders (64), or a folder that may not be looked into
    counts as more than any limit.
    """
    try:
        return _written_below(os.open(folder, _FOLDER), [_MOST_ENTRIES], 64)
    except FileNotFoundError:
        return 0
    except OSError:
        return MORE_THAN_ANY


def _written_below(descriptor: int, left: list[int], depth: int) -> int:
    """Bytes below an open folder, which is closed."""
    total = 0
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                left[0] -= 1
                if left[0] < 0:
                    return MORE_THAN_ANY
                try:
                    facts = entry.stat(follow_symlinks=False)
                    total += facts.st_blocks * 512
                    if stat.S_ISDIR(facts.st_mode):
                        if depth == 0:
                            return MORE_THAN_ANY
                        below = os.open(entry.name, _FOLDER, dir_fd=descriptor)
                        total += _written_below(below, left, depth - 1)
                except FileNotFoundError:
                    continue  # removed meanwhile
                except OSError:
                    return MORE_THAN_ANY
    finally:
        os.close(descriptor)
    return total


def remove_folder(folder: Path) -> None:
    """Remove a folder, also where a genome took away the right to, and however deep it goes.

    Deep folders are moved up beside the top before they are emptied, so that neither the stack nor
    the length of a path limits anything. What cannot be removed stays, and nothing is raised.
    """
    with suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            with suppress(OSError):
                os.fchmod(top, 0o700)
            waiting = ["."]
            while waiting:
                _empty(top, waiting.pop(), waiting)
        finally:
            os.close(top)
    if not folder.is_symlink() and folder.is_file():
        with suppress(OSError):
            folder.unlink()
    with suppress(OSError):
        folder.rmdir()


def _empty(top: int, name: str, waiting: list[str]) -> None:
    """Remove the files of one folder, and move its folders to the top, where they wait."""
    with suppress(OSError):
        if name != ".":
            os.chmod(name, 0o700, dir_fd=top)
        inside = os.open(name, _FOLDER, dir_fd=top)
        try:
            for entry in os.listdir(inside):  # noqa: PTH208 - of an open folder
                try:
                    os.unlink(entry, dir_fd=inside)
                except OSError:  # a folder
                    moved = f".removed-{secrets.token_hex(8)}"
                    with suppress(OSError):
                        os.chmod(entry, 0o700, dir_fd=inside)
                        os.rename(entry, moved, src_dir_fd=inside, dst_dir_fd=top)
                        waiting.append(moved)
        finally:
            os.close(inside)
        if name != ".":
            os.rmdir(name, dir_fd=top)
