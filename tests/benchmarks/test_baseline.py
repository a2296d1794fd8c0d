"""The comparison with the published design: what can be said without its text."""

import hashlib

import pytest

from benchmarks.baseline import PARTS, by_part, main, ratio_of_steps
from benchmarks.effect_tables import at_profile
from benchmarks.merges import merge_share
from benchmarks.published import PublishedError, Replacement, read_published, sizes
from benchmarks.trainers import Trainers
from evolution.calibration import Step
from evolution.templates import template_path
from population import knobs, set_knobs

BASELINE = at_profile(template_path("train.py").read_text(encoding="utf-8"), "tiny")


def test_every_parameter_of_ours_is_counted_in_one_part(tiny_data):
    found = Trainers(tiny_data).parameters(set_knobs(BASELINE, {"DEPTH": 2}))
    counts = by_part(found)
    assert sum(counts.values()) == sum(count for count, _ in found.values())
    assert counts["token embeddings"] == counts["unembedding"] == 1024 * 64
    assert counts["attention"] == 2 * 4 * 64 * 64
    assert counts["scalars"] == 4
    assert all(counts[part] > 0 for part in PARTS)


def test_a_parameter_of_no_part_is_an_error():
    with pytest.raises(ValueError, match="of no part"):
        by_part({"router.weight": (10, 4)})


def test_the_ratio_of_steps_is_that_of_the_fastest_quartiles():
    pairs = [(Step(2.0 + i % 5, 10), Step(1.0 + i % 5, 10)) for i in range(40)]
    slower = [(Step(1.1 * one.cpu_seconds, 10), other) for one, other in pairs]
    known = (8 * 2 + 2 * 3) / (8 * 1 + 2 * 2)
    assert ratio_of_steps([pairs, pairs]) == pytest.approx((known, known, known))
    ratio, low, high = ratio_of_steps([pairs, slower])
    assert ratio == pytest.approx(known * 1.1**0.5)
    assert low < known < 1.1 * known < high


def test_another_text_than_the_published_one_is_refused_with_its_hash(tmp_path, capsys):
    path = tmp_path / "train.py"
    path.write_text("print('hello')\n", encoding="utf-8")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(PublishedError, match=found):
        read_published(path)
    assert read_published(path, found) == "print('hello')\n"
    assert main(["--published", str(path), "--sha256", found]) == 2
    assert "stands 0 times" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PublishedError, match=r"cannot be read.*--published FILE"):
        read_published(tmp_path / "missing.py")


def test_a_replacement_takes_one_place_or_all_up_to_another():
    text = "a\nb\nc\nd\n"
    assert Replacement("", "b\n", "x\n").apply(text) == "a\nx\nc\nd\n"
    assert Replacement("", "b\n", "x\n", until="d\n").apply(text) == "a\nx\nd\n"
    with pytest.raises(PublishedError, match="stands 2 times"):
        Replacement("", "a", "x").apply(text + "a\n")


def test_sizes_are_those_of_the_profile():
    found = {each.search.split()[0]: each.replace for each in sizes(knobs(BASELINE))}
    assert found["DEPTH"] == "DEPTH = 1 "
    assert found["ASPECT_RATIO"] == "ASPECT_RATIO = 64 "
    assert found["TOTAL_BATCH_SIZE"] == "TOTAL_BATCH_SIZE = 16 * MAX_SEQ_LEN "


def test_neighbouring_knobs_merge_by_name_and_the_same_line_does_not():
    edits = {
        "width": set_knobs(BASELINE, {"WIDTH": 96}),
        "head": set_knobs(BASELINE, {"HEAD_DIM": 32}),
        "relu": BASELINE.replace("F.relu(self.up(x)).square()", "F.relu(self.up(x))"),
        "gelu": BASELINE.replace("F.relu(self.up(x)).square()", "F.gelu(self.up(x))"),
    }
    share = merge_share(BASELINE, edits)
    assert share.pair_count == 6
    assert share.by_git == 4
    assert share.by_name == 5
    assert share.conflicts == (("relu", "gelu"),)
