"""The sample run: small, of no machine, and readable in a fresh clone."""

import json
import math
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from analysis import SAMPLE, open_run, variants_frame
from analysis.keep_sample import CURVE_POINTS, SIZE_LIMIT, SampleError, keep_sample, without_places
from analysis.pictures import save_pictures
from analysis.runs import RunPlaceError
from population import Branches, RunPaths, Store
from tests.small_run import a_small_run

PLACES = re.compile(r"(?<![\w.…])/(?:tmp|home|root|Users|usr|opt|var|work|mnt)/")


def as_cloned(source: Path, target: Path) -> RunPaths:
    """What a clone has of a folder: its files; git keeps no empty folders."""
    for file in source.rglob("*"):
        if file.is_file():
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    return RunPaths(target)


def test_the_sample_is_small():
    assert sum(f.stat().st_size for f in SAMPLE.rglob("*") if f.is_file()) < SIZE_LIMIT


def test_the_sample_is_a_real_run_with_a_verdict_and_every_genome(tmp_path: Path):
    paths = as_cloned(SAMPLE, tmp_path / "sample")
    with open_run(paths.root) as run, Branches.open(paths.repository) as branches:
        variants = run.store.variants()
        assert len(variants) > 10
        assert run.store.verdicts()
        assert run.store.fact("dry_run") is None
        assert all(branches.verify(variant.sha) for variant in variants)
        assert run.champion_diff().startswith("diff --git a/train.py")


def test_reading_the_sample_leaves_no_file_beside_it(tmp_path: Path):
    paths = as_cloned(SAMPLE, tmp_path / "sample")
    before = sorted(paths.root.rglob("*"))
    with open_run(paths.root) as run:
        variants_frame(run.store)
        run.champion_diff()
    assert sorted(paths.root.rglob("*")) == before


def test_the_sample_names_no_place_of_a_machine():
    for name in ("config.toml", "events.jsonl", "program.md", "population.git/config"):
        assert not PLACES.search((SAMPLE / name).read_text(encoding="utf-8")), name
    with sqlite3.connect(f"{(SAMPLE / 'run.db').as_uri()}?mode=ro", uri=True) as database:
        dump = "\n".join(database.iterdump())
    assert not PLACES.search(dump)


def test_a_run_is_kept_whole_without_its_machine(tmp_path: Path):
    source = a_small_run(tmp_path / "runs")
    source.program.write_text("# The manual\n")
    source.events.write_text('{"kind": "told", "text": "/srv/data/essays.txt is read"}\n')
    with Store.open(source.database) as store:
        store.set_fact("where", "/srv/runs/night-1/scratch/train.py, line 3")
    kept = tmp_path / "kept"
    assert keep_sample(source, kept) < SIZE_LIMIT
    paths = as_cloned(kept, tmp_path / "clone")
    assert "/srv" not in paths.events.read_text()
    with (
        Store.open(paths.database, read_only=True) as store,
        Branches.open(paths.repository) as git,
    ):
        assert store.fact("where") == "…/train.py, line 3"
        assert set(git.names("night-1")) == {v.name for v in store.variants()}
    assert not list(tmp_path.glob(".*.draft"))


def test_a_kept_curve_has_few_points_and_its_end(tmp_path: Path):
    source = a_small_run(tmp_path / "runs")
    source.program.write_text("")
    source.events.write_text("")
    curve = [[n / 100, 3 - n / 123, {"lr": 0.123456, "grad_norm": "inf"}] for n in range(1, 101)]
    with sqlite3.connect(source.database) as database:
        database.execute("UPDATE trials SET curve = ? WHERE id = 1", (json.dumps(curve),))
    keep_sample(source, tmp_path / "kept")
    with Store.open(tmp_path / "kept" / "run.db", read_only=True) as store:
        kept = store.trials(with_curves=True)[0].outcome.curve
    assert len(kept) == CURVE_POINTS - 4  # every fifth
    assert kept[-1].progress == 1.0
    assert kept[-1].loss == pytest.approx(3 - 100 / 123, rel=1e-3)
    assert kept[0].scalars == {"lr": 0.1235, "grad_norm": math.inf}


def test_the_pictures_are_drawn_from_a_run(tmp_path: Path):
    paths = a_small_run(tmp_path / "runs")
    made = save_pictures(paths.root, tmp_path / "images")
    assert {path.name for path in made} == {"overview.png", "edit-effects.png", "family-tree.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


def test_a_kept_sample_takes_the_place_of_the_one_before(tmp_path: Path):
    source = a_small_run(tmp_path / "runs")
    source.program.write_text("")
    source.events.write_text("")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old").touch()
    keep_sample(source, tmp_path / "kept")
    assert not (tmp_path / "kept" / "old").exists()


def test_a_run_too_large_is_refused_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = a_small_run(tmp_path / "runs")
    source.program.write_text("")
    source.events.write_text("")
    monkeypatch.setattr("analysis.keep_sample.SIZE_LIMIT", 1000)
    with pytest.raises(SampleError, match="fewer trials"):
        keep_sample(source, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_place_that_holds_no_run_is_told_in_three_parts(tmp_path: Path):
    with pytest.raises(RunPlaceError, match=r"holds no run\.db.*needed.*EVOLVE_RUN"):
        open_run(tmp_path)
    with pytest.raises(SampleError, match="holds no run"):
        keep_sample(RunPaths(tmp_path), tmp_path / "kept")


def test_the_variable_names_the_run_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = a_small_run(tmp_path)
    monkeypatch.setenv("EVOLVE_RUN", str(paths.root))
    with open_run() as run:
        assert run.store.run().name == "night-1"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('File "/a/b/train.py", line 1', 'File "…/train.py", line 1'),
        ("and/or, 1/2/3, a /b", "and/or, 1/2/3, a /b"),
        ("refs/heads/evolve/x", "refs/heads/evolve/x"),
    ],
)
def test_only_absolute_paths_are_shortened(text: str, plain: str):
    assert without_places(text) == plain
