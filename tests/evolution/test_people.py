"""What people ask of a run, and what its engine makes of it: suggestions, pins, bans."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import CallFailure, ModelError, Proposal, Refusal
from evolution.engine import Ending
from evolution.events import read_events
from evolution.executors import ScriptedExecutor
from evolution.marking import pinned_places
from evolution.selection import survivors
from evolution.sources import Source, source_credits
from evolution.suggestions import OFFERED_AT_ONCE, next_offers, unread_reason
from population import (
    Branches,
    CommissionState,
    Fitness,
    Lineage,
    Mark,
    Marked,
    Origin,
    Purpose,
    Store,
    Suggestion,
    SuggestionState,
    TrialStatus,
    knobs,
    set_knobs,
)
from population.people import ENOUGH, OFFERS
from tests.builders import NOW
from tests.evolution.runs import Steps, a_run, an_engine, world
from tests.evolution.staffs import Author, HouseStaff

ROOT = Path(__file__).parents[2]
ALONE = {"operators__knob": 0.0, "operators__structure": 0.0, "operators__merge": 0.0}
MUTATOR_ALONE = {**ALONE, "operators__crossover": 0.0}


def a_run_with_models(folder, **changes):
    """A run of the mutator alone, unless the changes say otherwise."""
    defaults = {"agents__kind": "claude", "agents__limit_usd": 1.0, "limits__trials": 12}
    return a_run(folder, **(MUTATOR_ALONE | defaults | changes))


class Listener:
    """A mutator that keeps what it was shown, and takes up what it is told to."""

    name, parent_count = "mutator", 1

    def __init__(self, shown, takes):
        self._shown, self._takes = shown, takes

    def propose(self, context):
        """Set a knob as nobody did before."""
        offered = [s.id for s in context.briefing.suggestions]
        self._shown.append(offered)
        parent, number = context.parents[0], len(self._shown)
        text = set_knobs(parent.genome.main, {"EMBED_STD": 1.0 + number / 100})
        return Proposal(
            genome=parent.genome.with_main(text),
            parents=(parent.variant.sha,),
            origin=Origin.MUTATION,
            operator=self.name,
            hypothesis=f"idea {number}",
            suggestion=self._takes(offered),
        )


class Listeners(HouseStaff):
    """Each commission is carried out by a `Listener`."""

    def __init__(self, takes=lambda _: None):
        super().__init__(Author())
        self.shown, self._takes = [], takes
        self.operators = ("mutator",)

    def operator(self, name, model):  # noqa: ARG002 - the protocol's signature
        return Listener(self.shown, self._takes)


def first(offered):
    return offered[0] if offered else None


def waiting(engine, _turn):
    """Let what is asked be answered before virtual time goes on."""
    if engine._commissions.in_flight:
        engine._commissions.wait(5)


def suggest(paths, *texts):
    with Store.open(paths.database) as store:
        for text in texts:
            store.add_request("suggest", {"text": text}, at=NOW)


def mark(store, kind, variant, **more):
    store.add_request(kind, {"variant": variant.sha, "undo": False, **more}, at=NOW)


def answers(paths):
    return [e.payload["answer"] for e in read_events(paths.events) if e.kind == "request"]


# --- suggestions ---------------------------------------------------------------------------------


def test_a_suggestion_that_is_taken_up_is_named_by_commit_store_and_event(tmp_path):
    paths = a_run_with_models(tmp_path, limits__trials=6)
    suggest(paths, "warm up slowly")
    staff = Listeners(first)
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: staff) as (engine, *_):
        assert engine.run() is Ending.FINISHED
    with Store.open(paths.database) as store, Branches.open(paths.repository) as branches:
        (one,) = store.suggestions()
        took = [v for v in store.variants() if v.suggestion == one.id]
        assert one.variants == tuple(v.sha for v in took)
        assert all("\nSuggestion: S1\n" in branches.message(v.sha) for v in took)
        others = [v for v in store.variants() if v.suggestion is None]
        assert others
        assert not any("Suggestion:" in branches.message(v.sha) for v in others)
        credits = {c.source: c for c in source_credits(store, store.champion())}
        assert credits[Source.SUGGESTIONS].offspring == len(took)
    told = [e.payload for e in read_events(paths.events) if e.kind == "variant"]
    assert [e["suggestion"] for e in told].count("S1") == len(took)
    assert "taken in as S1" in answers(paths)


def test_a_suggestion_that_was_taken_up_often_enough_is_offered_no_more(tmp_path):
    paths = a_run_with_models(tmp_path, agents__in_flight=8)
    suggest(paths, "warm up slowly")
    staff = Listeners(first)
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: staff) as (
        engine,
        workspace,
        _,
    ):
        engine.run()
        (one,) = workspace.store.suggestions()
    assert one.state is SuggestionState.TAKEN
    assert len(one.variants) == ENOUGH
    assert len(staff.shown) > ENOUGH
    assert one.offer_count == sum(bool(offered) for offered in staff.shown) == ENOUGH


def test_one_that_nobody_takes_up_is_pushed_six_times_and_stays_open(tmp_path):
    paths = a_run_with_models(tmp_path)
    suggest(paths, "warm up slowly")
    staff = Listeners()
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: staff) as (
        engine,
        workspace,
        _,
    ):
        engine.run()
        (one,) = workspace.store.suggestions()
    assert (one.offer_count, one.state, one.is_offered) == (OFFERS, SuggestionState.OPEN, False)
    assert [bool(offered) for offered in staff.shown].count(True) == OFFERS


def test_each_commission_is_offered_two_at_most_and_every_one_gets_its_turn(tmp_path):
    paths = a_run_with_models(tmp_path)
    suggest(paths, *(f"idea {n}" for n in range(5)))
    staff = Listeners()
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: staff) as (
        engine,
        workspace,
        _,
    ):
        engine.run()
        counts = [one.offer_count for one in workspace.store.suggestions()]
    assert {len(offered) for offered in staff.shown} <= {0, 1, OFFERED_AT_ONCE}
    assert sorted(staff.shown)[0] == ["S1", "S2"]
    assert max(counts) - min(counts) <= 1


@given(
    st.lists(
        st.builds(
            Suggestion,
            id=st.integers(1, 50),
            text=st.just("x"),
            author=st.just("person"),
            at=st.just(NOW),
            is_withdrawn=st.booleans(),
            offer_count=st.integers(0, 8),
            under_way=st.integers(0, 3),
            variants=st.lists(st.text("ab", max_size=2), max_size=4).map(tuple),
        ),
        unique_by=lambda one: one.id,
    )
)
def test_offers_are_open_and_the_least_offered_come_first(known):
    chosen, by_id = next_offers(known), {one.id: one for one in known}
    left = [one for one in known if one.is_offered and one.id not in chosen]
    assert len(chosen) == min(OFFERED_AT_ONCE, sum(one.is_offered for one in known))
    assert all(by_id[n].state is SuggestionState.OPEN for n in chosen)
    least = [(by_id[n].offer_count, n) for n in chosen]
    assert all(pair <= (one.offer_count, one.id) for pair in least for one in left)


def test_a_claim_to_a_suggestion_that_was_not_offered_is_dropped(tmp_path):
    paths = a_run_with_models(tmp_path, limits__trials=4)
    suggest(paths, "warm up slowly")
    staff = Listeners(lambda _: "S7")
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: staff) as (
        engine,
        workspace,
        _,
    ):
        engine.run()
        assert {v.suggestion for v in workspace.store.variants()} == {None}


def test_real_operators_are_shown_the_text_of_a_suggestion(tmp_path):
    paths, author = a_run_with_models(tmp_path, limits__trials=3), Author()
    suggest(paths, "warm up\n```\nslowly")
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: HouseStaff(author)) as (
        engine,
        *_,
    ):
        engine.run()
    assert "S1:\n\n````\nwarm up\n```\nslowly\n````" in author.asked[0].messages[0].text


def test_a_model_that_does_not_answer_was_offered_nothing(tmp_path):
    class Unheard(Listener):
        """Asks a model that cannot be reached."""

        def propose(self, context):
            self._shown.append([s.id for s in context.briefing.suggestions])
            with pytest.raises(ModelError):
                self._takes.reply(None)
            return Refusal(self.name, "no model")

    class House(Listeners):
        def model(self, role, commission):  # noqa: ARG002 - the protocol's signature
            return Author(fails=lambda _: CallFailure.UNREACHABLE)

        def operator(self, name, model):  # noqa: ARG002
            return Unheard(self.shown, model)

    paths = a_run_with_models(tmp_path, operators__knob=1.0, limits__trials=24)
    suggest(paths, "warm up slowly")
    staff, executor = House(), ScriptedExecutor(world, slot_count=2)
    with an_engine(
        paths,
        executor,
        after_turn=waiting,
        staff=lambda _: staff,
        clock=lambda: NOW + 60 * executor.now,
    ) as (engine, workspace, _):
        engine.run()
        (one,) = workspace.store.suggestions()
        refused = workspace.store.commissions(CommissionState.REFUSED)
    assert len(refused) > OFFERS
    assert all(offered == ["S1"] for offered in staff.shown)
    assert (one.offer_count, one.is_offered) == (0, True)


def test_a_commission_that_was_open_when_the_engine_died_is_offered_the_same_again(tmp_path):
    paths = a_run_with_models(tmp_path)
    suggest(paths, "one", "two", "three")
    with an_engine(paths, operators={}, staff=lambda _: Listeners()) as (engine, space, _):
        engine._begin()
        while not engine._commissions.in_flight:
            engine.step()
        engine._commissions._pool.close(20)  # the process is gone: nothing is taken in
        before = {c.id: c.suggestions for c in space.store.commissions(CommissionState.OPEN)}
        assert (1, 2) in before.values()
        space.store.withdraw_suggestion(1)
    staff = Listeners()
    with an_engine(paths, operators={}, staff=lambda _: staff) as (engine, space, _):
        engine._begin()
        engine._commissions._pool.close(20)
        again = {c.id: c.suggestions for c in space.store.commissions(CommissionState.OPEN)}
    assert again == before
    assert ["S1", "S2"] in staff.shown


def test_a_withdrawn_suggestion_is_offered_no_more(tmp_path):
    paths = a_run_with_models(tmp_path, limits__trials=4)
    suggest(paths, "one", "two")
    with Store.open(paths.database) as store:
        store.add_request("withdraw", {"suggestion": 1})
        store.add_request("withdraw", {"suggestion": 9})
    staff = Listeners()
    with an_engine(paths, operators={}, after_turn=waiting, staff=lambda _: staff) as (engine, *_):
        engine.run()
    assert {label for offered in staff.shown for label in offered} == {"S2"}
    assert answers(paths)[2] == "S1 is withdrawn"
    assert answers(paths)[3].startswith("refused: There is no suggestion S9")


def test_who_reads_suggestions_follows_from_settings_and_manual(tmp_path):
    def reason(name, **changes):
        with Store.open(a_run(tmp_path, name=name, **changes).database) as store:
            return unread_reason(store)

    models = {"agents__kind": "claude", "agents__limit_usd": 1.0}
    assert "[agents] kind is off" in reason("a")
    assert reason("b", **models) is None
    assert "no weight" in reason("c", **models, operators__mutator=0.0)


# --- pins ----------------------------------------------------------------------------------------

FIELDS = st.lists(st.none() | st.floats(0.5, 3.0), min_size=1, max_size=30).map(
    lambda means: [(f"v{i:02d}", Fitness(m, 0.001, m is not None)) for i, m in enumerate(means)]
)


@given(FIELDS, st.integers(4, 20), st.data())
def test_every_pinned_variant_with_a_score_keeps_its_place(field, size, data):
    names = [name for name, _ in field]
    pinned = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=pinned_places(size)))
    sizes = {name: number for number, name in enumerate(names)}
    found = survivors(field, size, leanness=sizes, distance=sizes, pinned=pinned)
    scored = {name for name, fitness in field if fitness.is_scored}
    assert {name for name, _ in found} >= scored.intersection(pinned)
    assert len(found) == min(size, len(scored)) == len(dict(found))
    assert [f.mean for _, f in found] == sorted(f.mean for _, f in found)
    unpinned = [entry for entry in found if entry[0] not in pinned]
    rest = [entry for entry in field if entry[0] not in pinned]
    room = size - len(found) + len(unpinned)
    assert unpinned == survivors(rest, room, leanness=sizes, distance=sizes)


def a_poor_one(store):
    """A scored offspring that is worse than the baseline; None before there is one."""
    known, baseline = store.fitnesses(), store.run().baseline
    scored = [
        v for v in store.variants() if v.parents and v.sha in known and known[v.sha].is_scored
    ]
    return next((v for v in scored if known[v.sha] < known[baseline]), None)


def test_a_pinned_variant_stays_in_the_field_and_has_offspring(tmp_path):
    pinned, fields = [], []

    def watch(engine, _turn):
        store = engine._store
        if not pinned and (poor := a_poor_one(store)) is not None:
            mark(store, "pin", poor)
            pinned.append(poor)
        elif pinned and store.marked():
            field = engine._breeder.field(engine._known())
            fields.append({sha for sha, _ in field.survivors})

    paths = a_run(tmp_path, limits__trials=30, population__survivors=4, stopping__enabled=False)
    with an_engine(paths, operators={"knob": Steps()}, after_turn=watch) as (engine, space, _):
        engine.run()
        (poor,) = pinned
        assert fields
        assert all(poor.sha in field for field in fields)
        assert Lineage(space.store.variants()).children(poor.sha)


def test_a_quarter_of_first_parents_is_drawn_from_the_pinned(tmp_path):
    paths = a_run(tmp_path, limits__trials=8, stopping__enabled=False)
    with an_engine(paths, operators={"knob": Steps()}) as (engine, space, _):
        engine.run()
        poor = a_poor_one(space.store)
        before = engine._breeder.field(engine._known())
        space.store.set_mark(poor.sha, Marked(poor.sha, Mark.PINNED, NOW))
        field = engine._breeder.field(engine._known())
        rng = np.random.default_rng(0)
        draws = [engine._breeder.draw_parents(1, field, rng)[0] for _ in range(800)]
        rng = np.random.default_rng(0)
        without = [engine._breeder.draw_parents(1, before, rng)[0] for _ in range(800)]
    assert 0.2 < draws.count(poor.sha) / 800 < 0.3
    assert without.count(poor.sha) / 800 < 0.05


# --- bans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rng_seed", range(3))
def test_a_banned_line_never_breeds_again_and_claims_nothing(tmp_path, rng_seed):
    banned, known_then = [], []

    def watch(engine, _turn):
        store = engine._store
        champion = store.champion()
        if not banned and champion not in (None, store.run().baseline):
            banned.append(store.variant(champion))
            mark(store, "ban", banned[0], note="it cheats")
        elif not known_then and store.marked():
            known_then.extend(v.sha for v in store.variants())

    paths = a_run(tmp_path, limits__trials=20, run__rng_seed=rng_seed)
    with an_engine(paths, operators={"knob": Steps()}, after_turn=watch) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        store = space.store
        barred = store.barred()
        assert banned[0].sha in barred
        later = [v for v in store.variants() if v.sha not in known_then]
        assert later
        assert not any(barred.intersection(v.parents) for v in later)
        assert barred <= set(known_then)
        assert store.champion() not in barred
        assert store.verdicts()[-1].champion not in barred
        assert store.marked()[banned[0].sha].note == "it cheats"
        field = engine._breeder.field(engine._known())
        assert barred.isdisjoint(sha for sha, _ in field.survivors)
        told = engine._commissions._briefings.briefing([store.run().baseline], field)
        names = {store.variant(sha).name for sha in barred}
        assert told.borrowed
        assert names.isdisjoint(effect.variant for effect in told.borrowed)
    head = (paths.repository / "HEAD").read_text()
    assert banned[0].name not in head


def seeds_of(count):
    """So many genomes, and the idea of each."""
    from evolution.profiles import load_profile
    from evolution.templates import template_path

    start = set_knobs(template_path("train.py").read_text(), load_profile("tiny").knobs)
    value = knobs(start)["ROPE_BASE"]
    return [(set_knobs(start, {"ROPE_BASE": value * (n + 2)}), f"idea {n}") for n in range(count)]


def a_run_with_seeds(folder, count, **changes):
    paths = a_run(folder, **changes)
    with Store.open(paths.database) as store:
        for text, idea in seeds_of(count):
            store.add_request("seed", {"text": text, "idea": idea}, at=NOW)
    return paths


def by_idea(store, idea):
    return next(v for v in store.variants() if v.hypothesis == idea)


def test_what_waits_for_a_banned_variant_is_withdrawn_and_given_back(tmp_path):
    paths = a_run_with_seeds(tmp_path, 3, limits__trials=8)
    executor, seen = ScriptedExecutor(world, slot_count=1), {}

    def watch(engine, turn):
        store = engine._store
        if turn == 1:
            for idea in ("idea 1", "idea 2"):
                mark(store, "ban", by_idea(store, idea))
        if turn == 3:
            for idea in ("idea 1", "idea 2"):
                trials = store.trials(variant=by_idea(store, idea).sha)
                seen[idea] = [trial.status for trial in trials]
            mark(store, "ban", by_idea(store, "idea 2"), undo=True)

    with an_engine(paths, executor, operators={"knob": Steps()}, after_turn=watch) as (
        engine,
        space,
        _,
    ):
        assert engine.run() is Ending.FINISHED
        store = space.store
        stays, back = by_idea(store, "idea 1"), by_idea(store, "idea 2")
        assert seen == {"idea 1": [TrialStatus.WITHDRAWN], "idea 2": [TrialStatus.WITHDRAWN]}
        assert [t.status for t in store.trials(variant=stays.sha)] == [TrialStatus.WITHDRAWN]
        first, *more = store.trials(variant=back.sha, purpose=Purpose.SCREEN)
        assert first.status is TrialStatus.WITHDRAWN
        assert [t.status.has_run for t in more] == [True]
        trained = {job.trial_id for job in executor.jobs}
        assert trained.isdisjoint(t.id for t in store.trials(status=TrialStatus.WITHDRAWN))
        scored = (TrialStatus.COMPLETE, TrialStatus.STOPPED_EARLY)
        done = [t for t in store.trials(purpose=Purpose.SCREEN) if t.status in scored]
        assert len(done) == 8  # a withdrawn trial is not counted as one of the run's


def test_what_trains_may_finish_but_does_not_begin_again(tmp_path):
    paths = a_run_with_seeds(tmp_path, 1, limits__trials=4, baseline__repeats=2)
    with an_engine(paths) as (engine, space, _):
        engine._begin()
        store = space.store
        while not store.trials(status=TrialStatus.RUNNING, purpose=Purpose.SCREEN):
            engine.step()
        seed = by_idea(store, "idea 0")
        mark(store, "ban", seed)
        engine._hear_requests()
        assert store.trials(variant=seed.sha)[0].status is TrialStatus.RUNNING
        engine._requeue_running("killed")
    with an_engine(paths) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        assert space.store.trials(variant=seed.sha)[0].status is TrialStatus.WITHDRAWN


def test_a_claim_that_is_under_trial_is_tried_to_its_end(tmp_path):
    banned = []

    def watch(engine, _turn):
        claim = engine._confirmation.claim()
        if claim is not None and claim.champion is not None and not banned:
            banned.append(engine._store.variant(claim.champion))
            mark(engine._store, "ban", banned[0])

    paths = a_run(tmp_path)
    with an_engine(paths, after_turn=watch) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        verdict = space.store.verdicts()[0]
        assert verdict.champion == banned[0].sha
        assert verdict.rungs[0].gain is not None
        assert banned[0].sha in space.store.barred()


def test_a_proposal_whose_parent_was_banned_meanwhile_is_refused(tmp_path):
    paths = a_run_with_models(tmp_path)
    with an_engine(paths, operators={}, staff=lambda _: Listeners()) as (engine, space, _):
        engine._begin()
        store, commissions = space.store, engine._commissions
        while len(store.variants()) < 3:
            waiting(engine, 0)
            engine.step()
        child = next(v for v in store.variants() if v.parents)
        proposal = Proposal(
            genome=space.baseline.with_main(set_knobs(space.baseline.main, {"SOFTCAP": 77.0})),
            parents=(child.sha,),
            origin=Origin.MUTATION,
            operator="mutator",
            hypothesis="late",
        )
        mark(store, "ban", child)
        engine._hear_requests()
        refusal = engine._breeder.commit(proposal, engine._manual())
        assert refusal.reason == f"its parent {child.name} was banned meanwhile"
        number = store.open_commission("mutator", parents=(child.sha,), rng_seed=1, at=NOW).id
        commissions._pool.close(20)
    with an_engine(paths, operators={}, staff=lambda _: Listeners()) as (engine, space, _):
        engine._begin()
        found = space.store.commissions()[number - 1]
        engine._commissions._pool.close(20)
    assert (found.state, found.reason) == (
        CommissionState.REFUSED,
        "a parent of it was banned meanwhile",
    )


def test_requests_that_make_no_sense_are_answered_and_change_nothing(tmp_path):
    paths = a_run(tmp_path, limits__trials=1)
    with Store.open(paths.database) as store:
        baseline = store.run().baseline
        for kind, payload in (
            ("ban", {"variant": baseline}),
            ("ban", {"variant": "0" * 40}),
            ("pin", {"variant": 7}),
            ("pin", None),
            ("pin", {"variant": baseline}),
            ("pin", {"variant": baseline, "undo": True}),
            ("suggest", {"text": " \x1b[2J "}),
            ("suggest", {"text": "x" * 5000}),
            ("suggest", ["text"]),
            ("withdraw", {"suggestion": "S1"}),
            ("dance", {}),
        ):
            store.add_request(kind, payload)
    with an_engine(paths) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        assert space.store.marked() == {}
        assert space.store.suggestions() == []
    told = answers(paths)
    assert len(told) == 11
    assert "is the baseline" in told[0]
    assert "has no score" in told[4]
    assert told[5] == "g000-000 is no longer pinned"
    assert all(text.startswith("refused: ") for text in (*told[:5], *told[6:]))


# --- kill -9 -------------------------------------------------------------------------------------


def test_an_engine_killed_between_an_effect_and_its_answer_does_it_once(tmp_path):
    paths = a_run_with_seeds(tmp_path, 0, limits__trials=2)
    with an_engine(paths) as (engine, space, _):
        engine.request_drain()
        engine._begin()
        while not space.store.fitnesses():
            engine._is_draining = False
            engine.step()
        engine.request_drain()
        engine.run()
        baseline = space.store.variant(space.store.run().baseline)
    (text, idea), *_ = seeds_of(1)
    with Store.open(paths.database) as store:
        store.add_request("seed", {"text": text, "idea": idea}, at=NOW)
        store.add_request("suggest", {"text": "an idea"}, at=NOW)
        mark(store, "pin", baseline, note="as it was")
    for _ in range(3):
        died = subprocess.run(
            [sys.executable, "-m", "tests.evolution.mortal_requests", str(paths.root)],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        with Store.open(paths.database) as store:
            done = store.pending_requests()[0]
        with an_engine(paths) as (engine, space, _):  # hears the first again, and no other
            engine._begin()
            pending = space.store.pending_requests
            space.store.pending_requests = lambda p=pending: p()[:1]
            engine._hear_requests()
            del space.store.pending_requests
            assert done.id not in {r.id for r in space.store.pending_requests()}
    with Store.open(paths.database, read_only=True) as store:
        assert [v.hypothesis for v in store.variants()].count(idea) == 1
        assert len(store.trials(variant=by_idea(store, idea).sha, purpose=Purpose.SCREEN)) == 1
        assert [one.text for one in store.suggestions()] == ["an idea"]
        (marked,) = store.marked().values()
        assert (marked.variant, marked.mark) == (baseline.sha, Mark.PINNED)
        assert store.pending_requests() == []
