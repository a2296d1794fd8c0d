"""Whether what is believed can be trusted: calibration, ranks of snapshots, seed noise."""

import numpy as np
import pytest
from scipy.stats import chi2

from evolution.belief import Believer
from evolution.diagnostics import (
    AGAIN,
    NEW,
    SNAPSHOT,
    Surprise,
    advice,
    calibration,
    diagnosed,
    ranks_of,
    seed_noise,
    surprises_of,
)
from evolution.noise import Scales, SnapshotPair, fit
from evolution.trust import diagnosis_of
from tests.evolution.runs import a_run, an_engine
from tests.evolution.worlds import BASELINE, FRACTION, OFFSET, SIGMA, World

#: What `a_world` draws, in σ.
TRUE = Scales(effect=2.0, company=0.5, curve=0.8, snapshot=1.0)
#: Pairs of runs whose spread is just σ: what is believed of it is right, too.
REPEATS = [[-SIGMA / 2**0.5, SIGMA / 2**0.5]] * 200


def a_world(seed, *, size=30, stops=False):
    """Mutations of any variant; with ``stops``, those with the worse snapshots have no score."""
    world = World(np.random.default_rng(seed), disaster_share=0.0)
    for _ in range(4):
        world.run(BASELINE)
    for _ in range(size):
        parent = world.nodes[int(world.rng.integers(len(world.nodes)))].sha
        effect = 0.001 + TRUE.effect * SIGMA * float(world.rng.standard_t(3))
        world.run(world.mutate(parent, effect=effect))
        if stops and world.readings[-2].bpb > 1.55 + OFFSET + 0.004:
            world.readings.pop()
    return world


def by_trial(world):
    trials = {}
    for reading in world.readings:
        trials.setdefault(reading.trial_id, []).append(reading)
    return list(trials.values())


def surprises(world, *, scales=TRUE, first=4):
    """Of all trials after the first ones, each foreseen from those before it."""
    trials, found = by_trial(world), []
    before = [reading for trial in trials[:first] for reading in trial]
    posterior = fit(world.nodes[:1], before, fraction=FRACTION, scales=scales, repeats=REPEATS)
    for trial in trials[first:]:
        posterior = posterior.after(world.nodes, [])
        found += surprises_of(posterior.foresee(trial))
        posterior = posterior.after([], trial)
    return posterior, found


@pytest.mark.parametrize("stops", [False, True], ids=["all run", "bad snapshots stop"])
def test_what_is_as_it_is_believed_is_found_calibrated(stops):
    found = [s for seed in range(8) for s in surprises(a_world(seed, size=20, stops=stops))[1]]
    for kind in (SNAPSHOT, NEW):
        said = calibration(kind, found)
        assert said.count > 60
        assert abs(said.mean) < 0.35
        assert said.spread == pytest.approx(1.0, abs=0.2)
        for coverage in said.coverage:
            assert coverage.inside / said.count == pytest.approx(coverage.level, abs=0.13)


def test_effects_far_beyond_those_believed_show_as_a_spread_above_one():
    small = Scales(effect=0.2, company=0.1, curve=0.08, snapshot=1.0)
    found = [s for seed in range(3) for s in surprises(a_world(seed), scales=small)[1]]
    said = calibration(SNAPSHOT, found)
    assert said.spread > 1.5
    assert said.coverage[-1].high < 0.95


def test_a_disaster_is_rare_and_not_impossible():
    world = a_world(1, size=3)
    wreck = world.mutate(BASELINE, effect=0.3)
    world.run(wreck)
    last = surprises(world)[1][-2]
    assert (last.kind, last.trial_id) == (SNAPSHOT, world.readings[-1].trial_id)
    assert 2.5 < last.z < 5.5  # a hundred σ: not what one effect in 10²⁰⁰ would do


def test_a_further_run_is_foreseen_from_the_first():
    world = a_world(2, size=1)
    for _ in range(12):
        world.run(world.nodes[1].sha)
    found = surprises(world)[1]
    assert [s.kind for s in found[:2]] == [SNAPSHOT, NEW]
    assert {s.kind for s in found[2:]} == {SNAPSHOT, AGAIN}


def test_a_foresight_changes_nothing():
    world = a_world(3, size=6)
    *trials, last = by_trial(world)
    before = [reading for trial in trials for reading in trial]
    posterior = fit(world.nodes, before, fraction=FRACTION, scales=TRUE)
    kept = posterior.fitnesses()
    posterior.foresee(last)
    assert posterior.fitnesses() == kept
    assert posterior.foresee([]) is None


def pairs(rho, *, count=40, seed=0):
    rng = np.random.default_rng(seed)
    finals = rng.normal(size=count)
    snapshots = rho * finals + np.sqrt(1 - rho**2) * rng.normal(size=count)
    rows = enumerate(zip(snapshots, finals, strict=True))
    return [SnapshotPair(f"v{n}", n, float(s), float(f)) for n, (s, f) in rows]


def test_the_interval_of_a_rank_correlation_holds_it_about_as_often_as_it_says():
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's, of a normal pair
    held = [
        r.low < truth < r.high for seed in range(200) if (r := ranks_of(pairs(0.7, seed=seed), {}))
    ]
    assert 0.90 <= np.mean(held) <= 0.99


def test_runs_that_stand_for_others_weigh_more_and_leave_fewer_to_count():
    some = pairs(0.9, count=30)
    raw, weighed = ranks_of(some, {}), ranks_of(some, {0: 10.0, 1: 10.0})
    assert raw.count == pytest.approx(30)
    assert weighed.count < 12
    assert weighed.high - weighed.low > raw.high - raw.low
    assert ranks_of(some[:4], {}) is None


def test_snapshots_that_say_little_are_to_come_later_or_not_at_all():
    good, unsure, bad = (
        ranks_of(pairs(rho, count=n), {}) for rho, n in ((0.95, 40), (0.4, 12), (0.0, 90))
    )
    assert advice(good) == advice(None) == ""
    assert "stopping.fraction" in advice(bad)
    assert "not sure yet" not in advice(bad)
    assert "not sure yet" in advice(unsure)


def test_the_interval_of_sigma_is_that_of_its_degrees_of_freedom():
    rng = np.random.default_rng(0)
    drawn = np.sqrt(chi2.rvs(6, size=400, random_state=rng) / 6)
    held = [
        seed_noise(float(sigma), 6).low < 1 < seed_noise(float(sigma), 6).high for sigma in drawn
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_kinds_without_a_reading_are_left_out():
    posterior, _ = surprises(a_world(4, size=3))
    found = diagnosed(posterior, [Surprise(1, NEW, 0.5)], {})
    assert [kind.kind for kind in found.calibrations] == [NEW]
    assert found.calibrations[0].coverage[0].inside == 1


def test_a_run_is_diagnosed_from_its_store(tmp_path):
    with an_engine(a_run(tmp_path, limits__trials=14)) as (engine, workspace, _):
        engine.run()
        store = workspace.store
        found = diagnosis_of(store)
        believer = Believer(store, stop_fraction=workspace.config.stopping.fraction)
        assert found.noise.sigma == believer.believe().sigma
        counts = {kind.kind: kind.count for kind in found.calibrations}
        ended = [t for t in store.trials() if t.purpose.informs and t.outcome is not None]
        assert counts[SNAPSHOT] == len(ended) - 3
        few = diagnosis_of(store, latest=2)
        assert {kind.kind: kind.count for kind in few.calibrations}[SNAPSHOT] == 2
