"""The store: what is acknowledged is kept, trials move one way, and readers never disturb."""

import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from population import (
    Calibration,
    Call,
    CallResult,
    CallState,
    CommissionState,
    CurvePoint,
    Direction,
    DiskFullError,
    Failure,
    FailureClass,
    Fitness,
    LateResult,
    LockedError,
    Metric,
    Outcome,
    Purpose,
    Ruling,
    RunState,
    Scoring,
    Snapshot,
    Store,
    StoreError,
    TrialStatus,
)
from tests.builders import (
    NOW,
    a_calibration,
    a_failure,
    a_family,
    a_run,
    a_rung,
    a_variant,
    a_verdict,
    an_outcome,
    conditions,
    sha_of,
)
from tests.small_run import run_trial

ROOT = Path(__file__).parents[2]
# One store for all examples of a test: each adds to it, which is what a run does, too.
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        yield store


@pytest.fixture
def running(store):
    """A store in which trial 1 of variant 0 runs its first attempt."""
    store.add_variant(a_variant())
    queue(store)
    start(store, 1)
    return store


def a_call(**changes):
    defaults = {"operator": "mutator", "model": "model-x", "prompt": "?", "reply": "", "at": NOW}
    return Call(**(defaults | changes))


def queue(store, variant_sha=None, **changes):
    defaults = {"purpose": Purpose.SCREEN, "conditions": conditions(), "at": NOW}
    return store.queue_trial(variant_sha or a_variant().sha, **(defaults | changes))


def start(store, trial_id, **changes):
    defaults = {"slot": 0, "lease_seconds": 60.0, "at": NOW + 1}
    return store.start_trial(trial_id, **(defaults | changes))


def add_until_refused(store, count):
    """Add long variants until one is refused: how many were acknowledged, and the error."""
    for serial in range(count):
        try:
            store.add_variant(a_variant(serial, hypothesis="long " * 200))
        except StoreError as error:
            return serial, error
    raise AssertionError("nothing was refused")


def reopened(store, tmp_path):
    store.close()
    return Store.open(tmp_path / "run.db")


# The run


def test_a_run_reads_as_it_was_created(store, tmp_path):
    with reopened(store, tmp_path) as again:
        assert again.run() == a_run()


def test_updating_a_run_changes_only_what_is_named(store):
    store.update_run(state=RunState.RUNNING)
    store.update_run(baseline=sha_of("baseline"))
    assert store.run() == a_run(state=RunState.RUNNING, baseline=sha_of("baseline"))


def test_creating_over_a_run_is_refused_and_leaves_it_alone(store, tmp_path):
    with pytest.raises(StoreError, match=r"already.*a place of its own.*evolve resume"):
        Store.create(tmp_path / "run.db", a_run(name="other"))
    assert store.run() == a_run()


def test_a_failed_creation_leaves_nothing_behind(tmp_path):
    with pytest.raises(StoreError):
        Store.create(tmp_path / "run.db", a_run(rng_seed=1 << 70))
    assert list(tmp_path.iterdir()) == []


def test_creating_in_a_folder_that_is_missing_says_so(tmp_path):
    with pytest.raises(StoreError, match=r"cannot be opened.*permissions"):
        Store.create(tmp_path / "nowhere" / "run.db", a_run())


def test_a_path_may_hold_any_character(tmp_path):
    folder = tmp_path / "a b?mode=ro#%41é"
    folder.mkdir()
    with Store.create(folder / "run.db", a_run()) as store:
        store.set_fact("sigma", 0.002)
    with Store.open(folder / "run.db", read_only=True) as reader:
        assert reader.fact("sigma") == 0.002


# Variants


def test_variants_come_back_in_the_order_they_were_made(store):
    family = a_family((), (0,), (0,), (2, 1))
    for variant in family:
        store.add_variant(variant)
    assert store.variants() == family
    assert store.next_serial() == 4
    assert store.genome_hashes() == {variant.genome_hash for variant in family}


def test_single_edits_that_were_taken_in_and_out_come_back(store):
    root, one, other = a_family((), (0,), (0,))
    stack = a_variant(3, parents=(one.sha,), adds=(other.sha,), drops=(one.sha, root.sha))
    for variant in (root, one, other, stack):
        store.add_variant(variant)
    assert store.variants() == [root, one, other, stack]
    assert store.variant(stack.sha) == stack


def test_the_island_of_a_variant_comes_back(store):
    root = a_variant()
    bred = [a_variant(1 + island, parents=(root.sha,), island=island) for island in (0, 3)]
    for variant in (root, *bred):
        store.add_variant(variant)
    assert [variant.island for variant in store.variants()] == [None, 0, 3]


def test_adding_a_variant_twice_adds_it_once(store):
    store.add_variant(a_variant())
    store.add_variant(a_variant())
    assert store.variants() == [a_variant()]


def test_a_variant_is_found_by_commit_name_or_prefix(store):
    variant = a_variant()
    store.add_variant(variant)
    for key in (variant.sha, variant.name, variant.sha[:6], variant.sha[:12].upper()):
        assert store.variant(key) == variant


