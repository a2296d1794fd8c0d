"""A folder that people are given: written beside its place, then put there whole.

Knows files and names; nothing of what is in them.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from population.errors import EvolveError

#: Lists what a published folder holds, so that the next one knows what it may replace.
MANIFEST = ".evolve-export.json"


class PublishError(EvolveError):
    """A folder cannot be written where it was asked for."""


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """An empty folder to write into; when the block ends it stands at ``target``, whole.

    If the block raises, nothing is at ``target`` that was not there before. A folder that an
    earlier call put there, and nobody has added to, is replaced.

    Raises:
        PublishError: Something else is there, the disk is full, or the place cannot be written.
    """
    target = target.absolute()
    with _explained(target):
        _refuse_foreign(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with _explained(target):
            yield draft
            names = sorted(str(p.relative_to(draft)) for p in draft.rglob("*") if p.is_file())
            (draft / MANIFEST).write_text(json.dumps({"files": names}) + "\n", encoding="utf-8")
            draft.chmod(0o755)
            _sync(draft, [*names, MANIFEST])
            _put(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _refuse_foreign(target: Path) -> None:
    foreign = _foreign(target)
    if foreign is not None:
        raise PublishError(
            f"There is {foreign} already, which no earlier export wrote. An export replaces "
            "nothing but an export. Choose another folder with --output, or move it away."
        )


def _foreign(target: Path) -> Path | None:
    """The first thing at ``target`` that no earlier export wrote; None if there is none."""
    if not target.exists() and not target.is_symlink():
        return None
    if target.is_symlink() or not target.is_dir():
        return target
    ours = _listed(target)
    inside = (p for p in sorted(target.rglob("*")) if p.is_symlink() or not p.is_dir())
    return next((p for p in inside if str(p.relative_to(target)) not in ours), None)


def _listed(folder: Path) -> set[str]:
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {MANIFEST, *(str(name) for name in names)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _sync(draft: Path, names: Sequence[str]) -> None:
    for name in names:
        handle = os.open(draft / name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put(draft: Path, target: Path) -> None:
    """Give the draft its name. A name that is taken by a full folder is freed just before."""
    _refuse_foreign(target)  # somebody may have written there meanwhile
    if not target.exists():
        draft.rename(target)
        return
    aside = draft.with_name(f"{draft.name}.old")
    target.rename(aside)
    try:
        draft.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PublishError(
                f"{target} could not be written: no space is left. Nothing half-made was left "
                "there. Free some space, or choose another folder with --output."
            ) from error
        raise PublishError(
            f"{target} could not be written: {error.strerror or error}. A folder that can be "
            "written is needed. Choose another one with --output."
        ) from error
