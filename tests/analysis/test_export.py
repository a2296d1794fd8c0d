"""Exported tables: what is read back is what was written, whole or not at all."""

import errno
import json
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

from analysis import FileFormat, export_tables
from analysis.export import TABLES, documented, table_of, unit_of
from population import Direction, Metric, Purpose, Store
from population.publishing import MANIFEST, PublishError
from tests.builders import a_run, a_variant, an_outcome
from tests.small_run import HOSTILE, a_small_run, run_trial


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(a_small_run(tmp_path / "runs").database) as store:
        yield store


@pytest.fixture
def empty_store(tmp_path: Path):
    with Store.create(tmp_path / "empty.db", a_run()) as store:
        yield store


#: Columns of several commits.
COMMITS = {"parents", "adds", "drops", "repeats", "reverts"}


def read_csv(folder: Path, name: str) -> pd.DataFrame:
    """As a reader does who goes by ``columns.json``."""
    columns = json.loads((folder / "columns.json").read_text())[name]
    times = [c for c, facts in columns.items() if facts["dtype"].startswith("datetime")]
    others = {c: facts["dtype"] for c, facts in columns.items() if c not in times}
    frame = pd.read_csv(folder / f"{name}.csv", dtype=others, keep_default_na=True)
    for column in times:
        moments = pd.to_datetime(frame[column], format="ISO8601", utc=True)
        frame[column] = moments.dt.as_unit("us")
    for column in COMMITS.intersection(frame):
        several = [() if pd.isna(shas) else tuple(shas.split()) for shas in frame[column]]
        frame[column] = pd.Series(several, dtype="object")
    return frame


@pytest.mark.parametrize("which", ["store", "empty_store"])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_comes_back_from_parquet_with_its_types_and_values(which, name, tmp_path, request):
    store = request.getfixturevalue(which)
    expected = table_of(store, name)
    done = export_tables(store, tmp_path / "out")
    found = pd.read_parquet(done.folder / f"{name}.parquet")
    for column in COMMITS.intersection(found):
        found[column] = found[column].map(tuple)
    pd.testing.assert_frame_equal(found, expected)
    assert done.rows[name] == len(expected)


@pytest.mark.parametrize("which", ["store", "empty_store"])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_comes_back_from_csv_with_its_types_and_values(which, name, tmp_path, request):
    store = request.getfixturevalue(which)
    expected = table_of(store, name)
    done = export_tables(store, tmp_path / "out", FileFormat.CSV)
    pd.testing.assert_frame_equal(read_csv(done.folder, name), expected)


def test_what_a_genome_calls_its_idea_survives_both_formats(store, tmp_path):
    done = export_tables(store, tmp_path / "out", FileFormat.BOTH)
    from_parquet = pd.read_parquet(done.folder / "variants.parquet")["hypothesis"]
    assert HOSTILE in list(from_parquet)
    assert HOSTILE in list(read_csv(done.folder, "variants")["hypothesis"])


def test_columns_and_facts_lie_beside_the_tables(store, tmp_path):
    done = export_tables(store, tmp_path / "out")
    columns = json.loads((done.folder / "columns.json").read_text())
    page = (done.folder / "columns.md").read_text()
    for name in TABLES:
        frame = pd.read_parquet(done.folder / f"{name}.parquet")
        assert list(columns[name]) == list(frame.columns)
        assert {c: facts["dtype"] for c, facts in columns[name].items()} == {
            c: str(dtype) for c, dtype in frame.dtypes.items()
        }
        assert all(f"| `{column}` |" in page for column in frame.columns)
    facts = json.loads((done.folder / "run.json").read_text())
    assert facts["run"] == "night-1"
    assert facts["champion"] == store.variant("g002-003").sha
    assert facts["scoring"] == "reported"
    assert facts["rows"] == dict(done.rows)


def test_paths_of_this_machine_stay_out_of_the_facts(tmp_path):
    settings = {"run": {"data": ["/home/someone/secret/essays.txt"]}}
    with Store.create(tmp_path / "run.db", a_run(settings)) as store:
        done = export_tables(store, tmp_path / "out")
    text = (done.folder / "run.json").read_text()
    assert json.loads(text)["settings"]["run"]["data"] == ["essays.txt"]
    assert "someone" not in text


