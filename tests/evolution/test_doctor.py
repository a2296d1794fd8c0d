"""The doctor: each broken circumstance is found, named and given a remedy; a key stays unseen."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from evolution.config import EvolutionConfig
from evolution.doctor import Finding, Level, Rates, can_start, examine
from evolution.doctor.earlier import earlier_run
from evolution.doctor.machine import TRAINER_MB, clock_finding, gpus_finding
from evolution.doctor.torch_probe import TorchProbe, probe_torch, torch_finding
from evolution.templates import template_path
from population import Budget, BudgetKind, Purpose, Store, set_knobs
from tests.builders import a_run, a_variant, an_outcome
from tests.evolution.cli.conftest import Evolve, evolve  # noqa: F401 - a fixture
from tests.small_run import run_trial

BUDGET = Budget(BudgetKind.CPU, 9.0)
KEY = "sk-ant-" + "very-secret-" * 3


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder: the shipped files are taken."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    return folder


def many_essays(count: int = 300) -> bytes:
    """A megabyte and more, no two documents alike."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(4000)]
    lines = (json.dumps({"text": " ".join(rng.choices(words, k=600))}) for _ in range(count))
    return "\n".join(lines).encode()


def look(name: str, **changes) -> Finding:
    findings = examine(Path("runs"), quick=True, **{"profile": "tiny", **changes}).findings
    assert findings == sorted(findings, key=lambda f: list(Level).index(f.level))
    return next(finding for finding in findings if finding.name == name)


def test_a_healthy_place_can_start_a_run_and_nothing_was_written(tiny_data, elsewhere):
    findings = examine(Path("runs"), profile="tiny", quick=True).findings
    assert can_start(findings), [f for f in findings if f.level is Level.PROBLEM]
    assert list(elsewhere.iterdir()) == []
    assert look("data").facts["is_prepared"] is True
    assert look("data").facts["folder"] == str(tiny_data)


def test_no_git_on_the_path_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = look("git")
    assert found.level is Level.PROBLEM
    assert "apt install git" in found.remedy


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo git version 2.11.0", "2.11.0"), ("exit 3", "does not run"), ("echo hello", "hello")],
)
def test_a_git_that_is_old_or_broken_is_a_problem(script, words, monkeypatch, tmp_path):
    (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = look("git")
    assert found.level is Level.PROBLEM
    assert words in found.found


def test_a_runs_folder_that_cannot_be_written_is_a_problem(elsewhere):
    (elsewhere / "file").write_text("no folder")
    findings = examine(elsewhere / "file" / "runs", profile="tiny", quick=True).findings
    found = next(f for f in findings if f.name == "runs folder")
    assert found.level is Level.PROBLEM
    assert "--runs" in found.remedy


@pytest.mark.parametrize(
    ("free", "level"), [(10e6, Level.PROBLEM), (500e6, Level.WARNING), (10e9, Level.OK)]
)
def test_a_full_disk_is_a_problem_and_a_nearly_full_one_a_warning(free, level, monkeypatch):
    usage = namedtuple("usage", "total used free percent")
    monkeypatch.setattr(psutil, "disk_usage", lambda _: usage(1e12, 1e12, free, 99))
    assert look("runs folder").level is level


@pytest.mark.parametrize(
    ("trainers", "level"), [(0.5, Level.PROBLEM), (1.5, Level.WARNING), (5000, Level.OK)]
)
def test_memory_is_held_against_what_trainers_need(trainers, level, monkeypatch):
    real = psutil.virtual_memory()
    answer = real._replace(available=int(trainers * TRAINER_MB * 1e6))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: answer)
    monkeypatch.setattr("evolution.doctor.machine.usable_cores", lambda: [0, 1])
    assert look("memory").level is level


def test_settings_that_are_no_toml_are_a_problem_and_no_traceback(elsewhere):
    (elsewhere / "evolve.toml").write_text("[run\n")
    found = look("settings")
    assert found.level is Level.PROBLEM
    assert "not valid TOML" in found.found


