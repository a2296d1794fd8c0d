"""Paths: a run's files, and names that a run can have."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from population import EvolveError, RunNameError, RunPaths, check_run_name


def test_every_path_of_a_run_is_inside_its_folder():
    paths = RunPaths(Path("runs/night-1"))
    names = [name for name, part in vars(RunPaths).items() if isinstance(part, property)]
    for name in set(names) - {"name"}:
        assert getattr(paths, name).parent == paths.root
    assert paths.name == "night-1"
    assert (paths.database.name, paths.repository.name) == ("run.db", "population.git")
    assert (paths.settings.name, paths.ruler.name) == ("config.toml", "prepare.py")
    assert (paths.events.name, paths.program.name) == ("events.jsonl", "program.md")


def test_making_the_folders_twice_is_harmless(tmp_path):
    paths = RunPaths.of(tmp_path, "night-1")
    paths.make_folders()
    paths.make_folders()
    assert sorted(entry.name for entry in paths.root.iterdir()) == ["figures", "logs", "scratch"]


@pytest.mark.parametrize("name", ["night-1", "a", "2026-11-23_10.30", "A" * 64])
def test_a_plain_name_is_taken(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a..b", "a.", "-a", "a b", "a.lock", "ü", "a\n", "A" * 65, "~"]
)
def test_a_name_that_git_or_the_shell_would_misread_is_refused(name):
    with pytest.raises(RunNameError, match="Choose such a name"):
        check_run_name(name)


@given(st.text(max_size=70))
def test_no_name_leaves_the_folder_of_the_runs(name):
    try:
        paths = RunPaths.of(Path("/runs"), name)
    except EvolveError:
        return
    assert paths.root.resolve().parent == Path("/runs")
