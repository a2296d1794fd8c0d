"""The benchmark of language models: replays, live proposals, and streams of real edits."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents import CallFailure, Prices, Reply, Usage
from agents.twin import Author, Fault, FaultKind, Twin
from benchmarks.agents import live, main, replay, share
from benchmarks.edit_stream import Count, merging, read_stream
from benchmarks.traces import Spoken, Trace, read_traces, write_traces
from tests.agents.parents import TRAIN

ROOT = Path(__file__).parents[2]
MODEL = "claude-opus-5-5"
PRICES = Prices.standard()
GOOD = "<<<<<<< SEARCH\nDEPTH = 4\n=======\nDEPTH = 5\n>>>>>>> REPLACE\n"
BAD = GOOD.replace("DEPTH = 4", "DEPTH = four")


@pytest.fixture
def with_key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-planted-5c0ffee1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_trace(*said: str | CallFailure, seed: int = 0) -> Trace:
    calls = [
        Spoken(MODEL, ("Improve it.",), a_reply(""), part)
        if isinstance(part, CallFailure)
        else Spoken(MODEL, ("Improve it.",), a_reply(part))
        for part in said
    ]
    return Trace("mutator", seed, (genome(),), calls)


def a_reply(text: str) -> Reply:
    return Reply(text, Usage(100, 10, 300), model=MODEL)


def genome() -> str:
    line = next(line for line in TRAIN.splitlines() if line.startswith("DEPTH = "))
    return TRAIN.replace(line, "DEPTH = 4")


# --- replay --------------------------------------------------------------------------------------


def test_a_replay_counts_what_was_usable_at_once_after_a_correction_and_never():
    other = GOOD.replace("DEPTH = 5", "DEPTH = 6")
    traces = [a_trace(GOOD), a_trace(BAD, other), a_trace(BAD, BAD), a_trace(CallFailure.CUT_OFF)]
    found = replay(traces, PRICES)
    assert (found["proposals"], found["replies"]) == (4, 5)
    counts = {name: (found[name]["count"], found[name]["of"]) for name in found if "valid" in name}
    assert counts == {"valid_replies": (2, 5), "valid_at_once": (1, 3)}
    assert (found["repaired"]["count"], found["repaired"]["of"]) == (1, 2)
    assert (found["born"]["count"], found["born"]["of"]) == (2, 4)
    assert found["roles"]["mutator"]["proposals"] == 4


def test_tokens_cache_and_dollars_are_those_of_all_calls():
    tokens = replay([a_trace(GOOD), a_trace(BAD, BAD)], PRICES)["tokens"]
    assert (tokens["input_tokens"], tokens["cached_input_tokens"]) == (300, 900)
    assert tokens["cache_share"] == pytest.approx(0.75)
    one = PRICES.of(MODEL).cost_usd(Usage(100, 10, 300))
    assert tokens["cost_usd"] == pytest.approx(3 * one)


def test_a_variant_that_was_made_before_is_not_valid_again():
    assert replay([a_trace(GOOD), a_trace(GOOD)], PRICES)["born"]["count"] == 1


def test_traces_come_back_as_they_were_written(tmp_path):
    traces = [a_trace(BAD, GOOD), a_trace(CallFailure.TIMED_OUT, seed=3)]
    write_traces(tmp_path / "t.jsonl", traces, source="here")
    assert read_traces(tmp_path / "t.jsonl") == ("here", traces)
    assert (tmp_path / "t.jsonl").read_text().count("def build_model") == 1  # shared


def test_the_shipped_traces_are_replayed_to_what_was_seen_when_they_were_made(tmp_path, capsys):
    assert main(["--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["source"].startswith("agents.twin")
    assert found["tokens"]["calls"] > found["replies"] >= found["proposals"] - 1
    assert found["valid_at_once"]["share"] > 0.5
    assert found["repaired"]["share"] > 0.5
    assert found["tokens"]["cost_usd"] > 0
    assert "cut_off" in found["tokens"]["failures"]
    assert "valid at once" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "no json", '{"role": "king", "seed": 0}'])
def test_a_file_without_traces_is_refused_with_what_to_do(text, tmp_path, capsys):
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    assert main(["--traces", str(path)]) == 2
    assert "--keep" in capsys.readouterr().err


def test_an_interval_holds_its_share_and_nothing_has_none():
    assert share(0, 0)["share"] is None
    for count in range(11):
        found = share(count, 10)
        assert 0 <= found["low"] <= found["share"] <= found["high"] <= 1
    assert share(50, 100)["high"] - share(50, 100)["low"] < share(5, 10)["high"] - 0.2


# --- live ----------------------------------------------------------------------------------------


def test_live_proposals_are_paid_kept_and_replayed_to_the_same_figures(tmp_path, with_key):
    faults = [None, Fault(FaultKind.CUT_OFF), None, Fault(FaultKind.REFUSAL)]
    first, again = tmp_path / "live.json", tmp_path / "again.json"
    kept = tmp_path / "kept.jsonl"
    with Twin(Author(slips=0.5), faults=faults) as twin:
        asked = ["--live", "9", "--base-url", twin.url, "--keep", str(kept), "--limit-usd", "9"]
        assert main([*asked, "--source", "live", "--json", str(first)]) == 0
        known = [row for row in twin.ledger() if row.fault != FaultKind.CUT_OFF]
    assert main(["--traces", str(kept), "--json", str(again)]) == 0
    assert json.loads(first.read_text()) == json.loads(again.read_text())
    tokens = json.loads(first.read_text())["tokens"]
    assert tokens["output_tokens"] == sum(row.usage.output_tokens for row in known)
    assert tokens["failures"] == {"cut_off": 1}
    assert tokens["unknown_usd"] > 0
    assert "sk-planted" not in kept.read_text()


def test_live_proposals_end_before_they_pass_their_limit(with_key):
    with Twin(Author()) as twin:
        from agents import Claude, ClaudeSettings

        model = Claude(ClaudeSettings(base_url=twin.url))
        traces = live(50, model, limit_usd=0.5, prices=PRICES, seed=0)
        spent = sum(PRICES.of(row.model).cost_usd(row.usage) for row in twin.ledger())
    assert 0 < len(traces) < 50
    assert 0 < spent <= 0.5


def test_live_without_a_key_is_refused_with_what_to_do(monkeypatch, capsys):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["--live", "3"]) == 2
    said = capsys.readouterr().err
    assert "needs a key" in said
    assert "export ANTHROPIC_API_KEY" in said


# --- a branch of kept changes --------------------------------------------------------------------

START = '"""A script."""\n\nDEPTH = 4\nWIDTH = 64\nRATE = 0.1\n\n\ndef loss(x):\n    return x\n'


def a_branch(folder: Path, *texts: str) -> Path:
    """A repository whose branch ``night`` has one commit for each text."""
    run = ["git", "-C", str(folder), "-c", "user.name=N", "-c", "user.email=n@example.org"]
    folder.mkdir()
    subprocess.run([*run, "init", "-q", "-b", "night"], check=True)
    for number, text in enumerate(texts):
        (folder / "train.py").write_text(text)
        subprocess.run([*run, "add", "train.py"], check=True)
        subprocess.run([*run, "commit", "-q", "-m", f"keep {number}"], check=True)
    return folder


def history() -> list[str]:
    """Two neighbouring knobs, then a function, then a change of that change."""
    texts = [START]
    for before, after in (
        ("DEPTH = 4", "DEPTH = 8"),
        ("WIDTH = 64", "WIDTH = 96"),
        ("return x", "return x * 2"),
        ("return x * 2", "return x * 3"),
    ):
        texts.append(texts[-1].replace(before, after))
    return texts


def test_neighbouring_knobs_clash_as_text_and_not_by_name(tmp_path):
    stream = read_stream(a_branch(tmp_path / "repo", *history()), "night")
    assert len(stream.edits) == 4
    as_text = merging(stream, by_name=False)
    by_name = merging(stream, by_name=True)
    # WIDTH stands beside DEPTH, which had changed before it; the last edit needs the third.
    assert (as_text.alone, by_name.alone) == (Count(2, 4), Count(3, 4))
    assert (as_text.pairs, as_text.all_pairs) == (Count(1, 1), Count(1, 6))
    assert (by_name.pairs, by_name.all_pairs) == (Count(3, 3), Count(3, 6))


def test_pairs_are_drawn_from_the_seed_where_there_are_many(tmp_path):
    stream = read_stream(a_branch(tmp_path / "repo", *history()), "night")
    drawn = [merging(stream, by_name=True, most_pairs=3, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert all(found.all_pairs.tried == 3 for found in drawn)


def test_the_table_of_a_branch_is_printed_and_kept(tmp_path, capsys):
    repository = a_branch(tmp_path / "repo", *history())
    found = tmp_path / "edits.json"
    assert main(["--branch", str(repository), "night", "--json", str(found)]) == 0
    figures = json.loads(found.read_text())
    assert figures["edits"] == 4
    assert figures["by_name"]["alone"]["share"] == 0.75
    assert "knobs by name" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ref", "path", "words"),
    [("day", "train.py", "name of a branch"), ("night", "model.py", "--file")],
)
def test_a_branch_that_is_not_there_is_refused_with_what_to_do(ref, path, words, tmp_path, capsys):
    repository = a_branch(tmp_path / "repo", *history())
    assert main(["--branch", str(repository), ref, "--file", path]) == 2
    assert words in capsys.readouterr().err


# --- as a program --------------------------------------------------------------------------------


def test_it_runs_as_a_module_and_says_so_where_it_shadows_the_package(tmp_path):
    command = [sys.executable, "-m", "benchmarks.agents", "--help"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    shutil.copy(ROOT / "benchmarks" / "agents.py", tmp_path)
    (tmp_path / "other.py").write_text("import agents\n")
    shadowed = subprocess.run(
        [sys.executable, "other.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "python -m benchmarks" in shadowed.stderr
