"""Effects of edits add up to the gain, whatever the family, and the waterfall draws them so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis import (
    descent_frame,
    operators_frame,
    plot_waterfall,
    spending_frame,
    trials_frame,
    variants_frame,
    verdicts_frame,
)
from analysis.costs import failures_frame
from analysis.descent import edit_forms
from population import Fitness, Store
from tests.builders import a_family, a_run, a_variant
from tests.small_run import a_small_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    paths = a_small_run(tmp_path_factory.mktemp("descent"))
    with Store.open(paths.database, read_only=True) as opened:
        yield opened


@st.composite
def scored_families(draw: st.DrawFn):
    """Variants of one root, some without a score, and the fitness of each."""
    parents: list[tuple[int, ...]] = [()]
    for serial in range(1, draw(st.integers(2, 14))):
        elders = st.integers(0, serial - 1)
        parents.append(draw(st.lists(elders, min_size=1, max_size=2, unique=True).map(tuple)))
    family = a_family(*parents)
    means = st.one_of(st.none(), st.floats(1.0, 2.0))
    drawn = [draw(st.floats(1.0, 2.0)), *(draw(means) for _ in family[1:-1])]
    drawn.append(draw(st.floats(1.0, 2.0)))
    return family, {v.sha: Fitness(mean, 0.01, 1) for v, mean in zip(family, drawn, strict=True)}


@settings(max_examples=60)
@given(scored_families())
def test_the_effects_of_all_edits_carried_add_up_to_the_gain(scored):
    family, fitnesses = scored
    carried: dict[str, set[str]] = {}
    for variant in family:
        carried[variant.sha] = set().union(*(carried[p] for p in variant.parents)) | {variant.sha}
    members = [v for v in family if v.sha in carried[family[-1].sha]]
    forms = edit_forms(members, family[0].sha, fitnesses)
    total = sum(
        -count * fitnesses[sha].mean for form in forms.values() for sha, count in form.items()
    )
    gain = fitnesses[family[0].sha].mean - fitnesses[family[-1].sha].mean
    assert total == pytest.approx(gain)


def test_a_mutation_is_measured_against_its_parent_and_a_merge_against_both():
    family = a_family((), (0,), (0,), (1, 2))
    root, left, right, merge = (v.sha for v in family)
    scores = {sha: Fitness(1.5, 0.01, 1) for sha in (root, left, right, merge)}
    forms = edit_forms(family, root, scores)
    assert forms[left] == {left: 1, root: -1}
    assert forms[merge] == {merge: 1, left: -1, right: -1, root: 1}


def test_an_ancestor_without_a_score_leaves_its_effect_to_its_child():
    family = a_family((), (0,), (1,))
    root, middle, last = (v.sha for v in family)
    scores = {root: Fitness(1.5, 0.01, 1), last: Fitness(1.4, 0.01, 1)}
    assert edit_forms(family, root, scores) == {middle: {}, last: {last: 1, root: -1}}


def test_the_descent_of_the_champion_lists_both_sides_of_its_merge(store: Store):
    frame = descent_frame(store).set_index("name")
    assert list(frame.index) == ["g001-001", "g001-002", "g002-003"]
    assert frame["effect"].tolist() == pytest.approx([0.011, -0.007, 0.0159])
    assert frame["after"].iloc[-1] == pytest.approx(0.0199)
    assert frame.loc["g001-001", "effect_sd"] == pytest.approx((0.0031**2 + 0.0017**2) ** 0.5)
    assert frame.loc["g002-003", "effect_sd"] == pytest.approx(0.0053991, abs=1e-7)


def test_the_descent_of_any_variant_can_be_asked_for(store: Store):
    assert descent_frame(store, "g001-001")["name"].tolist() == ["g001-001"]
    assert descent_frame(store, "g000-000").empty


def test_the_waterfall_ends_with_the_total_and_what_fresh_seeds_say(store: Store):
    axes = plot_waterfall(
        descent_frame(store), ax=Figure().subplots(), verdicts=verdicts_frame(store), total_sd=0.003
    )
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "LEARNING_RATE 0.003 → 0.004   g001-001"
    assert labels[-4:] == [
        "all together, posterior",
        "verdict at depth × 1, fresh seeds",
        "the same on the sealed test split",
        "verdict at depth × 1.5, fresh seeds",
    ]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([11.0, 4.0, 19.9, 19.9, 20.0, 17.0, 6.1])
    words = [text.get_text() for text in axes.texts]
    assert words[-4:] == [
        "+20 ± 6",
        "+20 mbpb (+13 to +27), confirmed",
        "+17 mbpb (+10 to +24)",
        "+6 mbpb (-4 to +16), not confirmed",
    ]
    assert axes.get_xlabel() == "gain over the baseline (mbpb, reported, basic!)"


def test_a_long_descent_folds_its_smallest_edits_into_one_bar(tmp_path: Path):
    family = a_family((), *[(n,) for n in range(40)])
    with Store.create(tmp_path / "run.db", a_run(baseline=family[0].sha)) as store:
        for number, variant in enumerate(family):
            store.add_variant(variant)
            store.save_fitnesses({variant.sha: Fitness(2.0 - 0.01 * number, 0.002, 1)})
        frame = descent_frame(store)
    assert len(frame) == 40
    axes = plot_waterfall(frame, ax=Figure().subplots())
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == 25
    assert labels[0] == "17 smaller edits"


def test_a_hypothesis_that_is_a_formula_is_drawn_as_it_is_written(tmp_path: Path):
    hostile = "$\\frac{ \x1b[2J 日本 \u202e $x"
    family = [a_variant(), a_variant(1, parents=(a_variant().sha,), hypothesis=hostile)]
    with Store.create(tmp_path / "run.db", a_run(baseline=family[0].sha)) as store:
        for variant, mean in zip(family, (1.5, 1.4), strict=True):
            store.add_variant(variant)
            store.save_fitnesses({variant.sha: Fitness(mean, 0.01, 1)})
        figure = Figure()
        axes = plot_waterfall(descent_frame(store), ax=figure.subplots())
        figure.savefig(tmp_path / "drawn.png")
    assert axes.get_yticklabels()[0].get_text().startswith(r"\$\frac{ □□ \$x")


def test_a_run_without_a_gain_says_so(tmp_path: Path):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        axes = plot_waterfall(descent_frame(store), ax=Figure().subplots())
    assert "no edit" in axes.texts[0].get_text()


def test_each_operator_is_a_row_of_what_it_made(store: Store):
    variants, trials, descent = variants_frame(store), trials_frame(store), descent_frame(store)
    frame = operators_frame(variants, trials, descent).set_index("operator")
    counts = frame[["proposed", "scored", "stopped_early", "failed", "better"]]
    assert counts.loc["knob"].tolist() == [2, 1, 0, 1, 1]
    assert counts.loc["structure"].tolist() == [2, 1, 1, 0, 0]
    assert counts.loc["merge"].tolist() == [1, 1, 0, 0, 1]
    assert frame.loc["merge", "best_gain"] == pytest.approx(0.0089)
    assert frame["descent_gain"].sum() == pytest.approx(0.0199)
    # 11.0 mbpb of one of two variants that trained for 12 seconds each; the other crashed.
    assert frame.loc["knob", "gain_per_hour"] == pytest.approx(0.011 / (24 / 3600))
    assert frame.loc["structure", "gain_per_hour"] == 0.0


def test_every_trial_is_spent_on_one_thing(store: Store):
    trials = trials_frame(store)
    frame = spending_frame(trials, variants_frame(store), descent_frame(store))
    assert frame["trials"].sum() == len(trials)
    assert frame["share"].sum() == pytest.approx(1.0)
    assert dict(zip(frame["went_to"], frame["trials"], strict=True)) == {
        "baseline's noise": 3,
        "champion's descent": 3,
        "verdict": 12,
        "replicates": 1,
        "stopped early": 1,
        "no score": 1,
    }


def test_failures_are_counted_by_class_with_an_example(store: Store):
    frame = failures_frame(trials_frame(store))
    assert frame[["failure", "operator", "trials"]].to_numpy().tolist() == [["error", "knob", 1]]
    assert frame["example"].tolist() == ["ValueError: shapes differ"]


def test_an_edit_that_was_taken_in_alone_has_its_own_effect_and_one_taken_out_has_none():
    root, left, right, far = a_family((), (0,), (0,), (2,))
    stack = a_variant(9, parents=(left.sha,), adds=(far.sha,))
    bare = a_variant(10, parents=(stack.sha,), drops=(left.sha,))
    means = (1.50, 1.49, 1.48, 1.46, 1.465, 1.472)
    family = [root, left, right, far, stack, bare]
    scores = {v.sha: Fitness(m, 0.01, 1) for v, m in zip(family, means, strict=True)}
    forms = edit_forms(family, root.sha, scores)
    assert forms[stack.sha] == {stack.sha: 1, left.sha: -1, far.sha: -1, right.sha: 1}
    worth = {sha: sum(-c * scores[s].mean for s, c in form.items()) for sha, form in forms.items()}
    kept = (far.sha, stack.sha, bare.sha)
    assert sum(worth[sha] for sha in kept) == pytest.approx(1.50 - 1.472)
