"""Branches: genome in, commit and branch out; the family tree as git keeps it.

The only import of git (``plumbing`` runs the program). Objects are written straight into a bare
repository, without a work tree: the same genome, parents, message and time always give the same
commit.
"""

import hashlib
import os
import re
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from population.genome import MAIN, Genome, GenomeError
from population.messages import one_line
from population.plumbing import (
    ENVIRONMENT,
    BranchesError,
    explained,
    git,
    git_executable,
    location_of,
    write_synced,
)

if TYPE_CHECKING:
    from git import Repo

NOTES = "refs/notes/fitness"

_SHA = re.compile(r"[0-9a-f]{40}")
# Letters that are safe in a ref, in a file system and in a shell; git's own names begin with a dot.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*", re.ASCII)
_ENTRY = "evoresearch.entry"
_AUTHOR_EMAIL = "evoresearch@localhost"
_CONFIG = {
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.fsync": "committed,loose-object,reference",
    "core.fsyncMethod": "batch",
    "fastimport.unpackLimit": "1000000",
    "notes.displayRef": NOTES,
}


class Branches:
    """One run's variants as commits. Open it with ``create`` or ``open``, close it after use."""

    def __init__(self, path: Path, repository: "Repo", entry: str = MAIN) -> None:
        self._path = path
        self._repository = repository
        self._entry = entry
        self._has_head = False

    @classmethod
    def create(cls, path: Path | str, *, entry: str = MAIN) -> "Branches":
        """Make a new bare repository; a failure leaves nothing behind.

        Args:
            path: Where.
            entry: The file of every genome that a trial starts; kept with the repository.

        Raises:
            GitMissingError: There is no git.
            BranchesError: Something is there already, or the place cannot be written.
        """
        path = Path(path).absolute()
        partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        try:
            with explained(path):
                if path.exists():
                    raise BranchesError(
                        f"There is something at {path} already, but a new run's repository needs "
                        "a place of its own. Choose another name for the run."
                    )
                git("init", "--bare", "--quiet", "--template=", "--initial-branch=main", partial)
                for key, value in {**_CONFIG, _ENTRY: entry}.items():
                    git("config", key, value, repository=partial)
                partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> "Branches":
        """Open a run's repository.

        Raises:
            GitMissingError: There is no git.
            BranchesError: There is no repository.
        """
        path = Path(path).absolute()
        executable = git_executable()
        if not (path / "objects").is_dir():
            raise BranchesError(
                f"There is no repository at {path}, but a run keeps its variants in one. Check "
                "the name of the run, or begin it with `evolve run`."
            )
        from git import Git, Repo

        Git.GIT_PYTHON_GIT_EXECUTABLE = executable
        repository = Repo(path, expand_vars=False)
        repository.git.update_environment(**ENVIRONMENT, **location_of(path))
        with repository.config_reader("repository") as settings:
            section, _, option = _ENTRY.partition(".")
            entry = str(settings.get_value(section, option, MAIN))
        return cls(path, repository, entry)

    def close(self) -> None:
        """End the processes that read for us."""
        self._repository.close()

    def __enter__(self) -> "Branches":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Writing

    def commit(
        self,
        genome: Genome,
        parents: Sequence[str] = (),
        *,
        message: str,
        at: float,
        author: str = "evoresearch",
    ) -> str:
        """Write a genome as a commit that no branch holds yet, safe on disk; returns its SHA.

        Raises:
            BranchesError: A parent is not here, or a file's name or text cannot be kept.
            population.DiskFullError: No space is left.
        """
        for parent in parents:
            self._read(parent, "commit")
        with explained(self._path):
            tree = self._write_tree(_encoded(genome))
            name = one_line(author).translate({ord(mark): None for mark in "<>"})
            who = f"{name} <{_AUTHOR_EMAIL}> {int(at)} +0000"
            lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
            lines += [f"author {who}", f"committer {who}", "", message.replace("\0", "")]
            return self._write("commit", "\n".join(lines).encode(errors="replace"))

    def _write_tree(self, files: Mapping[str, bytes]) -> str:
        folders: dict[str, dict[str, bytes]] = {}
        entries: list[tuple[str, str, str]] = []
        for path, data in files.items():
            name, _, rest = path.partition("/")
            if rest:
                folders.setdefault(name, {})[rest] = data
            else:
                entries.append((name, "100644", self._write("blob", data)))
        for name, inside in folders.items():
            # Git orders a folder as if its name ended in a slash.
            entries.append((name + "/", "40000", self._write_tree(inside)))
        rows = [
            f"{mode} {name.rstrip('/')}\0".encode() + bytes.fromhex(sha)
            for name, mode, sha in sorted(entries)
        ]
        return self._write("tree", b"".join(rows))

    def _write(self, kind: str, data: bytes) -> str:
        # GitPython starts a process for each object and gitdb never syncs. An object that is here
        # already is written again: a power cut may have left its name on an empty file.
        sha = _object_name(kind, data)
        file = self._path / "objects" / sha[:2] / sha[2:]
        file.parent.mkdir(exist_ok=True)
        write_synced(file, zlib.compress(f"{kind} {len(data)}\0".encode() + data, 1))
        return sha

    def anchor(self, sha: str, *, run: str, name: str) -> None:
        """Let the branch ``evolve/<run>/<name>`` hold a commit; the first one becomes HEAD."""
        self._run("update-ref", _ref(run, name), _checked(sha))
        if not self._has_head and self._run("rev-parse", "-q", "--verify", "HEAD", accept=(0, 1)):
            self._has_head = True
        if not self._has_head:
            self.point_head(run=run, name=name)

    def point_head(self, *, run: str, name: str) -> None:
        """Make a branch the one that plain ``git log`` shows, the champion's for instance."""
        self._run("symbolic-ref", "HEAD", _ref(run, name))
        self._has_head = True

    def note(self, sha: str, text: str, *, at: float = 0.0) -> None:
        """Set the note of one commit, in place of the one it had."""
        self.notes({sha: text}, at=at)

    def notes(self, texts: Mapping[str, str], *, at: float = 0.0) -> None:
        """Set the notes of many commits at once; the others keep theirs, equal ones cost nothing.

        Notes have no history: their branch is always a single commit.
        """
        listed = self._run("notes", f"--ref={NOTES}", "list").splitlines()
        present = {sha: blob for blob, sha in (line.split() for line in listed)}
        data = {_checked(sha): f"{text.rstrip()}\n".encode() for sha, text in texts.items()}
        blobs = present | {sha: _object_name("blob", note) for sha, note in data.items()}
        if blobs == present:
            return
        committer = f"evoresearch <{_AUTHOR_EMAIL}> {int(at)} +0000"
        commands = f"commit {NOTES}\ncommitter {committer}\ndata 0\n".encode()
        for sha, blob in blobs.items():
            if present.get(sha) == blob:
                commands += f"N {blob} {sha}\n".encode()
            else:
                commands += f"N inline {sha}\ndata {len(data[sha])}\n".encode() + data[sha]
        self._run("fast-import", "--quiet", "--force", given=commands)

    def pack(self) -> None:
        """Gather loose objects and branches into few files; call it every thousand variants."""
        self._run("repack", "-d", "-q")
        self._run("pack-refs", "--all")

    # Reading

    def names(self, run: str) -> dict[str, str]:
        """The commit of each branch of a run, by the variant's name."""
        prefix = f"refs/heads/evolve/{_name(run)}/"
        lines = self._run("for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        pairs = (line.split(" ", 1) for line in lines)
        return {ref.removeprefix(prefix): sha for sha, ref in pairs}

    def genome(self, sha: str) -> Genome:
        """The genome of a commit.

        Raises:
            BranchesError: The commit is not here, or holds no genome.
        """
        tree = self._read(sha, "commit")[5:45].decode()
        try:
            files = {path: data.decode() for path, data in self._files(tree)}
            return Genome(files, self._entry)
        except (UnicodeDecodeError, GenomeError) as error:
            raise BranchesError(
                f"Commit {sha[:10]} holds no genome ({error}), but every variant is a set of text "
                f"files with {self._entry}. The repository was changed by hand: restore it from a "
                "copy."
            ) from error

    def _files(self, tree: str, folder: str = "") -> Iterator[tuple[str, bytes]]:
        rest = self._read(tree, "tree")
        while rest:
            head, _, rest = rest.partition(b"\0")
            mode, _, name = head.partition(b" ")
            sha, rest = rest[:20].hex(), rest[20:]
            path = folder + name.decode()
            if mode == b"40000":
                yield from self._files(sha, path + "/")
            else:
                yield path, self._read(sha, "blob")

    def verify(self, sha: str) -> bool:
        """True if a commit and everything in it is here, bit for bit."""
        try:
            tree = self._read(sha, "commit")[5:45].decode()
            for _ in self._files(tree):
                pass
        except BranchesError:
            return False
        return True

    def _read(self, sha: str, kind: str) -> bytes:
        """The content of an object, held against its name."""
        from git.exc import ODBError

        try:
            stream = self._repository.odb.stream(bytes.fromhex(_checked(sha)))
            data: bytes = stream.read()
        except (ODBError, ValueError, OSError) as error:
            self._repository.git.clear_cache()  # git's reader may have died of it
            raise _missing(self._path, sha, kind) from error
        if _object_name(kind, data) != sha:
            raise _missing(self._path, sha, kind)
        return data

    def message(self, sha: str) -> str:
        """The message of a commit."""
        return self._read(sha, "commit").decode().partition("\n\n")[2]

    def read_note(self, sha: str) -> str | None:
        """The note of a commit, without its last newline; None if it has none."""
        text = self._run("notes", f"--ref={NOTES}", "show", _checked(sha), accept=(0, 1))
        return text.removesuffix("\n") or None

    def diff(self, a: str, b: str) -> str:
        """What changed from one commit's genome to another's, as a unified diff."""
        plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        return self._run("diff", *plain, _checked(a), _checked(b))

    def merge_base(self, a: str, b: str) -> str | None:
        """The last common ancestor of two commits; None if they have none."""
        found = self._run("merge-base", _checked(a), _checked(b), accept=(0, 1))
        return found.strip() or None

    def log_graph(self, *, notes: bool = True) -> str:
        """Every variant as ``git log --graph`` draws it, with fitness unless ``notes`` is False."""
        shown = "--notes=fitness" if notes else "--no-notes"
        branches = "--branches=evolve/*"
        return self._run("log", "--graph", "--oneline", "--decorate", "--no-color", shown, branches)

    def _run(self, *arguments: str, given: bytes = b"", accept: Collection[int] = (0,)) -> str:
        with explained(self._path):
            done = git(*arguments, repository=self._path, given=given, accept=accept)
        return done.stdout.decode(errors="replace")


def _object_name(kind: str, data: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def _encoded(genome: Genome) -> dict[str, bytes]:
    folders = {path[:i] for path in genome.files for i, c in enumerate(path) if c == "/"}
    for path in genome.files:
        if path in folders or not all(_FILE_NAME.fullmatch(part) for part in path.split("/")):
            raise BranchesError(
                f"The genome has a file {path[:200]!r}, but a path in it is relative and made of "
                "letters, digits, '_', '-', '.' and spaces, with no part that begins with a dot. "
                "Rename the file."
            )
    try:
        return {path: text.encode() for path, text in genome.files.items()}
    except UnicodeEncodeError as error:
        raise BranchesError(
            f"The genome's text is not Unicode ({error}), but it is kept as UTF-8. Remove the "
            "lone surrogates from it."
        ) from error


def _name(name: str) -> str:
    if _NAME.fullmatch(name) and not name.endswith(".lock"):
        return name
    raise BranchesError(
        f"The name is {name[:80]!r}, but it becomes part of a branch: letters, digits, '-', '_' "
        "and single '.' are needed, and no '.lock' at the end. Choose such a name."
    )


def _ref(run: str, name: str) -> str:
    return f"refs/heads/evolve/{_name(run)}/{_name(name)}"


def _checked(sha: str) -> str:
    if _SHA.fullmatch(sha):
        return sha
    raise BranchesError(
        f"The commit is given as {sha[:80]!r}, but its 40 hexadecimal digits are needed. Ask the "
        "store for the variant first."
    )


def _missing(path: Path, sha: str, kind: str) -> BranchesError:
    return BranchesError(
        f"{path} has no sound {kind} {sha[:10]}, but a variant of the run needs it. Run `git fsck` "
        "there, and restore the repository from a copy."
    )
