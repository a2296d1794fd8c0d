"""What a store keeps in mind is what the database holds, whoever wrote it."""

import pytest
from sqlalchemy import event

from population import Fitness, Purpose, Store, TrialStatus
from population.tables import TrialRow
from tests.builders import NOW, a_run, a_variant, an_outcome, conditions


@pytest.fixture
def pair(tmp_path):
    """One database, opened by a writer and by a reader that has looked at it already."""
    with Store.create(tmp_path / "run.db", a_run()) as writer:
        writer.add_variant(a_variant())
        writer.add_variant(a_variant(1))
        with Store.open(tmp_path / "run.db", read_only=True) as reader:
            assert (len(reader.variants()), reader.trials(), reader.fitnesses()) == (2, [], {})
            yield writer, reader


def queue(store, serial=0):
    return store.queue_trial(
        a_variant(serial).sha, purpose=Purpose.SCREEN, conditions=conditions(), at=NOW
    )


def finish(store, number):
    store.start_trial(number, slot=0, lease_seconds=60.0, at=NOW)
    assert store.finish_trial(number, 1, an_outcome(), at=NOW + 9)


def statements(store):
    """SQL that a store sends from here on; what tells whether something was written aside."""
    sent = []

    def note(_connection, _cursor, statement, *_):
        sent.append(statement)

    event.listen(store._database._engine, "before_cursor_execute", note)
    return sent


def test_each_state_that_a_trial_passes_is_seen_by_others(pair):
    writer, reader = pair
    queue(writer)
    queue(writer, 1)
    assert [t.status for t in reader.trials()] == [TrialStatus.QUEUED] * 2
    writer.start_trial(2, slot=0, lease_seconds=60.0, at=NOW)
    assert [t.status for t in reader.trials()] == [TrialStatus.QUEUED, TrialStatus.RUNNING]
    writer.requeue_trial(2, "lost")
    assert [t.attempt for t in reader.trials()] == [0, 1]
    writer.start_trial(2, slot=0, lease_seconds=60.0, at=NOW)
    writer.finish_trial(2, 2, an_outcome(), at=NOW)
    writer.withdraw_trial(1)
    assert reader.trials() == writer.trials()
    assert [t.status for t in reader.trials()] == [TrialStatus.WITHDRAWN, TrialStatus.COMPLETE]
    assert reader.trials(status=TrialStatus.COMPLETE, variant=a_variant(1).sha)[0].id == 2


def test_new_variants_and_fitnesses_are_seen_by_others(pair):
    writer, reader = pair
    writer.add_variant(a_variant(2))
    writer.save_fitnesses({a_variant(0).sha: Fitness(1.5, 0.1, 1)})
    assert reader.variants() == writer.variants()
    writer.save_fitnesses({a_variant(0).sha: Fitness(1.4, 0.1, 2)})
    assert repr(reader.fitnesses()) == repr({a_variant(0).sha: Fitness(1.4, 0.1, 2)})


def test_nothing_is_asked_while_nothing_was_written(pair):
    writer, reader = pair
    queue(writer)
    seen = (reader.variants(), reader.trials(), reader.fitnesses())
    sent = statements(reader)
    assert (reader.variants(), reader.trials(), reader.fitnesses()) == seen
    assert sent == []


def test_a_trial_that_ended_is_read_once(pair, monkeypatch):
    writer, reader = pair
    for number in range(1, 6):
        queue(writer)
        finish(writer, number)
    assert len(reader.trials()) == 5
    queue(writer)
    made, value = [], TrialRow.value
    monkeypatch.setattr(TrialRow, "value", lambda row: made.append(row.id) or value(row))
    assert len(reader.trials()) == 6
    assert made == [6]


def test_at_one_moment_nothing_newer_is_told(pair):
    writer, reader = pair
    queue(writer)
    with reader.at_one_moment():
        assert len(reader.trials()) == 1
        finish(writer, 1)
        writer.add_variant(a_variant(2))
        assert reader.trials()[0].status is TrialStatus.QUEUED
        assert len(reader.variants()) == 2
    assert reader.trials()[0].status is TrialStatus.COMPLETE
    assert len(reader.variants()) == 3


def test_what_is_handed_out_may_be_changed(pair):
    writer, reader = pair
    queue(writer)
    reader.trials().clear()
    reader.variants().clear()
    reader.fitnesses()["x"] = Fitness(0.0, 1.0, 1)
    assert (len(reader.trials()), len(reader.variants()), reader.fitnesses()) == (1, 2, {})
