import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from agents import KnobEdit, Proposal, Refusal, TriedKnobs, Tuner
from agents.files import knobs_by_place
from agents.knob_axes import axis_of
from agents.tuner import LEAST_SCORED, MOST_AT_ONCE
from population import Contract, Genome, Manual, canonical_hash, knobs, set_knobs
from tests.agents.parents import TRAIN, a_context

SCRIPT = """\
MATRIX_LR = 0.04
EMBED_LR = 0.4
WARMDOWN = 0.5
ADAM_BETA = 0.9
DEPTH = 6
TIED = True
LOOP_SEED = 7
"""
SAMPLERS = ("tpe", "cmaes")
NUMBERS = ("MATRIX_LR", "EMBED_LR", "WARMDOWN", "ADAM_BETA", "DEPTH")


def placed(values):
    return {("train.py", name): value for name, value in values.items()}


def a_trial(fitness, text=SCRIPT, **values):
    return TriedKnobs(placed(knobs(text) | values), fitness)


def bowl(values):
    """Best at MATRIX_LR 0.06, WARMDOWN 0.7 and a true TIED."""
    steps = (values["MATRIX_LR"] / 0.06 - 1) ** 2 + 4 * (values["WARMDOWN"] - 0.7) ** 2
    return 1.0 + 0.02 * steps + 0.01 * (not values["TIED"])


def tried_at_random(count=40, rng_seed=0, noise=0.0):
    rng = default_rng(rng_seed)
    found = []
    for _ in range(count):
        values = {
            "MATRIX_LR": float(rng.uniform(0.02, 0.1)),
            "EMBED_LR": float(rng.uniform(0.2, 0.8)),
            "WARMDOWN": float(rng.uniform(0.2, 0.9)),
            "ADAM_BETA": float(rng.uniform(0.8, 0.95)),
            "DEPTH": int(rng.integers(4, 9)),
            "TIED": bool(rng.random() < 0.5),
        }
        found.append(a_trial(bowl(values) + noise * rng.normal(), **values))
    return found


def script_context(tried, **changes):
    defaults = {
        "contract": Contract(is_script=True),
        "baseline": Genome.single(SCRIPT),
        "tried_knobs": lambda: tried,
    }
    return a_context(changes.pop("text", SCRIPT), **(defaults | changes))


def tuned(tried, sampler="tpe", **changes):
    return Tuner(sampler).propose(script_context(tried, **changes))


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(rng_seed=st.integers(0, 10_000))
@settings(max_examples=8)
def test_the_same_context_gives_the_same_proposal(sampler, rng_seed):
    one, other = (
        tuned(tried_at_random(rng_seed=rng_seed), sampler, rng_seed=rng_seed) for _ in range(2)
    )
    assert one == other


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(rng_seed=st.integers(0, 10_000))
@settings(max_examples=12)
def test_knobs_are_set_within_what_was_scored_and_others_stay(sampler, rng_seed):
    tried = tried_at_random(rng_seed=rng_seed)
    proposal = tuned(tried, sampler, rng_seed=rng_seed)
    assert isinstance(proposal, Proposal)
    values, before = knobs(proposal.genome.main), knobs(SCRIPT)
    assert proposal.genome.main == set_knobs(SCRIPT, values)
    assert values["LOOP_SEED"] == 7
    for name in NUMBERS:
        seen = [before[name], *(one.values["train.py", name] for one in tried)]
        axis = axis_of(name, before[name])
        low, high = (axis.value(axis.position(end)) for end in (min(seen), max(seen)))
        assert low <= values[name] <= high
        assert type(values[name]) is type(before[name])
    changed = [name for name in values if values[name] != before[name]]
    assert changed == proposal.trailers["Knob"].split(", ")
    assert all(name in proposal.hypothesis for name in changed)
    if sampler == "tpe":
        assert len(changed) <= MOST_AT_ONCE
    else:
        assert set(changed) <= set(NUMBERS)


@given(rng_seed=st.integers(0, 10_000), frozen=st.sets(st.sampled_from(NUMBERS), min_size=1))
@settings(max_examples=10)
def test_frozen_knobs_are_untouched(rng_seed, frozen):
    manual = Manual(frozen=tuple(frozen))
    for sampler in SAMPLERS:
        proposal = tuned(tried_at_random(), sampler, rng_seed=rng_seed, manual=manual)
        if isinstance(proposal, Proposal):
            values, before = knobs(proposal.genome.main), knobs(SCRIPT)
            assert all(values[name] == before[name] for name in frozen)
        else:
            assert frozen == set(NUMBERS)