@pytest.mark.parametrize("key", ["g000-001", "", "%", "abc", "ffffffffff", a_variant().sha[:5]])
def test_an_unknown_variant_is_an_error_that_says_what_to_do(store, key):
    store.add_variant(a_variant())
    with pytest.raises(StoreError, match=r"No variant is called.*evolve leaderboard"):
        store.variant(key)


def test_an_ambiguous_prefix_names_the_candidates(store):
    store.add_variant(a_variant(1, sha="abcdef1" + "0" * 33))
    store.add_variant(a_variant(2, sha="abcdef2" + "0" * 33))
    with pytest.raises(StoreError, match=r"g000-001, g000-002.*Give more digits"):
        store.variant("abcdef")
    assert store.variant("abcdef2").name == "g000-002"


def test_a_variant_needs_its_parents_first(store):
    with pytest.raises(StoreError, match="point at rows that exist"):
        store.add_variant(a_variant(1, parents=(a_variant().sha,)))
    assert store.variants() == []


# Trials


def test_a_trial_moves_from_queued_through_running_to_its_end(store, tmp_path):
    store.add_variant(a_variant())
    asked = conditions(rng_seed=9, depth_scale=1.5, device_class="H100", split="test")
    trial = queue(store, conditions=asked, pair="v001:1.5:2", purpose=Purpose.VERDICT)
    assert (trial.id, trial.status, trial.attempt) == (1, TrialStatus.QUEUED, 0)
    assert (trial.conditions, trial.pair, trial.queued_at) == (asked, "v001:1.5:2", NOW)
    trial = start(store, 1, slot=3, supervisor_pid=77, at=NOW + 5)
    assert (trial.status, trial.attempt, trial.started_at) == (TrialStatus.RUNNING, 1, NOW + 5)
    assert store.running()[0].slot == 3
    assert store.finish_trial(1, 1, an_outcome(1.25), at=NOW + 20)
    with reopened(store, tmp_path) as again:
        trial = again.trial(1)
        assert (trial.status, trial.finished_at) == (TrialStatus.COMPLETE, NOW + 20)
        assert trial.outcome == an_outcome(1.25)
        assert again.running() == []


def test_trials_end_in_the_order_in_which_ends_were_stored_whatever_the_clock_says(store):
    store.add_variant(a_variant())
    clock = {3: NOW + 50, 1: NOW + 20, 4: NOW + 20, 2: NOW + 60}
    for number in range(1, 5):
        queue(store)
        start(store, number)
    for number, at in clock.items():
        store.finish_trial(number, 1, an_outcome(), at=at)
    ends = {trial.id: trial.finished_at for trial in store.trials()}
    assert sorted(ends, key=ends.__getitem__) == list(clock)
    assert ends == pytest.approx({3: NOW + 50, 1: NOW + 50, 4: NOW + 50, 2: NOW + 60}, abs=1e-3)


def test_a_running_trial_says_who_holds_it(running):
    running.set_supervisor(1, 1, 4242)
    (lease,) = running.running()
    assert (lease.trial.id, lease.slot, lease.supervisor_pid) == (1, 0, 4242)
    assert lease.lease_until == NOW + 61


def test_a_supervisor_of_a_lost_attempt_is_ignored(running):
    running.requeue_trial(1, "engine died")
    start(running, 1, supervisor_pid=5)
    running.set_supervisor(1, 1, 4242)
    assert running.running()[0].supervisor_pid == 5


@pytest.mark.parametrize("end", [status for status in TrialStatus if status.has_run])
def test_a_final_trial_neither_starts_nor_queues_again(running, end):
    running.finish_trial(1, 1, an_outcome(status=end), at=NOW)
    with pytest.raises(StoreError, match=f"is {end}, but only a queued trial can be started"):
        start(running, 1)
    with pytest.raises(StoreError, match="only a running trial can be queued again"):
        running.requeue_trial(1, "why not")
    assert running.trial(1).status is end


def test_a_trial_starts_once(running):
    with pytest.raises(StoreError, match=r"Trial 1 is running.*stop one of them"):
        start(running, 1)
    assert running.trial(1).attempt == 1


def test_a_queued_trial_cannot_finish(store):
    store.add_variant(a_variant())
    queue(store)
    with pytest.raises(StoreError, match=r"0 attempts.*Start the trial first"):
        store.finish_trial(1, 1, an_outcome(), at=NOW)


def test_finishing_twice_changes_nothing(running):
    assert running.finish_trial(1, 1, an_outcome(1.5), at=NOW + 10)
    assert not running.finish_trial(1, 1, an_outcome(1.1), at=NOW + 11)
    assert running.trial(1).outcome == an_outcome(1.5)
    assert running.late_results() == []


