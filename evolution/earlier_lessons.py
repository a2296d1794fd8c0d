"""Lessons of an earlier run, or of a page that somebody wrote, as a new run begins with them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from population import Lesson, LessonState, RunPaths, Store
from population.errors import EvolveError
from population.lesson import (
    CARRIED_CONFIDENCE,
    EARLIER,
    LIBRARIAN,
    PERSON,
    PERSON_CONFIDENCE,
)
from population.lesson_page import Page, read_page

#: The page in the folder of a project, and of a run.
LESSONS_FILE = "lessons.md"
_MOST_BYTES = 1_000_000


class LessonsError(EvolveError):
    """There are no lessons where they were looked for."""


def earlier_lessons(source: str, runs: Path, *, at: float) -> list[Lesson]:
    """The lessons that ``--lessons`` names, fit for a new run.

    Args:
        source: A run's folder, the name of a run in ``runs``, or a page of lessons.
        runs: The folder of all runs.
        at: Seconds since the epoch: when the new run takes them over.

    Raises:
        LessonsError: There is nothing there, or it cannot be read.
        population.SchemaError: The run is of a version that knew no lessons.
    """
    for folder in (Path(source), runs / source):
        if (folder / "run.db").is_file():
            paths = RunPaths(folder)
            with Store.open(paths.database, read_only=True) as store:
                return carried(store.lessons(LessonState.ACTIVE), paths.name, at=at)
    if Path(source).is_file():
        return page_lessons(Path(source), at=at)
    raise LessonsError(
        f"There are no lessons at {source!r}. The folder of a run, the name of a run in {runs}, or "
        f"a page of lessons ({LESSONS_FILE}) is needed. `evolve lessons --run NAME` shows a run's."
    )


def page_lessons(path: Path, *, at: float) -> list[Lesson]:
    """What a page says. That of a run is carried over; any other is taken as it stands.

    Raises:
        LessonsError: It cannot be read.
    """
    page = read_page(_text(path))
    known = [_of_page(page, number, at) for number in range(len(page.bullets))]
    return known if page.run is None else carried(known, page.run, at=at)


def carried(lessons: Iterable[Lesson], run: str, *, at: float) -> list[Lesson]:
    """Lessons of ``run`` for another one: less sure, and without trials, which are not there.

    What came from a run before ``run`` keeps that one's name.
    """
    return [
        replace(
            lesson,
            id=0,
            at=at,
            source=lesson.source if lesson.source.startswith(EARLIER) else f"{EARLIER}{run}",
            confidence=CARRIED_CONFIDENCE * lesson.confidence,
            evidence=(),
            call=None,
        )
        for lesson in lessons
    ]


def _of_page(page: Page, number: int, at: float) -> Lesson:
    bullet = page.bullets[number]
    source = bullet.source or (LIBRARIAN if page.run is not None else PERSON)
    if page.run is None and source == LIBRARIAN:
        source = PERSON  # whatever it says: no trials here stand behind it
    confidence = PERSON_CONFIDENCE if bullet.confidence is None else bullet.confidence
    return Lesson(text=bullet.text, source=source, confidence=confidence, at=at)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            found = f"it has more than {_MOST_BYTES} bytes"
        else:
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        found = f"it is not UTF-8 text: {error}"
    except OSError as error:
        found = error.strerror or str(error)
    raise LessonsError(
        f"{path} cannot be read as lessons: {found}. A page of Markdown is needed, a bullet each. "
        "Mend it, or take it away."
    )
