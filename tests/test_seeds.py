"""The shipped seeds keep their word: small edits of train.py, all different, that train."""

import difflib
import re
from itertools import combinations

import pytest

from evolution.profiles import load_profile, profile_names
from evolution.seeds import at_sizes, read_idea
from evolution.templates import seed_paths, template_path
from population import (
    Genome,
    canonical_hash,
    contract_problems,
    knobs,
    merge_files,
    read_summary,
    set_knobs,
)

BASELINE = template_path("train.py").read_text(encoding="utf-8")
SEEDS = {path.stem: read_idea(path.read_text(encoding="utf-8")) for path in seed_paths()}
MOST_LINES = 12
SOURCE = re.compile(r"arXiv \d{4}\.\d{5}|\w+\.\w+\.\w+/\w+")
FEW_STEPS = {"kind": "tokens", "amount": 6 * 16 * 64}
REBASE = (
    "the seeds are edits of train.py as it is now. After a change of train.py bring each along: "
    "`git show HEAD:train.py > old.py && git merge-file seeds/NAME.py old.py train.py`"
)


def changed_lines(one, other):
    hunks = list(difflib.unified_diff(one.splitlines(), other.splitlines(), n=0))
    return [line for line in hunks[2:] if line.startswith(("+", "-"))]


def test_there_are_at_least_twelve_each_with_its_source():
    assert len(SEEDS) >= 12
    assert all(SOURCE.search(seed.idea) for seed in SEEDS.values())


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_says_its_idea_and_is_a_small_edit_of_the_baseline(name):
    idea, text = SEEDS[name]
    assert 20 <= len(idea) <= 90
    lines = changed_lines(BASELINE, text)
    assert 1 <= len(lines) <= MOST_LINES, f"{len(lines)} lines differ: {REBASE}"


@pytest.mark.parametrize("profile", profile_names())
def test_seeds_of_every_profile_keep_the_contract_and_are_all_different(profile):
    sizes = load_profile(profile).knobs
    texts = [at_sizes(seed.text, BASELINE, sizes) for seed in SEEDS.values()]
    genomes = [Genome.single(text) for text in (set_knobs(BASELINE, sizes), *texts)]
    assert [contract_problems(genome) for genome in genomes] == [[]] * len(genomes)
    assert len({canonical_hash(genome) for genome in genomes}) == len(genomes)


def test_any_two_seeds_merge_into_a_genome_that_keeps_the_contract():
    base = Genome.single(BASELINE)
    for one, other in combinations(SEEDS, 2):
        merged = merge_files(base, *(Genome.single(SEEDS[name].text) for name in (one, other)))
        assert merged.genome is not None, (one, other)
        assert contract_problems(merged.genome) == [], (one, other)


def test_half_the_layers_are_half_the_layers_at_every_size():
    found = {
        profile: knobs(
            at_sizes(SEEDS["wider-shallower"].text, BASELINE, load_profile(profile).knobs)
        )
        for profile in profile_names()
    }
    assert {p: (k["DEPTH"], k["WIDTH"]) for p, k in found.items()} == {
        "tiny": (1, 96),
        "cpu": (1, 192),
        "gpu": (4, 768),
    }
    assert found["gpu"]["BATCH_SIZE"] == 128


def trained(start_trainer, text):
    """The summary of a few steps; what went wrong, if there is none."""
    code, out, err = start_trainer(text, budget=FEW_STEPS).end()
    assert code == 0, err
    return read_summary(out)


@pytest.mark.parametrize("name", ["learned-qk-scale", "tied-embeddings"])
def test_a_seed_trains(name, start_trainer):
    text = at_sizes(SEEDS[name].text, BASELINE, load_profile("tiny").knobs)
    assert trained(start_trainer, text).values["num_steps"] == 6


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_seed_and_all_together_train(start_trainer, depth):
    sizes = {**load_profile("tiny").knobs, "DEPTH": depth, "HEAD_DIM": 32}
    together = Genome.single(BASELINE)
    for name, seed in SEEDS.items():
        text = at_sizes(seed.text, BASELINE, sizes)
        assert trained(start_trainer, text).values["num_steps"] == 6, name
        together = merge_files(Genome.single(BASELINE), together, Genome.single(seed.text)).genome
        assert together is not None, name
    text = at_sizes(together.main, BASELINE, sizes)
    assert trained(start_trainer, text).values["num_steps"] == 6
