"""The page of lessons: lessons as Markdown that people edit, and what any text says of lessons.

Pure. Reading is total: whatever stands in the file, a list of bullets comes of it. A lesson is one
line here, whoever wrote it, and nothing in it can end its line or its page.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from population.lesson import EARLIER, LIBRARIAN, PERSON, PERSON_CHARACTERS, Lesson
from population.untrusted import one_line, plain

#: Bullets that are read of one page.
MOST_BULLETS = 1_000
_MOST_EVIDENCE = 200

_HEAD = """# Lessons

<!--
Told to every model that proposes, the most confident first. The page is yours to edit: change a
line, add a bullet, delete one. What you save is taken in within a trial, and the page written anew.
What you wrote or changed is retired by you alone. `evolve lessons --all` lists those that are gone,
and why.
-->
"""
_NONE = "<!-- none yet -->\n"
_STAMP = re.compile(r"^<!-- lessons of run (?P<run>[\w.-]{1,64}):(?P<names>[ L\d]*)-->", re.M)
# A comment begins its line: one within a lesson is a part of it.
_COMMENT = re.compile(r"^[ \t]*<!--(?:.*?-->[^\n]*|[^\n]*)$", re.M | re.S)
_BULLET = re.compile(r"[ \t]*(?:[-*+•]|\d{1,4}[.)])[ \t]+(?P<text>.*)")
_NAME = re.compile(r"\[L(?P<id>[0-9]{1,9})\]\s*")
_TAIL = re.compile(r"\s*\((?P<facts>[^()]*)\)\s*$")
_TRIALS = re.compile(r"trials?:? [0-9]{1,9}(?:(?:, ?| |,? and )[0-9]{1,9})*", re.I)
_CONFIDENCE = re.compile(r"confidence:? (?P<number>[0-9]{1,3}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})", re.I)
_SOURCE = re.compile(rf"{PERSON}|{LIBRARIAN}|{EARLIER}[\w.-]{{1,64}}")


@dataclass(frozen=True, slots=True)
class Bullet:
    """One lesson as a page has it; None where it says nothing.

    Attributes:
        text: What was learnt, on one line; never empty.
        id: Number of the lesson that it is meant to be.
        evidence: Numbers of trials.
        confidence: From 0 to 1.
        source: Who wrote it.
    """

    text: str
    id: int | None = None
    evidence: tuple[int, ...] | None = None
    confidence: float | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says.

    Attributes:
        bullets: In order.
        run: Name of the run whose page it is; None if it does not say.
        known: Numbers of the lessons that stood on it when it was written; None if it does not say.
    """

    bullets: Sequence[Bullet] = ()
    run: str | None = None
    known: frozenset[int] | None = None


def lesson_text(text: str, limit: int) -> str:
    """A lesson's text fit to be kept: one line, without a number in front; "" if it says nothing.

    Args:
        text: Any.
        limit: Characters at most.
    """
    line = one_line(text, limit)
    while found := _NAME.match(line):
        line = line[found.end() :]
    return line if any(character.isalnum() for character in line) else ""


def bullet_line(lesson: Lesson) -> str:
    """A lesson as one line; without its number if it has none yet."""
    facts = [] if lesson.source == LIBRARIAN else [lesson.source]
    if lesson.evidence:
        trials = "trial" if len(lesson.evidence) == 1 else "trials"
        facts.append(f"{trials} {', '.join(map(str, lesson.evidence))}")
    facts.append(f"confidence {f'{lesson.confidence:.2f}'.rstrip('0').rstrip('.')}")
    name = f"[{lesson.name}] " if lesson.id else ""
    return f"- {name}{one_line(lesson.text, PERSON_CHARACTERS)} ({'; '.join(facts)})"


def lessons_page(lessons: Iterable[Lesson], *, run: str = "") -> str:
    """Lessons as a page, the most confident first.

    Args:
        lessons: In any order.
        run: Whose page it is. It then says which lessons it holds, so that one that somebody
            deletes can be told from one that came later. Empty for a page that a new run begins
            with.
    """
    ordered = sorted(lessons, key=lambda lesson: lesson.rank)
    parts = [_HEAD]
    if run:
        names = "".join(f" L{number}" for number in sorted(lesson.id for lesson in ordered))
        parts.append(f"<!-- lessons of run {run}:{names} -->\n")
    parts.append("".join(f"{bullet_line(lesson)}\n" for lesson in ordered) or _NONE)
    return "\n".join(parts)


def read_page(text: str) -> Page:
    """What a page says, whatever it is.

    A bullet is a lesson, with the lines under it. So is a paragraph that somebody wrote without a
    bullet. Headings and comments are none.
    """
    body = plain(text)
    stamp = _STAMP.search(body)
    run = known = None
    if stamp is not None:
        run = stamp["run"]
        known = frozenset(int(name) for name in re.findall(r"L([0-9]{1,9})\b", stamp["names"]))
    items = _items(_COMMENT.sub("", body).split("\n"))
    bullets = [bullet for item in items if (bullet := _bullet(item)) is not None]
    return Page(bullets[:MOST_BULLETS], run, known)


def _items(lines: Iterable[str]) -> list[str]:
    """The texts of bullets and paragraphs, each on one line."""
    items: list[list[str]] = []
    is_open = False
    for line in lines:
        found = _BULLET.fullmatch(line)
        if found is not None:
            items.append([found["text"]])
            is_open = True
        elif not line.strip() or line.startswith("#"):
            is_open = False
        elif is_open:
            items[-1].append(line)
        else:
            items.append([line])
            is_open = True
    return [" ".join(" ".join(item).split()) for item in items]


def _bullet(item: str) -> Bullet | None:
    """One bullet; None if it says nothing."""
    found = _NAME.match(item)
    number = int(found["id"]) if found is not None else None
    text = item[found.end() :] if found is not None else item
    facts: dict[str, object] = {}
    tail = _TAIL.search(text)
    if tail is not None:
        read = [_fact(part.strip()) for part in tail["facts"].split(";")]
        known = dict(fact for fact in read if fact is not None)
        if len(known) == len(read):
            facts = known
            text = text[: tail.start()]
    text = lesson_text(text, PERSON_CHARACTERS)
    if not text:
        return None
    evidence, confidence = facts.get("evidence"), facts.get("confidence")
    return Bullet(
        text,
        number,
        evidence=evidence if isinstance(evidence, tuple) else None,
        confidence=confidence if isinstance(confidence, float) else None,
        source=str(facts["source"]) if "source" in facts else None,
    )


def _fact(text: str) -> tuple[str, object] | None:
    """What one part of the bracket behind a lesson says; None if it is none of ours."""
    if _TRIALS.fullmatch(text):
        numbers = dict.fromkeys(int(number) for number in re.findall(r"[0-9]+", text))
        return "evidence", tuple(numbers)[:_MOST_EVIDENCE]
    if found := _CONFIDENCE.fullmatch(text):
        return "confidence", min(1.0, float(found["number"]))
    return ("source", text) if _SOURCE.fullmatch(text) else None
