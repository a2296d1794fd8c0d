"""Lessons and critiques in the store: kept with their evidence, changed all or nothing."""

import dataclasses

import pytest

from population import (
    CommissionState,
    Critique,
    Judgement,
    LessonState,
    Purpose,
    Store,
    StoreError,
    Suspect,
    VerdictReading,
)
from tests.builders import NOW, a_lesson, a_run, a_variant, a_verdict, conditions


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        store.add_variant(a_variant(0))
        store.add_variant(a_variant(1, parents=(a_variant(0).sha,)))
        for _ in range(3):
            store.queue_trial(
                a_variant(1).sha, purpose=Purpose.SCREEN, conditions=conditions(), at=NOW
            )
        yield store


def a_commission(store, operator="librarian"):
    return store.open_commission(operator, parents=(), rng_seed=1, at=NOW).id


def test_lessons_are_kept_with_numbers_and_evidence_that_exists(store):
    changes = store.change_lessons(at=NOW, added=[a_lesson(evidence=(1, 99, 3))])
    (lesson,) = store.lessons()
    assert changes.added == [lesson]
    assert (lesson.id, lesson.name, lesson.evidence) == (1, "L1", (1, 3))


def test_a_librarians_lesson_without_evidence_is_not_kept_and_a_persons_is(store):
    added = [a_lesson(evidence=(98, 99)), a_lesson(evidence=(), source="person")]
    store.change_lessons(at=NOW, added=added)
    assert [lesson.source for lesson in store.lessons()] == ["person"]


def test_a_retired_lesson_stays_with_its_reason_and_is_retired_once(store):
    store.change_lessons(at=NOW, added=[a_lesson(), a_lesson(text="b")])
    store.change_lessons(at=NOW + 1, retired={1: "trial 3 says otherwise"})
    again = store.change_lessons(at=NOW + 2, retired={1: "another reason"})
    assert again.retired == []
    (retired,) = store.lessons(LessonState.RETIRED)
    assert (retired.retired_at, retired.reason) == (NOW + 1, "trial 3 says otherwise")
    assert [lesson.id for lesson in store.lessons(LessonState.ACTIVE)] == [2]


def test_a_distillation_is_taken_in_once_with_its_commission(store):
    number = a_commission(store)
    store.change_lessons(at=NOW, added=[a_lesson()], commission=number)
    assert store.commissions()[0].state is CommissionState.DONE
    with pytest.raises(StoreError, match="only an open one is closed"):
        store.change_lessons(at=NOW, added=[a_lesson()], commission=number)
    assert len(store.lessons()) == 1


def test_a_change_that_fails_changes_nothing(store):
    store.change_lessons(at=NOW, added=[a_lesson()])
    with pytest.raises(StoreError, match="There is no lesson L9"):
        store.change_lessons(at=NOW, added=[a_lesson(text="b")], retired={1: "r", 9: "r"})
    assert [lesson.text for lesson in store.lessons(LessonState.ACTIVE)] == [a_lesson().text]


def test_a_changed_lesson_keeps_its_number(store):
    (lesson,) = store.change_lessons(at=NOW, added=[a_lesson()]).added
    mine = dataclasses.replace(lesson, text="Mine.", source="person", evidence=(2, 77))
    store.change_lessons(at=NOW, changed=[mine])
    assert store.lessons() == [dataclasses.replace(mine, evidence=(2,))]


def test_a_critique_learns_which_variant_its_proposal_became(store):
    number = a_commission(store, "mutator")
    said = Critique(number, Judgement.REJECT, ("it was tried",), NOW, was_exempt=True)
    store.add_critique(said)
    store.add_critique(said)  # the sitting before was killed after it
    store.close_commission(number, CommissionState.BORN, variant=a_variant(1).sha)
    assert store.critiques() == [dataclasses.replace(said, variant=a_variant(1).sha)]
    assert store.readings() == []


def test_a_reading_of_a_verdict_closes_its_commission(store):
    store.add_verdict(a_verdict())
    number = a_commission(store, "critic")
    champion = a_variant(1).sha
    said = VerdictReading("v001", champion, "It holds.", (Suspect("x = 2", "new"),), NOW, number)
    store.add_reading(said)
    assert store.readings(champion=champion) == [said]
    assert store.readings(champion=a_variant(0).sha) == []
    assert store.critiques() == []
    assert store.commissions()[0].state is CommissionState.DONE