def test_a_result_of_a_lost_attempt_is_kept_apart(running):
    running.requeue_trial(1, "lease ran out")
    outcome = an_outcome(1.4, snapshots=(Snapshot(0.1, 2.0),), curve=(CurvePoint(0.1, 2.5),))
    assert not running.finish_trial(1, 1, outcome, at=NOW + 90)
    assert running.trial(1).status is TrialStatus.QUEUED
    start(running, 1)
    assert not running.finish_trial(1, 1, an_outcome(1.0), at=NOW + 95)
    assert running.finish_trial(1, 2, an_outcome(1.5), at=NOW + 99)
    assert running.late_results() == [LateResult(1, 1, NOW + 90, outcome)]
    assert running.trial(1).outcome == an_outcome(1.5)


@pytest.mark.parametrize("attempt", [0, 2, -1])
def test_a_result_of_an_attempt_that_never_was_is_refused(running, attempt):
    with pytest.raises(StoreError, match="only a started attempt ends"):
        running.finish_trial(1, attempt, an_outcome(), at=NOW)


def test_an_outcome_that_is_not_final_is_refused(running):
    with pytest.raises(StoreError, match="Hand in a final outcome"):
        running.finish_trial(1, 1, an_outcome(status=TrialStatus.RUNNING), at=NOW)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(running, score):
    with pytest.raises(StoreError, match="not_finite"):
        running.finish_trial(1, 1, an_outcome(score), at=NOW)
    assert running.trial(1).status is TrialStatus.RUNNING


def test_a_number_too_big_for_the_database_is_refused_whole(running):
    with pytest.raises(StoreError, match="Nothing was written"):
        running.finish_trial(1, 1, an_outcome(train_tokens=1 << 80), at=NOW)
    assert running.trial(1).status is TrialStatus.RUNNING


def test_snapshots_are_stored_as_they_come(running, tmp_path):
    running.add_snapshot(1, 1, Snapshot(0.25, 2.0))
    running.add_snapshot(1, 1, Snapshot(0.1, 2.5))
    with Store.open(tmp_path / "run.db", read_only=True) as reader:
        assert reader.snapshots(1) == [Snapshot(0.1, 2.5), Snapshot(0.25, 2.0)]
    running.finish_trial(1, 1, an_outcome(None), at=NOW)
    outcome = running.trial(1).outcome
    assert outcome is not None
    assert outcome.snapshots == (Snapshot(0.1, 2.5), Snapshot(0.25, 2.0))


def test_a_new_attempt_begins_without_snapshots(running):
    running.add_snapshot(1, 1, Snapshot(0.1, 2.5))
    running.requeue_trial(1, "engine died")
    running.add_snapshot(1, 1, Snapshot(0.25, 2.0))
    start(running, 1)
    assert running.snapshots(1) == []


def test_a_reading_that_is_no_number_is_kept(running):
    running.add_snapshot(1, 1, Snapshot(0.1, math.nan))
    running.add_snapshot(1, 1, Snapshot(0.25, math.inf))
    first, second = running.snapshots(1)
    assert math.isnan(first.bpb)
    assert second.bpb == math.inf


def test_a_trial_of_an_unknown_variant_is_refused(store):
    with pytest.raises(StoreError, match="No variant is called"):
        queue(store, "f" * 40)


def test_a_trial_that_does_not_exist_is_an_error(running):
    with pytest.raises(StoreError, match=r"no trial 9.*from 1 to 1"):
        running.trial(9)


def test_trials_are_filtered_by_status_variant_and_purpose(store):
    one, other = a_family((), (0,))
    for variant in (one, other):
        store.add_variant(variant)
    queue(store, one.sha, purpose=Purpose.BASELINE)
    queue(store, other.sha)
    queue(store, other.sha, purpose=Purpose.VERDICT)
    start(store, 2)

    def ids(**wanted):
        return [trial.id for trial in store.trials(**wanted)]

    assert ids() == [1, 2, 3]
    assert ids(status=TrialStatus.QUEUED) == [1, 3]
    assert ids(variant=other.sha) == [2, 3]
    assert ids(purpose=Purpose.BASELINE) == [1]
    assert ids(variant=other.sha, status=TrialStatus.RUNNING, purpose=Purpose.SCREEN) == [2]


def test_failed_variants_are_those_whose_trials_ended_by_their_own_fault(store):
    own = a_failure()
    ends = {
        1: (TrialStatus.COMPLETE, None),
        2: (TrialStatus.CRASHED, own),
        3: (TrialStatus.TIMED_OUT, a_failure(kind=FailureClass.TIME_OUT)),
        4: (TrialStatus.CRASHED, a_failure(kind=FailureClass.HARNESS)),
    }
    for serial, (status, failure) in ends.items():
        variant = a_variant(serial)
        store.add_variant(variant)
        for _ in range(2):  # told once
            trial = queue(store, variant.sha)
            start(store, trial.id)
            score = 1.5 if failure is None else None
            outcome = an_outcome(score, status=status, failure=failure)
            assert store.finish_trial(trial.id, 1, outcome, at=NOW + 2)
    queue(store, a_variant(1).sha)
    assert store.failed_variants() == {a_variant(2).sha, a_variant(3).sha}


