import re
import threading
from collections import Counter

import pytest

from agents import CallFailure, Proposal, Reply
from evolution.engine import Ending
from evolution.events import read_events
from evolution.executors import ScriptedExecutor
from population import (
    CommissionState,
    FailureClass,
    Origin,
    Purpose,
    RunState,
    Store,
    TrialStatus,
    knobs,
    set_knobs,
)
from tests.evolution.runs import Twiddle, a_run, an_engine, crash, world
from tests.evolution.staffs import Author, HouseStaff, block, handed_in

WANTED = re.compile(r"^Wanted: \*\*(\w+)\*\*", re.M)
ALONE = {"operators__knob": 0.0, "operators__structure": 0.0, "operators__merge": 0.0}


def asked_run(folder, **changes):
    """A run whose settings name a language model."""
    defaults = {
        "agents__kind": "claude",
        "agents__limit_usd": 1.0,
        "limits__trials": 8,
    }
    return a_run(folder, **(defaults | changes))


def offspring(store):
    return [v for v in store.variants() if v.parents]


def waiting(engine, _turn):
    """Let what is asked be answered before virtual time goes on."""
    if engine._commissions.in_flight:
        engine._commissions.wait(5)


def test_a_run_of_models_alone_ends_with_its_trials(tmp_path):
    paths = asked_run(tmp_path, **ALONE)
    author = Author()
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(author)) as (engine, _, _):
        assert engine.run() is Ending.FINISHED
    with Store.open(paths.database, read_only=True) as store:
        assert {v.operator for v in offspring(store)} <= {"mutator", "crossover"}
        assert len(store.trials(purpose=Purpose.SCREEN)) == 8
        born = [c for c in store.commissions() if c.state is CommissionState.BORN]
        assert {c.variant for c in born} == {v.sha for v in offspring(store)}
        assert all(store.variant(c.variant).parents == c.parents for c in born)
        assert not store.commissions(state=CommissionState.OPEN)


def test_no_worker_waits_for_a_model_that_does_not_answer(tmp_path):
    paths, gate = asked_run(tmp_path), threading.Event()

    def let_go_at_the_end(engine, _turn):
        if engine._reason_to_end() is not None:
            gate.set()

    with an_engine(
        paths, after_turn=let_go_at_the_end, staff=lambda _: HouseStaff(Author(gate=gate))
    ) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        assert {v.operator for v in offspring(workspace.store)} == {"knob"}


def test_proposals_and_built_in_operators_share_the_workers(tmp_path):
    paths = asked_run(tmp_path, limits__trials=16)
    author = Author()
    with an_engine(paths, after_turn=waiting, staff=lambda _: HouseStaff(author)) as (
        engine,
        workspace,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        made = Counter(v.operator for v in offspring(workspace.store))
    assert made["knob"]
    assert made["mutator"]


def test_as_many_are_asked_at_once_as_the_settings_say(tmp_path):
    paths, gate = asked_run(tmp_path, agents__in_flight=16, limits__trials=20), threading.Event()
    author = Author(gate=gate)

    def let_go_when_all_ask(engine, _turn):
        if len(author.asked) >= 16:
            gate.set()

    executor = ScriptedExecutor(world, slot_count=4)
    with an_engine(
        paths, executor, after_turn=let_go_when_all_ask, staff=lambda _: HouseStaff(author)
    ) as (engine, _, _):
        engine.run()
    assert author.most_at_once == 16


def test_nothing_is_asked_that_the_run_has_no_room_for(tmp_path):
    paths = asked_run(tmp_path, **ALONE, agents__in_flight=16, limits__trials=3)
    author = Author()
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(author)) as (engine, _, _):
        engine.run()
    proposals = [prompt for prompt in author.asked if prompt.role != "critic"]
    assert len(proposals) <= 3 + 2  # two that came to nothing, at most