def test_too_little_told_is_a_refusal():
    refusal = tuned(tried_at_random(LEAST_SCORED - 1))
    assert isinstance(refusal, Refusal)
    assert str(LEAST_SCORED) in refusal.reason
    crashes = [dataclasses.replace(one, fitness=None) for one in tried_at_random(99)]
    assert isinstance(tuned([*tried_at_random(3), *crashes]), Refusal)
    assert isinstance(tuned([a_trial(1.0)] * 40), Refusal)


def test_what_was_tried_is_not_proposed_again():
    seen = set()
    for rng_seed in range(6):
        proposal = tuned(tried_at_random(), rng_seed=rng_seed, seen=frozenset(seen))
        assert canonical_hash(proposal.genome) not in seen
        seen.add(canonical_hash(proposal.genome))


def test_a_region_that_crashed_is_avoided_once_it_was_told():
    tried = tried_at_random(60)

    def beyond(told):
        """How often a rate above 0.08 is proposed: nowhere scores tell against it."""
        flat = [dataclasses.replace(one, fitness=1.0) for one in tried]
        proposals = (tuned([*flat, *told], rng_seed=seed) for seed in range(40))
        return sum(knobs(p.genome.main)["MATRIX_LR"] > 0.08 for p in proposals)

    crashed = [a_trial(None, MATRIX_LR=0.08 + 0.001 * n) for n in range(1, 20)]
    assert beyond(crashed) < beyond([])


def search(operator, rng_seed, trials=40):
    """The true value of the settings of the best score, among those an operator made one by one."""
    rng = default_rng([rng_seed, 1])
    tried = tried_at_random(24, rng_seed=rng_seed, noise=0.005)
    tried.append(a_trial(bowl(knobs(SCRIPT)) + 0.005 * rng.normal()))
    for _ in range(trials):
        best = min(tried, key=lambda one: one.fitness)
        text = set_knobs(SCRIPT, {name: value for (_, name), value in best.values.items()})
        proposal = operator.propose(script_context(tried, text=text, rng=rng))
        values = knobs(proposal.genome.main)
        tried.append(a_trial(bowl(values) + 0.005 * rng.normal(), **values))
    middle = sorted(tried[-10:], key=lambda one: one.fitness)
    return sum(bowl({n: v for (_, n), v in one.values.items()}) for one in middle) / 10


def test_what_it_makes_late_in_a_noisy_bowl_is_better_than_what_turns_of_knobs_make():
    mine = [search(Tuner(), seed) for seed in range(4)]
    theirs = [search(KnobEdit(), seed) for seed in range(4)]
    assert sum(mine) < sum(theirs)


def test_a_real_genome_is_tuned_and_keeps_its_contract():
    rng = default_rng(0)
    home = knobs_by_place(Genome.single(TRAIN))
    tried = [
        TriedKnobs(home | {("train.py", "MATRIX_LR"): float(rate)}, 1.0 + abs(rate - 0.05))
        for rate in rng.uniform(0.02, 0.08, 30)
    ]
    proposal = Tuner().propose(a_context(tried_knobs=lambda: tried))
    assert proposal.trailers == {"Knob": "MATRIX_LR"}
    assert proposal.genome.main == set_knobs(TRAIN, knobs(proposal.genome.main))


def test_knobs_of_several_files_are_tuned_together():
    files = {"train.py": "MATRIX_LR = 0.04\n", "data.py": "HEAD_LR = 0.1\n"}
    genome = Genome(files)
    rng = default_rng(0)
    tried = [
        TriedKnobs(
            {("train.py", "MATRIX_LR"): float(a), ("data.py", "HEAD_LR"): float(b)}, float(a + b)
        )
        for a, b in rng.uniform(0.02, 0.2, (30, 2))
    ]
    context = script_context(tried, baseline=genome)
    context = dataclasses.replace(
        context, parents=[dataclasses.replace(context.parents[0], genome=genome)]
    )
    proposal = Tuner().propose(context)
    assert {path for path in files if proposal.genome.files[path] != files[path]} == set(files)
