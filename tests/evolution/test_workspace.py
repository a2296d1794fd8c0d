import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolution.templates import template_path
from evolution.workspace import WorkspaceError, create_run, open_run
from population import Branches, GitMissingError, RunPaths, RunState, Store, knobs
from population.errors import EvolveError
from tests.evolution.runs import a_run, settings


def left_in(folder: Path) -> list[str]:
    """Everything in a folder, hidden drafts included."""
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_new_run_holds_its_baseline_at_the_profiles_sizes(tmp_path):
    paths = a_run(tmp_path)
    with open_run(paths) as workspace:
        assert workspace.store.run().state is RunState.CREATED
        present = knobs(workspace.baseline.main)
        assert (present["DEPTH"], present["WIDTH"]) == (1, 64)
        sha = workspace.store.run().baseline
        assert workspace.branches.names("night") == {"g000-000": sha}
    assert left_in(tmp_path) == ["night"]
    assert paths.ruler.read_bytes() == template_path("prepare.py").read_bytes()


def test_two_runs_without_a_name_are_two_runs(tmp_path):
    first = create_run(tmp_path, settings())
    second = create_run(tmp_path, settings())
    assert first.root != second.root
    assert len(left_in(tmp_path)) == 2


def test_an_edited_genome_is_taken_as_it_is(tmp_path):
    project = tmp_path / "mine"
    project.mkdir()
    text = template_path("train.py").read_text()
    (project / "train.py").write_text(text.replace("WARMDOWN = 0.5", "WARMDOWN = 0.25"))
    paths = create_run(tmp_path / "runs", settings(), project=project)
    with open_run(paths) as workspace:
        assert knobs(workspace.baseline.main)["DEPTH"] == 2
        assert knobs(workspace.baseline.main)["WARMDOWN"] == 0.25


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DEPTH = 2\n", "build_model"),
        ("import socket\n" + template_path("train.py").read_text(), "socket"),
        ("def build_model(:\n", "line 1"),
        ("\x00", "train.py"),
    ],
)
def test_a_genome_that_breaks_the_contract_starts_no_run(tmp_path, text, found):
    project = tmp_path / "mine"
    project.mkdir()
    (project / "train.py").write_text(text)
    with pytest.raises(WorkspaceError, match=found) as error:
        create_run(tmp_path / "runs", settings(), project=project)
    assert error.value.exit_code == 2
    assert "breaks the contract" in str(error.value)
    assert not left_in(tmp_path / "runs")


def test_a_genome_that_is_no_text_starts_no_run(tmp_path):
    (tmp_path / "train.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkspaceError, match="not UTF-8"):
        create_run(tmp_path / "runs", settings(), project=tmp_path)


def test_a_name_that_is_taken_is_refused_and_the_old_run_untouched(tmp_path):
    paths = a_run(tmp_path)
    before = paths.database.read_bytes()
    with pytest.raises(WorkspaceError, match=r"already a run 'night'.*evolve resume night"):
        a_run(tmp_path)
    assert paths.database.read_bytes() == before
    assert left_in(tmp_path) == ["night"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "a..b", "x.lock", "n" * 65, "two words"])
def test_a_name_that_cannot_be_a_branch_is_refused(tmp_path, name):
    with pytest.raises(EvolveError, match="name"):
        create_run(tmp_path / "runs", settings(), name=name)
    assert not left_in(tmp_path / "runs")


def test_missing_data_start_no_run(tmp_path):
    with pytest.raises(EvolveError, match="essays"):
        create_run(tmp_path / "runs", settings(run__data=[str(tmp_path / "essays.txt")]))
    assert not left_in(tmp_path / "runs")


def test_without_git_no_run_is_made(tmp_path, monkeypatch):
    a_run(tmp_path / "warm")  # prepares the data, which needs no git
    code = (
        "from pathlib import Path; from evolution.workspace import create_run;"
        "from tests.evolution.runs import settings; import sys\n"
        "try:\n    create_run(Path(sys.argv[1]), settings(), name='night')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
        "    sys.exit(error.exit_code)"
    )
    folder = tmp_path / "runs"
    environment = {**os.environ, "PATH": str(tmp_path / "empty")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith(GitMissingError.__name__)
    assert not left_in(folder)


def test_a_changed_ruler_is_refused(tmp_path):
    paths = a_run(tmp_path)
    paths.ruler.write_text(paths.ruler.read_text() + "\n# better now\n")
    with pytest.raises(WorkspaceError, match=r"ruler .* was changed"), open_run(paths):
        pass


def test_changed_data_are_refused_or_built_anew_but_never_used(tmp_path, monkeypatch):
    monkeypatch.setenv("EVORESEARCH_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "essays.txt"
    text.write_text("".join(f"The year {n} was much like the year before. " for n in range(9000)))
    paths = create_run(tmp_path / "runs", settings(run__data=[str(text)]), name="night")
    with open_run(paths) as workspace:
        data = workspace.task.data
    validation = data.path / "validation.bin"
    harmed = bytearray(validation.read_bytes())
    harmed[5] ^= 1
    validation.chmod(0o644)
    validation.write_bytes(harmed)
    with open_run(paths) as workspace:  # the same recipe gives the same bytes again
        assert workspace.task.data.data_hash == data.data_hash
    assert validation.read_bytes() != harmed

    text.write_text("Another text. " * 20_000)
    with pytest.raises(EvolveError, match="data"), open_run(paths):
        pass


def test_a_folder_that_is_no_run_cannot_be_opened(tmp_path):
    with pytest.raises(WorkspaceError, match="no run"), open_run(RunPaths(tmp_path)):
        pass


def test_a_newer_schema_is_refused(tmp_path):
    import sqlite3

    paths = a_run(tmp_path)
    connection = sqlite3.connect(paths.database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(EvolveError, match="newer"), open_run(paths):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_starts_no_run_and_leaves_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        with pytest.raises(EvolveError, match="MB free") as error:
            create_run(disk / "runs", settings(), name="night")
        assert error.value.exit_code == 2
        assert not left_in(disk / "runs")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_store_and_the_repository_of_a_new_run_agree(tmp_path):
    paths = a_run(tmp_path)
    with (
        Store.open(paths.database, read_only=True) as store,
        Branches.open(paths.repository) as branches,
    ):
        (variant,) = store.variants()
        assert branches.verify(variant.sha)
        assert "The baseline" in branches.message(variant.sha)
