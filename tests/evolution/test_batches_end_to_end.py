"""Whole runs that ask by Message Batches, against the twin, and one whose engine is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.batching import HANDED_IN, PRICE_SHARE, Pace
from agents.twin import Twin
from evolution.engine import Ending
from evolution.executors import ScriptedExecutor
from evolution.models import Models
from evolution.operators import built_in
from evolution.staff import AgentStaff
from population import CallState, Purpose, Store
from tests.evolution.runs import an_engine, world
from tests.evolution.test_agents_end_to_end import dollars_of, with_url
from tests.evolution.test_commissions import asked_run, waiting

ROOT = Path(__file__).parents[2]
QUICK = Pace(gather_seconds=1.0, first_look=0.05, longest_look=0.1)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-planted-b47c")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_staff(workspace):
    settings = workspace.config.agents
    models = Models(settings, clock=time.monotonic, pace=QUICK)
    return AgentStaff(settings, workspace.store, models)


def a_batched_run(folder, **changes):
    defaults = {"agents__batches": True, "agents__limit_usd": 20.0, "agents__in_flight": 4}
    return asked_run(folder, **(defaults | changes))


def played(paths, **options):
    """Play a run to its end; its store."""
    executor = ScriptedExecutor(world, slot_count=2)
    with an_engine(
        paths, executor, operators=built_in(), staff=a_staff, **({"after_turn": waiting} | options)
    ) as (engine, _, _):
        assert engine.run() is Ending.FINISHED
    return Store.open(paths.database, read_only=True)


def check_books(store, twin):
    """Every reply of the database is a row of the twin's ledger, at half the price."""
    rows = [row for row in twin.ledger() if row.billed]
    settled = [call for call in store.calls() if call.state is CallState.SETTLED]
    booked = sorted((c.input_tokens, c.output_tokens, c.cached_input_tokens) for c in settled)
    billed = sorted((r.input_tokens, r.output_tokens, r.cache_read_tokens) for r in rows)
    assert booked == billed
    assert {row.kind for row in rows} == {"batch"}
    assert store.spending().spent_usd == pytest.approx(PRICE_SHARE * dollars_of(rows))
    return settled


def test_a_run_by_batches_is_bred_by_models_at_half_the_price(tmp_path):
    paths = a_batched_run(tmp_path, limits__trials=5)
    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))
        with played(paths) as store:
            assert check_books(store, twin)
            assert any(v.operator == "mutator" for v in store.variants())
            assert store.spending().reserved_usd == 0
        assert len(twin.batches) < len(twin.ledger())


def test_batches_that_never_end_hold_no_run_up_and_cost_nothing(tmp_path):
    paths = a_batched_run(tmp_path, limits__trials=4)
    with Twin(batch_polls=1_000_000) as twin:
        paths.settings.write_text(with_url(paths, twin))
        with played(paths, after_turn=None) as store:
            assert len(store.trials(purpose=Purpose.SCREEN)) >= 4
            assert store.spending().spent_usd == 0
            assert store.spending().reserved_usd == 0
            assert {call.failure for call in store.calls()} == {"server"}
        assert twin.ledger() == []


def test_an_engine_killed_while_a_batch_is_under_way_pays_it_once(tmp_path):
    paths = a_batched_run(tmp_path, limits__trials=4, operators__mutator=1e6)
    with Twin(batch_polls=1_000_000) as twin:
        paths.settings.write_text(with_url(paths, twin))
        engine = subprocess.Popen(
            [sys.executable, "-m", "tests.evolution.waiting_engine", paths.root], cwd=ROOT
        )
        deadline = time.monotonic() + 300
        handed_in = []
        while not handed_in and time.monotonic() < deadline:
            time.sleep(0.05)
            with Store.open(paths.database, read_only=True) as store:
                handed_in = [call for call in store.calls() if HANDED_IN in call.details]
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        assert handed_in
        twin.batches.finish()
        twin.batches.polls = 1
        with played(paths) as store:
            settled = check_books(store, twin)
            had = {call.id for call in handed_in}
            assert had <= {call.id for call in settled}
            assert not [c for c in store.calls() if c.state is CallState.ABANDONED]
