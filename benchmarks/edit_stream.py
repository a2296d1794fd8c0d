"""A git branch with one commit for each kept change, as a stream of real edits: do they merge?

Each edit is put on the branch's first text by itself; then pairs of those that hold are united.
Both are tried as git merges texts, and again after the knobs were merged by name. An edit counts
as merged if no place is in conflict and the result parses.
"""

import ast
import itertools
import random
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.crossover import merged_knobs
from population import EvolveError, Genome, merge_files, set_knobs


class BranchError(EvolveError):
    """There is no stream of edits there."""


@dataclass(frozen=True)
class Edit:
    """One kept change."""

    sha: str
    before: Genome
    after: Genome


@dataclass(frozen=True)
class Stream:
    """The first text of a branch, and its edits in order."""

    start: Genome
    edits: Sequence[Edit]


@dataclass(frozen=True)
class Count:
    """How many of how many."""

    merged: int
    tried: int


@dataclass(frozen=True)
class Merging:
    """What one way of merging came to.

    Attributes:
        alone: Edits that can be put on the first text without those before them.
        pairs: Of pairs of edits that both can, by themselves and by this way, those that unite.
        all_pairs: Of all pairs, those that unite: an edit that fails alone fails in every pair.
    """

    alone: Count
    pairs: Count
    all_pairs: Count


def read_stream(repository: Path, ref: str, *, path: str = "train.py", most: int = 200) -> Stream:
    """The commits on ``ref``, by first parents, that changed ``path``: the last ``most`` of them.

    Raises:
        BranchError: There is no such repository, branch or file, or no edit of it.
    """
    listed = _git(repository, "rev-list", "--first-parent", "--reverse", ref, "--", path)
    shas = listed.split()[-(most + 1) :]
    texts = [_git(repository, "show", f"{sha}:{path}") for sha in shas]
    if len(shas) < 3:
        raise BranchError(
            f"{ref} in {repository} has {len(shas)} commits that touch {path}, but a stream of "
            "edits needs three at least: the first text and two changes. Give another branch, or "
            "the file's path with --file."
        )
    genomes = [Genome.single(text) for text in texts]
    steps = zip(shas[1:], itertools.pairwise(genomes), strict=True)
    return Stream(genomes[0], [Edit(sha, before, after) for sha, (before, after) in steps])


def merging(stream: Stream, *, by_name: bool, most_pairs: int = 500, seed: int = 0) -> Merging:
    """Put every edit on the first text, and unite pairs of them, drawn if there are many."""
    placed = [_placed(stream.start, edit, by_name=by_name) for edit in stream.edits]
    drawn = _pairs(len(placed), most_pairs, seed)
    both = [
        (one, other)
        for i, j in drawn
        if (one := placed[i]) is not None and (other := placed[j]) is not None
    ]
    united = sum(
        _merged(stream.start, one, other, by_name=by_name) is not None for one, other in both
    )
    held = sum(genome is not None for genome in placed)
    return Merging(Count(held, len(placed)), Count(united, len(both)), Count(united, len(drawn)))


def _placed(start: Genome, edit: Edit, *, by_name: bool) -> Genome | None:
    """``start`` with one edit of its future; None if it does not go there."""
    # Where the edit and its past set the same knob, the edit's value is the one that is wanted.
    return _merged(edit.before, edit.after, start, by_name=by_name)


def _merged(base: Genome, ours: Genome, theirs: Genome, *, by_name: bool) -> Genome | None:
    genomes = [base, ours, theirs]
    if by_name:
        values = merged_knobs(*genomes, is_mixing=False).values
        genomes = [genome.with_main(set_knobs(genome.main, values)) for genome in genomes]
    genome = merge_files(*genomes).genome
    return genome if genome is not None and _parses(genome.main) else None


def _pairs(count: int, most: int, seed: int) -> list[tuple[int, int]]:
    pairs = list(itertools.combinations(range(count), 2))
    return pairs if len(pairs) <= most else sorted(random.Random(seed).sample(pairs, most))


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _git(repository: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        words = said.decode("utf-8", "replace").strip().splitlines()
        raise BranchError(
            f"git could not read {repository} ({words[-1] if words else error}), but --branch "
            "needs a repository and the name of a branch or commit in it. Check both."
        ) from error
    return answer.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
