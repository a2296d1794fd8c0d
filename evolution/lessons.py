"""The lessons of an open run, and the page where people read and edit them.

The store is the truth; the page is its view and a door. What somebody saves there is taken in
before the page is written again, so that no edit is lost. The engine's thread alone calls it.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from agents.librarian import Distillation
from agents.tokens import estimated_tokens
from evolution.lesson_edits import contradicted, edits_of
from evolution.noise import Posterior
from evolution.story import Story
from population import Claim, Json, Lesson, LessonState, Store
from population.lesson import LIBRARIAN, PERSON
from population.lesson_page import bullet_line, lessons_page, read_page

#: The store's fact on the page that the engine wrote last: its hash, and the lessons on it.
PAGE = "lessons_page"
#: Of a page that is larger nothing is read.
MOST_BYTES = 1_000_000

_Stamp = tuple[int, int, int]


class Lessons:
    """What the run has learnt.

    Args:
        store: Of the run.
        path: Of the page.
        run: Name of the run.
        story: Is told.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, *, store: Store, path: Path, run: str, story: Story, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._path = path
        self._run = run
        self._story = story
        self._clock = clock
        self._active: list[Lesson] | None = None
        self._settled: _Stamp | None = None  # as it was when it was last read or written
        self._seen: _Stamp | None = None
        self._problem = ""

    @property
    def active(self) -> list[Lesson]:
        """Those that are told, the most confident and the most evidenced first."""
        if self._active is None:
            known = self._store.lessons(LessonState.ACTIVE)
            self._active = sorted(known, key=lambda lesson: lesson.rank)
        return self._active

    def shown(self, tokens: int) -> str:
        """The lessons as operators are shown them, within ``tokens``; "" if there are none.

        The order changes with the lessons alone, so that a provider's cache of it holds.
        """
        lines: list[str] = []
        room = tokens
        for lesson in self.active:
            line = bullet_line(lesson)
            size = estimated_tokens(f"{line}\n")
            if size <= room:
                room -= size
                lines.append(line)
        return "\n".join(lines)

    def begin(self, *, has_readers: bool) -> None:
        """Take in what was edited while no engine ran; write the page if anybody is to read it."""
        for left in self._path.parent.glob(f".{self._path.name}.*"):  # of an engine that died
            left.unlink(missing_ok=True)
        if _stamp(self._path) is not None:
            self._take_in()
        if has_readers or self.active:
            self._write()

    def look(self) -> None:
        """Take in an edit of the page, once it stands still."""
        stamp = _stamp(self._path)
        if stamp is None or stamp == self._settled:
            return
        if stamp != self._seen:  # it may be half written
            self._seen = stamp
            return
        self._take_in()

    def take(self, made: Distillation, commission: int, belief: Posterior) -> None:
        """Keep what was distilled; its commission is closed with it."""
        known = {lesson.id for lesson in self.active}  # a person may have deleted some meanwhile
        retired = {n: why for n, why in (made.retired or {}).items() if n in known}
        self._change(added=made.lessons, retired=retired, commission=commission)
        self.retire_contradicted(belief)
        self._write()

    def retire_contradicted(self, belief: Posterior) -> None:
        """Retire the lessons whose own evidence speaks against them now."""
        reasons: dict[int, str] = {}
        for lesson in self.active:
            p_helpful = self._p_helpful(lesson, belief)
            if p_helpful is not None and contradicted(lesson.claim, p_helpful):
                p_claim = p_helpful if lesson.claim is Claim.HELPS else 1.0 - p_helpful
                reasons[lesson.id] = (
                    f"its trials contradict it: P(their edits' sum {lesson.claim}) is {p_claim:.3f}"
                )
        if reasons:
            self._change(retired=reasons)
            self._write()

    def _p_helpful(self, lesson: Lesson, belief: Posterior) -> float | None:
        """Probability that the edits of its evidence, added up, help; None if nothing is known."""
        if lesson.claim is Claim.NONE:
            return None
        shas = dict.fromkeys(self._store.trial(number).variant for number in lesson.evidence)
        edits = [sha for sha in shas if belief.is_scored(sha) and self._store.variant(sha).parents]
        return belief.together(edits).p_better if edits else None

    # --- the page ----------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Read the page; what somebody changed is theirs."""
        stamp = _stamp(self._path)
        text = self._text()
        self._settled = stamp
        if text is None or not text.strip() or _hash(text) == self._fact().get("hash"):
            return
        edits = edits_of(
            read_page(text),
            self._store.lessons(),
            on_page=self._on_page(),
            at=self._clock(),
        )
        if not edits.is_empty:
            self._change(added=edits.added, changed=edits.changed, retired=edits.retired, by=PERSON)
        self._keep(text, self._on_page())  # what was added is not on it by number yet
        self._write()

    def _text(self) -> str | None:
        """What stands on the page; None if it cannot be read: it is then left alone, and told."""
        try:
            size = self._path.stat().st_size
            if size > MOST_BYTES:
                self._troubled(f"it has {size} bytes, and {MOST_BYTES} are read at most")
                return None
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            self._troubled(f"it cannot be read: {error.strerror or error}")
            return None
        except UnicodeDecodeError as error:
            self._troubled(f"it is not UTF-8 text: {error}")
            return None
        self._problem = ""
        return text

    def _troubled(self, problem: str) -> None:
        """Tell once what is wrong with the page."""
        if problem != self._problem:
            self._problem = problem
            self._story.tell("lessons_page", path=str(self._path), problem=problem)

    def _write(self) -> None:
        """Put the page in its place, unless somebody has saved it since it was last read."""
        new = lessons_page(self.active, run=self._run)
        if self._path.exists():
            found = self._text()
            if found is None:
                return
            if found == new:
                self._keep(new, self._numbers())
                self._settled = _stamp(self._path)
                return
            if found.strip() and _hash(found) != self._fact().get("hash"):
                self._settled = None  # an edit: the next look takes it in, and writes
                return
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            draft.write_text(new, encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            self._troubled(f"it cannot be written: {error.strerror or error}")
            return
        self._settled = _stamp(self._path)
        self._keep(new, self._numbers())

    def _keep(self, text: str, numbers: Collection[int]) -> None:
        """Remember what stands on the page, so that an edit of it can be told."""
        fact: dict[str, Json] = {"hash": _hash(text), "ids": sorted(numbers)}
        if fact != self._fact():
            self._store.set_fact(PAGE, fact)

    def _fact(self) -> Mapping[str, object]:
        fact = self._store.fact(PAGE)
        return fact if isinstance(fact, Mapping) else {}

    def _numbers(self) -> list[int]:
        return [lesson.id for lesson in self.active]

    def _on_page(self) -> frozenset[int]:
        ids = self._fact().get("ids")
        return frozenset(int(number) for number in ids) if isinstance(ids, list) else frozenset()

    # --- the store ---------------------------------------------------------------------------

    def _change(
        self,
        *,
        added: Sequence[Lesson] = (),
        changed: Sequence[Lesson] = (),
        retired: Mapping[int, str] | None = None,
        commission: int | None = None,
        by: str = LIBRARIAN,
    ) -> None:
        made = self._store.change_lessons(
            at=self._clock(), added=added, changed=changed, retired=retired, commission=commission
        )
        self._active = None
        self._story.lessons(made, by=by)


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
