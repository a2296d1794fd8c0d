"""The desk of a real run: what models may look up, from several threads at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from agents import Desk
from evolution.desk import Lookup, desk_of
from evolution.executors import ScriptedExecutor
from evolution.sitting import staff_of
from evolution.staff import asking_of
from population import FailureClass, TrialStatus, knobs
from tests.evolution.runs import a_run, an_engine, crash, settings, world


def script(job):
    if knobs(job.genome.main)["SOFTCAP"] == 30.0:
        return crash(FailureClass.NOT_FINITE, "loss is nan\x1b[2J at step 7")
    return world(job)


@pytest.fixture
def finished(tmp_path):
    """A run that is over, open, with at least one crash."""
    paths = a_run(tmp_path, limits__trials=12)
    with an_engine(paths, ScriptedExecutor(script, slot_count=2)) as (engine, workspace, _):
        engine.run()
        yield workspace


def test_a_variant_is_told_with_its_scores_its_end_and_its_diff(finished):
    lookup = desk_of(finished).lookup
    scored = next(v for v in finished.store.variants() if v.parents)
    told = lookup(scored.name)
    parent = finished.store.variant(scored.parents[0])
    assert f"{scored.name}, made by knob: {scored.hypothesis}" in told
    assert "± " in told
    assert f"score of its parent {parent.name}: " in told
    assert ": complete, val_bpb " in told
    assert f"What it changed in {parent.name}:\ndiff --git" in told
    assert lookup(scored.sha[:12]) == told


def test_a_crash_is_told_with_its_class_and_nothing_that_a_terminal_obeys(finished):
    (trial, *_) = finished.store.trials(status=TrialStatus.CRASHED)
    told = desk_of(finished).lookup(finished.store.variant(trial.variant).name)
    assert f"trial {trial.id}: crashed, not_finite: loss is nan at step 7" in told
    assert "score: not scored yet" in told


@pytest.mark.parametrize("name", ["g999-999", "", "'; drop table variants", "\x1b[2J", "a" * 999])
def test_what_is_not_there_is_said_so(finished, name):
    told = desk_of(finished).lookup(name)
    assert told
    assert "\n" not in told


def test_the_baseline_and_the_ruler_can_be_looked_at(finished):
    desk = desk_of(finished, smoke=lambda _: "trains")
    assert "It is the baseline." in desk.lookup("g000-000")
    assert "def evaluate_bpb" in desk.files["prepare.py"]
    assert desk.smoke is not None


def test_sixteen_threads_look_up_at_once_while_the_store_is_written(finished):
    names = [variant.name for variant in finished.store.variants()]
    lookup = Lookup(finished.store, finished.branches)
    with ThreadPoolExecutor(16) as pool:
        told = pool.map(lookup, names * 6)
        for number in range(40):
            finished.store.set_fact("noise", number)
        told = list(told)
    assert told == [lookup(name) for name in names] * 6


COMMAND = {"agents__kind": "command", "agents__command": ["/bin/agent"], "agents__two_step": True}


@pytest.mark.parametrize(
    ("changes", "looks", "two_step"),
    [
        ({}, 4, False),
        ({"agents__two_step": True, "agents__tool_calls": 0}, 0, True),
        (COMMAND, 0, False),
    ],
)
def test_the_staff_asks_as_the_settings_say(changes, looks, two_step):
    config = settings(**({"agents__kind": "claude", "agents__limit_usd": 1.0} | changes))
    asking = asking_of(config.agents, Desk())
    assert (asking.tool_calls, asking.is_two_step) == (looks, two_step)
    assert asking.max_output_tokens == config.agents.max_output_tokens


def test_a_run_has_a_repairer_unless_the_settings_say_no(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-planted")
    for number, repair in enumerate((True, False)):
        changes = {"agents__kind": "claude", "agents__limit_usd": 1.0, "agents__repair": repair}
        with an_engine(a_run(tmp_path / str(number), **changes)) as (_, workspace, _):
            staff = staff_of(workspace, smoke=lambda _: "trains")
            assert ("repairer" in staff.operators) is repair
            assert {"mutator", "crossover", "minimizer"} <= set(staff.operators)
            staff.close()
