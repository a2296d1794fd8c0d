"""Ideas: a folder in which people leave suggestions, one a file, also while a run is live.

Finds and reads the files, whatever they are; what they say becomes suggestions in the store. The
files are people's, and are never changed.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evolution.templates import template_path
from population import Store, one_line, suggestion_label, suggestion_text
from population.errors import EvolveError
from population.people import SUGGESTION_LIMIT

if TYPE_CHECKING:
    from evolution.story import Story

#: The setting's default: a folder beside evolve.toml. Ideas are called by it: ``ideas/NAME.md``.
IDEAS = "ideas"
#: What the folder says of itself; never an idea.
README = "README.md"
#: Seconds between two looks at the folder.
LOOK_SECONDS = 4.0
#: A larger file is no idea, and so is what comes after so many files.
FILE_BYTES, FILES = 256 * 1024, 200
#: Characters of a file's name.
NAME_LIMIT = 120
_ENDINGS = (".md", ".txt")

Stamp = tuple[int, int, int]


class IdeaError(EvolveError):
    """A file or a folder that cannot be taken in as ideas."""


class IdeaFolder:
    """The folder of ideas of an open run; each look takes in what has changed.

    A change counts once two looks in a row have seen it, so that no half-written file is taken in;
    the first look of a sitting counts at once.

    Args:
        folder: Of the run; None for a run without one. While it is missing or cannot be read,
            everything stays as it is.
        store: Of the run.
        story: Is told.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, folder: Path | None, store: Store, story: "Story", *, clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._store = store
        self._story = story
        self._clock = clock
        self._next_look = float("-inf")
        self._seen: Mapping[str, Stamp] | None = None
        self._taken: Mapping[str, Stamp] | None = None
        self._told: dict[str, str] = {}

    def look(self) -> None:
        """Take in new, changed and removed files; at most every `LOOK_SECONDS`, else nothing."""
        now = self._clock()
        if self._folder is None or now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        found = _stamps(self._folder)
        if found is None:
            return
        is_settled = self._seen is None or found == self._seen
        self._seen = found
        if is_settled and found != self._taken:
            self._taken = found
            self._take(self._folder, found, now)

    def _take(self, folder: Path, found: Mapping[str, Stamp], now: float) -> None:
        texts: dict[str, str] = {}
        for number, name in enumerate(found):
            try:
                texts[f"{IDEAS}/{name}"] = self._text(folder / name, number)
                self._told.pop(name, None)
            except IdeaError as error:
                self._refuse(name, str(error))
        for file in [*texts, *(f for f in self._store.idea_files() if f not in texts)]:
            self._set(file, texts.get(file), now)

    def _text(self, path: Path, number: int) -> str:
        if number >= FILES:
            raise IdeaError(
                f"{_shown(path)} is file {number + 1} of its folder, and {FILES} ideas are read. "
                "Take away what is no longer wanted."
            )
        return idea_text(path)

    def _refuse(self, name: str, reason: str) -> None:
        """Say it once."""
        if self._told.get(name) != reason:
            self._told[name] = reason
            self._story.tell("idea_refused", file=one_line(f"{IDEAS}/{name}"), reason=reason)

    def _set(self, file: str, text: str | None, now: float) -> None:
        new, old = self._store.set_idea(file, text, at=now)
        if old is not None:
            reason = "its file says something else" if text else "its file is gone"
            self._story.tell(
                "suggestion_withdrawn", suggestion=suggestion_label(old), file=file, reason=reason
            )
        if new is not None:
            self._story.tell(
                "suggestion",
                suggestion=suggestion_label(new),
                author=file,
                text=one_line(text or ""),
            )