def test_curves_come_with_one_trial_and_with_many_only_when_asked_for(running):
    curve = (CurvePoint(0.1, 2.5, {"lr": 0.1}), CurvePoint(0.2, 2.4))
    running.finish_trial(1, 1, an_outcome(curve=curve), at=NOW)
    assert running.trial(1).outcome == an_outcome(curve=curve)
    assert running.trials()[0].outcome == an_outcome()
    assert running.trials(with_curves=True)[0].outcome == an_outcome(curve=curve)


# Whatever an outcome holds comes back

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1e12)
any_number = st.floats(allow_nan=False)
line = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
outcomes = st.builds(
    Outcome,
    status=st.sampled_from([status for status in TrialStatus if status.has_run]),
    val_bpb=st.none() | finite,
    scoring=st.sampled_from(Scoring),
    containment=line,
    train_seconds=finite,
    total_seconds=finite,
    cpu_seconds=finite,
    train_tokens=st.integers(0, 2**62),
    step_count=st.integers(0, 2**62),
    peak_memory_mb=finite,
    summary=st.dictionaries(line, any_number, max_size=3),
    snapshots=st.lists(
        st.builds(Snapshot, st.sampled_from([0.1, 0.25, 0.5]), any_number),
        unique_by=lambda snapshot: snapshot.fraction,
    ).map(lambda found: tuple(sorted(found, key=lambda snapshot: snapshot.fraction))),
    curve=st.lists(
        st.builds(CurvePoint, finite, any_number, st.dictionaries(line, any_number, max_size=2)),
        max_size=3,
    ).map(tuple),
    calibration=st.none()
    | st.builds(Calibration, line, line, finite, st.integers(0, 99), finite, finite, finite),
    granted_tokens=st.none() | st.integers(0, 2**62),
    is_suspect=st.booleans(),
    failure=st.none() | st.builds(Failure, st.sampled_from(FailureClass), line, line),
)


@settings(quick, max_examples=40)
@given(outcome=outcomes)
def test_the_schema_keeps_every_part_of_an_outcome(store, outcome):
    store.add_variant(a_variant())
    trial = queue(store)
    start(store, trial.id)
    assert store.finish_trial(trial.id, 1, outcome, at=NOW)
    assert store.trial(trial.id).outcome == outcome
    queued = queue(store)
    start(store, queued.id)
    store.requeue_trial(queued.id, "lost")
    store.finish_trial(queued.id, 1, outcome, at=NOW)
    assert store.late_results()[-1].outcome == outcome


# What is believed, judged, asked and paid


def test_fitnesses_are_replaced_and_listed_best_first(store):
    family = a_family((), (0,), (0,))
    for variant in family:
        store.add_variant(variant)
    zero, one, two = (variant.sha for variant in family)
    store.save_fitnesses({zero: Fitness(1.5, 0.01, 5), one: Fitness(None, 0.0, 1)})
    store.save_fitnesses({zero: Fitness(1.6, 0.02, 6), two: Fitness(1.4, 0.1, 1)})
    found = store.fitnesses()
    assert list(found) == [two, zero, one]
    assert found[zero].mean == 1.6
    assert (found[zero].sd, found[zero].trial_count) == (0.02, 6)
    store.save_fitnesses({})
    assert len(store.fitnesses()) == 3


def test_the_fitness_of_a_stranger_is_refused_whole(store):
    store.add_variant(a_variant())
    with pytest.raises(StoreError, match="point at rows that exist"):
        store.save_fitnesses({a_variant().sha: Fitness(1.0, 0.1, 1), "f" * 40: Fitness(1, 1, 1)})
    assert store.fitnesses() == {}


def test_calibrations_are_pooled_by_genome_and_device_until_dropped(store):
    first, second = a_calibration(cost_ratio=1.1), a_calibration(cost_ratio=1.2)
    elsewhere, deeper = a_calibration(device_class="H100"), a_calibration(depth_scale=1.5)
    for calibration in (first, elsewhere, deeper, second):
        store.add_calibration(calibration)
    assert store.calibrations("g" * 64, "cpu") == [first, second]
    assert store.calibrations("g" * 64, "cpu", 1.5) == [deeper]
    store.drop_calibrations("g" * 64, "cpu")
    assert store.calibrations("g" * 64, "cpu") == []
    assert store.calibrations("g" * 64, "H100") == [elsewhere]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(quick, max_examples=30)
@given(value=json_values)
def test_json_comes_back_as_it_went_in(store, value):
    store.set_fact("yardstick", value)
    assert store.fact("yardstick") == value
    store.record_decision("breed", value, {"state": 2**127, "payload": value})
    assert store.last_rng_state() == {"state": 2**127, "payload": value}
    assert store.decided("breed")[-1] == value


def test_a_fact_nobody_set_is_none(store):
    assert store.fact("sigma") is None
    assert store.last_rng_state() is None


