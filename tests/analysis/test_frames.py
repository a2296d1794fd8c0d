"""Frames are tidy, documented, and of the same columns and types in an empty run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest

from analysis import (
    CURVE_COLUMNS,
    SUGGESTION_COLUMNS,
    TRIAL_COLUMNS,
    VARIANT_COLUMNS,
    VERDICT_COLUMNS,
    Column,
    curves_frame,
    suggestions_frame,
    trials_frame,
    variants_frame,
    verdicts_frame,
)
from population import CommissionState, Fitness, Mark, Marked, Store
from tests.builders import NOW, a_run, a_variant
from tests.small_run import a_small_run

Maker = Callable[[Store], pd.DataFrame]
FRAMES = [
    (variants_frame, VARIANT_COLUMNS),
    (trials_frame, TRIAL_COLUMNS),
    (curves_frame, CURVE_COLUMNS),
    (verdicts_frame, VERDICT_COLUMNS),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    paths = a_small_run(tmp_path_factory.mktemp("frames"))
    with Store.open(paths.database, read_only=True) as opened:
        yield opened


@pytest.mark.parametrize(("frame_of", "columns"), FRAMES)
def test_a_frame_holds_exactly_its_documented_columns(
    frame_of: Maker, columns: Mapping[str, Column], store: Store, tmp_path: Path
):
    with Store.create(tmp_path / "empty.db", a_run()) as empty:
        frames = [frame_of(store), frame_of(empty)]
    for frame in frames:
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
            name: column.dtype for name, column in columns.items()
        }
        assert all(column.meaning.endswith(".") for column in columns.values())
    assert len(frames[0]) > 0
    assert len(frames[1]) == 0


def test_each_variant_is_a_row_with_its_gain_over_the_baseline(store: Store):
    frame = variants_frame(store).set_index("name")
    assert list(frame.index) == [v.name for v in store.variants()]
    assert frame.loc["g002-003", "gain"] == pytest.approx(0.0199)
    assert frame.loc["g000-000", ["gain", "gain_sd"]].tolist() == [0.0, 0.0]
    assert frame.index[frame["is_champion"]].tolist() == ["g002-003"]
    assert len(frame.loc["g002-003", "parents"]) == 2


def test_a_variant_that_crashed_has_no_fitness_but_a_reason(store: Store):
    crashed = variants_frame(store).set_index("name").loc["g002-004"]
    assert pd.isna(crashed["fitness"])
    assert pd.isna(crashed["gain"])
    assert (crashed["status"], crashed["failure"]) == ("crashed", "error")


def test_each_trial_is_a_row_that_says_how_it_was_scored(store: Store):
    frame = trials_frame(store).set_index("trial")
    assert len(frame) == len(store.trials())
    assert set(frame.loc[frame["val_bpb"].notna(), "scoring"]) == {"reported"}
    has_reading = frame["val_bpb"].notna() | frame["last_snapshot"].notna()
    assert frame.loc[~has_reading, "scoring"].isna().all()
    assert frame.loc[1, "hours"] == pytest.approx(33 / 3600)
    assert frame.loc[frame["status"] == "stopped_early", "last_snapshot"].tolist() == [1.93]
    assert frame["pair"].notna().sum() == 12


def test_each_point_of_a_curve_and_each_snapshot_is_a_row(store: Store):
    frame = curves_frame(store)
    assert set(frame["quantity"]) == {"loss", "lr", "snapshot"}
    first = frame[frame["trial"] == 1]
    assert first[first["quantity"] == "loss"]["value"].tolist() == [3.1, 2.9]


def test_each_rung_of_a_verdict_is_a_row(store: Store):
    frame = verdicts_frame(store)
    assert frame["depth_scale"].tolist() == [1.0, 1.5]
    assert frame["ruling"].tolist() == ["confirmed", "not_confirmed"]
    assert set(frame["name"]) == {"g002-003"}


def test_each_suggestion_is_a_row_with_what_came_of_it(tmp_path: Path):
    with Store.open(a_small_run(tmp_path).database) as store:
        assert list(suggestions_frame(store).columns) == list(SUGGESTION_COLUMNS)
        store.add_suggestion("warm up slowly", "person", at=NOW)
        parent = store.variant("g001-001")
        child = a_variant(9, parents=(parent.sha,), suggestion=1)
        store.add_variant(child)
        store.save_fitnesses({child.sha: Fitness(1.531, 0.002, 1)})
        store.open_commission("mutator", parents=(), rng_seed=1, at=NOW, suggestions=[1])
        store.close_commission(1, CommissionState.BORN, variant=child.sha)
        (row,) = suggestions_frame(store).to_dict("records")
        assert variants_frame(store).set_index("name").loc[child.name, "suggestion"] == "S1"
    assert (row["suggestion"], row["state"], row["author"]) == ("S1", "open", "person")
    assert (row["offer_count"], row["taken_count"]) == (1, 1)
    assert row["best_gain"] == pytest.approx(0.01)


def test_a_banned_line_has_its_mark_and_no_champion(tmp_path: Path):
    with Store.open(a_small_run(tmp_path).database) as store:
        sha = store.variant("g001-001").sha
        store.set_mark(sha, Marked(sha, Mark.BANNED, NOW))
        frame = variants_frame(store).set_index("name")
    assert frame["mark"].dropna().to_dict() == {
        "g001-001": "banned",
        "g002-003": "barred",
        "g002-004": "barred",
        "g003-005": "barred",
    }
    assert frame.index[frame["is_champion"]].tolist() == ["g000-000"]
