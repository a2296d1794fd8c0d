import re
import threading
from collections import Counter

import pytest

from agents import Asking, CallFailure, Mutator, Proposal, Purse, Refusal, Reply
from evolution.cli.tables import status_lines
from evolution.engine import Ending
from evolution.events import read_events
from evolution.executors import ScriptedExecutor
from evolution.status import run_status
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
from tests.agents.providers import PRICES
from tests.evolution.runs import Twiddle, a_run, an_engine, crash, world
from tests.evolution.staffs import ANSWERS, Author, HouseStaff, block, handed_in

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
    kept = [commission.intent for commission in open_then]
    assert "borrow" not in kept  # settled when it was given: nothing can be borrowed yet
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


def test_a_bug_of_an_operator_is_told_and_the_search_goes_on_without_it(tmp_path):
    class Buggy(HouseStaff):
        def operator(self, name, model):
            if name == "mutator":
                raise KeyError("a bug")
            return super().operator(name, model)

    paths = asked_run(tmp_path, limits__trials=10)
    with an_engine(paths, after_turn=waiting, staff=lambda _: Buggy(Author())) as (
        engine,
        space,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        status = run_status(space.store, 0.0)
        assert len(space.store.trials(purpose=Purpose.SCREEN)) == 10
        assert space.store.spending().reserved_usd == 0
        left = space.store.commissions(state=CommissionState.OPEN)
        # Of those that did not break, a proposal may wait for the next sitting.
        assert "mutator" not in {one.operator for one in left}
    broke = [e.payload for e in read_events(paths.events) if e.kind == "commission_broke"]
    assert [one["rests"] for one in broke[:3]] == [False, False, True]
    assert len(broke) <= 3 + 2  # two were under way when it began to rest
    assert broke[0]["error"] == "KeyError: 'a bug'"
    assert 'raise KeyError("a bug")' in (paths.logs / broke[0]["log"]).read_text()
    assert status.broken == {"mutator": len(broke)}
    assert "KeyError: 'a bug'" in status.last_break
    assert "mutator" in dict(status_lines(status))["errors"].plain


def opened(space, operator, intent, parents):
    return space.store.open_commission(
        operator=operator, parents=parents, rng_seed=7, at=1.0, intent=intent
    )


def test_what_was_turned_off_since_is_not_taken_up_again(tmp_path):
    paths = asked_run(tmp_path, agents__critic=False, agents__lessons_every=0, limits__trials=2)
    author = Author()
    with an_engine(paths, staff=lambda _: HouseStaff(author)) as (engine, space, _):
        baseline = space.store.run().baseline
        opened(space, "repairer", "trial 1", [baseline])
        opened(space, "critic", "verdict none", [baseline])
        opened(space, "librarian", "trials 1", [])
        assert engine.run() is Ending.FINISHED
        first = space.store.commissions()[:3]
    assert [one.state for one in first] == [CommissionState.REFUSED] * 3
    assert {one.reason for one in first} == {
        f"{name} was turned off meanwhile" for name in ("repairer", "critic", "librarian")
    }
    assert {prompt.role for prompt in author.asked} <= {"mutator", "crossover"}


@pytest.mark.parametrize(
    ("operators", "is_asked"), [("[mutator]", False), ("[mutator, repairer]", True)]
)
def test_a_manual_that_leaves_the_repairer_out_keeps_it_from_being_asked(
    tmp_path, operators, is_asked
):
    def script(job):
        is_broken = knobs(job.genome.main)["SOFTCAP"] != 15.0
        return crash(FailureClass.ERROR, "it broke") if is_broken else world(job)

    paths = asked_run(tmp_path, limits__trials=6)
    manual = paths.program.read_text().replace("operators: all", f"operators: {operators}")
    assert operators in manual
    paths.program.write_text(manual)
    staff = HouseStaff(Author())
    staff.operators = ("mutator", "repairer")
    executor = ScriptedExecutor(script, slot_count=2)
    with an_engine(paths, executor, after_turn=waiting, staff=lambda _: staff) as (
        engine,
        space,
        _,
    ):
        engine.run()
        assert any(t.status is TrialStatus.CRASHED for t in space.store.trials())
        asked = {one.operator for one in space.store.commissions()}
    assert ("repairer" in asked) is is_asked


class TwoSteps(HouseStaff):
    """Its mutator has ideas first."""

    def operator(self, name, model):
        if name == "mutator":
            return Mutator(model, Asking(is_two_step=True))
        return super().operator(name, model)


def test_a_resumed_commission_carries_out_the_idea_that_its_code_was_paid_for(tmp_path):
    """Killed after the code came; meanwhile all its ideas were tried by others."""
    ideas = [
        {"hypothesis": text, "expected_gain": 0.1, "intent": "explore"}
        for text in ("double the rope base", "halve the cap of the head", "another rate for all")
    ]
    answers = ANSWERS | {"submit_ideas": lambda *_: {"ideas": ideas}}
    paths = asked_run(tmp_path, **ALONE, operators__crossover=0.0, limits__trials=2)
    books = {}

    def a_staff(author):
        def made(space):
            purse = Purse(space.store, PRICES, limit_usd=None, clock=lambda: 2.0, environment={})
            return TwoSteps(author, purse)

        return made

    first = Author(answers=answers)
    first.name = "twin-1"
    with an_engine(paths, operators={}, staff=a_staff(first)) as (engine, space, _):
        engine._begin()
        engine._commissions.attend(engine._known, engine._manual(), 1)
        engine._commissions._pool.close(20)  # the process is gone: nothing is taken in
        (commission,) = space.store.commissions(state=CommissionState.OPEN)
        books["calls"] = len(space.store.calls())
        baseline = space.store.variant(space.store.run().baseline)
        for number, idea in enumerate(ideas):
            text = set_knobs(engine._breeder.baseline.main, {"SOFTCAP": 20.0 + number})
            genome = engine._breeder.baseline.with_main(text)
            engine._breeder.adopt(
                genome, idea=idea["hypothesis"], parent=baseline, manual=engine._manual()
            )
    second = Author(answers=answers)
    second.name = "twin-1"
    with an_engine(paths, operators={}, staff=a_staff(second)) as (engine, space, _):
        engine._begin()
        engine._commissions._pool.wait(20)
        (_, delivery) = engine._commissions._pool.finished()[0]
        assert isinstance(delivery.result, Proposal)
        of_it = [c for c in space.store.calls() if c.commission == commission.id]
        assert len(of_it) >= books["calls"]
        assert [p.role for p in second.asked if p.role == "mutator"] == []
        assert space.store.fact(f"known ideas {commission.id}") is not None
        engine._commissions._refuse(commission.id, Refusal("mutator", "enough"), None)
        assert space.store.fact(f"known ideas {commission.id}") is None


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
