"""The guide of the manual: its example is a manual of the shipped genome, its commands run."""

import re
import shlex
from pathlib import Path

import pytest

from evolution.cli import main
from population import Genome, Manual, frozen_mistake, rule_problems
from tests.evolution.runs import a_run, an_engine

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "program-md.md").read_text(encoding="utf-8")
BASELINE = Genome.single((ROOT / "train.py").read_text(encoding="utf-8"))


def block(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)[0]


def test_the_example_is_a_manual_that_the_shipped_genome_keeps():
    manual = Manual.parse(block("yaml"))
    assert frozen_mistake(manual, BASELINE) is None
    assert rule_problems(manual, BASELINE, BASELINE) == []


def test_every_key_of_a_manual_has_its_row():
    rows = " ".join(re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE))
    rules = Manual().rules()
    for key in (*rules.keys() - {"limits"}, *(f"limits.{name}" for name in rules["limits"])):
        assert f"`{key}`" in rows


def test_the_region_of_the_example_is_frozen():
    region = block("python")
    baseline = BASELINE.with_main(BASELINE.main.replace("EMBED_STD = 1.0", f"\n{region}", 1))
    assert rule_problems(Manual(), baseline, baseline) == []
    changed = baseline.with_main(baseline.main.replace("by hand", "by chance"))
    assert [p.rule for p in rule_problems(Manual(), changed, baseline)] == ["frozen"]


def test_the_commands_of_the_guide_answer(tmp_path, monkeypatch, capsys):
    paths = a_run(tmp_path / "runs", limits__trials=2)
    with an_engine(paths) as (engine, workspace, _):
        engine.run()
        name = next(v.name for v in workspace.store.variants() if v.parents)
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^evolve .*$", GUIDE, re.MULTILINE)
    assert len(commands) == 3
    digits = Manual.parse((ROOT / "program.md").read_text(encoding="utf-8")).hash[:12]
    for line in commands:
        with pytest.raises(SystemExit) as leaving:
            main(shlex.split(line.replace("g001-001", name))[1:])
        assert leaving.value.code == 0, line
        printed = capsys.readouterr().out
        assert digits in printed or "# Manual for those" in printed, line