def test_a_proposal_that_was_bred_meanwhile_is_refused(tmp_path):
    class Echo(Author):
        def reply(self, prompt):
            self.asked.append(prompt)
            if prompt.role == "critic":
                return handed_in(prompt, 0)
            return Reply(block(prompt.messages[0].text, 0))  # always the same idea

    paths = asked_run(tmp_path, agents__in_flight=4, limits__trials=4, operators__crossover=0.0)
    with an_engine(paths, after_turn=waiting, staff=lambda _: HouseStaff(Echo())) as (
        engine,
        workspace,
        _,
    ):
        engine.run()
        hashes = [v.genome_hash for v in workspace.store.variants()]
        refused = [
            c.reason for c in workspace.store.commissions() if c.state is CommissionState.REFUSED
        ]
    assert len(hashes) == len(set(hashes))
    assert any("bred meanwhile" in reason for reason in refused)


def test_what_was_open_when_the_engine_died_is_carried_out_again_with_its_seed(tmp_path):
    paths, gate = asked_run(tmp_path, **ALONE), threading.Event()
    before, after = Author(gate=gate), Author()
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(before)) as (engine, space, _):
        engine._begin()
        for _ in range(3):
            engine.step()
        open_then = space.store.commissions(state=CommissionState.OPEN)
        assert open_then
        gate.set()
        engine._commissions._pool.close(20)  # the process is gone: nothing is taken in
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(after)) as (engine, space, _):
        engine.run()
        known = {c.id: c for c in space.store.commissions()}
        for commission in open_then:
            assert known[commission.id].rng_seed == commission.rng_seed
            assert known[commission.id].state is not CommissionState.OPEN
    wanted = [
        sorted(found[1] for p in asked if (found := WANTED.search(p.messages[0].text)))
        for asked in (before.asked, after.asked[: len(before.asked)])
    ]
    # Nothing can be borrowed yet.
    kept = [commission.intent.replace("borrow", "exploit") for commission in open_then]
    assert wanted[0] == sorted(filter(None, kept))
    assert wanted[0] == wanted[1]


def test_a_variant_that_was_born_when_the_engine_died_is_born_once(tmp_path):
    paths = asked_run(tmp_path, **ALONE, operators__crossover=0.0, limits__trials=2)
    author = Author()
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(author)) as (engine, space, _):
        engine._begin()
        while not engine._commissions.ready:
            engine._commissions.wait(5)
            engine._commissions.attend(engine._known, engine._manual(), 2)
        engine._commissions._close = lambda *_: None  # killed just before it
        variant = engine._commissions.offspring(engine._manual())
        commission = space.store.commissions(state=CommissionState.OPEN)[0]
        engine._commissions._pool.close(20)
    author = Author()
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(author)) as (engine, space, _):
        engine.run()
        assert space.store.commissions()[commission.id - 1].variant == variant.sha
        assert len(space.store.trials(variant=variant.sha, purpose=Purpose.SCREEN)) == 1
        assert len(author.asked) < len(space.store.commissions()) + 2


@pytest.mark.parametrize("kind", [CallFailure.UNREACHABLE, CallFailure.OVERLOADED])
def test_with_the_model_gone_for_an_hour_the_search_goes_on_and_it_comes_back(tmp_path, kind):
    paths = asked_run(tmp_path, limits__trials=24)
    executor = ScriptedExecutor(world, slot_count=2)
    began = 1_700_000_000.0

    def clock():
        return began + 60 * executor.now  # a trial of ten seconds takes ten minutes

    author = Author(fails=lambda _: kind if clock() < began + 3600 else None)
    with an_engine(
        paths, executor, after_turn=waiting, staff=lambda _: HouseStaff(author), clock=clock
    ) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        born = {v.operator: v.created_at for v in reversed(offspring(workspace.store))}
        assert born["knob"] < began + 3600 <= born["mutator"]
        refused = [e.payload for e in read_events(paths.events) if e.kind == "commission_refused"]
        failed = [r for r in refused if r["failure"] == kind.value]
        assert 3 < len(failed) < 40  # asked again after longer and longer pauses