def test_verdicts_are_kept_by_label(store):
    for variant in a_family((), (0,)):
        store.add_variant(variant)
    rungs = (a_rung(), a_rung(depth_scale=1.5, gain=None, low=None, ruling=Ruling.UNDECIDED))
    store.add_verdict(a_verdict(label="v002", rungs=rungs, created_at=NOW + 2))
    store.add_verdict(a_verdict(champion=None))
    store.add_verdict(a_verdict())
    assert store.verdicts() == [
        a_verdict(),
        a_verdict(label="v002", rungs=rungs, created_at=NOW + 2),
    ]


def test_a_request_is_pending_until_it_is_settled(store):
    first = store.add_request("seed", {"path": "idea.py"}, at=NOW)
    second = store.add_request("pause", None)
    assert [request.id for request in store.pending_requests()] == [first, second]
    assert store.pending_requests()[0].payload == {"path": "idea.py"}
    store.settle_request(first, {"variant": "g001-004"})
    store.settle_request(first, "again")
    assert [request.kind for request in store.pending_requests()] == ["pause"]
    with pytest.raises(StoreError, match="no request 9"):
        store.settle_request(9, None)


def test_a_call_is_kept_with_its_cost_and_what_it_led_to(store):
    store.add_variant(a_variant())
    call = Call("mutator", "model-x", "prompt", "reply", NOW, 1.5, 100, 20, 80, 0.01, "end_turn")
    number = store.add_call(call)
    store.attribute_call(number, variant=a_variant().sha)
    (kept,) = store.calls()
    assert (kept.prompt, kept.cost_usd, kept.cached_input_tokens) == ("prompt", 0.01, 80)
    assert kept.variant == a_variant().sha


def test_calls_share_their_standing_texts_which_are_read_only_when_asked_for(store, tmp_path):
    for ordinal in range(3):
        store.add_call(
            a_call(system=("contract", "role"), earlier=("q", "a")[:ordinal], tools="[]")
        )
    assert [call.system for call in store.calls()] == [()] * 3
    last = store.calls(with_texts=True)[-1]
    assert (last.system, last.earlier, last.tools) == (("contract", "role"), ("q", "a"), "[]")
    database = sqlite3.connect(tmp_path / "run.db")
    assert database.execute("SELECT count(*) FROM texts").fetchone() == (5,)
    database.close()


def test_a_call_is_reserved_then_settled_with_its_true_cost(store):
    number = store.reserve_call(a_call(reserved_usd=0.5), limit_usd=1.0)
    assert store.calls()[0].state is CallState.RESERVED
    assert (store.spending().spent_usd, store.spending().reserved_usd) == (0.0, 0.5)
    use = {"id": "u1", "name": "submit", "arguments": {"x": 1}}
    store.settle_call(
        number, CallResult("hello", cost_usd=0.2, output_tokens=7, tool_uses=[use], native=[{}])
    )
    (kept,) = store.calls()
    assert (kept.id, kept.state, kept.reply) == (number, CallState.SETTLED, "hello")
    assert (kept.tool_uses, kept.native, kept.output_tokens) == ([use], [{}], 7)
    assert (store.spending().spent_usd, store.spending().reserved_usd) == (0.2, 0.0)
    with pytest.raises(StoreError, match=r"Call 1 is settled already.*one result"):
        store.settle_call(number, CallResult("again"))
    with pytest.raises(StoreError, match="already"):
        store.fail_call(number, "server", CallResult())
    with pytest.raises(StoreError, match="already"):
        store.release_call(number)


def test_a_reservation_that_would_pass_the_limit_leaves_nothing_behind(store):
    assert store.reserve_call(a_call(reserved_usd=0.6), limit_usd=1.0) == 1
    assert store.reserve_call(a_call(reserved_usd=0.6), limit_usd=1.0) is None
    assert store.reserve_call(a_call(reserved_usd=math.nan), limit_usd=1.0) is None
    assert len(store.calls()) == 1
    assert store.reserve_call(a_call(reserved_usd=0.4), limit_usd=1.0) == 2
    assert store.reserve_call(a_call(reserved_usd=0.6), limit_usd=None) == 3


def test_a_failed_call_keeps_its_class_and_its_charge(store):
    number = store.reserve_call(a_call(reserved_usd=0.5), limit_usd=1.0)
    store.fail_call(number, "cut_off", CallResult("half a re", cost_usd=0.5))
    (kept,) = store.calls()
    assert (kept.state, kept.failure, kept.reply) == (CallState.FAILED, "cut_off", "half a re")
    assert store.spending().spent_usd == 0.5
    assert store.spending().roles[0].failed_count == 1


def test_a_released_call_was_never_there(store):
    number = store.reserve_call(a_call(reserved_usd=0.5), limit_usd=1.0)
    store.release_call(number)
    assert store.calls() == []
    assert store.spending().reserved_usd == 0.0


