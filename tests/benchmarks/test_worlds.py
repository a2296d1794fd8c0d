"""Worlds are what they were when they were frozen, and searches on them are told by their truth."""

import argparse
import zlib

import matplotlib.image
import numpy as np
import pytest

from benchmarks.ablations import ABLATIONS
from benchmarks.courses import Course
from benchmarks.rivals import KNOB_SHARE, Proposer, played_out
from benchmarks.search import (
    EVERY_ARM,
    EVERY_RIVAL,
    WHOLE,
    Asked,
    catching_up,
    code_of,
    gains,
    jeffreys,
    report,
    report_claims,
    search,
    searched,
)
from benchmarks.search_results import markdown, save_figure
from benchmarks.tuners import TUNERS
from benchmarks.world_search import evolved, operators_of, settings_of
from benchmarks.worlds import (
    FULL_SECONDS,
    KEPT_WORLDS,
    KNOB_RANGES,
    OPTIONS,
    SETUP_SECONDS,
    SIGMA,
    SNAPSHOT,
    WORLDS,
    Landscape,
    Measured,
    World,
    values_of,
)
from population import Genome, merge_files

ALL = WORLDS | KEPT_WORLDS
#: Of true fitnesses in every world; another number means that published figures no longer hold.
FROZEN = 4153680687


def _rounded(told: object) -> object:
    """Machines differ in the last digits."""
    if isinstance(told, Measured):
        return [_rounded(value) for value in (told.bpb, told.snapshot, told.seconds)]
    if isinstance(told, tuple):
        return [_rounded(value) for value in told]
    return round(told, 8) if isinstance(told, float) else told


def walk(landscape: Landscape, steps: int, seed: int = 0) -> str:
    """A genome after some random edits."""
    proposer = Proposer(landscape, np.random.default_rng(seed))
    text = landscape.start
    for _ in range(steps):
        text = proposer.mutant(text)
    return text


@pytest.mark.parametrize("name", ALL)
def test_a_world_is_the_same_everywhere(name):
    one, other = Landscape(ALL[name], 3), Landscape(ALL[name], 3)
    text = walk(one, 6)
    assert one.start == other.start
    assert one.truth(text) == other.truth(text)
    assert one.measure(text, 7) == other.measure(text, 7)
    assert one.start != Landscape(ALL[name], 4).start
    assert one.truth(one.start) == pytest.approx(1.0)


def test_the_frozen_worlds_have_not_moved():
    told = []
    for name in ALL:
        landscape, rng = Landscape(ALL[name], 0), np.random.default_rng(0)
        for _ in range(8):
            parts = rng.integers(max(1, ALL[name].parts), size=min(3, ALL[name].parts))
            options = {int(part): int(rng.integers(1, OPTIONS + 1)) for part in parts}
            values = {
                knob: KNOB_RANGES[knob].value(float(rng.uniform(0.1, 0.8)))
                for knob in values_of(landscape.start)
            }
            text = landscape.text(options, values)
            told.append((text, landscape.truth(text), landscape.measure(text, 5)))
    digest = zlib.crc32(repr([_rounded(one) for one in told]).encode())
    assert digest == FROZEN


@pytest.mark.parametrize("name", WORLDS)
def test_what_a_text_says_can_be_read_back(name):
    landscape = Landscape(WORLDS[name], 1)
    text = walk(landscape, 9)
    assert landscape.text(landscape.options(text), values_of(text)) == text


def test_the_share_of_helpful_edits_is_what_the_world_says():
    world = World("helpful", helpful=0.25, crash=0.0, knob_count=0, curve_sd=0.0)
    found = []
    for number in range(3):
        landscape = Landscape(world, number)
        for part in range(world.parts):
            truths = [landscape.truth(landscape.text({part: o}, {})) for o in range(1, OPTIONS + 1)]
            found += [truth < 1.0 - 0.05 * SIGMA for truth in truths]
    assert np.mean(found) == pytest.approx(0.25 + 0.3 * 0.75 * 0.3, abs=0.04)


