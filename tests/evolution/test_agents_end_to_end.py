"""Whole runs whose operators ask the twin by the real SDK; trials alone are played."""

import contextlib
import signal
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest

from agents import Intent
from agents.prices import Prices
from agents.twin import Author, FaultKind, PromptCache, Twin
from evolution.engine import Ending
from evolution.events import read_events
from evolution.executors import ScriptedExecutor
from evolution.operators import built_in
from evolution.sitting import staff_of
from population import Branches, CallState, FailureClass, Purpose, Store, canonical_hash, code_size
from tests.evolution.runs import an_engine, crash, world
from tests.evolution.test_commissions import ALONE, asked_run, waiting

ROOT = Path(__file__).parents[2]
KEY = "sk-ant-planted-3f9a1c77d2e84b60"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def played(twin, paths, *, slots=2, script=world, **options):
    """Play a run against ``twin`` to its end."""
    executor = ScriptedExecutor(script, slot_count=slots)
    options = {"after_turn": waiting, "operators": built_in(), "staff": staff_of} | options
    with an_engine(paths, executor, **options) as (engine, _, _):
        assert engine.run() is Ending.FINISHED
    return Store.open(paths.database, read_only=True)


def check_books(store, twin):
    """Every call of the database is a row of the twin's ledger, to the token and the dollar."""
    billed = {row.request_id: row for row in twin.ledger() if row.billed}
    settled = [call for call in store.calls() if call.state is CallState.SETTLED]
    assert {call.request_id for call in settled} <= set(billed)
    prices = Prices.standard()
    for call in settled:
        row = billed[call.request_id]
        assert (
            call.input_tokens,
            call.output_tokens,
            call.cached_input_tokens,
            call.cache_write_tokens,
        ) == (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens)
        assert call.model == row.model
        assert call.cost_usd == pytest.approx(prices.of(row.model).cost_usd(row.usage))
    return billed, settled


def dollars_of(rows):
    """What the twin's rows cost by the price list."""
    prices = Prices.standard()
    return sum(prices.of(row.model).cost_usd(row.usage) for row in rows)


ASKED = {"mutator", "crossover", "minimizer", "repairer"}


def brittle(job):
    """The world of these tests, in which some genomes crash."""
    drawn = int(canonical_hash(job.genome)[:4], 16) % 4
    if drawn or job.label.startswith("g000"):
        return world(job)
    return crash(FailureClass.ERROR, "RuntimeError: shapes (2, 3) and (4, 5)\x1b[2J\nat line 7")


@pytest.mark.parametrize("two_step", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_against_the_twin_uses_every_operator_and_its_books_agree(tmp_path, two_step):
    paths = asked_run(
        tmp_path,
        limits__trials=20,
        agents__limit_usd=40.0,
        agents__two_step=two_step,
        operators__crossover=1.0,
        operators__minimizer=0.7,
    )
    paths.ideas.mkdir(exist_ok=True)
    (paths.ideas / "slower.md").write_text("Let the matrices learn more slowly at first.\n")
    with Twin(Author(seed=3, curiosity=0.5, slips=0.2)) as twin:
        paths.settings.write_text(with_url(paths, twin))
        with played(twin, paths, script=brittle) as store:
            billed, settled = check_books(store, twin)
            assert {call.request_id for call in settled} == set(billed)
            assert store.spending().spent_usd == pytest.approx(dollars_of(billed.values()))
            assert store.spending().reserved_usd == 0
            made = Counter(v.operator for v in store.variants() if v.parents)
            assert set(made) > ASKED  # built-in ones as well
            assert len(store.trials(purpose=Purpose.SCREEN)) >= 20
            born = {call.variant for call in store.calls() if call.variant}
            assert born == {v.sha for v in store.variants() if v.operator in ASKED}
            used = Counter(use["name"] for call in store.calls() for use in call.tool_uses)
            assert used["submit_variant"] >= sum(made[name] for name in ASKED)
            assert bool(used["submit_ideas"]) is two_step
            assert used["read_file"] + used["lookup"] + used["lint"]
            assert all(call.template for call in store.calls())
            assert check_facts(paths, store) == {"Intent", "Repairs", "Suggestion"}
            (slower,) = store.suggestions()
            assert set(slower.variants) == {v.sha for v in store.variants() if v.suggestion}
            sizes = sizes_of(paths, store)
            for variant in store.variants():
                if variant.operator == "minimizer":
                    assert sizes[variant.sha] < sizes[variant.parents[0]]
        assert twin.errors == []


def check_facts(paths, store):
    """Which facts stand in the messages of commits: each mutation's intent is its commission's."""
    found = set()
    intents = {c.variant: c.intent for c in store.commissions()}
    with Branches.open(paths.repository) as branches:
        for variant in store.variants():
            message = branches.message(variant.sha)
            facts = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line)
            if variant.operator == "mutator":
                assert facts["Intent"] in set(Intent)
                found.add("Intent")
            if variant.suggestion is not None:
                assert facts["Suggestion"] == "S1"
                found.add("Suggestion")
            if variant.operator == "repairer":
                assert facts["Repairs"] == intents[variant.sha]
                found.add("Repairs")
    return found