def test_abandoned_calls_are_charged_at_their_worst_case_and_a_late_reply_puts_it_right(store):
    lost = store.reserve_call(a_call(reserved_usd=0.5, at=NOW), limit_usd=1.0)
    own = store.reserve_call(a_call(reserved_usd=0.25, at=NOW + 9), limit_usd=1.0)
    assert store.abandon_calls(NOW + 5) == [lost]
    assert store.abandon_calls(NOW + 5) == []
    assert [call.state for call in store.calls()] == [CallState.ABANDONED, CallState.RESERVED]
    assert (store.spending().spent_usd, store.spending().reserved_usd) == (0.5, 0.25)
    store.settle_call(lost, CallResult("late", cost_usd=0.1))
    assert store.calls()[0].failure is None
    assert store.spending().spent_usd == 0.1
    store.settle_call(own, CallResult())


def test_a_commission_is_kept_until_it_is_closed_and_its_calls_lead_to_the_variant(store):
    store.add_variant(a_variant())
    sha = a_variant().sha
    first = store.open_commission("mutator", parents=[sha], rng_seed=7, at=NOW, intent="speed")
    second = store.open_commission("librarian", parents=[], rng_seed=2**62, at=NOW + 1)
    assert (first.id, first.parents, first.intent, first.rng_seed) == (1, (sha,), "speed", 7)
    calls = [
        store.reserve_call(a_call(commission=first.id, reserved_usd=0.1), limit_usd=1.0)
        for _ in range(2)
    ]
    assert [call.ordinal for call in store.calls(commission=first.id)] == [0, 1]
    assert store.commissions(CommissionState.OPEN) == [first, second]
    store.close_commission(first.id, CommissionState.BORN, variant=sha)
    store.close_commission(second.id, CommissionState.REFUSED, reason="no reply")
    assert store.commissions(CommissionState.OPEN) == []
    assert [(c.state, c.variant, c.reason) for c in store.commissions()] == [
        (CommissionState.BORN, sha, ""),
        (CommissionState.REFUSED, None, "no reply"),
    ]
    assert [call.id for call in store.calls(variant=sha)] == calls
    assert store.spending().variant_count == 1
    with pytest.raises(StoreError, match=r"Commission 1 is born.*only an open one"):
        store.close_commission(first.id, CommissionState.DONE)


def test_spending_is_told_by_role_and_model(store):
    store.add_call(a_call(operator="mutator", cost_usd=0.25, input_tokens=10))
    store.add_call(a_call(operator="mutator", cost_usd=0.5, input_tokens=5, output_tokens=2))
    store.add_call(a_call(operator="repairer", model="small", cost_usd=1.0))
    spending = store.spending()
    assert spending.spent_usd == 1.75
    assert [(r.operator, r.model, r.call_count, r.spent_usd) for r in spending.roles] == [
        ("repairer", "small", 1, 1.0),
        ("mutator", "model-x", 2, 0.75),
    ]
    assert (spending.roles[1].input_tokens, spending.roles[1].output_tokens) == (15, 2)
    assert store.spending().reserved_usd == 0.0


def test_sixteen_threads_never_pass_the_limit_and_waste_no_room(store):
    def spend(thread):
        numbers = []
        for _ in range(6):
            number = store.reserve_call(a_call(reserved_usd=1.0), limit_usd=20.0)
            if number is not None:
                numbers.append(number)
                spending = store.spending()
                assert spending.spent_usd + spending.reserved_usd <= 20.0
                if thread % 2:
                    store.settle_call(number, CallResult(cost_usd=0.5))
        return numbers

    with ThreadPoolExecutor(16) as pool:
        taken = [number for numbers in pool.map(spend, range(16)) for number in numbers]
    spending = store.spending()
    assert len(set(taken)) == len(taken) == len(store.calls())
    assert 19.0 < spending.spent_usd + spending.reserved_usd <= 20.0


RESERVING = """
import sys
from population import Store
from tests.population.test_store import a_call

with Store.open(sys.argv[1]) as store:
    while store.reserve_call(a_call(reserved_usd=0.25), limit_usd=10.0) is not None:
        pass
"""


def test_several_processes_never_pass_the_limit(store, tmp_path):
    command = [sys.executable, "-c", RESERVING, str(tmp_path / "run.db")]
    asking = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in asking] == [0, 0, 0]
    assert len(store.calls()) == 40
    assert store.spending().reserved_usd == 10.0


def test_a_moment_of_one_thread_is_not_seen_by_another(store):
    with store.at_one_moment(), ThreadPoolExecutor(1) as pool:
        assert store.calls() == []
        pool.submit(store.add_call, a_call()).result()
        assert store.calls() == []
        assert len(pool.submit(store.calls).result()) == 1


# Bad files


