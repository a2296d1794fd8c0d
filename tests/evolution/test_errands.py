"""Errands in whole runs: lessons come and are told, verdicts are explained, and nothing waits."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents import CallFailure
from agents.twin import Twin
from evolution.engine import Ending
from evolution.errand_notes import figures_of
from evolution.events import read_events
from evolution.operators import built_in
from evolution.sitting import staff_of
from population import CallState, CommissionState, Judgement, LessonState, Metric, Purpose, Store
from population.lesson import PERSON
from population.lesson_page import read_page
from tests.builders import a_rung, a_verdict
from tests.evolution.runs import an_engine
from tests.evolution.staffs import ANSWERS, Author, HouseStaff
from tests.evolution.test_agents_end_to_end import KEY, check_books, dollars_of, played, with_url
from tests.evolution.test_commissions import ALONE, asked_run, offspring, waiting

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def errands(store, operator):
    return [one for one in store.commissions() if one.operator == operator]


def told(paths, kind):
    return [event.payload for event in read_events(paths.events) if event.kind == kind]


def waiting_for_all(engine, turn):
    waiting(engine, turn)
    if engine._errands.in_flight:
        engine._errands._pool.wait(5)


def test_lessons_come_every_few_trials_and_are_told_to_those_who_propose(tmp_path):
    paths, author = asked_run(tmp_path, agents__lessons_every=3, limits__trials=10), Author()
    with an_engine(paths, after_turn=waiting_for_all, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        store = space.store
        screens = {trial.id for trial in store.trials(purpose=Purpose.SCREEN)}
        lessons = store.lessons(LessonState.ACTIVE)
        assert 2 <= len(lessons) <= 4
        evidence = [number for lesson in lessons for number in lesson.evidence]
        assert len(set(evidence)) == len(evidence)  # each trial was distilled once
        assert set(evidence) <= screens
        assert {one.state for one in errands(store, "librarian")} == {CommissionState.DONE}
    page = read_page(paths.lessons.read_text())
    assert {bullet.id for bullet in page.bullets} == {lesson.id for lesson in lessons}
    prompts = ["\n".join(p.system) for p in author.asked if p.role == "mutator"]
    assert any("# Lessons of this run" in prompt and "[L1]" in prompt for prompt in prompts)
    assert "# Lessons of this run" not in prompts[0]


def test_no_trial_waits_for_a_librarian_that_does_not_answer(tmp_path):
    gate = threading.Event()
    paths = asked_run(tmp_path, agents__lessons_every=2, agents__critic=False)
    author = Author(gate=gate, held=("librarian",))

    def let_go_at_the_end(engine, turn):
        waiting(engine, turn)
        if engine._reason_to_end() is not None:
            gate.set()

    with an_engine(paths, after_turn=let_go_at_the_end, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        assert len(space.store.trials(purpose=Purpose.SCREEN)) >= 8
        assert space.store.lessons()
    assert [p.role for p in author.asked].count("librarian") >= 1


def test_a_distillation_that_failed_has_its_trials_shown_to_the_next(tmp_path):
    failed = []

    def fails(_):
        is_first = author.asked[-1].role == "librarian" and not failed
        if is_first:
            failed.append(author.asked[-1])
        return CallFailure.SERVER if is_first else None

    author = Author(fails=fails)
    paths = asked_run(tmp_path, agents__lessons_every=3, agents__in_flight=1, limits__trials=8)
    with an_engine(paths, after_turn=waiting_for_all, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):
        engine.run()
        first, second, *_ = errands(space.store, "librarian")
    assert first.state is CommissionState.REFUSED
    assert second.state is CommissionState.DONE
    assert set(first.intent.split()[1:]) < set(second.intent.split()[1:])


def test_what_a_person_writes_while_the_engine_runs_is_told_to_the_next_who_proposes(tmp_path):
    paths, author = asked_run(tmp_path, agents__lessons_every=0, limits__trials=12), Author()

    def write(engine, turn):
        waiting(engine, turn)
        if turn == 6:
            paths.lessons.write_text(paths.lessons.read_text() + "- Leave SOFTCAP alone.\n")

    with an_engine(paths, after_turn=write, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):
        engine.run()
        (lesson,) = space.store.lessons()
    assert (lesson.text, lesson.source) == ("Leave SOFTCAP alone.", PERSON)
    assert "- [L1] Leave SOFTCAP alone. (person; confidence 0.8)" in paths.lessons.read_text()
    assert any("Leave SOFTCAP alone." in "\n".join(prompt.system) for prompt in author.asked)


def test_a_verdict_is_explained_once_when_the_run_ends(tmp_path):
    paths, author = asked_run(tmp_path), Author()
    with an_engine(paths, after_turn=waiting, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        (verdict,) = space.store.verdicts()
        (reading,) = space.store.readings(champion=verdict.champion)
        assert reading.label == verdict.label
        assert [one.state for one in errands(space.store, "critic")] == [CommissionState.DONE]
    asked = [prompt for prompt in author.asked if prompt.role == "critic"]
    assert len(asked) == 1
    assert "depth × 1:" in asked[0].messages[0].text
    with an_engine(paths, staff=lambda _: HouseStaff(author)) as (engine, space, _):
        engine.run()
        assert len(space.store.readings()) == 1


def test_an_engine_does_not_hang_on_a_critic_and_a_next_sitting_has_the_verdict_explained(tmp_path):
    gate, paths = threading.Event(), asked_run(tmp_path)
    author = Author(gate=gate, held=("critic",))
    with an_engine(paths, after_turn=waiting, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):

        def ask_to_end():
            while not any(prompt.role == "critic" for prompt in author.asked):
                gate.wait(0.05)
            engine.request_stop()

        asking = threading.Thread(target=ask_to_end)
        asking.start()
        engine.run()
        asking.join()
        (left,) = errands(space.store, "critic")
        assert left.state is CommissionState.OPEN
        assert space.store.verdicts()
    still_held = Author(gate=gate, held=("critic",))
    with an_engine(paths, staff=lambda _: HouseStaff(still_held)) as (engine, space, _):
        engine._begin()
        began = time.monotonic()
        engine._errands.conclude(engine._known, lambda: False, patience_seconds=0.3)
        assert time.monotonic() - began < 10
        assert engine._errands.in_flight == 1
        gate.set()
        engine._errands._pool.close(20)  # the process is gone: nothing is taken in
    with an_engine(paths, staff=lambda _: HouseStaff(Author())) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        (reading,) = space.store.readings()
        assert reading.commission == left.id
        assert len(space.store.verdicts()) == 1


def test_a_reply_of_a_distillation_that_was_not_taken_in_is_not_asked_for_again(tmp_path):
    paths = asked_run(tmp_path, agents__lessons_every=3, limits__trials=6, agents__critic=False)
    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))

        def stop(engine, turn):
            waiting(engine, turn)
            if engine._errands.in_flight:
                engine._errands._pool.close(30)
                engine._errands._take = lambda *_: None  # killed before it is taken in
                engine.request_stop()

        with an_engine(paths, operators=built_in(), after_turn=stop, staff=staff_of) as (e, s, _):
            assert e.run() is Ending.PAUSED
            (left,) = errands(s.store, "librarian")
            had = s.store.calls(commission=left.id)
            assert [call.state for call in had] == [CallState.SETTLED]
            assert s.store.lessons() == []
        with played(twin, paths) as store:
            done = errands(store, "librarian")[0]
            assert (done.id, done.state) == (left.id, CommissionState.DONE)
            assert [c.id for c in store.calls(commission=left.id)] == [call.id for call in had]
            assert [one.call for one in store.lessons() if one.call == had[0].id]
            check_books(store, twin)


def test_an_engine_killed_with_a_distillation_in_hand_distils_it_once(tmp_path):
    paths = asked_run(tmp_path, agents__lessons_every=3, limits__trials=6, agents__limit_usd=20.0)
    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))
        done = subprocess.run(
            [sys.executable, "-m", "tests.evolution.mortal_engine", paths.root, "1", "librarian"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        with Store.open(paths.database, read_only=True) as store:
            (left,) = errands(store, "librarian")
            assert (left.state, store.lessons()) == (CommissionState.OPEN, [])
        with played(twin, paths) as store:
            billed, _ = check_books(store, twin)
            kept = next(one for one in errands(store, "librarian") if one.id == left.id)
            assert kept.state is CommissionState.DONE
            lost, had = store.calls(commission=left.id)
            assert (lost.state, had.state) == (CallState.ABANDONED, CallState.SETTLED)
            texts = [lesson.text for lesson in store.lessons()]
            assert texts
            assert len(texts) == len(set(texts))
            assert dollars_of(billed.values()) <= store.spending().spent_usd <= 20.0


def test_a_critic_that_rejects_everything_is_heard_but_for_one_in_ten(tmp_path):
    answers = ANSWERS | {
        "submit_critique": lambda _, __: {"verdict": "reject", "reasons": ["it was tried"]}
    }
    author = Author(answers=answers)
    paths = asked_run(tmp_path, agents__critic_reads=True, limits__trials=12)
    with an_engine(paths, after_turn=waiting, staff=lambda _: HouseStaff(author)) as (
        engine,
        space,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        critiques = space.store.critiques()
        assert critiques
        assert {one.judgement for one in critiques} == {Judgement.REJECT}
        by_model = {v.sha for v in offspring(space.store) if v.operator != "knob"}
        exempt = [one for one in critiques if one.was_exempt]
        assert by_model == {one.variant for one in exempt if one.variant}
        refused = [c for c in space.store.commissions() if c.state is CommissionState.REFUSED]
        assert {c.id for c in refused} >= {c.commission for c in critiques if not c.was_exempt}
        assert "the critic rejected it: it was tried" in {c.reason for c in refused}
    assert len(told(paths, "critique")) == len(critiques)


def test_a_critic_that_gives_no_answer_keeps_no_proposal_back(tmp_path):
    author = Author(answers=ANSWERS | {"submit_critique": lambda _, __: {"verdict": "?"}})
    paths = asked_run(tmp_path, **ALONE, agents__critic_reads=True, limits__trials=3)
    with an_engine(paths, operators={}, staff=lambda _: HouseStaff(author)) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        assert space.store.critiques() == []
        assert len(offspring(space.store)) >= 3


def test_against_the_twin_librarian_and_critic_are_booked_to_the_token(tmp_path):
    paths = asked_run(
        tmp_path,
        agents__critic_reads=True,
        agents__lessons_every=4,
        agents__limit_usd=30.0,
        limits__trials=12,
    )
    with Twin() as twin:
        paths.settings.write_text(with_url(paths, twin))
        with played(twin, paths, after_turn=waiting_for_all) as store:
            billed, settled = check_books(store, twin)
            assert {call.request_id for call in settled} == set(billed)
            assert {"librarian", "critic", "mutator"} <= {call.operator for call in settled}
            assert store.lessons()
            (verdict,) = store.verdicts()
            champions = [verdict.champion] if verdict.champion is not None else []
            assert [reading.champion for reading in store.readings()] == champions
            assert store.critiques()
            numbers = {call.id: call.operator for call in settled}
            assert {numbers[one.call] for one in store.lessons()} == {"librarian"}
            assert {numbers[one.call] for one in store.critiques()} == {"critic"}
        assert twin.errors == []


def test_figures_of_a_verdict_claim_no_more_than_it_says():
    rungs = (a_rung(), a_rung(depth_scale=1.5, gain=None, low=None, high=None, pair_count=1))
    assert figures_of(a_verdict(rungs=rungs), Metric()) == [
        "val_bpb, fresh seeds, in pairs against the baseline",
        "depth × 1: confirmed, gain +0.01 (95 %: +0.004 to +0.016), 4 pairs",
        "depth × 1.5: confirmed, 1 pair",
    ]