def first_ideas(
    project: Path | None, setting: str, report: Callable[[str], None]
) -> dict[str, str]:
    """What the folder of ideas of a new run holds: texts by name, and a word on the folder.

    Args:
        project: The folder of the settings; None for the shipped ones.
        setting: ``[agents] ideas``: a folder beside them; "" for none.
        report: Told what is left out, and why.

    Raises:
        IdeaError: The setting names a folder that is not there.
    """
    if not setting:
        return {}
    texts = {README: template_path(f"{IDEAS}/{README}").read_text(encoding="utf-8")}
    folder = (project or Path()) / Path(setting).expanduser()
    found = _stamps(folder)
    if found is None:
        if setting == IDEAS:
            return texts
        raise IdeaError(
            f"There is no folder {folder} that can be read, which the setting agents.ideas names. "
            'A folder of text files is needed. Make it, or set agents.ideas to "" for none.'
        )
    for name in list(found)[:FILES]:
        try:
            texts[name] = idea_text(folder / name)
        except IdeaError as error:
            report(f"left out: {error}")
    if len(found) > FILES:
        report(f"left out: {len(found) - FILES} of {len(found)} ideas in {folder}")
    if len(texts) > 1:
        report(f"{len(texts) - 1} ideas: {', '.join(name for name in texts if name != README)}")
    return texts


def idea_text(path: Path) -> str:
    """The idea in a file: its beginning, at most `SUGGESTION_LIMIT` characters, whole lines.

    Links are not followed, and only plain files are opened: a folder of ideas may be anyone's.

    Raises:
        IdeaError: In three parts; the file is no idea.
    """
    problem, text = _checked_name(path), ""
    if problem is None:
        try:
            problem, text = _read(path)
        except OSError as error:
            problem = error.strerror or str(error)
    if problem is not None:
        raise IdeaError(
            f"{_shown(path)} is no idea: {problem}. An idea is a text file of at most "
            f"{FILE_BYTES // 1024} kB that ends in {' or '.join(_ENDINGS)}. Mend it, or take it "
            "away."
        )
    return text


def _checked_name(path: Path) -> str | None:
    if len(path.name) > NAME_LIMIT or not path.name.isprintable():
        return f"its name is not printable, or longer than {NAME_LIMIT} characters"
    if path.suffix.lower() not in _ENDINGS and not path.is_dir():
        return f"it ends in {path.suffix or 'nothing'}"
    return None


def _read(path: Path) -> tuple[str | None, str]:
    """What is wrong with a file, or else its text."""
    if path.is_symlink():
        return "it is a link", ""
    # Not blocking, so that a pipe cannot hold the engine; the check above may be out of date.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(handle)
        if not stat.S_ISREG(kind.st_mode):
            return "it is a folder" if stat.S_ISDIR(kind.st_mode) else "it is no plain file", ""
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(FILE_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > FILE_BYTES:
        return f"it has {kind.st_size // 1024} kB", ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "it is not UTF-8 text", ""
    if "\0" in text:
        return "it is not text", ""
    kept = _beginning(suggestion_text(text))
    return (None, kept) if kept else ("it is empty", "")


def _beginning(text: str) -> str:
    """The first lines, as many as a suggestion has room for; of one endless line its beginning."""
    if len(text) <= SUGGESTION_LIMIT:
        return text
    kept = text[:SUGGESTION_LIMIT]
    return (kept.rpartition("\n")[0] or kept).rstrip()


def _stamps(folder: Path) -> dict[str, Stamp] | None:
    """What lies in a folder, by name, with what tells a change; None if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return dict(sorted(_stamped(entries)))
    except OSError:
        return None


def _stamped(entries: Iterator["os.DirEntry[str]"]) -> Iterator[tuple[str, Stamp]]:
    for entry in entries:
        name = entry.name
        if name.startswith((".", "#")) or name.endswith("~") or name.lower() == README.lower():
            continue  # what editors leave, and what the folder says of itself
        found = entry.stat(follow_symlinks=False)
        yield name, (found.st_mtime_ns, found.st_size, found.st_ino)


def _shown(path: Path) -> str:
    """A path as it can be printed."""
    return one_line(str(path), 300)
