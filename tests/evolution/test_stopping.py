import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.noise import Prediction, Reading, SnapshotPair, VariantNode, fit
from evolution.stopping import (
    Costs,
    Earlier,
    costs_of,
    decide,
    least_worth,
    rank_correlation,
    reason_to_wait,
)
from population import Purpose, Snapshot, TrialStatus
from tests.builders import a_trial, an_outcome
from tests.evolution.worlds import BASELINE, FRACTION, OFFSET, World, grown

COSTS = Costs(until=0.4, rest=0.75)


def believe(world):
    return fit(world.nodes, world.readings, fraction=FRACTION)


def ask(posterior, excess, *, rng=None, parents=(BASELINE,), judged=(), **kwargs):
    level = posterior.mean(parents[0]) if parents[0] in posterior else 1.55
    return decide(
        posterior,
        VariantNode("new", tuple(parents)),
        Snapshot(FRACTION, level + OFFSET + excess),
        rng=rng or np.random.default_rng(0),
        earlier=Earlier(COSTS, judged),
        **({"threshold": 0.1} | kwargs),
    )


@pytest.fixture(scope="module")
def posterior():
    return believe(grown(1))


def test_a_hopeless_run_is_stopped(posterior):
    decision = ask(posterior, 0.08)
    assert decision.stop
    assert decision.p_better < 0.10
    assert "below 0.1" in decision.reason


def test_a_promising_run_goes_on(posterior):
    decision = ask(posterior, -0.02)
    assert not decision.stop
    assert not decision.exempt
    assert decision.p_better > 0.10


def test_one_in_ten_would_be_stops_runs_on(posterior):
    rng = np.random.default_rng(3)
    decisions = [ask(posterior, 0.08, rng=rng) for _ in range(400)]
    assert all(decision.stop != decision.exempt for decision in decisions)
    assert 20 < sum(decision.exempt for decision in decisions) < 65


def test_chance_is_asked_only_when_a_run_would_stop(posterior):
    rng = np.random.default_rng(4)
    before = rng.bit_generator.state
    ask(posterior, -0.02, rng=rng)
    assert rng.bit_generator.state == before


def test_the_fitter_parent_is_the_one_to_beat():
    world = World(np.random.default_rng(2), disaster_share=0.0)
    for _ in range(4):
        world.run(BASELINE)
    good, bad = (world.mutate(BASELINE, effect=effect) for effect in (-0.04, 0.04))
    for sha in (good, bad):
        world.run(sha)
    posterior = believe(world)
    p_better = [ask(posterior, 0.0, parents=order).p_better for order in ((good,), (bad,))]
    both = decide(
        posterior,
        VariantNode("new", (bad, good)),
        Snapshot(FRACTION, 1.55 + OFFSET),
        rng=np.random.default_rng(0),
        earlier=Earlier(COSTS),
    )
    assert both.p_better < 0.1 < p_better[0]


def test_nothing_is_stopped_before_three_full_runs_with_a_snapshot():
    world = World(np.random.default_rng(0))
    for _ in range(2):
        world.run(BASELINE)
    assert not ask(believe(world), 0.5).stop
    world.run(BASELINE)
    assert ask(believe(world), 0.5).stop or ask(believe(world), 0.5).exempt


def test_nothing_is_stopped_whose_parents_are_unknown(posterior):
    assert not ask(posterior, 0.5, parents=("stranger",)).stop


def test_the_rule_is_off_where_snapshots_say_little_of_the_end():
    world = World(np.random.default_rng(5), disaster_share=0.0, curve=0.3)
    for _ in range(4):
        world.run(BASELINE)
    for _ in range(16):
        world.run(world.mutate(BASELINE))
    posterior = believe(world)
    assert rank_correlation(posterior.snapshot_pairs) < 0.5
    decision = ask(posterior, 5.0)
    assert not decision.stop
    assert "rank correlation" in decision.reason


def pairs(*readings):
    return [SnapshotPair(f"v{i}", i, s, f) for i, (s, f) in enumerate(readings)]


def test_rank_correlation_is_not_known_from_few_variants():
    assert rank_correlation(pairs(*((i, i) for i in range(7)))) is None
    repeats = [SnapshotPair("b", i, 1.0 + i, 2.0 - i) for i in range(20)]
    assert rank_correlation(repeats) is None