def test_a_maximised_metric_is_kept_negative_and_shown_as_it_is(tmp_path):
    metric = Metric("accuracy", Direction.MAXIMIZE, "%")
    with Store.create(tmp_path / "run.db", a_run()) as store:
        store.set_metric(metric)
        store.add_variant(a_variant())
        run_trial(store, a_variant(), Purpose.BASELINE, an_outcome(metric.kept(71.5)))
        trials = pd.read_parquet(export_tables(store, tmp_path / "out").folder / "trials.parquet")
    assert list(trials["val_bpb"]) == [-71.5]
    assert list(trials["metric"]) == [71.5]
    columns = json.loads((tmp_path / "out" / "columns.json").read_text())["trials"]
    assert columns["metric"]["unit"] == "%"
    assert "accuracy, higher is better" in columns["metric"]["meaning"]


def test_only_snapshots_of_a_curve_are_readings_of_the_metric(store):
    curves = table_of(store, "curves")
    is_snapshot = curves["quantity"] == "snapshot"
    assert is_snapshot.any()
    assert (curves["metric"].notna() == is_snapshot).all()


def test_every_measured_quantity_has_a_unit():
    unitless = {"depth_scale", "step_count", "cost_ratio", "progress", "p_better", "island"}
    for name in TABLES:
        for column, facts in documented(name, Metric()).items():
            if facts.dtype == "float64" and column not in unitless:
                assert unit_of(column, facts.dtype, Metric()), column


def test_an_export_replaces_an_earlier_one(store, tmp_path):
    export_tables(store, tmp_path / "out", FileFormat.BOTH)
    done = export_tables(store, tmp_path / "out", FileFormat.CSV)
    assert sorted(p.name for p in done.folder.iterdir()) == sorted([*done.files, MANIFEST])
    assert not any(name.endswith(".parquet") for name in done.files)
    assert [p.name for p in tmp_path.glob(".out*")] == []


@pytest.mark.parametrize("kind", ["a file", "a folder", "a file in an export", "a link"])
def test_what_no_export_wrote_is_never_replaced(kind, store, tmp_path):
    out = tmp_path / "out"
    foreign = out
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    elif kind == "a file":
        out.write_text("mine")
    elif kind == "a folder":
        out.mkdir()
        foreign = out / "thesis.txt"
        foreign.write_text("mine")
    else:
        export_tables(store, out)
        foreign = out / "notes.txt"
        foreign.write_text("mine")
    with pytest.raises(PublishError, match="no earlier export wrote"):
        export_tables(store, out)
    assert kind == "a link" or foreign.read_text() == "mine"


def test_a_full_disk_leaves_the_earlier_export_and_nothing_half_made(store, tmp_path, monkeypatch):
    done = export_tables(store, tmp_path / "out", FileFormat.CSV)
    before = {p.name: p.read_bytes() for p in done.folder.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PublishError, match="no space is left"):
        export_tables(store, tmp_path / "out", FileFormat.PARQUET)
    assert {p.name: p.read_bytes() for p in done.folder.iterdir()} == before
    assert [p.name for p in tmp_path.glob(".out*")] == []


def test_the_tables_of_a_live_run_are_of_one_moment(tmp_path):
    paths = a_small_run(tmp_path / "runs")
    stop = threading.Event()

    def engine() -> None:
        with Store.open(paths.database) as writer:
            for serial in range(100, 100_000):
                if stop.is_set():
                    return
                variant = a_variant(serial, parents=(), name=f"g000-{serial}")
                writer.add_variant(variant)
                run_trial(writer, variant, Purpose.SCREEN, an_outcome(1.5))

    thread = threading.Thread(target=engine)
    thread.start()
    try:
        with Store.open(paths.database, read_only=True) as store:
            for _ in range(5):
                done = export_tables(store, tmp_path / "out")
                variants = pd.read_parquet(done.folder / "variants.parquet")
                trials = pd.read_parquet(done.folder / "trials.parquet")
                assert set(trials["variant"]) <= set(variants["variant"])
                counts = trials[trials["purpose"] != "verdict"].groupby("variant")["status"].last()
                assert list(variants.set_index("variant")["status"].dropna()) == [
                    counts[sha] for sha in variants["variant"] if sha in counts
                ]
    finally:
        stop.set()
        thread.join()
