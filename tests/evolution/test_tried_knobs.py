import pytest

from evolution.noise import Reading, VariantNode, fit
from evolution.tried_knobs import KnobTable
from population import Genome, canonical_hash
from tests.builders import a_variant

START = "LR = 0.1\nBETA = 0.9\n\n\ndef step(x):\n    return x\n"
DOUBLED = START.replace("return x", "return 2 * x")


class Run:
    """Variants by label, each with a text, a parent and a score, or None for a crash."""

    def __init__(self):
        self.texts, self.variants, self.readings, self.failed = {}, {}, [], set()
        self.add("root", START, None, 1.5)

    def add(self, label, text, parent, score, **changes):
        parents = (self.variants[parent].sha,) if parent else ()
        made = {"operator": "knob", "genome_hash": canonical_hash(Genome.single(text))}
        variant = a_variant(len(self.variants), parents=parents, **(made | changes))
        self.variants[label], self.texts[variant.sha] = variant, text
        if score is None:
            self.failed.add(variant.sha)
            return
        for repeat in range(6):
            self.readings.append(Reading(variant.sha, score, 100 * len(self.variants) + repeat))

    def tried(self, parent, barred=()):
        nodes = [VariantNode.of(variant) for variant in self.variants.values()]
        belief = fit(nodes, self.readings, prior_sigma=0.003)
        table = KnobTable(lambda sha: Genome.single(self.texts[sha]))
        by_sha = {variant.sha: variant for variant in self.variants.values()}
        found = table.tried(
            self.variants[parent].sha,
            by_sha,
            frozenset(self.failed),
            belief,
            barred=frozenset(self.variants[label].sha for label in barred),
        )
        return [({n: v for (_, n), v in one.values.items()}, one.fitness) for one in found]


def test_knobs_of_all_that_were_scored_are_told_with_what_is_believed():
    run = Run()
    run.add("fast", START.replace("0.1", "0.2"), "root", 1.4)
    (home, before), (faster, after) = run.tried("root")
    assert (home["LR"], faster["LR"]) == (0.1, 0.2)
    assert before == pytest.approx(1.5, abs=0.01)
    assert after == pytest.approx(1.4, abs=0.01)


def test_what_code_is_worth_is_taken_out():
    run = Run()
    run.add("double", DOUBLED, "root", 1.3)
    run.add("fast", DOUBLED.replace("0.1", "0.2"), "double", 1.25)
    on_root = [fitness for _, fitness in run.tried("root")]
    assert on_root == pytest.approx([1.5, 1.5, 1.45], abs=0.01)
    on_double = [fitness for _, fitness in run.tried("double")]
    assert on_double == pytest.approx([1.3, 1.3, 1.25], abs=0.01)


def test_an_edit_of_code_and_knobs_at_once_makes_a_family_of_its_own():
    run = Run()
    mixed = DOUBLED.replace("0.1", "0.2")
    run.add("mixed", mixed, "root", 1.3)
    run.add("child", mixed.replace("0.9", "0.8"), "mixed", 1.2)
    assert [values["LR"] for values, _ in run.tried("root")] == [0.1]
    assert [values["BETA"] for values, _ in run.tried("child")] == [0.9, 0.8]


def test_a_knob_with_another_comment_is_still_a_knob():
    run = Run()
    run.add("said", START.replace("LR = 0.1", "LR = 0.2  # faster"), "root", 1.4)
    assert len(run.tried("root")) == 2


def test_who_lacks_a_knob_has_it_as_it_was_introduced():
    run = Run()
    scaled = "SCALE = 1.0\n" + START.replace("return x", "return SCALE * x")
    run.add("scale", scaled, "root", 1.4)
    run.add("up", scaled.replace("1.0", "3.0"), "scale", 1.35)
    assert [values["SCALE"] for values, _ in run.tried("up")] == [1.0, 1.0, 3.0]


def test_a_crash_is_told_where_knobs_were_its_only_news():
    run = Run()
    run.add("burnt", START.replace("0.1", "9.0"), "root", None)
    run.add("broken", DOUBLED, "root", None)
    crashed = [values["LR"] for values, fitness in run.tried("root") if fitness is None]
    assert crashed == [9.0]


def test_nothing_is_told_of_a_barred_line_or_of_what_never_ran():
    run = Run()
    run.add("fast", START.replace("0.1", "0.2"), "root", 1.4)
    run.add("waits", START.replace("0.1", "0.3"), "root", None)
    run.failed.clear()
    assert len(run.tried("root")) == 2
    assert len(run.tried("root", barred=["fast"])) == 1
