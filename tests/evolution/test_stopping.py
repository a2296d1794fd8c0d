import numpy as np
import pytest

from evolution.noise import SnapshotPair, fit
from evolution.stopping import decide, rank_correlation, reason_to_wait
from population import Snapshot
from tests.evolution.worlds import BASELINE, FRACTION, OFFSET, World, grown


def believe(world):
    return fit(world.nodes, world.readings, fraction=FRACTION)


def ask(posterior, excess, *, rng=None, parents=(BASELINE,), **kwargs):
    level = posterior.mean(parents[0]) if parents[0] in posterior else 1.55
    return decide(
        posterior,
        variant="new",
        parents=parents,
        snapshot=Snapshot(FRACTION, level + OFFSET + excess),
        rng=rng or np.random.default_rng(0),
        **kwargs,
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
        variant="new",
        parents=(bad, good),
        snapshot=Snapshot(FRACTION, 1.55 + OFFSET),
        rng=np.random.default_rng(0),
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
