"""How often a run's operators are asked follows from its store, and what they brought is shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents import Proposal, Refusal
from evolution.engine import Ending
from evolution.executors import ScriptedExecutor
from evolution.repertoire import Repertoire, operator_records, repertoire_of
from population import (
    Call,
    FailureClass,
    Fitness,
    Manual,
    Origin,
    Purpose,
    Store,
    TrialStatus,
    canonical_hash,
    knobs,
    set_knobs,
)
from tests.builders import NOW, a_failure, a_run, a_variant, an_outcome
from tests.evolution.runs import a_run as a_run_on_disk
from tests.evolution.runs import an_engine, truth, world
from tests.small_run import run_trial

SIGMA = 0.002
EVEN = {"knob": 1.0, "structure": 1.0, "mutator": 1.0}
SETTINGS = {
    "limits": {"trials": 100},
    "operators": {"knob": 1.0, "structure": 1.0, "merge": 0.0, "guided": 0.0},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A run that has a baseline and knows its noise."""
    baseline = a_variant()
    with Store.create(tmp_path / "run.db", a_run(SETTINGS, baseline=baseline.sha)) as opened:
        opened.add_variant(baseline)
        opened.save_fitnesses({baseline.sha: Fitness(1.5, 0.001, 3)})
        opened.set_fact("sigma", SIGMA)
        yield opened


def tried(store, operator, *gains, outcome=None):
    """Children of the baseline by ``operator``, one for each gain in σ, and their first trials."""
    for gain in gains:
        serial = len(store.variants())
        made = a_variant(serial, parents=(a_variant().sha,), operator=operator)
        store.add_variant(made)
        end = outcome or an_outcome(1.5 - gain * SIGMA)
        run_trial(store, made, Purpose.SCREEN, end)
        store.save_fitnesses({made.sha: Fitness(1.5 - gain * SIGMA, 0.001, 1)})


def asked(store, **options):
    return Repertoire(store, EVEN, **options).weights(Manual())


def test_a_run_without_trials_asks_by_its_weights(store):
    assert asked(store) == pytest.approx(dict.fromkeys(EVEN, 1 / 3))


def test_what_offspring_are_believed_to_gain_moves_how_often_their_operator_is_asked(store):
    tried(store, "knob", *[1.0] * 8)
    tried(store, "structure", *[-0.5] * 8)
    found = asked(store)
    assert found["knob"] > found["mutator"] > found["structure"]


def test_the_settings_can_hold_the_weights_fixed(store, tmp_path):
    tried(store, "knob", *[1.0] * 8)
    assert asked(store, is_adaptive=False) == EVEN
    settings = {"operators": {"adaptive": False, "knob": 0.2}}
    with Store.create(tmp_path / "fixed.db", a_run(settings)) as fixed:
        assert repertoire_of(fixed).weights(Manual())["knob"] == 0.2


def test_a_manual_leaves_the_shares_to_those_that_it_allows(store):
    tried(store, "knob", *[1.0] * 8)
    manual = Manual.parse("---\noperators: [structure]\n---\n")
    assert Repertoire(store, EVEN).weights(manual) == {"structure": 1.0}


def test_a_run_that_was_stopped_early_gained_nothing_however_good_it_is_believed(store):
    stopped = an_outcome(None, status=TrialStatus.STOPPED_EARLY, failure=None)
    tried(store, "knob", *[1.0] * 8, outcome=stopped)
    assert asked(store) == pytest.approx(dict.fromkeys(EVEN, 1 / 3))


def test_a_fault_of_ours_is_charged_to_no_operator(store):
    tried(store, "structure", 1.0)
    before = asked(store)
    ours = an_outcome(None, failure=a_failure(kind=FailureClass.HARNESS))
    tried(store, "knob", *[-1.0] * 8, outcome=ours)
    assert asked(store) == before


