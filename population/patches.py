"""A line of edits as mails for ``git am``, each checked by applying it before anyone gets it.

Works in a repository of its own that is thrown away; the run's is only read.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from population.branches import Branches
from population.genome import Genome
from population.lineage import Lineage
from population.linear import Edit, linearised
from population.patch_message import patch_message
from population.plumbing import BranchesError, git
from population.publishing import published
from population.store import Store
from population.variant import Variant

# Nothing that depends on a user's settings or on the version of git.
_FORMAT = (
    *("--no-signature", "--zero-commit", "--full-index", "--binary", "--no-renames", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--no-attach", "--no-thread", "--encode-email-headers"),
    *("--subject-prefix=PATCH", "--numbered"),
)


class PatchError(BranchesError):
    """No series of patches gives the champion's files."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One file of a series: the variant whose edit it is, and the subject of its message."""

    file: str
    variant: str
    subject: str


@dataclass(frozen=True, slots=True)
class Series:
    """Patches in the order in which they apply.

    Attributes:
        folder: Where they lie.
        patches: None if the champion's files are the baseline's.
        keep_cr: True if ``git am`` needs ``--keep-cr``: some lines end in CR LF.
        is_split: False if the whole difference had to become one patch.
    """

    folder: Path
    patches: tuple[Patch, ...]
    keep_cr: bool
    is_split: bool


def export_patches(store: Store, branches: Branches, champion: Variant, target: Path) -> Series:
    """Write the edits that lead from the baseline to ``champion`` into the folder ``target``.

    Nothing is written, not even the folder, if the files do not differ.

    Raises:
        PatchError: Not even one single patch gives the champion's files.
        population.publishing.PublishError: The folder cannot be written, or is not ours.
    """
    with store.at_one_moment():
        variants = {v.sha: v for v in store.variants()}
        fitnesses, verdicts, metric = store.fitnesses(), store.verdicts(), store.metric()
        trials = store.trials()
    lineage = Lineage(variants.values())
    family = lineage.ancestors(champion.sha) | {champion.sha}
    genomes = {sha: branches.genome(sha) for sha in family}
    root = next(sha for sha in family if not variants[sha].parents)
    if genomes[root] == genomes[champion.sha]:
        return Series(target, (), keep_cr=False, is_split=True)

    def message(edit: Edit) -> str:
        return patch_message(
            edit,
            variants=variants,
            fitnesses=fitnesses,
            verdicts=verdicts,
            metric=metric,
            trials=trials,
        )

    edits = linearised(champion.sha, lineage, genomes)
    others = tuple(sha for sha in variants if sha in family - {root, champion.sha})
    whole = [Edit(champion.sha, genomes[champion.sha], carries=others)]
    times = {sha: variants[sha].created_at for sha in family}
    with published(target) as folder, tempfile.TemporaryDirectory(prefix="evoresearch-") as scratch:
        tries = ((edits, message), (whole, message), (whole, lambda _: f"{champion.name}\n"))
        for number, (line, words) in enumerate(tries):
            draft = _Draft(Path(scratch) / f"{number}.git", genomes[root], line, times, words)
            if (series := draft.series(target)) is not None:
                for file in draft.files:
                    (folder / file.name).write_bytes(file.read_bytes())
                return replace(series, is_split=line is edits)
    raise PatchError(
        f"The files of {champion.name} differ from the baseline's in a way that `git am` cannot "
        "bring, but a series of patches must give them byte for byte. Take the files themselves: "
        f"`git archive {champion.sha[:10]}` in population.git."
    )


class _Draft:
    """A series in a repository of its own: commits, the files of them, and the proof."""

    def __init__(
        self,
        place: Path,
        baseline: Genome,
        edits: Sequence[Edit],
        times: Mapping[str, float],
        message: Callable[[Edit], str],
    ) -> None:
        self._place = place
        self._edits = edits
        self._commits: list[str] = []
        with Branches.create(place) as branches:
            at = times[edits[0].variant]
            self._root = branches.commit(baseline, message="The baseline\n", at=at)
            for edit in edits:
                before = [self._commits[-1] if self._commits else self._root]
                at = times[edit.variant]
                text = message(edit)
                self._commits.append(branches.commit(edit.genome, before, message=text, at=at))
        folder = place.with_suffix(".patches")
        span = f"{self._root}..{self._commits[-1]}"
        self._git("format-patch", *_FORMAT, "--quiet", "-o", folder, span)
        self.files = sorted(folder.iterdir(), key=lambda f: int(f.name.partition("-")[0]))
        self._keep_cr = any(b"\r\n" in file.read_bytes() for file in self.files)

    def series(self, target: Path) -> Series | None:
        """What was written; None if it does not give these commits."""
        if len(self.files) != len(self._commits) or not self._applies():
            return None
        patches = tuple(
            Patch(file.name, edit.variant, self._message(commit).partition("\n")[0])
            for file, edit, commit in zip(self.files, self._edits, self._commits, strict=True)
        )
        return Series(target, patches, keep_cr=self._keep_cr, is_split=True)

    def _applies(self) -> bool:
        """Go through the steps of ``git am``, in an index without a work tree."""
        self._git("read-tree", self._root)
        for file, commit in zip(self.files, self._commits, strict=True):
            try:
                message = self._apply(file)
            except BranchesError:
                return False
            tree = self._git("write-tree")
            if tree != self._git("rev-parse", f"{commit}^{{tree}}"):
                return False
            if message.strip() != self._message(commit).strip():
                return False
        return True

    def _apply(self, file: Path) -> str:
        """Apply one mail to the index; returns the message that was in it."""
        box = file.with_name(f"{file.name}.box")
        box.mkdir()
        keep = ["--keep-cr"] if self._keep_cr else []
        self._git("mailsplit", *keep, f"-o{box}", file)
        mails = sorted(box.iterdir())
        if len(mails) != 1:
            raise PatchError(f"{file.name} holds {len(mails)} mails, but one patch is one mail.")
        body, patch = box / "body", box / "patch"
        head = self._git("mailinfo", "--encoding=UTF-8", body, patch, given=mails[0].read_bytes())
        self._git("apply", "--cached", "--whitespace=nowarn", patch)
        lines = (line for line in head.split("\n") if line.startswith("Subject: "))
        subject = next(lines, "").removeprefix("Subject: ")
        return f"{subject}\n\n{body.read_bytes().decode()}"

    def _message(self, commit: str) -> str:
        return self._git("show", "--no-patch", "--format=%B", commit)

    def _git(self, *arguments: str | Path, given: bytes = b"") -> str:
        done = git(*arguments, repository=self._place, given=given)
        return done.stdout.decode().removesuffix("\n")