def test_an_unknown_profile_is_a_problem():
    assert look("profile", profile="huge").level is Level.PROBLEM


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("program.md", b"\xff\xfe"),
        ("train.py", b"import numpy\n"),
        ("train.py", b"\xff"),
        ("prepare.py", b"raise SystemExit(3)\n"),
    ],
)
def test_a_file_of_ones_own_that_is_broken_is_a_problem(name, content, elsewhere):
    (elsewhere / name).write_bytes(content)
    assert look(name).level is Level.PROBLEM


@pytest.mark.parametrize("text", ["\n", "---\nfrozn: [DEPTH]\n---\n"])
def test_a_manual_that_would_be_refused_is_a_problem(text, elsewhere):
    (elsewhere / "program.md").write_text(text)
    found = look("program.md")
    assert found.level is Level.PROBLEM
    assert "line 1" in found.found or "frozen" in found.found


def test_a_manual_that_does_not_fit_is_a_problem(elsewhere):
    (elsewhere / "program.md").write_text("---\nfrozen: [nope]\n---\n")
    found = look("project")
    assert found.level is Level.PROBLEM
    assert "nope" in found.found


def a_script(folder: Path, time_limit: str = "20") -> None:
    (folder / "fit me.py").write_text("rate = 0.5\nprint('loss:', (rate - 0.1) ** 2)\n")
    (folder / "evolve.toml").write_text(
        f'[task]\nfiles = ["fit me.py"]\nmetric = "loss"\ntime_limit = {time_limit}\n'
    )


def test_a_script_of_ones_own_is_looked_at_in_place_of_ruler_and_data(elsewhere):
    a_script(elsewhere)
    findings = {finding.name: finding for finding in examine(Path("runs"), quick=True).findings}
    assert findings["script"].level is Level.OK
    assert "loss" in findings["script"].found
    assert {"train.py", "prepare.py", "data"}.isdisjoint(findings)
    plan = findings["evolve run"]
    assert plan.level is Level.OK
    assert (plan.facts["trial_seconds"], plan.facts["basis"]) == (
        20.0,
        "at most: every trial to its limit",
    )


def test_a_script_that_is_missing_is_a_problem(elsewhere):
    a_script(elsewhere)
    (elsewhere / "fit me.py").unlink()
    findings = {finding.name: finding for finding in examine(Path("runs"), quick=True).findings}
    assert findings["script"].level is Level.PROBLEM
    assert "evolve run" not in findings


def test_data_that_are_missing_are_prepared_by_the_next_run(monkeypatch, tmp_path):
    monkeypatch.setenv("EVORESEARCH_CACHE", str(tmp_path / "none"))
    found = look("data")
    assert found.level is Level.OK
    assert found.facts["is_prepared"] is False
    assert look("data", profile="gpu").level is Level.WARNING
    assert not (tmp_path / "none").exists()


def test_data_that_were_changed_are_found(monkeypatch, tmp_path, tiny_data):
    shutil.copytree(tiny_data, tmp_path / "cache" / tiny_data.name)
    monkeypatch.setenv("EVORESEARCH_CACHE", str(tmp_path / "cache"))
    assert look("data").level is Level.OK
    file = max((tmp_path / "cache" / tiny_data.name).iterdir(), key=lambda f: f.stat().st_size)
    file.chmod(0o644)
    changed = bytearray(file.read_bytes())
    changed[100] ^= 1
    file.write_bytes(changed)
    found = look("data")
    assert found.level is Level.WARNING
    assert file.name in found.found


@pytest.mark.parametrize(
    ("name", "content", "level"),
    [
        ("missing.txt", None, Level.PROBLEM),
        ("essays.docx", b"x" * 2_000_000, Level.PROBLEM),
        ("short.txt", b"few words", Level.PROBLEM),
        ("none.txt", b"", Level.PROBLEM),
        ("four.parquet", b"PAR1", Level.PROBLEM),
        ("brief.txt", many_essays()[:100_000], Level.WARNING),
        ("tiny.jsonl", b'{"text": "words"}\n' * 1000, Level.PROBLEM),  # cut, it validates nothing
        ("long.jsonl", b'{"text": "%s"}\n' % (b"words " * 40) * 5000, Level.WARNING),  # copies
        ("essays.jsonl", many_essays(), Level.OK),
        ("bytes.txt", b"\xff\xfe" * 1_000_000, Level.PROBLEM),
    ],
)
def test_ones_own_data_are_looked_at(name, content, level, elsewhere):
    if content is not None:
        (elsewhere / name).write_bytes(content)
    (elsewhere / "evolve.toml").write_text(f'[run]\nprofile = "tiny"\ndata = ["{name}"]\n')
    found = look("data")
    assert found.level is level
    assert (found.remedy == "") == (level is Level.OK)