def test_rank_correlation_sees_order_alone():
    assert rank_correlation(pairs(*((i, i**3) for i in range(9)))) == pytest.approx(1)
    assert rank_correlation(pairs(*((i, -i) for i in range(9)))) == pytest.approx(-1)
    assert rank_correlation(pairs(*((1, i) for i in range(9)))) is None


def test_a_run_exempt_from_stopping_stands_for_ten():
    # Eight agree; one that should have stopped came out best after all.
    readings = [(1.0 + i / 10, 2.0 + i / 10) for i in range(8)] + [(1.9, 1.0)]
    plain = rank_correlation(pairs(*readings))
    weighted = rank_correlation(pairs(*readings), {8: 10.0})
    assert weighted < plain


def test_exempt_trials_can_switch_the_rule_off():
    world = grown(1)
    posterior = believe(world)
    assert reason_to_wait(posterior) is None
    assert reason_to_wait(posterior, exempt_trials=(1,)) is None


# --- what is worth the rest ----------------------------------------------------------------------


def test_a_run_goes_on_where_it_promises_more_for_its_time_than_new_ones_do(posterior):
    poor, rich = [1e-6] * 20, [0.05] * 20
    assert not ask(posterior, 0.005, judged=poor).stop
    decision = ask(posterior, 0.005, judged=rich, exempt_share=0.0)
    assert decision.stop
    assert 0 < decision.worth < 0.05
    assert "its rest is worth" in decision.reason
    assert not ask(posterior, -0.08, judged=rich).stop


def test_until_eight_snapshots_are_known_the_probability_decides(posterior):
    few, enough = [0.05] * 7, [0.05] * 8
    assert not ask(posterior, 0.0, judged=few, threshold=0.15).stop
    assert ask(posterior, 0.0, judged=enough, exempt_share=0.0).stop


@given(
    st.lists(st.floats(0.0, 0.1), min_size=1, max_size=40),
    st.floats(0.1, 2.0),
    st.floats(0.05, 2.0),
)
def test_no_other_threshold_buys_more_improvement_for_the_time(judged, until, rest):
    costs = Costs(until, rest)

    def rate(least):
        going = [gain for gain in judged if gain >= least]
        return sum(going) / (len(judged) * until + len(going) * rest)

    best = rate(least_worth(judged, costs))
    assert all(rate(other) <= best * (1 + 1e-9) for other in judged)


@given(st.lists(st.floats(1e-4, 0.1), min_size=2, max_size=40), st.floats(0.1, 2.0))
def test_where_the_rest_costs_nothing_nothing_is_stopped(judged, until):
    assert least_worth(judged, Costs(until, 0.0)) == min(judged)


def test_the_less_a_snapshot_says_the_fewer_runs_are_stopped():
    chance = np.random.default_rng(6)
    shares = []
    for blur in (0.2, 1.0, 5.0):  # of the snapshot, in effects
        effects = chance.normal(1.0, 1.0, 4000)
        seen = effects + blur * chance.normal(size=4000)
        weight = 1 / (1 + blur**2)
        sd = blur * np.sqrt(weight)
        news = sd**2 / np.sqrt(sd**2 + 1)
        gains = [Prediction(m, sd, 0.5, news).worth for m in 1 + weight * (seen - 1)]
        shares.append(np.mean(np.array(gains) < least_worth(gains, COSTS)))
    assert shares[0] > shares[1] > shares[2]