def test_a_missing_database_is_an_error_and_is_not_made(tmp_path):
    with pytest.raises(StoreError, match=r"no database at.*evolve run"):
        Store.open(tmp_path / "run.db")
    assert not (tmp_path / "run.db").exists()


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("content", [b"not a database" * 100, b"\0" * 4096, os.urandom(9000)])
def test_a_file_that_is_no_database_is_an_error(tmp_path, content, read_only):
    (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"not a database|no tables of a run"):
        Store.open(tmp_path / "run.db", read_only=read_only)
    assert (tmp_path / "run.db").read_bytes() == content


@pytest.mark.parametrize("read_only", [True, False])
def test_another_programs_database_is_an_error(tmp_path, read_only):
    other = sqlite3.connect(tmp_path / "run.db")
    other.execute("CREATE TABLE cats (name TEXT)")
    other.close()
    with pytest.raises(StoreError, match="holds no tables of a run"):
        Store.open(tmp_path / "run.db", read_only=read_only)


def test_a_truncated_database_is_an_error(store, tmp_path):
    store.close()
    whole = (tmp_path / "run.db").read_bytes()
    (tmp_path / "run.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="Restore it from a copy"):
        Store.open(tmp_path / "run.db")


# Readers and writers


def test_a_reader_refuses_to_write(store, tmp_path):
    with (
        Store.open(tmp_path / "run.db", read_only=True) as reader,
        pytest.raises(StoreError, match="open for reading"),
    ):
        reader.set_fact("sigma", 1)


def test_a_reader_sees_each_write_and_never_blocks_one(store, tmp_path):
    with Store.open(tmp_path / "run.db", read_only=True) as reader:
        for serial in range(20):
            store.add_variant(a_variant(serial))
            assert len(reader.variants()) == serial + 1


def test_a_locked_database_says_so_after_a_while(store, tmp_path):
    other = sqlite3.connect(tmp_path / "run.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store.open(tmp_path / "run.db", busy_seconds=0.05) as waiting:
        with pytest.raises(LockedError, match=r"locked by another process.*try again"):
            waiting.set_fact("sigma", 1)
        other.execute("ROLLBACK")
        waiting.set_fact("sigma", 1)
        assert waiting.fact("sigma") == 1
    other.close()


def test_many_readers_in_other_processes_never_disturb_a_writer(store, tmp_path):
    reading = textwrap.dedent("""
        import sys
        from population import Store
        with Store.open(sys.argv[1], read_only=True) as reader:
            print("ready", flush=True)
            seen = 0
            while seen < 60:
                now = len(reader.variants())
                assert now >= seen
                assert all(v.hypothesis for v in reader.variants())
                reader.fitnesses(), reader.trials()
                seen = now
    """)
    command = [sys.executable, "-c", reading, str(tmp_path / "run.db")]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout.readline() == b"ready\n"
    for serial in range(60):
        store.add_variant(a_variant(serial))
        queue(store, a_variant(serial).sha)
    for reader in readers:
        _, problems = reader.communicate(timeout=60)
        assert (reader.returncode, problems) == (0, b"")


def test_a_killed_writer_loses_nothing_it_acknowledged(store, tmp_path):
    store.add_variant(a_variant())
    store.close()
    writing = textwrap.dedent("""
        import sys
        from population import Purpose, Store
        from tests.builders import a_variant, an_outcome, conditions
        with Store.open(sys.argv[1]) as store:
            while True:
                trial = store.queue_trial(
                    a_variant().sha, purpose=Purpose.SCREEN, conditions=conditions(), at=1.0
                )
                store.start_trial(trial.id, slot=0, lease_seconds=1.0, at=2.0)
                store.finish_trial(trial.id, 1, an_outcome(1 + trial.id / 1000), at=3.0)
                print(trial.id, flush=True)
    """)
    acknowledged = 0
    for stop_after in (1, 7, 20):
        writer = subprocess.Popen(
            [sys.executable, "-c", writing, str(tmp_path / "run.db")],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for _ in range(stop_after):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        last = writer.communicate()[0].split()
        acknowledged = int(last[-1]) if last else acknowledged
        with Store.open(tmp_path / "run.db") as survivor:
            ended = [trial for trial in survivor.trials() if trial.status.is_final]
            assert len({trial.id for trial in ended}) == len(ended) >= stop_after
            assert survivor.trial(acknowledged).outcome == an_outcome(1 + acknowledged / 1000)
            for trial in survivor.trials():
                if not trial.status.is_final:  # as `resume` does
                    if trial.status is TrialStatus.QUEUED:
                        start(survivor, trial.id)
                    survivor.requeue_trial(trial.id, "writer killed")


# A full disk


def test_a_full_database_is_said_to_be_full_and_goes_on_once_there_is_room(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        engine = store._database._writing_engine
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        serial, error = add_until_refused(store, 1000)
        assert isinstance(error, DiskFullError)
        assert re.search("disk full.*free some space, then resume", str(error))
        assert len(store.variants()) == serial
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        store.add_variant(a_variant(serial))
        assert len(store.variants()) == serial + 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs rights this user lacks")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing_and_can_be_freed(small_disk):
    with Store.create(small_disk / "run.db", a_run()) as store:
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"\0" * 300_000)
        serial, error = add_until_refused(store, 5000)
        assert isinstance(error, DiskFullError)
        with Store.open(small_disk / "run.db", read_only=True) as reader:
            assert len(reader.variants()) == serial
        ballast.unlink()
        store.add_variant(a_variant(serial))
        assert len(store.variants()) == serial + 1


def test_a_run_on_a_read_only_disk_can_be_read(small_disk):
    Store.create(small_disk / "run.db", a_run()).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Store.open(small_disk / "run.db", read_only=True) as reader:
        assert reader.run() == a_run()
    with pytest.raises(StoreError, match=r"cannot be opened or written.*permissions"):
        Store.create(small_disk / "other.db", a_run())


def test_a_run_that_does_not_fit_on_the_disk_leaves_nothing_behind(small_disk):
    (small_disk / "ballast").write_bytes(b"\0" * 1_000_000)
    with pytest.raises(DiskFullError):
        Store.create(small_disk / "run.db", a_run())
    assert [entry.name for entry in small_disk.iterdir()] == ["ballast"]


# The state machine against the simplest thing that could be true


def test_a_metric_survives_the_store(store):
    assert store.metric() == Metric()
    accuracy = Metric("accuracy", Direction.MAXIMIZE, "")
    store.set_metric(accuracy)
    assert store.metric() == accuracy


def test_a_reader_can_hold_one_moment_while_an_engine_writes(tmp_path):
    curve = (CurvePoint(0.5, 3.0, {}),)
    with Store.create(tmp_path / "run.db", a_run()) as writer:
        writer.add_variant(a_variant())
        run_trial(writer, a_variant(), Purpose.SCREEN, an_outcome(1.5, curve=curve))
        with Store.open(tmp_path / "run.db", read_only=True) as reader:
            with reader.at_one_moment():
                before = reader.trials()
                run_trial(writer, a_variant(), Purpose.SCREEN, an_outcome(1.4))
                assert reader.trials() == before
                assert reader.trials(with_curves=True)[0].outcome.curve == curve
            assert len(reader.trials()) == 2


class TrialsAgainstReference(RuleBasedStateMachine):
    """Random moves on two trials; the reference is a list of words."""

    def __init__(self):
        super().__init__()
        self.store = Store.create("sqlite://", a_run())
        self.store.add_variant(a_variant())
        self.reference = []

    def teardown(self):
        self.store.close()

    def move(self, legal, action):
        if legal:
            return action()
        with pytest.raises(StoreError):
            action()
        return None

    @precondition(lambda self: len(self.reference) < 3)
    @rule()
    def queue(self):
        assert queue(self.store).id == len(self.reference) + 1
        self.reference.append({"status": "queued", "attempt": 0, "late": set(), "score": None})

    @precondition(lambda self: self.reference)
    @rule(data=st.data())
    def start(self, data):
        number = data.draw(st.integers(1, len(self.reference)))
        known = self.reference[number - 1]
        if self.move(known["status"] == "queued", lambda: start(self.store, number)):
            known["status"] = "running"
            known["attempt"] += 1

    @precondition(lambda self: self.reference)
    @rule(data=st.data())
    def requeue(self, data):
        number = data.draw(st.integers(1, len(self.reference)))
        known = self.reference[number - 1]
        self.move(known["status"] == "running", lambda: self.store.requeue_trial(number, "lost"))
        known["status"] = "queued" if known["status"] == "running" else known["status"]

    @precondition(lambda self: self.reference)
    @rule(data=st.data(), score=st.floats(1, 2))
    def finish(self, data, score):
        number = data.draw(st.integers(1, len(self.reference)))
        known = self.reference[number - 1]
        attempt = data.draw(st.integers(0, known["attempt"] + 1))
        took = self.move(
            1 <= attempt <= known["attempt"],
            lambda: self.store.finish_trial(number, attempt, an_outcome(score), at=NOW),
        )
        if took is None:
            return
        present = attempt == known["attempt"]
        assert took == (present and known["status"] == "running")
        if took:
            known["status"], known["score"] = "complete", score
        elif not present or known["status"] == "queued":
            known["late"].add(attempt)

    @invariant()
    def the_store_agrees(self):
        trials = self.store.trials()
        assert [(t.status, t.attempt) for t in trials] == [
            (known["status"], known["attempt"]) for known in self.reference
        ]
        assert [t.outcome.val_bpb if t.outcome else None for t in trials] == [
            known["score"] for known in self.reference
        ]
        assert {(late.trial, late.attempt) for late in self.store.late_results()} == {
            (number, attempt)
            for number, known in enumerate(self.reference, 1)
            for attempt in known["late"]
        }
        assert {lease.trial.id for lease in self.store.running()} == {
            number for number, known in enumerate(self.reference, 1) if known["status"] == "running"
        }


TestTrialsAgainstReference = TrialsAgainstReference.TestCase
TestTrialsAgainstReference.settings = settings(max_examples=20, stateful_step_count=20)
