"""``evolve report`` writes its file, says where, and explains what it cannot."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from analysis import SAMPLE
from tests.evolution.cli.conftest import Evolve
from tests.small_run import a_small_run

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "reading-a-run.md"


def test_report_writes_into_the_run_and_says_where(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path)
    said = evolve("report", "--runs", tmp_path)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{paths.root / 'report.html'}\n"
    assert (paths.root / "report.html").read_text().startswith("<!doctype html>")


def test_report_answers_with_path_and_facts(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path)
    target = tmp_path / "out" / "night.html"
    said = evolve("report", "night-1", "--runs", tmp_path, "--output", target, "--json")
    facts = json.loads(said.out)
    assert facts["path"] == str(target)
    assert facts["size_bytes"] == target.stat().st_size
    assert (facts["champion_name"], facts["is_confirmed"]) == ("g002-003", True)
    assert facts["found"].startswith("Confirmed on fresh seeds: g002-003")


def test_a_report_that_cannot_be_written_is_told_in_three_parts(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path)
    (tmp_path / "file").touch()
    said = evolve("report", "--runs", tmp_path, "--output", tmp_path / "file" / "report.html")
    assert said.code == 2
    assert "could not be written" in said.err
    assert "--output FILE" in said.err


def test_the_commands_of_the_guide_work_on_the_sample_run(
    tmp_path: Path, evolve: Evolve, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(SAMPLE, tmp_path / "analysis" / "sample")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^evolve (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        said = evolve(*shlex.split(command))
        assert (said.code, said.err) == (0, ""), command
        assert said.out
    assert (tmp_path / "sample.html").is_file()