def test_edits_add_up_in_a_smooth_world_and_not_in_a_rugged_one():
    for pair_sd, is_smooth in ((0.0, True), (0.35, False)):
        landscape = Landscape(World("sums", crash=0.0, knob_count=0, pair_sd=pair_sd), 0)
        one, other = (landscape.truth(landscape.text({part: 1}, {})) for part in (10, 20))
        both = landscape.truth(landscape.text({10: 1, 20: 1}, {}))
        assert (both == pytest.approx(one + other - 1.0, abs=1e-12)) == is_smooth


def test_of_edits_that_do_the_same_the_best_counts():
    world = World("twins", helpful=1.0, redundant=1.0, crash=0.0, knob_count=0, parts=12)
    landscape = Landscape(world, 0)
    alone = {part: landscape.truth(landscape.text({part: 1}, {})) for part in range(12)}
    together = landscape.truth(landscape.text(dict.fromkeys(range(12), 1), {}))
    assert together > sum(alone.values()) - 11.0 + SIGMA
    assert together <= min(alone.values())


def test_edits_of_one_block_clash_where_the_world_says_so():
    for clashing in (0.0, 1.0):
        landscape = Landscape(World("merges", clashing=clashing, knob_count=0), 0)
        base, one, other = (
            Genome.single(landscape.text(options, {})) for options in ({}, {3: 1}, {5: 2})
        )
        merged = merge_files(base, one, other)
        assert (merged.genome is None) == bool(clashing)
        far = merge_files(base, one, Genome.single(landscape.text({30: 2}, {})))
        assert landscape.options(far.genome.main) == {3: 1, 30: 2}


def test_snapshots_tell_of_scores_less_where_curves_cross():
    agreement = []
    for name in ("plain", "crossing"):
        landscape = Landscape(WORLDS[name], 0)
        read = [landscape.measure(walk(landscape, 2, seed), seed) for seed in range(300)]
        pairs = np.array([(one.snapshot, one.bpb) for one in read if one.bpb is not None])
        calm = pairs[pairs[:, 1] < np.median(pairs[:, 1]) + 5 * SIGMA]
        agreement.append(np.corrcoef(calm.T)[0, 1])
    assert agreement[0] > agreement[1] + 0.1


def test_a_crash_costs_less_than_a_stop_and_a_stop_less_than_a_whole_training():
    landscape = Landscape(WORLDS["clashing"], 0)
    read = [landscape.measure(walk(landscape, 1, seed), seed) for seed in range(60)]
    crashed = {one.seconds for one in read if one.bpb is None}
    whole = [one.seconds for one in read if one.bpb is not None]
    assert max(crashed) < SETUP_SECONDS + SNAPSHOT * FULL_SECONDS < min(whole)


def test_a_knob_beyond_its_cliff_does_not_train():
    landscape = Landscape(WORLDS["knobs"], 0)
    values = values_of(landscape.start)
    assert landscape.truth(landscape.text({}, {**values, "WARMDOWN": 0.8})) is not None
    assert landscape.truth(landscape.text({}, {**values, "WARMDOWN": 0.9})) is None


# --- searches ------------------------------------------------------------------------------------


def test_a_union_has_the_edits_of_both():
    landscape = Landscape(WORLDS["plain"], 0)
    proposer = Proposer(landscape, np.random.default_rng(0))
    values = values_of(landscape.start)
    one = landscape.text({3: 1, 9: 2}, {**values, "SOFTCAP": 4.0})
    other = landscape.text({3: 1, 40: 4}, values)
    united = proposer.union(one, other)
    assert landscape.options(united) == {3: 1, 9: 2, 40: 4}
    assert values_of(united)["SOFTCAP"] == 4.0
    assert proposer.union(one, other) is None


