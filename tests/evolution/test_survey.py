"""What the doctor sees of a text of one's own: how it would be split, and what is wrong with it."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.doctor.finding import Level
from evolution.doctor.own_data import own_data_finding, passes_over
from evolution.profiles import load_profile
from evolution.ruler import Ruler
from evolution.survey import RUN, is_binary, overlap, survey
from evolution.templates import template_path
from population import Budget, BudgetKind

RULER = Ruler.load(template_path("prepare.py"))
CPU, GPU = load_profile("cpu"), load_profile("gpu")


def essays(count: int, words: int = 600, seed: int = 1) -> list[str]:
    """Documents of drawn words: no two of them share a run of any length."""
    rng = random.Random(seed)
    known = ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(4000)]
    return [" ".join(rng.choices(known, k=words)) for _ in range(count)]


def written(folder: Path, documents: list[str]) -> list[Path]:
    file = folder / "mine.jsonl"
    file.write_text("\n".join(json.dumps({"text": text}) for text in documents))
    return [file]


def looked_at(folder: Path, documents: list[str], profile=CPU):
    return own_data_finding(written(folder, documents), RULER, profile)


def test_a_good_text_is_split_as_a_run_would_split_it(tmp_path):
    documents = essays(400)
    found = looked_at(tmp_path, documents)
    assert (found.level, found.remedy) == (Level.OK, "")
    assert sum(found.facts["documents"].values()) == 400
    assert found.facts["overlap"] == 0.0
    for part, count in found.facts["documents"].items():
        assert len(RULER.own_documents([tmp_path / "mine.jsonl"], part)) == count


def near_copies() -> list[str]:
    """Every essay twice, but for its last word."""
    first = essays(200)
    return first + [f"{text} indeed" for text in first]


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        (near_copies(), "near-copies"),
        (essays(300) * 2, "copies of others"),
        ([*essays(300), "", "  \n"], "2 documents are empty"),
        ([*essays(300), "\0\1\2\3" * 500], "1 documents hold control characters"),
        ([*essays(300), *essays(1, words=300_000, seed=2)], "One document holds"),
        (essays(60), "Under a megabyte"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(documents, words, tmp_path):
    found = looked_at(tmp_path, documents)
    assert found.level is Level.WARNING
    assert words in found.remedy


def test_a_text_that_a_trial_would_read_many_times_is_too_small_for_its_profile(tmp_path):
    documents = essays(400)
    assert looked_at(tmp_path, documents, CPU).facts["passes"] < 4
    found = looked_at(tmp_path, documents, GPU)
    assert "learn it by heart" in found.remedy
    assert "on an H100" in found.found


def test_one_long_text_is_cut_and_that_is_said(tmp_path):
    file = tmp_path / "novel.txt"
    file.write_text(" ".join(essays(400)))
    found = own_data_finding([file], RULER, CPU)
    assert found.level is Level.OK
    assert "1 document, each cut into" in found.found


def test_passes_count_tokens_of_the_budget_over_those_of_the_text():
    facts = {"train_bytes": None}
    assert passes_over(3000, Budget(BudgetKind.TOKENS, 5000.0), facts) == pytest.approx(5.0)
    bounded = {"train_bytes": 1500}
    assert passes_over(3000, Budget(BudgetKind.TOKENS, 5000.0), bounded) == pytest.approx(10.0)
    assert passes_over(0, Budget(BudgetKind.TOKENS, 5000.0), facts) == 0.0


def test_a_part_that_is_contained_in_another_overlaps_wholly_and_case_does_not_count():
    text = essays(1, words=2000)
    assert overlap(text, [text[0].upper()]) == 1.0
    assert overlap(essays(1, words=2000, seed=5), text) == 0.0
    assert overlap(text, ["too short"]) is None


def test_text_without_blanks_is_compared_by_characters():
    rng = random.Random(3)
    text = "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(5000))
    other = "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(5000))
    assert overlap([text], [text[1000:2000]]) == 1.0
    assert overlap([other], [text[1000:2000]]) == 0.0


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), max_size=6), st.lists(st.text(max_size=200), max_size=6))
def test_any_text_can_be_surveyed(train, validation):
    found = survey({"train": train, "validation": validation, "test": []})
    assert found.documents == {"train": len(train), "validation": len(validation), "test": 0}
    assert 0 <= found.largest_share <= 1
    assert found.overlap is None or 0 <= found.overlap <= 1
    assert found.copy_count <= len(train)


def test_prose_is_no_binary_file_in_any_script():
    assert not is_binary("Résumé — 日本語 ✓\n\tmore\r\n")
    assert is_binary("\x00\x01ELF" * 20)
    assert RUN == 13
