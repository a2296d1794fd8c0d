"""The numbers of a script: which are found, which are left alone, how they move and merge."""

import ast
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import Context, Crossover, KnobEdit, LiteralEdit, Parent, Proposal
from agents.literals import literal_values, literals, set_literals
from population import Contract, Genome, Manual, Origin, Variant, canonical_hash

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--test-size", type=float, default=0.25)
settings = {"alpha": 1.0, "random_state": 3, "name": "x"}
hidden = 6
seed = 7
TEST_SHARE = 0.2
WIDTH = 16
best = 0.0
for step in range(100):
    if step > 5:
        best = 3.0
def make_data(count=100, noise=0.1):
    spread = 0.5
    return count
def fit(rows_in, rate=0.001, *, bias=True):
    model = Ridge(tol=0.5, random_state=4)
    parts = train_test_split(rows_in, test_size=0.25)
    print("done", end=2)
    return f"{hidden:.3f}"
class Net:
    dropout: float = 0.5
    def __init__(self):
        self.seen = 0
        self.momentum = 0.9
"""


def context_of(*genomes: Genome, base: Genome | None = None, seed: int = 0) -> Context:
    parents = tuple(
        Parent(
            Variant(
                sha=f"{number:040x}",
                name=f"g000-{number:03d}",
                generation=0,
                parents=(),
                origin=Origin.MUTATION,
                operator="x",
                hypothesis="h",
                genome_hash=canonical_hash(genome),
                created_at=0.0,
            ),
            genome,
        )
        for number, genome in enumerate(genomes)
    )
    return Context(
        parents=parents,
        baseline=base or genomes[0],
        base=base,
        seen=frozenset(),
        rng=np.random.default_rng(seed),
        contract=Contract(is_script=True),
    )


def script(text: str, **others: str) -> Genome:
    files = {f"{name}.py": content for name, content in others.items()}
    return Genome({"fit.py": text, **files}, "fit.py")


def test_numbers_that_train_are_found_and_those_that_measure_are_not():
    assert [one.key for one in literals(SCRIPT)] == [
        ":lr",
        ":alpha",
        ":hidden",
        ":step count",
        "fit:rate",
        "fit:bias",
        "fit:tol",
        "Net:dropout",
        "Net.__init__:momentum",
    ]


@given(st.text())
def test_any_text_has_some_literals_or_none(text: str):
    assert isinstance(literals(text), tuple)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_setting_a_literal_changes_no_other_byte(newline: str):
    text = SCRIPT.replace("\n", newline)
    changed = set_literals(text, {":hidden": 12})
    assert changed == text.replace("hidden = 6", "hidden = 12")


def test_the_operator_moves_a_number_or_two_and_nothing_else():
    parent = script(SCRIPT)
    for seed in range(30):
        proposal = LiteralEdit().propose(context_of(parent, seed=seed))
        assert isinstance(proposal, Proposal)
        before, after = literal_values(SCRIPT), literal_values(proposal.genome.main)
        moved = [key for key in before if repr(before[key]) != repr(after[key])]
        assert 1 <= len(moved) <= 2
        assert set_literals(proposal.genome.main, {k: before[k] for k in moved}) == SCRIPT
        ast.parse(proposal.genome.main)


def test_it_chooses_among_all_files_of_the_genome():
    parent = script("lr = 0.1\n", model="width = 8\ndepth = 2\n")
    touched = set()
    for seed in range(30):
        proposal = LiteralEdit().propose(context_of(parent, seed=seed))
        assert isinstance(proposal, Proposal)
        assert proposal.genome.entry == "fit.py"
        touched |= {p for p in parent.files if parent.files[p] != proposal.genome.files[p]}
    assert touched == {"fit.py", "model.py"}


def test_a_script_without_numbers_is_refused_with_the_reason():
    refusal = LiteralEdit().propose(context_of(script("print('x')\n")))
    assert not isinstance(refusal, Proposal)
    assert "no number that can be moved" in refusal.reason


def test_knobs_of_a_script_that_measure_are_not_turned():
    parent = script("TEST_SHARE = 0.2\nN_SAMPLES = 4000\nRATE = 0.1\n")
    for seed in range(20):
        proposal = KnobEdit().propose(context_of(parent, seed=seed))
        assert isinstance(proposal, Proposal)
        assert proposal.trailers["Knob"] == "RATE"


def test_numbers_on_neighbouring_lines_of_two_files_merge_by_name():
    base = script("lr = 0.1\nhidden = 6\n", model="decay = 0.5\nrate = 2.0\n")
    ours = script("lr = 0.3\nhidden = 6\n", model="decay = 0.5\nrate = 4.0\n")
    theirs = script("lr = 0.1\nhidden = 12\n", model="decay = 0.25\nrate = 2.0\n")
    proposal = Crossover().propose(context_of(ours, theirs, base=base))
    assert isinstance(proposal, Proposal)
    assert dict(proposal.genome.files) == {
        "fit.py": "lr = 0.3\nhidden = 12\n",
        "model.py": "decay = 0.25\nrate = 4.0\n",
    }
    assert proposal.genome.entry == "fit.py"


def test_what_is_frozen_is_never_drawn():
    text = "def fit(rate=0.1):\n    depth = 3\n    return rate * depth\nwidth = 16\n"
    genome = Genome({"a.py": text}, "a.py")
    drawn = set()
    for seed in range(30):
        context = replace(context_of(genome, seed=seed), manual=Manual(frozen=("fit",)))
        proposal = LiteralEdit().propose(context)
        assert isinstance(proposal, Proposal), proposal
        drawn.add(proposal.trailers["Literal"])
    assert drawn == {":width"}