def test_the_worth_of_a_score_is_the_mean_of_what_will_then_be_believed_gained():
    chance = np.random.default_rng(7)
    effects = chance.normal(0.3, 0.8, 200_000)
    scores = effects + chance.normal(size=effects.size)
    believed = 0.3 + (scores - 0.3) * 0.8**2 / (0.8**2 + 1)
    news = 0.8**2 / np.hypot(0.8, 1)
    expected = np.maximum(0.0, -believed).mean()
    assert Prediction(0.3, 0.8, 0.5, news).worth == pytest.approx(expected, rel=0.02)
    assert Prediction(0.3, 0.8, 0.5).worth == 0.0
    assert Prediction(-0.3, 0.8, 0.5).worth == 0.3


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(-0.004, 0.01))
def test_the_variance_that_a_score_takes_away_is_its_news(seed, excess):
    """Against the fit itself: what is left of the variance once the score is there."""
    world = grown(seed, size=12, disaster_share=0.0)
    posterior = believe(world)
    parent = world.nodes[-1].sha
    child = world.mutate(parent)
    snapshot = Snapshot(FRACTION, posterior.mean(parent) + OFFSET + excess)

    def fitted(*readings):
        read = [*world.readings, *readings]
        return fit(world.nodes, read, fraction=FRACTION, scales=posterior.scales)

    taken = Reading(child, snapshot.bpb, 9999, FRACTION)
    held = fitted(taken)
    told = held.predict_final(world.nodes[-1], snapshot, rival=BASELINE)
    # A score as it is expected: any other would tell more of how wild this edit is.
    expected = held.mean(child)
    after = fitted(taken, Reading(child, expected, 9999)).compare(child, BASELINE)
    assert told.news_sd**2 == pytest.approx(told.sd**2 - after.sd**2, rel=0.1)
    # The same, told before the fit had the snapshot; the edit then counts as an ordinary one.
    outside = fitted().predict_final(world.nodes[-1], snapshot, rival=BASELINE)
    assert outside.news_sd == pytest.approx(told.news_sd, rel=0.5)


def test_a_stack_is_judged_by_the_edits_it_adds_whether_or_not_it_was_fitted():
    world = World(np.random.default_rng(8), disaster_share=0.0)
    for _ in range(5):
        world.run(BASELINE)
    good = [world.mutate(BASELINE, effect=-0.02) for _ in range(4)]
    for sha in good:
        for _ in range(2):
            world.run(sha)
    posterior = believe(world)
    parent, *others = good
    stack = VariantNode("s", (parent,), "guided", adds=tuple(others))
    even = Snapshot(FRACTION, posterior.mean(parent) + OFFSET)
    fitted = fit([*world.nodes, stack], world.readings, fraction=FRACTION, scales=posterior.scales)
    outside, inside = (p.predict_final(stack, even, rival=parent) for p in (posterior, fitted))
    assert outside.mean == pytest.approx(inside.mean, abs=1e-4)
    assert outside.worth == pytest.approx(inside.worth, rel=0.02)
    mutation = posterior.predict_final(VariantNode("m", (parent,)), even, rival=parent)
    assert outside.worth > 2 * mutation.worth
    decided = decide(
        posterior, stack, even, rng=np.random.default_rng(0), earlier=Earlier(COSTS, [1e-3] * 9)
    )
    assert decided.worth == outside.worth
    stranger = dataclasses.replace(stack, adds=("nobody",))
    waits = decide(posterior, stranger, even, rng=np.random.default_rng(0), earlier=Earlier(COSTS))
    assert not waits.stop
    assert waits.worth is None


# --- what trials cost ----------------------------------------------------------------------------


def ended(status, seconds, purpose=Purpose.SCREEN):
    outcome = dataclasses.replace(an_outcome(1.5), status=status, total_seconds=seconds)
    return a_trial(status=status, outcome=outcome, purpose=purpose)


def test_what_trials_cost_is_read_off_those_that_ended():
    whole = [ended(TrialStatus.COMPLETE, seconds) for seconds in (50.0, 53.0, 56.0)]
    assert costs_of([], 0.25) == Costs(0.25, 0.75)
    assert costs_of(whole, 0.25) == Costs(0.25 * 53, 0.75 * 53)
    stopped = [ended(TrialStatus.STOPPED_EARLY, seconds) for seconds in (25.0, 26.0, 30.0)]
    assert costs_of(whole + stopped, 0.25) == Costs(26.0, 27.0)
    lost = [ended(TrialStatus.CRASHED, 12.0), ended(TrialStatus.TIMED_OUT, 48.0)]
    assert costs_of(whole + stopped + lost, 0.25) == Costs(36.0, 27.0)
    others = [ended(TrialStatus.COMPLETE, 500.0, Purpose.VERDICT)] * 9
    assert costs_of(whole + stopped + others, 0.25) == Costs(26.0, 27.0)
