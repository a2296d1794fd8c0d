"""The frontier and the overview, from the first trial to the last, whichever way is better."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from analysis import (
    best_so_far,
    curves_frame,
    descent_frame,
    plot_curves,
    plot_frontier,
    plot_operators,
    plot_repeats,
    plot_spending,
    save_overview,
    spending_frame,
    trials_frame,
    variants_frame,
    verdicts_frame,
)
from population import Direction, Metric, Purpose, Store
from tests.builders import a_run, a_variant, an_outcome
from tests.small_run import a_small_run, run_trial


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    paths = a_small_run(tmp_path_factory.mktemp("plots"))
    with Store.open(paths.database, read_only=True) as opened:
        yield opened


def test_the_frontier_moves_at_each_better_variant_and_never_back(store: Store):
    table = best_so_far(trials_frame(store), variants_frame(store))
    assert table["name"][table["is_step"]].tolist() == ["g000-000", "g001-001", "g002-003"]
    assert table["best"].is_monotonic_decreasing
    assert (table["low"] < table["best"]).all()


def test_verdict_trials_take_no_part_in_the_frontier(store: Store):
    table = best_so_far(trials_frame(store), variants_frame(store))
    assert "verdict" not in set(table["purpose"])
    assert len(table) == 9


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(st.data())
def test_the_frontier_is_the_least_fitness_tried_so_far(store: Store, data: st.DataObject):
    variants = variants_frame(store)
    count = len(variants)
    values = data.draw(st.lists(st.floats(1, 2), min_size=count, max_size=count))
    table = best_so_far(trials_frame(store), variants.assign(fitness=values))
    assert table["best"].tolist() == table["fitness"].cummin().tolist()
    assert table.loc[table["is_step"], "best"].is_unique


def test_each_operator_and_each_silent_end_is_in_the_legend(store: Store):
    axes = plot_frontier(trials_frame(store), variants_frame(store), ax=Figure().subplots())
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "baseline (3)",
        "knob (2)",
        "merge (2)",
        "structure (2)",
        "stopped early (1)",
        "crashed (1)",
        "best so far",
        "its 95 % band",
    ]
    assert "reported" in axes.get_ylabel()


def test_a_maximised_metric_is_shown_by_its_own_values_and_rises(store: Store):
    metric = Metric("accuracy", Direction.MAXIMIZE, "%")
    trials, variants = trials_frame(store), variants_frame(store)
    kept = trials.assign(val_bpb=-trials["val_bpb"]), variants.assign(fitness=-variants["fitness"])
    axes = plot_frontier(*kept, ax=Figure().subplots(), metric=metric)
    assert axes.get_ylabel() == "accuracy (%), reported, basic! (higher is better)"
    bottom, top = axes.get_ylim()
    assert 0 < bottom < top
    line = next(line for line in axes.lines if line.get_label() == "best so far")
    heights = list(line.get_ydata())
    assert heights == sorted(heights)
    assert heights[-1] == pytest.approx(1.59)
    failed = next(dots for dots in axes.collections if len(dots.get_offsets()) == 1)
    assert bottom < failed.get_offsets()[0][1] < top


def test_a_confirmed_champion_has_a_star_and_its_gain_at_each_depth(store: Store):
    axes = plot_frontier(
        trials_frame(store),
        variants_frame(store),
        ax=Figure().subplots(),
        verdicts=verdicts_frame(store),
    )
    said = axes.texts[-1].get_text().splitlines()
    assert said == [
        "★ g002-003: confirmed",
        "fresh seeds, reported, basic!:",
        "depth × 1: +20 mbpb (+13 to +27), confirmed",
        "depth × 1.5: +6 mbpb (-4 to +16), not confirmed",
    ]


def test_the_frontier_goes_by_device_hours_too(store: Store):
    axes = plot_frontier(
        trials_frame(store), variants_frame(store), ax=Figure().subplots(), across="device_hours"
    )
    assert axes.get_xlabel() == "device-hours of the search"
    assert axes.get_xlim()[1] == pytest.approx(9 * 12 / 3600 * (1 + 1 / 9))


def test_the_small_plots_show_the_small_run(store: Store):
    trials, variants = trials_frame(store), variants_frame(store)
    spending = spending_frame(trials, variants, descent_frame(store))
    operators = plot_operators(variants, ax=Figure().subplots())
    assert [label.get_text() for label in operators.get_yticklabels()] == [
        "knob (1)",
        "merge (1)",
        "structure (2)",
    ]
    repeats = plot_repeats(trials, ax=Figure().subplots(), sigma=0.0036)
    assert [label.get_text() for label in repeats.get_yticklabels()] == [
        "g000-000, validation",
        "g002-003, validation",
    ]
    spent = plot_spending(spending, ax=Figure().subplots())
    assert [label.get_text() for label in spent.get_yticklabels()] == list(spending["went_to"])
    curves = plot_curves(curves_frame(store), ax=Figure().subplots(), names=("g002-003",))
    assert "reported" in curves.get_ylabel()
    for axes in (operators, repeats):
        assert "reported" in axes.get_xlabel()


def test_the_small_plots_of_an_empty_run_say_that_there_is_nothing(tmp_path: Path):
    with Store.create(tmp_path / "run.db", a_run()) as empty:
        trials, variants = trials_frame(empty), variants_frame(empty)
        drawn = [
            plot_operators(variants, ax=Figure().subplots()),
            plot_repeats(trials, ax=Figure().subplots()),
            plot_spending(
                spending_frame(trials, variants, descent_frame(empty)), ax=Figure().subplots()
            ),
            plot_curves(curves_frame(empty), ax=Figure().subplots()),
        ]
    assert all(len(axes.texts) == 1 for axes in drawn)


def test_the_overview_is_a_picture_and_leaves_no_figure_open(store: Store, tmp_path: Path):
    from matplotlib import pyplot

    with Image.open(save_overview(store, tmp_path / "overview.png")) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1800
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("scores", [[], [None], [1.5]], ids=["nothing", "crash", "score"])
def test_a_run_that_has_hardly_begun_has_an_overview(scores: list[float | None], tmp_path: Path):
    variant = a_variant()
    with Store.create(tmp_path / "run.db", a_run(baseline=variant.sha)) as store:
        store.add_variant(variant)
        for score in scores:
            run_trial(store, variant, Purpose.BASELINE, an_outcome(score))
        assert save_overview(store, tmp_path / "overview.png").stat().st_size > 0
