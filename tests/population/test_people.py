"""Suggestions and marks: what follows from them, and that the store keeps each once."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from population import (
    CommissionState,
    Lineage,
    Mark,
    Marked,
    Purpose,
    Store,
    StoreError,
    Suggestion,
    SuggestionState,
    TrialStatus,
    suggestion_number,
    suggestion_text,
)
from population.people import ENOUGH, OFFERS, barred_by, marks_of
from tests.builders import NOW, a_family, a_run, a_variant, conditions


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        yield store


def a_mark(variant, mark=Mark.BANNED, note=""):
    return Marked(variant.sha, mark, NOW, note)


@st.composite
def families(draw):
    """A family tree of up to 14, each but the first with one or two earlier parents."""
    parents = [()]
    for serial in range(1, draw(st.integers(1, 14))):
        known = st.integers(0, serial - 1)
        parents.append(tuple(draw(st.lists(known, min_size=1, max_size=2, unique=True))))
    family = a_family(*parents)
    for serial, variant in enumerate(family):
        if len(variant.parents) == 1 and draw(st.booleans()):
            added = draw(st.sets(st.sampled_from(family[:serial]), max_size=2))
            family[serial] = dataclasses.replace(variant, adds=tuple(v.sha for v in added))
    return family


@given(families(), st.data())
def test_exactly_banned_variants_and_what_has_their_edits_is_barred(family, data):
    banned = data.draw(st.sets(st.sampled_from(family)))
    pinned = data.draw(st.sets(st.sampled_from(family))) - banned
    marked = {v.sha: a_mark(v) for v in banned} | {v.sha: a_mark(v, Mark.PINNED) for v in pinned}
    marks, lineage = marks_of(marked, family), Lineage(family)
    below = {sha for v in banned for sha in lineage.heirs(v.sha)}
    assert below >= {sha for v in banned for sha in lineage.descendants(v.sha)}
    assert below >= {v.sha for v in family if banned & {one for one in family if one.sha in v.adds}}
    assert barred_by(marks) == {v.sha for v in banned} | below
    assert {sha for sha, mark in marks.items() if mark is Mark.BANNED} == {v.sha for v in banned}
    assert {sha for sha, mark in marks.items() if mark is Mark.PINNED} == {
        v.sha for v in pinned if v.sha not in below
    }


@given(st.integers(0, 40), st.integers(0, 6), st.integers(0, 3))
def test_a_suggestion_is_offered_until_it_was_taken_often_or_offered_in_vain(offers, took, open_):
    one = Suggestion(3, "x", "person", NOW, False, offers, open_, tuple(map(str, range(took))))
    assert one.label == "S3"
    assert (one.state is SuggestionState.TAKEN) == (took >= ENOUGH)
    in_vain = offers - OFFERS * took
    assert one.is_offered == (took + open_ < ENOUGH and in_vain < OFFERS)


@pytest.mark.parametrize(
    ("label", "number"),
    [("S3", 3), ("s12", 12), ("7", 7), (" S1 ", 1), ("S", None), ("S-1", None), (None, None)],
)
def test_a_label_is_read_or_is_none(label, number):
    assert suggestion_number(label) == number


def test_what_is_kept_of_a_text_commands_no_terminal():
    assert suggestion_text("\n warm \x1b[2J it\u202e \r\nup\0 \n\n") == "warm  it\nup"


def test_the_suggestion_of_one_request_is_kept_once(store):
    request = store.add_request("suggest", {"text": "a"})
    numbers = {store.add_suggestion("a", "person", at=NOW, request=request) for _ in range(2)}
    other = store.add_suggestion("a", "person", at=NOW)
    assert numbers == {1}
    assert [(one.id, one.text) for one in store.suggestions()] == [(1, "a"), (other, "a")]


def test_a_file_that_says_something_else_withdraws_what_it_said(store):
    assert store.set_idea("ideas/a.md", "one", at=NOW) == (1, None)
    assert store.set_idea("ideas/a.md", "one", at=NOW) == (None, None)
    assert store.set_idea("ideas/a.md", "two", at=NOW) == (2, 1)
    assert store.set_idea("ideas/a.md", None, at=NOW) == (None, 2)
    assert store.set_idea("ideas/a.md", None, at=NOW) == (None, None)
    assert store.set_idea("ideas/a.md", "two", at=NOW) == (3, None)
    assert [one.is_withdrawn for one in store.suggestions()] == [True, True, False]
    assert store.idea_files() == ["ideas/a.md"]


def test_what_a_person_withdrew_stays_so_while_its_file_says_the_same(store):
    store.set_idea("ideas/a.md", "one", at=NOW)
    store.withdraw_suggestion(1)
    assert store.set_idea("ideas/a.md", "one", at=NOW) == (None, None)
    assert store.suggestions()[0].state is SuggestionState.WITHDRAWN
    with pytest.raises(StoreError, match=r"no suggestion S9.*S1 to S1.*evolve suggestions"):
        store.withdraw_suggestion(9)


def test_offers_and_what_took_them_up_are_counted(store):
    store.add_suggestion("a", "person", at=NOW)
    store.add_suggestion("b", "person", at=NOW)
    store.add_variant(a_variant())
    for offered in ([1, 2], [1], [1]):
        store.open_commission("mutator", parents=(), rng_seed=1, at=NOW, suggestions=offered)
    child = a_variant(1, parents=(a_variant().sha,), suggestion=1)
    store.add_variant(child)
    store.close_commission(1, CommissionState.BORN, variant=child.sha)
    store.close_commission(2, CommissionState.REFUSED, reason="no model", was_read=False)
    one, other = store.suggestions()
    assert (one.offer_count, one.under_way, one.variants) == (2, 1, (child.sha,))
    assert (other.offer_count, other.under_way, other.variants) == (1, 0, ())
    assert store.variant(child.sha).suggestion == 1
    assert [c.suggestions for c in store.commissions()] == [(1, 2), (), (1,)]


def test_a_variant_has_one_mark_and_the_same_again_keeps_its_note(store):
    store.add_variant(a_variant())
    store.set_mark(a_variant().sha, a_mark(a_variant(), Mark.PINNED, "good"))
    store.set_mark(a_variant().sha, a_mark(a_variant(), Mark.PINNED))
    assert store.marked()[a_variant().sha].note == "good"
    store.set_mark(a_variant().sha, a_mark(a_variant(), Mark.BANNED, "bad"))
    assert store.marked() == {a_variant().sha: a_mark(a_variant(), Mark.BANNED, "bad")}
    for _ in range(2):
        store.set_mark(a_variant().sha, None)
    assert store.marked() == {}


def test_a_withdrawn_trial_has_no_outcome_and_no_end(store):
    store.add_variant(a_variant())
    trial = store.queue_trial(
        a_variant().sha, purpose=Purpose.SCREEN, conditions=conditions(), at=NOW
    )
    store.withdraw_trial(trial.id)
    found = store.trial(trial.id)
    assert found.status is TrialStatus.WITHDRAWN
    assert found.status.is_final
    assert (found.outcome, found.finished_at) == (None, None)
    with pytest.raises(StoreError, match="only a queued trial"):
        store.withdraw_trial(trial.id)