def sizes_of(paths, store):
    with Branches.open(paths.repository) as branches:
        return {v.sha: code_size(branches.genome(v.sha)) for v in store.variants()}


def test_the_limit_is_never_passed_with_sixteen_calls_in_flight(tmp_path):
    limit = 1.2  # about ten calls' worst cases, set aside before any is made
    paths = asked_run(
        tmp_path,
        limits__trials=16,
        agents__limit_usd=limit,
        agents__in_flight=16,
        agents__max_output_tokens=4000,
    )
    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))
        most = []

        def look(engine, turn):
            spending = engine._store.spending()
            most.append(spending.spent_usd + spending.reserved_usd)
            waiting(engine, turn)

        with played(twin, paths, slots=4, after_turn=look) as store:
            billed, _ = check_books(store, twin)
            assert (
                sum(Prices.standard().of(r.model).cost_usd(r.usage) for r in billed.values())
                <= limit
            )
            assert max(most) <= limit
            assert store.spending().spent_usd <= limit
            refused = [
                e.payload for e in read_events(paths.events) if e.kind == "commission_refused"
            ]
            assert any(r["failure"] == "out_of_money" for r in refused)
            assert len(store.trials(purpose=Purpose.SCREEN)) >= 16  # the others went on


def test_every_kind_of_failure_is_stored_with_its_class_and_none_is_paid_twice(tmp_path):
    paths = asked_run(tmp_path, **ALONE, limits__trials=4, agents__limit_usd=50.0)
    faults = [fault for fault in FaultKind if fault not in (FaultKind.SLOW, FaultKind.SLOW_STREAM)]
    clock = Ticking()
    with Twin(faults=[None, *faults]) as twin:
        paths.settings.write_text(with_url(paths, twin))
        options = {"clock": clock, "after_turn": clock.turn, "operators": {}}
        with played(twin, paths, staff=lambda space: staff_of(space, clock), **options) as store:
            billed, settled = check_books(store, twin)
            failed = {c.failure for c in store.calls() if c.state is CallState.FAILED}
            # The first three and the late 529 are asked again by the SDK within a call.
            assert {"cut_off", "malformed", "timed_out", "unauthorised", "bad_request"} <= failed
            assert {"refusal", "max_tokens"} <= {call.stop_reason for call in settled}
            # What was billed and gave no reply is charged at its worst, once.
            charged = [c for c in store.calls() if c.state is CallState.FAILED and c.cost_usd > 0]
            assert len(billed) == len(settled) + len(charged)
            assert charged
            assert store.spending().spent_usd >= dollars_of(billed.values())


@pytest.mark.parametrize(
    ("in_flight", "limit"), [pytest.param(1, 2.5, marks=pytest.mark.slow), (16, 8.0)]
)
def test_an_engine_killed_with_a_reply_in_hand_passes_no_limit_and_pays_no_reply_twice(
    tmp_path, in_flight, limit
):
    paths = asked_run(
        tmp_path,
        limits__trials=12,
        agents__limit_usd=limit,
        agents__in_flight=in_flight,
        agents__max_output_tokens=4000,
    )
    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))
        for replies in (3, 2):  # twice: a sitting that finishes what was open may die as well
            done = subprocess.run(
                [sys.executable, "-m", "tests.evolution.mortal_engine", paths.root, str(replies)],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                check=False,
            )
            assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        with Store.open(paths.database, read_only=True) as store:
            had = [c for c in store.calls() if c.state is CallState.SETTLED]
            assert [c for c in store.calls() if c.state is CallState.RESERVED]
        with played(twin, paths) as store:
            billed, settled = check_books(store, twin)
            assert {call.request_id for call in had} <= {call.request_id for call in settled}
            # A stored reply is never asked for again: each place in a commission has one call.
            places = [(call.commission, call.ordinal) for call in store.calls()]
            assert len(places) == len(set(places))
            lost = [c for c in store.calls() if c.state is CallState.ABANDONED]
            assert len(lost) >= 2
            assert all(c.cost_usd == c.reserved_usd for c in lost)
            assert len(billed) <= len(settled) + len(lost)
            assert dollars_of(billed.values()) <= store.spending().spent_usd <= limit
            assert not [c for c in store.calls() if c.state is CallState.RESERVED]


