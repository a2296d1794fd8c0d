"""What the doctor sees of a text of one's own: how it would be split, and what is wrong with it."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.doctor.finding import Level
from evolution.doctor.own_data import own_data_finding, passes_over
from evolution.profiles import load_profile
from evolution.ruler import Ruler, RulerError
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
    assert found.facts["documents"] == 400
    assert found.facts["overlap"] == 0.0
    text = RULER.own_text([tmp_path / "mine.jsonl"], 10**9)
    assert found.facts["documents_by_part"] == {p: len(d) for p, d in text.parts.items()}
    assert sum(found.facts["documents_by_part"].values()) == 400


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
        ([*essays(300), "\0\1\2\3" * 500], "1 document holds control characters"),
        ([*essays(300), ""], "1 document is empty"),
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


def test_documents_that_are_cut_are_counted_once_and_whole(tmp_path):
    found = looked_at(tmp_path, [*essays(2, words=100_000), "", "x" * 10], CPU)
    assert found.facts["is_cut"] is True
    assert (found.facts["documents"], found.facts["documents_by_part"]) == (4, None)
    assert found.facts["empty_documents"] == 1
    assert 0.49 < found.facts["largest_share"] < 0.51
    assert "4 documents, each cut into" in found.found


@pytest.mark.parametrize(
    ("size", "profile", "words"),
    [
        (0, CPU, "train has 0 bytes, but one row of cpu needs 65 tokens, so a run refuses it"),
        (400, CPU, "validation has 20 bytes, but one row of cpu needs 65 tokens, so a run refuses"),
        (2_000, CPU, "validation has 100 bytes, about 34 tokens"),
        (100_000, GPU, "validation has 5,000 bytes, about 1,668 tokens"),
        (100_000, CPU, None),
        (200_000, GPU, None),
    ],
)
def test_a_part_that_holds_no_row_is_a_problem_and_how_sure_that_is_is_said(
    size, profile, words, tmp_path
):
    file = tmp_path / "mine.txt"
    file.write_text(" ".join(essays(50))[:size])
    found = own_data_finding([file], RULER, profile)
    assert (found.level is Level.PROBLEM) == (words is not None)
    assert words is None or words in found.found
    assert ("most likely" in found.found) == (words is not None and "about" in words)


def test_what_the_doctor_is_sure_a_run_refuses_it_refuses(tmp_path):
    for number, text in enumerate(("", "few words", "x" * 1260)):
        file = tmp_path / f"{number}.txt"
        file.write_text(text)
        found = own_data_finding([file], RULER, CPU)
        assert "so a run refuses it" in found.found
        with pytest.raises(RulerError, match="too little text"):
            RULER.prepare(CPU, [file])


def test_a_text_that_is_longer_than_is_read_is_told_by_its_beginnings(tmp_path):
    documents = essays(400)
    found = own_data_finding(written(tmp_path, documents), RULER, CPU, most_chars=500_000)
    assert "read as far as 0.5 MB, each file from its start" in found.found
    assert "× the training part at most" in found.found
    assert found.facts["is_whole"] is False
    assert found.facts["documents"] < 400
    assert "Under a megabyte" not in found.remedy


def test_a_text_that_cannot_be_read_is_a_problem_and_no_traceback(tmp_path):
    file = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"text": [1, 2]}), file)
    found = own_data_finding([file], RULER, CPU)
    assert found.level is Level.PROBLEM
    assert "holds int64" in found.found


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


@given(st.lists(st.text(max_size=200), max_size=6), st.lists(st.text(max_size=200), max_size=6))
def test_any_text_can_be_surveyed(train, validation):
    every = train + validation
    found = survey(every, {"train": train, "validation": validation, "test": []})
    assert found.document_count == len(every)
    assert found.filled["train"] <= len(train)
    assert 0 <= found.largest_share <= 1
    assert found.overlap is None or 0 <= found.overlap <= 1
    assert found.copy_count + found.empty_count <= len(every)


def test_prose_is_no_binary_file_in_any_script():
    assert not is_binary("Résumé — 日本語 ✓\n\tmore\r\n")
    assert is_binary("\x00\x01ELF" * 20)
    assert RUN == 13