@pytest.mark.parametrize("arm", EVERY_RIVAL)
@pytest.mark.parametrize("workers", [1, 4])
def test_a_rival_spends_what_it_has_and_hands_over_what_trains(arm, workers):
    landscape, made = Landscape(WORLDS["rich"], 0), EVERY_RIVAL[arm]
    course = played_out(arm, made, landscape, 0, workers=workers, device_seconds=60 * WHOLE)
    again = played_out(arm, made, landscape, 0, workers=workers, device_seconds=60 * WHOLE)
    assert course == again
    assert 55 <= course.trials <= 80
    assert all(np.isfinite(course.bpb))
    assert course.seconds == sorted(course.seconds)
    assert course.seconds[-1] <= (60 + workers) * WHOLE
    assert course.bpb[-1] < 1.0 or arm == "CMA-ES"  # which is given the whole ranges


@pytest.mark.parametrize("arm", TUNERS)
def test_a_tuner_begins_with_the_baseline_and_finds_better_knobs(arm):
    landscape = Landscape(WORLDS["knobs"], 0)
    tuner = TUNERS[arm](Proposer(landscape, np.random.default_rng(0)))
    first = tuner.ask()
    # To the digits that a value is written with.
    assert landscape.truth(first) == pytest.approx(1.0, abs=1e-4)
    made, seconds = TUNERS[arm], 150 * WHOLE
    course = played_out(arm, made, landscape, 1, workers=2, device_seconds=seconds)
    assert course.bpb[-1] < 1.0 - 2 * SIGMA


def test_a_crash_is_told_to_a_tuner_as_what_it_is():
    landscape = Landscape(WORLDS["knobs"], 0)
    tuner = TUNERS["TPE"](Proposer(landscape, np.random.default_rng(0)))
    for measured in (Measured(1.01, 1.09, 345.0), Measured(None, None, 75.0)):
        tuner.tell(tuner.ask(), measured)
    scored, crashed = tuner.study.trials
    assert (scored.value, crashed.value) == (1.01, 1.01)
    assert (scored.constraints, crashed.constraints) == ({"crashed": 0.0}, {"crashed": 1.0})


def test_the_engine_searches_a_world_within_its_device_seconds():
    landscape = Landscape(WORLDS["rich"], 0)
    settings = {"baseline.repeats": 2, "verdict.publication_share": 0.3}
    courses = [
        evolved(landscape, 0, workers=2, device_seconds=16 * WHOLE, settings=settings)
        for _ in range(2)
    ]
    assert courses[0] == courses[1]
    assert courses[0].seconds == sorted(courses[0].seconds)
    assert 12 <= courses[0].trials <= 34
    assert courses[0].bpb[-1] < 1.0
    assert courses[0].operators["structure"] > 2
    named = courses[0].claims
    assert len(named["published"]) <= len(named["nominated"]) <= 3
    assert len(named["score"]) >= 2


def test_the_tuner_plays_in_a_search_and_the_search_replays():
    landscape = Landscape(WORLDS["knobs"], 0)
    settings = {"operators.tuner": 3.0}
    one, again = (
        evolved(landscape, 0, workers=2, device_seconds=24 * WHOLE, settings=settings)
        for _ in range(2)
    )
    assert one.operators["tuner"] > 0
    assert one == again


def test_the_engine_is_given_the_operators_that_rivals_have():
    weights = settings_of(0, {}).operator_weights()
    # The tuner is off unless the settings turn it on.
    assert {*weights, "tuner"} == set(operators_of(Landscape(WORLDS["plain"], 0)))
    assert weights["knob"] / (weights["knob"] + weights["structure"]) == KNOB_SHARE


@pytest.mark.parametrize("changes", ABLATIONS.values(), ids=ABLATIONS)
def test_an_ablation_is_a_change_of_the_shipped_settings(changes):
    shipped, changed = settings_of(0, {}), settings_of(0, changes)
    for key, value in changes.items():
        section, name = key.split(".")
        assert getattr(getattr(shipped, section), name) != value
        assert getattr(getattr(changed, section), name) == value


