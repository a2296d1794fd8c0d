"""Runs git, the program: no repository of the user's, no settings, no hooks. Knows no genomes."""

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from population.errors import EvolveError
from population.messages import one_line

# Nothing of the user's: no settings, hooks or keys, and no repository a calling hook points at.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}


class BranchesError(EvolveError):
    """The repository cannot do what was asked."""


class GitMissingError(BranchesError):
    """There is no git on this machine."""


def git_executable() -> str:
    """Where git is.

    Raises:
        GitMissingError: Nowhere.
    """
    found = shutil.which("git")
    if found is None:
        raise GitMissingError(
            "There is no git on the PATH, but every variant is a commit. Install git 2.30 or "
            "later, e.g. `apt install git`, and try again."
        )
    return found


def location_of(repository: Path) -> dict[str, str]:
    """The environment that ties git to one repository."""
    return {"GIT_DIR": str(repository), "GIT_OBJECT_DIRECTORY": str(repository / "objects")}


def git(
    *arguments: str | Path,
    repository: Path | None = None,
    folder: Path | None = None,
    given: bytes = b"",
    accept: Collection[int] = (0,),
) -> "subprocess.CompletedProcess[bytes]":
    """Run one git command.

    Args:
        arguments: The command and its arguments.
        repository: The repository it works on, if any.
        folder: Where it runs; by default in the repository.
        given: What it reads from its standard input.
        accept: Exit codes that are no failure.

    Raises:
        GitMissingError: There is no git.
        BranchesError: It failed.
        OSError: No space is left.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    place = location_of(repository) if repository else {}
    done = subprocess.run(
        [git_executable(), *arguments],
        input=given,
        capture_output=True,
        check=False,
        cwd=folder or repository,
        env=inherited | ENVIRONMENT | place,
        start_new_session=True,  # Ctrl-C is for the engine, which lets git finish
    )
    if done.returncode not in accept:
        said = done.stderr.decode(errors="replace")
        if os.strerror(errno.ENOSPC) in said:
            raise OSError(errno.ENOSPC, said)
        raise BranchesError(
            f"git {arguments[0]} failed with {one_line(said)[:500]!r}, but the repository must be "
            "whole and writable. Check its folder, and run `git fsck` in it."
        )
    return done


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system says of files under ``path`` into one of our errors."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            from population.database import DiskFullError

            raise DiskFullError(
                f"{path}: no space is left (disk full), but every variant is written at once. "
                "Nothing that was written before is lost: free some space, then resume."
            ) from error
        raise BranchesError(
            f"{path} cannot be read or written ({error}), but a run needs both. Check the "
            "permissions of the folder."
        ) from error


def write_synced(file: Path, data: bytes) -> None:
    """Put ``data`` at ``file`` in one step; it is on disk when this returns."""
    handle, name = tempfile.mkstemp(prefix="tmp_obj_", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as partial:
            partial.write(data)
            partial.flush()
            os.fchmod(handle, 0o444)
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