def test_data_can_be_named_as_for_a_run(elsewhere):
    (elsewhere / "essays.txt").write_bytes(many_essays()[:100_000])
    assert look("data", data=[Path("essays.txt")]).level is Level.WARNING
    assert look("data", data=[Path("essays.txt")], profile="gpu").level is Level.PROBLEM
    assert look("data", data=[Path("nowhere.txt")]).level is Level.PROBLEM


def test_the_key_is_told_by_yes_or_no_alone(evolve: Evolve, monkeypatch):  # noqa: F811
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"https://user:{KEY}@proxy.example.org/{KEY}?k={KEY}")
    for flags in ([], ["--json"]):
        said = evolve("doctor", "--quick", "--profile", "tiny", *flags)
        assert "is set" in said.out
        assert "proxy.example.org" in said.out
        assert "sk-ant" not in said.out + said.err
        assert "very-secret" not in said.out + said.err


def test_an_address_that_is_none_is_a_warning(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "nonsense")
    assert look("api key").level is Level.WARNING


@pytest.mark.parametrize("place", ["before", "after"])
def test_another_distribution_with_a_package_of_our_name_is_found(place, tmp_path, elsewhere):
    site = tmp_path / "site"
    (site / "agents").mkdir(parents=True)
    (site / "agents" / "__init__.py").write_text("")
    info = site / "openai_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openai-agents\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("agents\n")
    (info / "RECORD").write_text("agents/__init__.py,,\n")
    root = str(Path(__file__).parents[2])
    paths = [str(site), root] if place == "before" else [root, str(site)]
    code = "from evolution.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--quick", "--json", "--profile", "tiny"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    findings = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    found = findings["package names"]
    assert found["level"] == ("problem" if place == "before" else "warning"), found
    assert "openai-agents" in found["found"]
    assert "pip uninstall openai-agents" in found["remedy"]
    assert done.returncode == (1 if place == "before" else 0)


def fake_torch(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "torch.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ImportError('libcudart is missing')", "libcudart is missing"),
        ("import os; os.abort()", "it ended with"),
        ("import time; time.sleep(60)", "no answer within"),
        ("print('[]'); raise SystemExit(0)", "makes no sense"),
    ],
)
def test_a_broken_torch_is_a_problem_and_ends_only_its_own_process(
    text, words, tmp_path, monkeypatch
):
    fake_torch(tmp_path / "broken", text, monkeypatch)
    found = torch_finding(probe_torch(timeout_seconds=3 if "sleep" in text else 60))
    assert found.level is Level.PROBLEM
    assert words in found.found


def test_the_real_torch_is_found_and_timed():
    probe = probe_torch()
    assert torch_finding(probe).level is Level.OK
    assert probe.rate is not None
    assert probe.rate > 0


def test_a_torch_that_cannot_use_the_gpus_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA H100\necho NVIDIA H100\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    gpus, found = gpus_finding(TorchProbe(version="2.13.0+cpu"))
    assert (gpus, found.level) == (["NVIDIA H100"], Level.WARNING)
    assert gpus_finding(TorchProbe(version="2.13.0", has_cuda=True))[1].level is Level.OK
    plan = look("evolve run", profile="gpu")
    assert (plan.facts["device"], plan.facts["workers"]) == ("NVIDIA H100", 1)


