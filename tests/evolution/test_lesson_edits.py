"""What an edited page asks for: everything a person did, and nothing that they did not."""

import pytest

from evolution.lesson_edits import contradicted, edits_of
from population import Claim, LessonState
from population.lesson import PERSON
from population.lesson_page import lessons_page, read_page
from tests.builders import NOW, a_lesson

KNOWN = [
    a_lesson(id=1, text="first", evidence=(1, 2), confidence=0.75, claim=Claim.HELPS),
    a_lesson(id=2, text="second", confidence=0.6),
    a_lesson(id=3, text="third", confidence=0.5, state=LessonState.RETIRED, reason="trial 9"),
]


def page(lessons=KNOWN[:2]):
    return lessons_page(lessons, run="night")


def edited(text, lessons=KNOWN, on_page=(1, 2)):
    return edits_of(read_page(text), lessons, on_page=on_page, at=NOW)


def test_a_page_that_was_only_looked_at_asks_for_nothing():
    assert edited(page()).is_empty
    assert edited(page().replace("\n", "\r\n")).is_empty
    assert edited(page().replace("(trials 1, 2; confidence 0.75)", "")).is_empty


def test_changed_words_make_a_lesson_a_persons():
    (lesson,) = edited(page().replace("first", "the first")).changed
    assert (lesson.id, lesson.text, lesson.source) == (1, "the first", PERSON)
    assert (lesson.evidence, lesson.confidence, lesson.claim) == ((1, 2), 0.75, Claim.NONE)


def test_changed_confidence_does_as_well():
    (lesson,) = edited(page().replace("confidence 0.75", "confidence 0.2")).changed
    assert (lesson.text, lesson.source, lesson.confidence) == ("first", PERSON, 0.2)


def test_a_new_bullet_is_a_lesson_of_a_person():
    edits = edited(f"{page()}- mine (trial 7)\n\nAnd a line without a bullet.\n")
    assert [(one.text, one.source, one.evidence) for one in edits.added] == [
        ("mine", PERSON, (7,)),
        ("And a line without a bullet.", PERSON, ()),
    ]
    assert not edits.retired


def test_a_bullet_that_was_taken_in_already_is_not_taken_in_twice():
    mine = a_lesson(id=4, text="mine", source=PERSON)
    assert edited(f"{page()}- mine\n", [*KNOWN, mine]).is_empty


def test_a_deleted_bullet_is_retired():
    text = "".join(line for line in page().splitlines(True) if "[L2]" not in line)
    assert list(edited(text).retired) == [2]


def test_an_editor_that_was_open_while_lessons_came_and_went_undoes_nothing():
    # L3 was on the page when it was opened, and L4 came after.
    known = [*KNOWN, a_lesson(id=4, text="fourth")]
    old = page([KNOWN[0], KNOWN[1], a_lesson(id=3, text="third", confidence=0.5)])
    assert edited(old, known).is_empty


def test_a_retired_lesson_comes_back_if_somebody_writes_it_back_or_changes_it():
    (back,) = edited(f"{page()}- [L3] third\n").changed
    assert (back.id, back.state, back.reason) == (3, LessonState.ACTIVE, "")
    old = page([*KNOWN[:2], a_lesson(id=3, text="third", confidence=0.5)])
    (changed,) = edited(old.replace("third", "third, I insist")).changed
    assert (changed.id, changed.is_active) == (3, True)


def test_without_its_own_list_a_page_is_held_against_the_one_last_written():
    text = page().replace("<!-- lessons of run night: L1 L2 -->", "")
    text = "".join(line for line in text.splitlines(True) if "[L2]" not in line)
    assert list(edited(text, on_page=(1, 2)).retired) == [2]
    assert edited(text, on_page=()).is_empty


def test_numbers_that_stand_twice_or_are_none_lose_no_words():
    edits = edited(f"{page()}- [L1] another\n- [L77] unknown\n")
    assert [one.text for one in edits.added] == ["another", "unknown"]
    assert not edits.changed


@pytest.mark.parametrize(
    ("claim", "p_helpful", "is_contradicted"),
    [
        (Claim.HELPS, 0.049, True),
        (Claim.HELPS, 0.051, False),
        (Claim.HURTS, 0.951, True),
        (Claim.HURTS, 0.949, False),
        (Claim.NONE, 0.0, False),
        (Claim.NONE, 1.0, False),
    ],
)
def test_a_claim_is_given_up_when_it_is_improbable(claim, p_helpful, is_contradicted):
    assert contradicted(claim, p_helpful) is is_contradicted
