"""What somebody did to the page of lessons, and what contradicts a lesson. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from population import Claim, Lesson, LessonState
from population.lesson import PERSON, PERSON_CONFIDENCE
from population.lesson_page import Bullet, Page, bullet_line, read_page

#: A claim is given up when its probability, by the posterior, is below this.
IMPROBABLE = 0.05
DELETED = "somebody deleted it from the page"


@dataclass(frozen=True, slots=True)
class Edits:
    """What a page asks for beside what is known.

    Attributes:
        added: New lessons, of a person.
        changed: Lessons in other words, or with another confidence; a person's from now on.
        retired: Reasons, by number.
    """

    added: Sequence[Lesson] = ()
    changed: Sequence[Lesson] = ()
    retired: Mapping[int, str] | None = None

    @property
    def is_empty(self) -> bool:
        """True if the page asks for nothing."""
        return not (self.added or self.changed or self.retired)


def edits_of(
    page: Page, lessons: Sequence[Lesson], *, on_page: Collection[int], at: float
) -> Edits:
    """What somebody changed.

    A lesson is deleted only if the page held it when it was opened: an editor that was open while
    lessons came does not retire them, and one that still shows a retired lesson does not bring it
    back, unless its words were changed.

    Args:
        page: As it was found.
        lessons: All, the retired ones too.
        on_page: Numbers of those that stood on the page last written, for a page that lost its
            own list.
        at: Seconds since the epoch.
    """
    by_id = {lesson.id: lesson for lesson in lessons}
    told = {lesson.text for lesson in lessons if lesson.is_active}
    before = page.known if page.known is not None else frozenset(on_page)
    seen: set[int] = set()
    added: list[Lesson] = []
    changed: list[Lesson] = []
    for bullet in page.bullets:
        lesson = by_id.get(bullet.id) if bullet.id is not None else None
        if lesson is None or lesson.id in seen:
            # An engine that was killed before it wrote the page anew has taken it in already.
            if bullet.text not in told:
                told.add(bullet.text)
                added.append(_new(bullet, at))
            continue
        seen.add(lesson.id)
        is_changed = not _is_as_shown(bullet, lesson)
        if is_changed or not (lesson.is_active or lesson.id in before):
            changed.append(_changed(lesson, bullet))
    gone = (number for number in sorted(before - seen) if number in by_id)
    retired = {number: DELETED for number in gone if by_id[number].is_active}
    return Edits(added, changed, retired)


def contradicted(claim: Claim, p_helpful: float) -> bool:
    """True if what a lesson claims of the edits of its evidence has become improbable.

    Args:
        claim: Of the lesson.
        p_helpful: Probability that those edits, added up, improve the score.
    """
    match claim:
        case Claim.HELPS:
            return p_helpful < IMPROBABLE
        case Claim.HURTS:
            return 1.0 - p_helpful < IMPROBABLE
        case Claim.NONE:
            return False


def _is_as_shown(bullet: Bullet, lesson: Lesson) -> bool:
    """True if a bullet says what the page showed of the lesson, or leaves it out."""
    shown = read_page(bullet_line(lesson)).bullets[0]
    return (
        bullet.text == shown.text
        and bullet.evidence in (None, shown.evidence)
        and bullet.confidence in (None, shown.confidence)
    )


def _new(bullet: Bullet, at: float) -> Lesson:
    return Lesson(
        text=bullet.text,
        source=PERSON,
        confidence=PERSON_CONFIDENCE if bullet.confidence is None else bullet.confidence,
        at=at,
        evidence=bullet.evidence or (),
    )


def _changed(lesson: Lesson, bullet: Bullet) -> Lesson:
    """The lesson as a person has it now; its claim was a model's."""
    return replace(
        lesson,
        text=bullet.text,
        source=PERSON,
        confidence=lesson.confidence if bullet.confidence is None else bullet.confidence,
        evidence=lesson.evidence if bullet.evidence is None else bullet.evidence,
        claim=Claim.NONE,
        state=LessonState.ACTIVE,
        retired_at=None,
        reason="",
    )
