import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.noise import Reading, VariantNode, fit
from evolution.racing import contender, judge_rung, look_share, nominate, should_continue
from population import Ruling
from tests.evolution.worlds import BASELINE, SIGMA, World

VARIANCE = SIGMA**2


def judge(gains, *, depth=1.0, df=10.0, **kwargs):
    pairs = [(1.5, None if g is None else 1.5 - g) for g in gains]
    return judge_rung(depth, pairs, pooled_variance=VARIANCE, pooled_df=df, **kwargs)


def raced(*effects, scores=3):
    """A posterior over children of the baseline with these true effects, read without luck."""
    world = World(np.random.default_rng(0), disaster_share=0.0)
    shas = [world.mutate(BASELINE, effect=effect) for effect in effects]
    readings = [Reading(BASELINE, 1.55 + d, i) for i, d in enumerate((-SIGMA, 0, SIGMA, 0))]
    for number, sha in enumerate(shas, 1):
        readings += [Reading(sha, world.truth(sha), 10 * number + i) for i in range(scores)]
    return fit(world.nodes, readings), shas


# --- nominating ------------------------------------------------------------------------------


def test_the_best_of_those_that_are_surely_better_claims_the_gain():
    posterior, shas = raced(-0.02, -0.05, 0.03)
    assert nominate(posterior, shas, BASELINE) == shas[1]


def test_nobody_claims_what_noise_could_have_done():
    posterior, shas = raced(-0.3 * SIGMA, 0.01, scores=1)
    assert nominate(posterior, shas, BASELINE) is None


def test_the_baseline_and_variants_without_a_score_claim_nothing():
    world = World(np.random.default_rng(0), disaster_share=0.0)
    for _ in range(4):
        world.run(BASELINE)
    stopped = world.mutate(BASELINE, effect=-0.2)
    world.run(stopped, full=False)
    crashed = world.mutate(stopped)
    posterior = fit(world.nodes, world.readings, fraction=0.25)
    assert posterior.p_better(stopped, BASELINE) > 0.95
    assert nominate(posterior, [BASELINE, stopped, crashed], BASELINE) is None


def test_false_claims_are_rare_when_no_edit_helps():
    false_claims = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        nodes = [VariantNode(BASELINE)] + [VariantNode(f"v{i}", (BASELINE,)) for i in range(15)]
        readings = [Reading(BASELINE, 1.55 + SIGMA * rng.normal(), i) for i in range(4)]
        for number, node in enumerate(nodes[1:], 1):
            harm = abs(rng.normal()) * 0.005
            readings.append(Reading(node.sha, 1.55 + harm + SIGMA * rng.normal(), 100 + number))
        posterior = fit(nodes, readings)
        false_claims += nominate(posterior, [n.sha for n in nodes], BASELINE) is not None
    assert false_claims <= 3


# --- replicating -----------------------------------------------------------------------------


def test_a_promising_undecided_variant_deserves_a_further_run():
    posterior, shas = raced(-1.3 * SIGMA, -0.06, 0.03, scores=1)
    assert contender(posterior, [BASELINE, *shas], BASELINE) == shas[0]
    assert contender(posterior, shas[1:], BASELINE) is None


def test_a_variant_is_not_run_again_for_ever():
    posterior, shas = raced(-1.3 * SIGMA, scores=2)
    assert contender(posterior, shas, BASELINE, low=0.0, high=1.1) == shas[0]
    assert contender(posterior, shas, BASELINE, low=0.0, high=1.1, max_scores=2) is None


# --- judging ---------------------------------------------------------------------------------


def test_a_large_gain_is_confirmed_from_three_pairs():
    rung = judge([0.030, 0.026, 0.034])
    assert rung.ruling is Ruling.CONFIRMED
    assert rung.gain == pytest.approx(0.030)
    assert 0 < rung.low < rung.gain < rung.high
    assert rung.p_better > 0.975
    assert rung.pair_count == 3


def test_a_loss_is_reversed_and_a_small_gain_is_not_confirmed():
    assert judge([-0.030, -0.026, -0.034]).ruling is Ruling.REVERSED
    assert judge([0.004, -0.003, 0.002]).ruling is Ruling.NOT_CONFIRMED


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=8))
def test_swapping_champion_and_baseline_turns_the_verdict_over(gains):
    one, other = judge(gains), judge([-gain for gain in gains])
    assert one.gain == pytest.approx(-other.gain, abs=1e-12)
    assert one.low == pytest.approx(-other.high, abs=1e-12)
    assert one.p_better == pytest.approx(1 - other.p_better, abs=1e-9)