def test_an_ablation_is_searched_under_its_own_name():
    course = search(Asked("evoresearch without guided", "rich", 0, 2, 8))
    assert (course.arm, course.operators.get("guided")) == ("evoresearch without guided", None)


def test_what_was_searched_is_kept(tmp_path, monkeypatch):
    asked = [Asked("random", "plain", number, 1, 5) for number in range(2)]
    first = searched(asked, tmp_path, jobs=1)
    monkeypatch.setattr("benchmarks.search.search", None)
    assert sorted(searched(asked, tmp_path, jobs=1), key=lambda c: c.number) == sorted(
        first, key=lambda c: c.number
    )


def line(arm: str, number: int, per_training: float) -> Course:
    """A search that gains as much with each training."""
    course = Course(arm, "plain", number, 0, 1)
    for count in range(1, 901):
        course.add(count * WHOLE, 1.0 - per_training * count)
    return course


def test_device_seconds_to_catch_up_are_those_of_the_mean():
    ours = [line("evoresearch", number, 3e-4) for number in range(4)]
    theirs = [line("keep/revert", number, rate) for number, rate in enumerate((5e-5, 15e-5) * 2)]
    assert gains(ours, 100) == pytest.approx([30.0] * 4)
    ratio, low, high = catching_up(ours, theirs, 100, patience=8)
    assert ratio == pytest.approx(3.0, rel=0.03)
    assert 1.9 < low < ratio < high < 6.2
    assert catching_up(ours, theirs, 100, patience=2)[0] == 2.0


def test_the_page_says_what_the_table_says_and_the_figure_can_be_looked_at(tmp_path):
    arms = ("evoresearch", "keep/revert")
    courses = [
        line(arm, number, 3e-4 / (1 + (arm != arms[0]))) for arm in arms for number in range(3)
    ]
    options = argparse.Namespace(
        worlds=["plain"], workers=[1], arms=arms, instances=3, trainings=200, patience=4
    )
    result = report(courses, options)
    assert [row[:5] for row in result.rows] == [
        ("plain", "1", "evoresearch", "+30.0 ± 0.0", "+60.0 ± 0.0"),
        ("plain", "1", "keep/revert", "+15.0 ± 0.0", "+30.0 ± 0.0"),
    ]
    assert result.rows[1][5].startswith("2.00 (")
    page = markdown("python -m benchmarks.search", [result])
    assert "| plain | 1 | evoresearch | +30.0 ± 0.0 | +60.0 ± 0.0 |" in page
    save_figure(courses, tmp_path / "search.png", seconds=WHOLE, most=200)
    height, width, _ = matplotlib.image.imread(tmp_path / "search.png").shape
    assert min(height, width) > 200


def test_champions_that_are_no_better_than_the_one_before_are_counted():
    courses = [line("evoresearch", number, 3e-4) for number in range(2)]
    courses[0].claims = {"published": [0.01, -0.002], "score": [0.0]}
    courses[1].claims = {"published": [0.03] * 8, "score": []}
    rows = {row[0]: row[1:] for row in report_claims(courses).rows}
    assert rows["published"][:3] == ("1", "10", "10.0%")
    assert rows["score"][:3] == ("1", "1", "100.0%")
    low, high = jeffreys(1, 10)
    assert 0 < low < 0.1 < high < 0.45
    assert (jeffreys(0, 10)[0], jeffreys(10, 10)[1]) == (0.0, 1.0)


def test_courses_are_kept_by_the_code_they_follow_from():
    hashes = {arm: code_of(arm) for arm in EVERY_ARM}
    assert hashes["GA"] == hashes["random"]
    assert hashes["evoresearch without guided"] == hashes["evoresearch with islands"]
    assert len({hashes["evoresearch"], hashes["GA"], hashes["TPE"]}) == 3