def test_dollars_lower_how_often_a_model_is_asked(store):
    tried(store, "mutator", *[1.0] * 8)
    tried(store, "knob", *[1.0] * 8)
    free = asked(store)
    store.add_call(Call("mutator", "a model", "", "", NOW, cost_usd=5.0))
    dear = asked(store)
    assert free["mutator"] == pytest.approx(free["knob"])
    assert dear["mutator"] < dear["knob"]
    (record,) = (r for r in operator_records(store) if r.operator == "mutator")
    assert (record.share, record.usd) == (None, 5.0)  # this run's settings ask no model


def test_each_operator_has_a_record_of_what_it_brought(store):
    tried(store, "knob", 1.0, -1.0, 2.0)
    tried(store, "seed", -1.0)
    knob, structure, seed = operator_records(store)
    assert (knob.operator, knob.offspring, knob.trained, knob.helped) == ("knob", 3, 3, 2)
    assert knob.gain == pytest.approx(3 * SIGMA)
    assert knob.gain_per_hour == pytest.approx(3 * SIGMA / (3 * 12 / 3600))
    assert knob.share is not None
    assert structure.share is not None
    assert knob.share + structure.share == pytest.approx(1.0)
    assert (structure.offspring, structure.gain_per_hour) == (0, None)
    assert (seed.share, seed.offspring) == (None, 1)
    assert knob.as_dict()["gain_per_hour"] == knob.gain_per_hour


class Sets:
    """Sets one knob to the next whole number."""

    parent_count = 1

    def __init__(self, name: str, knob: str) -> None:
        self.name, self._knob = name, knob

    def propose(self, context):
        parent = context.parents[0]
        for number in range(2, 100):
            genome = parent.genome.with_main(
                set_knobs(parent.genome.main, {self._knob: float(number)})
            )
            if canonical_hash(genome) not in context.seen:
                return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "next")
        return Refusal(self.name, "tried before")


OPERATORS = {"knob": Sets("knob", "EMBED_STD"), "structure": Sets("structure", "SOFTCAP")}


def bettering(job):
    """The higher ``EMBED_STD``, the better; a ``SOFTCAP`` that was touched harms."""
    played, present = world(job), knobs(job.genome.main)
    noise = played.outcome.val_bpb - truth(job)
    harm = 0.05 if present["SOFTCAP"] != 15.0 else 0.0
    score = 2.0 - 0.01 * float(present["EMBED_STD"]) + harm + noise
    return replace(played, outcome=replace(played.outcome, val_bpb=score))


def test_an_operator_that_gains_is_asked_more_as_a_run_goes_on_and_after_it_was_resumed(tmp_path):
    paths = a_run_on_disk(
        tmp_path,
        limits__trials=10,
        verdict__pairs=2,
        verdict__depths=[1.0],
        operators__merge=0.0,
        operators__guided=0.0,
        stopping__enabled=False,
    )
    shares = []

    def note(engine, turn):
        shares.append(engine._repertoire.weights(engine._manual()))
        if turn == 8:
            engine.request_drain()

    executor = ScriptedExecutor(bettering)
    with an_engine(paths, executor, OPERATORS, after_turn=note) as (engine, _, _):
        assert engine.run() is Ending.PAUSED
    with Store.open(paths.database, read_only=True) as store:
        assert repertoire_of(store).weights(Manual()) == shares[-1]
        assert {r.operator: r.share for r in operator_records(store)} == pytest.approx(shares[-1])
    with an_engine(paths, ScriptedExecutor(bettering), OPERATORS) as (engine, _, _):
        engine._begin()
        assert engine._repertoire.weights(engine._manual()) == shares[-1]
        assert engine.run() is Ending.FINISHED
        last = engine._repertoire.weights(engine._manual())
    assert shares[0] == pytest.approx({"knob": 0.35 / 0.8, "structure": 0.45 / 0.8})
    assert last["knob"] > shares[0]["knob"] + 0.05