@given(st.lists(st.floats(0.0, 0.1), min_size=2, max_size=8), st.integers(1, 4))
def test_a_crash_of_the_champion_never_helps_it(gains, crash_count):
    whole, crashed = judge(gains), judge([*gains, *[None] * crash_count])
    assert crashed.gain < whole.gain or whole.gain <= 0
    assert crashed.pair_count == whole.pair_count
    assert crashed.ruling is not Ruling.CONFIRMED or whole.ruling is Ruling.CONFIRMED


def test_one_crash_in_four_pairs_spoils_a_claim():
    assert judge([0.03, 0.031, 0.029]).ruling is Ruling.CONFIRMED
    assert judge([0.03, 0.031, 0.029, None]).ruling is Ruling.NOT_CONFIRMED


def test_too_few_pairs_decide_nothing():
    for gains in ([], [0.1], [0.1, None]):
        rung = judge(gains)
        assert rung.ruling is Ruling.UNDECIDED
        assert (rung.gain, rung.low, rung.high, rung.p_better) == (None, None, None, None)


def test_a_champion_that_always_crashes_is_not_confirmed():
    assert judge([None, None, 0.1]).ruling is Ruling.NOT_CONFIRMED


def test_a_pair_without_a_baseline_score_says_nothing():
    pairs = [(1.5, 1.47), (1.5, 1.468), (None, 1.2), (None, None)]
    rung = judge_rung(1.0, pairs, pooled_variance=VARIANCE, pooled_df=10)
    assert rung.pair_count == 2
    assert rung.gain == pytest.approx(0.031)


def test_away_from_home_the_runs_own_sigma_counts_for_less():
    def width(rung):
        return rung.high - rung.low

    wild = [0.00, 0.03, 0.06]
    assert width(judge(wild, depth=1.5)) > width(judge(wild, depth=1.0))


def test_pairs_that_agree_by_luck_do_not_make_the_interval_vanish():
    rung = judge([0.0021, 0.0021, 0.0021])
    assert rung.ruling is Ruling.NOT_CONFIRMED


def test_looking_more_often_widens_the_interval():
    assert look_share(3, 3) == 0.025
    assert look_share(3, 6) < look_share(3, 4) < 0.025
    assert judge([0.01] * 3, max_pairs=6).low < judge([0.01] * 3).low


# --- going on --------------------------------------------------------------------------------


def test_pairs_are_added_while_a_gain_is_likely_but_open():
    likely, poor = judge([0.008, 0.001, 0.004]), judge([0.001, -0.002, 0.0])
    assert likely.ruling is Ruling.NOT_CONFIRMED
    assert should_continue(likely, pair_count=3, max_pairs=6)
    assert not should_continue(likely, pair_count=6, max_pairs=6)
    assert not should_continue(poor, pair_count=3, max_pairs=6)
    assert should_continue(poor, pair_count=2, max_pairs=6)


def test_pairs_are_added_while_too_few_gave_scores_but_not_for_a_champion_that_crashes():
    assert should_continue(judge([0.1, None]), pair_count=3, max_pairs=6)
    assert not should_continue(judge([None, None, None]), pair_count=3, max_pairs=6)


def test_a_decided_rung_ends():
    assert not should_continue(judge([0.03, 0.03, 0.03]), pair_count=3, max_pairs=6)
    assert not should_continue(judge([-0.03, -0.03, -0.03]), pair_count=3, max_pairs=6)


def verdict_of(rng, max_pairs, *, gain=0.0, df=8.0):
    variance = VARIANCE * rng.chisquare(df) / df
    gains = gain + np.sqrt(2 * VARIANCE) * rng.normal(size=max_pairs)
    for count in range(3, max_pairs + 1):
        pairs = [(g, 0.0) for g in gains[:count]]
        rung = judge_rung(1.0, pairs, pooled_variance=variance, pooled_df=df, max_pairs=max_pairs)
        if not should_continue(rung, pair_count=count, max_pairs=max_pairs):
            break
    return rung


@pytest.mark.parametrize("max_pairs", [3, 6])
def test_a_useless_champion_is_confirmed_in_at_most_three_of_a_hundred(max_pairs):
    rng = np.random.default_rng(1)
    rulings = [verdict_of(rng, max_pairs).ruling for _ in range(1500)]
    assert 0.008 < rulings.count(Ruling.CONFIRMED) / 1500 < 0.03
    assert rulings.count(Ruling.REVERSED) / 1500 < 0.03


def test_a_gain_of_three_sigma_is_nearly_always_confirmed():
    rng = np.random.default_rng(2)
    rulings = [verdict_of(rng, 6, gain=3 * SIGMA).ruling for _ in range(200)]
    assert rulings.count(Ruling.CONFIRMED) > 180
