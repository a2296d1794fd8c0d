"""Git's three-way merge of genomes. Knows texts; nothing of knobs, commits or operators."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from population.genome import Genome
from population.plumbing import git


@dataclass(frozen=True, slots=True)
class Merged:
    """A three-way merge: the genome, or None and how many places are in conflict."""

    genome: Genome | None
    conflicts: int


def merge_files(
    base: Genome, ours: Genome, theirs: Genome, *, prefer_theirs: bool = False
) -> Merged:
    """Git's three-way merge of two genomes, file by file.

    With ``prefer_theirs`` a place in conflict is as ``theirs`` has it, and counts as none.
    """
    files: dict[str, str] = {}
    conflicts = 0
    for path in sorted({*base.files, *ours.files, *theirs.files}):
        texts = [genome.files.get(path) for genome in (ours, base, theirs)]
        text, count = _merge_texts(*texts)
        if count and prefer_theirs:
            text, count = _prefer_theirs(*texts), 0
        conflicts += count
        if text is not None:
            files[path] = text
    return Merged(None if conflicts else Genome(files, base.entry), conflicts)


def _merge_texts(ours: str | None, base: str | None, theirs: str | None) -> tuple[str | None, int]:
    if theirs in (ours, base):
        return ours, 0
    if ours == base:
        return theirs, 0
    if ours is None or theirs is None:
        return None, 1  # one side deleted what the other changed
    status, merged = _merge_file(ours, base or "", theirs)
    # The exit status is the number of conflicts; 255 says that a text is no text.
    if status:
        return None, status if status < 128 else 1
    return merged, 0


def _prefer_theirs(ours: str | None, base: str | None, theirs: str | None) -> str | None:
    if ours is None or theirs is None:
        return theirs
    status, merged = _merge_file(ours, base or "", theirs, "--theirs")
    return theirs if status else merged


def _merge_file(ours: str, base: str, theirs: str, *flags: str) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="evoresearch-merge-") as folder:
        names = ("ours", "base", "theirs")
        for name, text in zip(names, (ours, base, theirs), strict=True):
            (Path(folder) / name).write_bytes(text.encode(errors="surrogatepass"))
        merge = ("merge-file", "-p", "-q", *flags, *names)
        done = git(*merge, folder=Path(folder), accept=range(256))
    return done.returncode, done.stdout.decode(errors="surrogatepass")
