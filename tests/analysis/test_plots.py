"""The frontier and the overview, from the first trial to the last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from analysis import best_so_far, plot_frontier, save_overview, trials_frame, variants_frame
from population import Purpose, Store
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
        "no score (1)",
        "best so far, 95 % band",
    ]
    assert "reported" in axes.get_ylabel()


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
