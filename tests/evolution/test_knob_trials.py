import pytest

from evolution.knob_trials import KnobRecord
from evolution.noise import Reading, VariantNode, fit
from population import Genome
from tests.builders import a_variant

TEXTS = {
    0: "LR = 0.1\nBETA1 = 0.9\n",
    1: "LR = 0.2\nBETA1 = 0.9\n",
    2: "LR = 0.1\nBETA1 = 0.8\n",
    3: "LR = 0.3\nBETA1 = 0.7\n",
    4: "LR = 0.1\nBETA1 = 0.5\n",
}


def the_trials(scores, failed=(), operators=None):
    """What a record says of children of variant 0, of which some have scores."""
    operators = operators or {}
    root = a_variant(0)
    variants = [root] + [
        a_variant(n, parents=(root.sha,), operator=operators.get(n, "knob")) for n in TEXTS if n
    ]
    nodes = [VariantNode(v.sha, v.parents, v.operator) for v in variants]
    readings = [
        Reading(variants[n].sha, score, n, 1.0, "cpu") for n, score in enumerate(scores) if score
    ]
    belief = fit(nodes, readings, fraction=0.25, prior_sigma=0.003)
    texts = {v.sha: TEXTS[n] for n, v in enumerate(variants)}
    record = KnobRecord(lambda sha: Genome.single(texts[sha]))
    return record.trials(variants, frozenset(variants[n].sha for n in failed), belief)


def test_each_turned_knob_of_a_scored_variant_is_told_with_its_gain():
    better, worse = the_trials([1.5, 1.45, 1.6])
    assert (better.name, better.before, better.after) == ("LR", 0.1, 0.2)
    assert (worse.name, worse.before, worse.after) == ("BETA1", 0.9, 0.8)
    assert better.gain > 0 > worse.gain
    assert better.error > 0


def test_two_knobs_share_what_they_brought():
    trials = the_trials([1.5, None, None, 1.4])
    assert [(t.name, t.share) for t in trials] == [("LR", 0.5), ("BETA1", 0.5)]
    assert trials[0].gain == trials[1].gain


def test_a_crash_is_told_without_a_gain_and_what_never_ran_is_not():
    (trial,) = the_trials([1.5, None, None, None, None], failed=[4])
    assert trial.name == "BETA1"
    assert trial.gain is None


@pytest.mark.parametrize("operator", ["structure", "tuner", "seed"])
def test_other_operators_say_nothing_of_turns(operator):
    assert the_trials([1.5, 1.4], operators={1: operator}) == ()


def test_knobs_of_every_python_file_are_told():
    root, child = a_variant(0), a_variant(1, parents=(a_variant(0).sha,), operator="knob")
    files = {"train.py": "LR = 0.1\n", "lib/model.py": "WIDTH = 8\n", "notes.txt": "LR = 1\n"}
    genomes = {
        root.sha: Genome(files),
        child.sha: Genome({**files, "lib/model.py": "WIDTH = 16\n", "notes.txt": "LR = 2\n"}),
    }
    belief = fit([VariantNode(v.sha, v.parents, v.operator) for v in (root, child)], [],
                 fraction=0.25, prior_sigma=0.003)  # fmt: skip
    (trial,) = KnobRecord(genomes.__getitem__).trials([root, child], frozenset({child.sha}), belief)
    assert (trial.name, trial.before, trial.after, trial.share) == ("WIDTH", 8, 16, 1)