def test_the_gpu_profile_without_a_gpu_is_a_warning(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert look("evolve run", profile="gpu").level is Level.WARNING


@pytest.mark.parametrize(
    ("after", "elapsed", "level"),
    [
        (1_800_000_001.0, 1.0, Level.OK),
        (1_800_003_601.0, 1.0, Level.WARNING),
        (1_799_999_900.0, 1.0, Level.WARNING),
    ],
)
def test_a_clock_that_jumps_is_a_warning(after, elapsed, level):
    assert clock_finding(1_800_000_000.0, after, elapsed).level is level


def test_a_clock_of_1970_is_a_warning():
    assert clock_finding(5.0, 6.0, 1.0).level is Level.WARNING


def test_the_estimate_says_whether_it_rests_on_a_reference_or_on_earlier_runs(elsewhere):
    first = look("evolve run")
    assert "reference" in first.facts["basis"]
    folder = elsewhere / "runs" / "night-1"
    folder.mkdir(parents=True)
    settings = {"run": {"profile": "tiny"}}
    with Store.create(folder / "run.db", a_run(settings)) as store:
        store.set_fact("budget", first.facts["budget"])
        store.add_variant(a_variant())
        for seconds in (50.0, 60.0, 70.0):
            run_trial(store, a_variant(), Purpose.SCREEN, an_outcome(total_seconds=seconds))
    second = look("evolve run")
    assert second.facts["basis"] == "median of 3 trials of run night-1"
    assert second.facts["trial_seconds"] == 60.0
    assert second.facts["run_seconds"] > first.facts["run_seconds"]


def test_a_damaged_run_beside_is_no_reason_to_fail(elsewhere):
    folder = elsewhere / "runs" / "night-1"
    folder.mkdir(parents=True)
    (folder / "run.db").write_bytes(b"no database at all")
    assert "reference" in look("evolve run").facts["basis"]


def test_runs_of_somebody_else_are_passed_over(tmp_path):
    """As another user where the tests run as root, whom no folder is closed to."""
    own, place = os.geteuid(), Path(tempfile.mkdtemp())
    closed = place / "runs" / "night-1"
    closed.mkdir(parents=True)
    (closed / "run.db").write_bytes(b"")
    config = EvolutionConfig.from_mapping({})
    try:
        place.chmod(0o755)
        closed.chmod(0)
        if own == 0:
            os.seteuid(65534)
        with pytest.raises(PermissionError):
            (closed / "run.db").stat()
        assert earlier_run(place / "runs", config, BUDGET) is None
        if own == 0:
            os.seteuid(0)
        (place / "runs").chmod(0)
        if own == 0:
            os.seteuid(65534)
        assert earlier_run(place / "runs", config, BUDGET) is None
    finally:
        if own == 0:
            os.seteuid(0)
        (place / "runs").chmod(0o755)
        closed.chmod(0o755)
        shutil.rmtree(place)


def test_a_choice_without_torch_is_one_problem_among_the_findings(tmp_path, monkeypatch):
    fake_torch(tmp_path / "broken", "raise ImportError('libcudart is missing')", monkeypatch)
    found = examine(Path("runs"), profile="auto", rates=Rates())
    findings = {finding.name: finding for finding in found.findings}
    assert findings["profile"].level is Level.PROBLEM
    assert "libcudart is missing" in findings["profile"].found
    assert findings["torch"].level is Level.PROBLEM
    assert {"git", "cores", "memory", "settings", "data"} <= set(findings)
    assert (found.outlook, "evolve run" in findings) == (None, False)


def test_an_edited_genome_that_keeps_its_sizes_is_told(elsewhere):
    shipped = template_path("train.py").read_text(encoding="utf-8")
    assert "keeps its own sizes" not in look("project").found
    (elsewhere / "train.py").write_text(set_knobs(shipped, {"DEPTH": 5}))
    found = look("project")
    assert found.level is Level.OK
    assert "keeps its own sizes" in found.found
    assert "DEPTH = 5 (not " in found.found


def test_the_exit_code_tells_whether_a_run_can_start(evolve: Evolve, elsewhere):  # noqa: F811
    healthy = evolve("doctor", "--quick", "--profile", "tiny")
    assert (healthy.code, healthy.err) == (0, "")
    assert "A run can start" in healthy.out
    (elsewhere / "evolve.toml").write_text("[run\n")
    broken = evolve("doctor", "--quick", "--profile", "tiny")
    assert broken.code == 1
    assert "One problem keeps a run from starting." in broken.out
    assert json.loads(evolve("doctor", "--quick", "--json").out)["can_start"] is False


def test_the_shipped_settings_are_those_a_run_takes():
    assert look("settings").facts["path"] == str(template_path("evolve.toml"))
