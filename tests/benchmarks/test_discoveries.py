"""The catalogue of known discoveries: each edit fits, can be undone, keeps the contract, trains."""

import pytest

from benchmarks.discoveries import DISCOVERIES, DiscoveryError, stripped_genome
from benchmarks.trainers import Trainers
from evolution.profiles import load_profile
from evolution.templates import template_path
from population import Genome, canonical_hash, contract_problems, set_knobs

BASELINE = template_path("train.py").read_text(encoding="utf-8")
LACKING = [each for each in DISCOVERIES if not each.in_baseline]
PRESENT = [each for each in DISCOVERIES if each.in_baseline]
TWO_STEPS = 2 * 16 * 64


def named(discovery):
    return discovery.name


def changed(discovery):
    """The genome that differs from the baseline by this discovery."""
    return discovery.strip(BASELINE) if discovery.in_baseline else discovery.apply(BASELINE)


@pytest.fixture(scope="module")
def trainers(tiny_data):
    return Trainers(tiny_data)


def trained(trainers, text):
    sizes = {**load_profile("tiny").knobs, "DEPTH": 2, "HEAD_DIM": 32}
    return trainers.train(set_knobs(text, sizes), tokens=TWO_STEPS, rng_seed=1)


def test_there_are_at_least_sixteen_each_with_its_name_and_its_source():
    assert len(DISCOVERIES) >= 16
    assert len({each.name for each in DISCOVERIES}) == len(DISCOVERIES)
    assert all(each.source.startswith("https://") for each in DISCOVERIES)
    assert LACKING
    assert PRESENT


@pytest.mark.parametrize("discovery", DISCOVERIES, ids=named)
def test_a_discovery_keeps_the_contract_and_can_be_undone(discovery):
    text = changed(discovery)
    assert canonical_hash(Genome.single(text)) != canonical_hash(Genome.single(BASELINE))
    assert contract_problems(Genome.single(text)) == []
    undone = discovery.apply(text) if discovery.in_baseline else discovery.strip(text)
    assert undone == BASELINE


@pytest.mark.parametrize("discovery", DISCOVERIES, ids=named)
def test_a_discovery_trains(discovery, trainers):
    run = trained(trainers, changed(discovery))
    assert (run.steps, run.tokens) == (2, TWO_STEPS)
    assert run.val_bpb < 5


def test_the_stripped_genome_trains_and_takes_every_discovery(trainers):
    stripped = stripped_genome()
    assert contract_problems(Genome.single(stripped)) == []
    assert trained(trainers, stripped).steps == 2
    for discovery in DISCOVERIES:
        assert contract_problems(Genome.single(discovery.apply(stripped))) == [], discovery.name


def test_all_that_was_stripped_put_back_is_the_baseline():
    text = stripped_genome()
    for discovery in reversed(PRESENT):
        text = discovery.apply(text)
    assert text == BASELINE


def test_a_genome_without_the_place_is_refused_with_the_place():
    discovery = next(each for each in LACKING if each.edits)
    with pytest.raises(DiscoveryError, match=r"stands 0 times .* once was needed"):
        discovery.apply("WIDTH = 1\n")
