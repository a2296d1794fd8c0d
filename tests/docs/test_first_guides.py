"""The guides' commands work as they stand, one after another, in an empty folder."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.evolution.cli.conftest import Evolve, evolve  # noqa: F401 - a fixture
from tests.test_docs import ROOT, commands_of

GUIDES = ROOT / "docs" / "guides"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the guides name."""
    text = "It is the duty of the Congress to see that the union endures, and so on. "
    documents = [f"Letter {number}. {text * 20}" for number in range(200)]
    (tmp_path / "essays.txt").write_text("\n".join(documents))
    lines = (json.dumps({"text": document}) for document in documents)
    (tmp_path / "letters.jsonl").write_text("\n".join(lines))
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.table({"text": documents}), tmp_path / "corpus" / "letters.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["first-run.md", "your-own-data.md"])
def test_a_guides_commands_work_one_after_another(name, desk, evolve: Evolve):  # noqa: F811
    commands = commands_of(GUIDES / name)
    assert commands
    for command in commands:
        words = command.split()[1:]
        if words == ["doctor"]:
            words.append("--quick")  # torch is probed in the doctor's own tests
        said = evolve(*words)
        assert said.code == 0, (command, said.out, said.err)