def test_a_run_of_models_alone_whose_money_is_spent_ends(tmp_path):
    paths = asked_run(tmp_path, **ALONE)
    author = Author(fails=lambda number: CallFailure.OUT_OF_MONEY if number > 3 else None)
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: HouseStaff(author)) as (
        engine,
        workspace,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        assert 1 <= len(offspring(workspace.store)) <= 3
    assert "out_of_money" in list(read_events(paths.events))[-1].payload["reason"]


def test_a_drained_engine_takes_in_what_was_asked_and_keeps_it_for_later(tmp_path):
    paths, gate = asked_run(tmp_path), threading.Event()

    def drain(engine, turn):
        if turn == 6:
            engine.request_drain()
        if turn > 8:
            gate.set()

    with an_engine(paths, after_turn=drain, staff=lambda _: HouseStaff(Author(gate=gate))) as (
        engine,
        workspace,
        _,
    ):
        assert engine.run() is Ending.PAUSED
        assert engine._commissions.in_flight == 0
        assert workspace.store.commissions(state=CommissionState.OPEN)
    with an_engine(paths, staff=lambda _: HouseStaff(Author())) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        assert workspace.store.run().state is RunState.FINISHED


def test_an_engine_told_to_end_now_does_not_wait_for_a_reply(tmp_path):
    paths, gate = asked_run(tmp_path), threading.Event()

    class Deaf(HouseStaff):
        def close(self):
            super().close()
            gate.set()  # as a client does whose connections are closed

    staff = Deaf(Author(gate=gate))

    def stop(engine, turn):
        if turn == 6:
            engine.request_stop()

    with an_engine(paths, after_turn=stop, staff=lambda _: staff) as (engine, workspace, _):
        assert engine.run() is Ending.PAUSED
        assert staff.closed
        assert workspace.store.commissions(state=CommissionState.OPEN)
        assert not workspace.store.trials(status=TrialStatus.RUNNING)


def test_a_bug_of_an_operator_ends_the_sitting_with_its_own_words(tmp_path):
    class Broken(HouseStaff):
        def operator(self, name, model):  # noqa: ARG002 - the protocol's signature
            raise KeyError("a bug")

    with (
        an_engine(asked_run(tmp_path), after_turn=waiting, staff=lambda _: Broken(Author())) as (
            engine,
            _,
            _,
        ),
        pytest.raises(KeyError, match="a bug"),
    ):
        engine.run()


def test_a_variant_whose_genome_crashed_is_repaired_once(tmp_path):
    told = []

    class Repairer:
        name, parent_count = "repairer", 1

        def propose(self, context):
            told.append(context.briefing.failures[0])
            parent = context.parents[0]
            text = set_knobs(parent.genome.main, {"SOFTCAP": 15.0, "HEAD_DIM": 48})
            genome = parent.genome.with_main(text)
            return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "mended")

    class House(HouseStaff):
        def operator(self, name, model):
            return Repairer() if name == "repairer" else super().operator(name, model)

    def script(job):
        values = knobs(job.genome.main)
        if values["SOFTCAP"] != 15.0 or values["HEAD_DIM"] == 48:  # the repair is no better
            return crash(FailureClass.ERROR, "it broke at line 7")
        return world(job)

    staff = House(Author())
    staff.operators = ("mutator", "repairer")
    paths = asked_run(tmp_path, limits__trials=8)
    executor = ScriptedExecutor(script, slot_count=2)
    with an_engine(paths, executor, after_turn=waiting, staff=lambda _: staff) as (
        engine,
        space,
        _,
    ):
        engine.run()
        broken = [
            t
            for t in space.store.trials(purpose=Purpose.SCREEN, status=TrialStatus.CRASHED)
            if space.store.variant(t.variant).operator != "repairer"
        ]
        repairs = [c for c in space.store.commissions() if c.operator == "repairer"]
        assert broken
        assert repairs
        assert len({c.parents for c in repairs}) == len(repairs)
        assert {c.parents[0] for c in repairs} <= {t.variant for t in broken}
        assert all("it broke at line 7" in failed.message for failed in told)
        assert all("SOFTCAP" in failed.diff for failed in told)


def test_a_run_without_models_asks_nobody(tmp_path):
    with an_engine(a_run(tmp_path), operators={"knob": Twiddle()}) as (engine, workspace, _):
        assert engine.run() is Ending.FINISHED
        assert workspace.store.commissions() == []