@pytest.mark.slow
def test_with_the_twin_gone_for_an_hour_the_search_goes_on_and_it_comes_back(tmp_path):
    paths = asked_run(tmp_path, limits__trials=14, agents__limit_usd=20.0)
    executor = ScriptedExecutor(world, slot_count=2)
    began = 1_700_000_000.0

    def clock():
        return began + 60 * executor.now  # a trial of ten seconds takes ten minutes

    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))
        twin.go_away()
        is_back = False

        def turn(engine, number):
            nonlocal is_back
            waiting(engine, number)
            if not is_back and clock() >= began + 3600:
                is_back = True
                twin.come_back()

        with (
            an_engine(
                paths,
                executor,
                operators=built_in(),
                after_turn=turn,
                staff=lambda space: staff_of(space, clock),
                clock=clock,
            ) as (engine, workspace, _),
        ):
            assert engine.run() is Ending.FINISHED
            store = workspace.store
            _, settled = check_books(store, twin)
            assert settled
            asked = [c for c in store.calls() if c.state is CallState.FAILED]
            assert {c.failure for c in asked} == {"unreachable"}
            assert all(c.cost_usd == 0 for c in asked)
            assert len(asked) <= 12
            made = {v.operator: v.created_at for v in reversed(store.variants()) if v.parents}
            first = min(at for name, at in made.items() if name not in ASKED)
            assert first < began + 3600
            assert any(
                v.created_at >= began + 3600 for v in store.variants() if v.operator in ASKED
            )
            refused = [e for e in read_events(paths.events) if e.kind == "commission_refused"]
            classes = {e.payload["failure"] for e in refused}
            assert {"unreachable", "resting"} <= classes


class Ticking:
    """A clock that a turn moves on by a minute, so that no pause outlasts the run."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now

    def turn(self, engine, turn):
        waiting(engine, turn)
        self.now += 60


@pytest.mark.slow
def test_prefixes_are_read_from_the_cache_from_the_second_call_of_a_role_on(tmp_path):
    paths = asked_run(tmp_path, limits__trials=16, agents__limit_usd=20.0, agents__in_flight=1)
    with Twin(cache=PromptCache(min_tokens=128)) as twin:
        paths.settings.write_text(with_url(paths, twin))
        played(twin, paths).close()
        by_prefix = {}
        for row in twin.ledger():
            by_prefix.setdefault((row.model, row.prefix), []).append(row)
        later = [row for rows in by_prefix.values() for row in rows[1:]]
        assert len(later) >= 5
        read = sum(min(row.cache_read_tokens, row.prefix_tokens) for row in later)
        assert read >= 0.9 * sum(row.prefix_tokens for row in later)


def test_the_key_is_nowhere_in_a_run(tmp_path):
    def echo(request):
        return [{"type": "text", "text": f"HYPOTHESIS: the key is {KEY}\n\nNo idea."}]

    paths = asked_run(tmp_path, limits__trials=6, agents__limit_usd=20.0)
    with Twin(echo) as twin:
        paths.settings.write_text(with_url(paths, twin))
        with played(twin, paths) as store:
            assert store.calls()
    assert places_of(KEY, paths.root) == []


def places_of(secret: str, folder: Path) -> list[str]:
    """Files under ``folder`` that hold ``secret``, also within git's compressed objects."""
    found = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        texts = [data]
        if "objects" in path.parts and path.suffix not in (".pack", ".idx"):
            with contextlib.suppress(zlib.error):
                texts.append(zlib.decompress(data))
        if any(secret.encode() in text for text in texts):
            found.append(str(path))
    return found


def with_url(paths, twin):
    """The run's settings with the address of ``twin``."""
    return paths.settings.read_text().replace('base_url = ""', f'base_url = "{twin.url}"')
