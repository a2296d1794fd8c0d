import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.noise import Reading, VariantNode, fit, pooled_noise
from population import Snapshot
from population.pedigree import with_relatives
from tests.evolution.worlds import BASELINE, FRACTION, OFFSET, SIGMA, World, grown

SEEDS = st.integers(0, 10_000)


def believe(world, **kwargs):
    return fit(world.nodes, world.readings, fraction=FRACTION, **kwargs)


def repeated(scores, sha=BASELINE, first=1):
    return [Reading(sha, bpb, trial) for trial, bpb in enumerate(scores, first)]


# --- seed noise ------------------------------------------------------------------------------


def test_without_repeats_sigma_is_what_is_expected():
    noise = pooled_noise([[1.5], [1.6]], prior_sigma=0.004)
    assert (noise.sigma, noise.df) == (pytest.approx(0.004), 3)


def test_sigma_is_pooled_over_groups_whatever_their_levels():
    rng = np.random.default_rng(0)
    groups = [level + 0.002 * rng.normal(size=5) for level in np.linspace(1.4, 1.9, 40)]
    noise = pooled_noise(groups, prior_sigma=0.01)
    assert noise.sigma == pytest.approx(0.002, rel=0.25)
    assert noise.df == 3 + 40 * 4


def test_a_diverged_repeat_says_nothing_of_sigma():
    calm = [[1.500, 1.504, 1.498], [1.520, 1.523]]
    assert pooled_noise([*calm, [1.51, 1.90]]) == pooled_noise(calm)


def test_verdict_runs_may_inform_sigma_and_nothing_else():
    nodes, readings = [VariantNode(BASELINE)], repeated([1.5, 1.506])
    alone, informed = fit(nodes, readings), fit(nodes, readings, repeats=[[1.7, 1.700, 1.701]])
    assert informed.sigma < alone.sigma
    assert informed.mean(BASELINE) == pytest.approx(alone.mean(BASELINE), abs=1e-6)
    assert informed.fitness(BASELINE).trial_count == 2


# --- what is scored --------------------------------------------------------------------------


def test_an_empty_run_is_no_error():
    assert fit([], []).sigma == pytest.approx(0.003)


def test_a_variant_without_readings_has_no_fitness():
    posterior = fit([VariantNode(BASELINE)], [])
    assert not posterior.fitness(BASELINE).is_scored


@settings(max_examples=6)
@given(seed=SEEDS)
def test_a_crash_never_outranks_a_score(seed):
    world = grown(seed, size=12)
    best = min((node.sha for node in world.nodes), key=world.truth)
    crashed = world.mutate(best, effect=-0.5)
    posterior = believe(world)
    for node in world.nodes:
        if posterior.is_scored(node.sha):
            assert posterior.fitness(node.sha) > posterior.fitness(crashed)
            assert posterior.p_better(crashed, node.sha) == 0.0
            assert posterior.p_better(node.sha, crashed) == 1.0


def test_two_unscored_variants_are_even():
    nodes = [VariantNode(BASELINE), VariantNode("x", (BASELINE,)), VariantNode("y", (BASELINE,))]
    assert fit(nodes, repeated([1.5])).p_better("x", "y") == 0.5


def test_numbers_that_are_not_finite_and_other_fractions_are_passed_over():
    clean = repeated([1.50, 1.51])
    noise = [
        Reading(BASELINE, float("nan"), 8),
        Reading(BASELINE, float("inf"), 9),
        Reading(BASELINE, 1.9, 1, fraction=0.5),
    ]
    posterior = fit([VariantNode(BASELINE)], [*clean, *noise], fraction=0.25)
    assert posterior.fitness(BASELINE).trial_count == 2
    assert posterior.mean(BASELINE) == pytest.approx(1.505, abs=1e-4)


# --- laws ------------------------------------------------------------------------------------


@settings(max_examples=6)
@given(seed=SEEDS, shuffle=st.integers(0, 100))
def test_the_order_in_which_things_are_told_does_not_matter(seed, shuffle):
    world = grown(seed, size=12)
    rng = np.random.default_rng(shuffle)
    nodes = [world.nodes[i] for i in rng.permutation(len(world.nodes))]
    readings = [world.readings[i] for i in rng.permutation(len(world.readings))]
    one, other = believe(world), fit(nodes, readings, fraction=FRACTION)
    for node in world.nodes:
        assert one.mean(node.sha) == other.mean(node.sha)
        assert one.sd(node.sha) == other.sd(node.sha)


@settings(max_examples=6)
@given(seed=SEEDS)
def test_probabilities_of_a_pair_add_up_to_one(seed):
    world = grown(seed, size=12)
    posterior = believe(world)
    for one in world.nodes:
        for other in world.nodes:
            forth = posterior.p_better(one.sha, other.sha)
            assert forth == pytest.approx(1 - posterior.p_better(other.sha, one.sha), abs=1e-9)


def test_each_replicate_shrinks_the_error():
    world = World(np.random.default_rng(1), disaster_share=0.0)
    for _ in range(4):
        world.run(BASELINE)
    sha = world.mutate(BASELINE)
    errors = []
    for _ in range(4):
        world.readings.append(Reading(sha, world.truth(sha), 100 + len(errors)))
        posterior = believe(world)
        errors.append(posterior.sd(sha) / posterior.sigma)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[0]


def test_shifting_every_score_shifts_every_mean():
    world = grown(3, size=12)
    higher = [
        Reading(r.variant, r.bpb + 0.7, r.trial_id, r.fraction, r.device_class)
        for r in world.readings
    ]
    one, other = believe(world), fit(world.nodes, higher, fraction=FRACTION)
    for node in world.nodes:
        assert other.mean(node.sha) == pytest.approx(one.mean(node.sha) + 0.7, abs=1e-4)


def test_a_broken_lineage_is_refused():
    with pytest.raises(ValueError, match="not in the run"):
        fit([VariantNode("x", ("gone",))], [])
    with pytest.raises(ValueError, match="own ancestor"):
        fit([VariantNode("x", ("y",)), VariantNode("y", ("x",))], [])
    with pytest.raises(ValueError, match="not of this run"):
        fit([VariantNode(BASELINE)], repeated([1.5], sha="x"))


# --- what lineage teaches --------------------------------------------------------------------


def test_a_lucky_score_is_shrunk_towards_the_parent():
    nodes = [VariantNode(BASELINE), VariantNode("x", (BASELINE,), "knob")]
    readings = [*repeated([1.550, 1.552, 1.548]), Reading("x", 1.545, 9)]
    assert 1.545 < fit(nodes, readings).mean("x") < 1.550


def test_an_operator_whose_edits_harm_makes_a_lucky_score_less_credible():
    harmless = [VariantNode(BASELINE), VariantNode("x", (BASELINE,), "knob")]
    readings = [*repeated([1.550, 1.552, 1.548]), Reading("x", 1.545, 9)]
    siblings = [VariantNode(f"s{i}", (BASELINE,), "knob") for i in range(8)]
    harms = [Reading(s.sha, 1.562 + 0.001 * i, 20 + i) for i, s in enumerate(siblings)]
    before = fit(harmless, readings).p_better("x", BASELINE)
    after = fit([*harmless, *siblings], [*readings, *harms]).p_better("x", BASELINE)
    assert after < before


def test_a_child_tells_of_its_parent():
    nodes = [VariantNode(BASELINE), VariantNode("x", (BASELINE,), "knob")]
    children = [VariantNode(f"c{i}", ("x",), "knob") for i in range(4)]
    readings = [*repeated([1.55, 1.551, 1.549]), Reading("x", 1.545, 9)]
    scores = [Reading(child.sha, 1.55, 20 + i) for i, child in enumerate(children)]
    alone = fit(nodes, readings).mean("x")
    assert fit([*nodes, *children], [*readings, *scores]).mean("x") > alone


def test_a_merge_is_expected_to_carry_both_parents_gains():
    nodes = [
        VariantNode(BASELINE),
        VariantNode("x", (BASELINE,), "knob"),
        VariantNode("y", (BASELINE,), "knob"),
        VariantNode("m", ("x", "y"), "merge"),
    ]
    readings = [
        *repeated([1.55, 1.551, 1.549]),
        *repeated([1.52, 1.521], "x", 10),
        *repeated([1.53, 1.529], "y", 20),
    ]
    posterior = fit(nodes, readings)
    assert posterior.mean("m") == pytest.approx(1.50, abs=0.003)
    assert not posterior.fitness("m").is_scored


def test_merges_of_kin_do_not_count_a_shared_edit_twice():
    nodes = [
        VariantNode(BASELINE),
        VariantNode("a", (BASELINE,), "knob"),
        VariantNode("x", ("a",), "knob"),
        VariantNode("y", ("a",), "knob"),
        VariantNode("m", ("x", "y"), "merge"),
        VariantNode("n", ("m", "x"), "merge"),
    ]
    scores = {BASELINE: 1.60, "a": 1.55, "x": 1.54, "y": 1.53}
    readings = [
        reading
        for i, (sha, bpb) in enumerate(scores.items())
        for reading in repeated([bpb] * 3, sha, 10 * i)
    ]
    posterior = fit(nodes, readings)
    assert posterior.mean("m") == pytest.approx(1.52, abs=0.004)
    assert posterior.mean("n") == pytest.approx(posterior.mean("m"), abs=0.003)


def test_one_disaster_does_not_change_what_is_believed_of_the_others():
    world = grown(5, size=20, disaster_share=0.0)
    before = believe(world)
    wreck = world.mutate(BASELINE, effect=0.4)
    world.run(wreck)
    after = believe(world)
    for node in world.nodes[:-1]:
        assert after.mean(node.sha) == pytest.approx(before.mean(node.sha), abs=0.4 * SIGMA)
    assert after.scales.effect < 1.5 * before.scales.effect
    assert after.mean(wreck) == pytest.approx(1.95, abs=0.01)


def test_a_device_class_has_its_own_offset():
    nodes = [VariantNode(BASELINE), VariantNode("x", (BASELINE,), "knob")]
    readings = [
        *(Reading(BASELINE, 1.50, i, device_class="h100") for i in range(5)),
        *(Reading(BASELINE, 1.52, 10 + i, device_class="h200") for i in range(4)),
        *(Reading("x", 1.51, 20 + i, device_class="h200") for i in range(4)),
    ]
    posterior = fit(nodes, readings)
    assert posterior.class_offset("h200") == pytest.approx(0.02, abs=0.002)
    assert posterior.class_offset("h100") == 0.0
    assert posterior.mean("x") == pytest.approx(1.49, abs=0.003)


# --- snapshots -------------------------------------------------------------------------------


def test_a_run_that_was_stopped_early_still_teaches():
    world = World(np.random.default_rng(2), disaster_share=0.0)
    for _ in range(4):
        world.run(BASELINE)
    bad, good = (world.mutate(BASELINE, effect=effect) for effect in (0.05, -0.02))
    for sha in (bad, good):
        world.run(sha, full=False)
    posterior = believe(world)
    assert posterior.p_better(good, bad) > 0.95
    assert posterior.full_count(bad) == 0
    assert posterior.fitness(bad).trial_count == 1


def test_a_bad_snapshot_predicts_a_bad_end_and_a_good_one_does_not():
    world = grown(7)
    posterior = believe(world)
    node = VariantNode("new", (BASELINE,), "knob")
    level = posterior.mean(BASELINE) + OFFSET
    bad, even, good = (
        posterior.predict_final(node, Snapshot(FRACTION, level + d), rival=BASELINE)
        for d in (0.06, 0.0, -0.06)
    )
    assert bad.p_better < 0.02 < even.p_better < good.p_better
    assert bad.mean > even.mean > good.mean


def test_a_prediction_is_the_same_whether_or_not_the_running_variant_was_fitted():
    world = grown(8)
    snapshot = Snapshot(FRACTION, 1.60)
    node = VariantNode("new", (world.nodes[3].sha,), "knob")
    rival = node.parents[0]
    outside = believe(world).predict_final(node, snapshot, rival=rival)
    inside = fit([*world.nodes, node], world.readings, fraction=FRACTION).predict_final(
        node, snapshot, rival=rival
    )
    assert inside.mean == pytest.approx(outside.mean, abs=1e-5)
    assert inside.sd == pytest.approx(outside.sd, abs=1e-5)
    assert inside.news_sd == pytest.approx(outside.news_sd, abs=1e-5)
    assert 0 < inside.news_sd < inside.sd


def test_a_snapshot_that_was_fitted_is_not_used_twice():
    world = grown(9)
    sha = world.mutate(BASELINE)
    world.run(sha, full=False)
    posterior = believe(world)
    snapshot = Snapshot(FRACTION, world.readings[-1].bpb)
    predicted = posterior.predict_final(world.nodes[-1], snapshot, rival=BASELINE)
    compared = posterior.compare(sha, BASELINE)
    assert dataclasses.replace(predicted, news_sd=0.0) == compared
    assert 0 < predicted.news_sd < compared.sd


def test_a_merge_that_was_not_fitted_can_be_predicted():
    world = World(np.random.default_rng(4), disaster_share=0.0)
    for _ in range(4):
        world.run(BASELINE)
    one, other = (world.mutate(BASELINE, effect=effect) for effect in (-0.02, -0.03))
    for sha in (one, other):
        world.run(sha)
    posterior = believe(world)
    predicted = posterior.predict_final(
        VariantNode("m", (one, other), "merge"), Snapshot(FRACTION, 1.50 + OFFSET), rival=BASELINE
    )
    assert predicted.p_better > 0.95


def test_nothing_is_predicted_without_fitted_snapshots():
    posterior = fit([VariantNode(BASELINE)], repeated([1.5, 1.5]))
    with pytest.raises(ValueError, match="No snapshot"):
        posterior.predict_final(
            VariantNode("x", (BASELINE,)), Snapshot(FRACTION, 1.6), rival=BASELINE
        )


def test_predictions_are_as_often_right_as_they_say():
    told, came = [], []
    for seed in range(8):
        world = grown(seed, size=25)
        posterior = believe(world)
        rivals = sorted((n.sha for n in world.nodes if posterior.is_scored(n.sha)), key=world.truth)
        for rival in rivals[:4]:
            sha = world.mutate(rival)
            world.run(sha, full=False)
            snapshot = Snapshot(FRACTION, world.readings[-1].bpb)
            told.append(posterior.predict_final(world.nodes[-1], snapshot, rival=rival).p_better)
            came.append(world.truth(sha) < world.truth(rival))
    told, came = np.array(told), np.array(came)
    assert came[told < 0.10].mean() < 0.15
    assert came.mean() == pytest.approx(told.mean(), abs=0.12)


# --- edit effects and coverage ---------------------------------------------------------------


def test_the_effect_of_an_edit_comes_with_its_error():
    world = World(np.random.default_rng(6), disaster_share=0.0)
    sha = world.mutate(BASELINE, effect=-0.02)
    for _ in range(6):
        world.run(BASELINE)
        world.run(sha)
    effect = believe(world).edit_effect(sha)
    assert effect.mean == pytest.approx(-0.02, abs=3 * effect.sd)
    assert effect.sd < SIGMA
    with pytest.raises(KeyError):
        believe(world).edit_effect(BASELINE)


@pytest.mark.parametrize(
    "settings_of_world",
    [
        {},
        {"effect": 0.003, "mean_effect": 0.002, "curve": 0.002},
        {"effect": 0.025, "mean_effect": 0.02, "curve": 0.01},
    ],
    ids=["middling", "small effects", "large effects"],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(settings_of_world):
    worlds = [grown(seed, **settings_of_world) for seed in range(8)]
    held = []
    for world in worlds:
        posterior = believe(world)
        for node in world.nodes:
            error = abs(posterior.mean(node.sha) - world.truth(node.sha))
            held.append(error < 1.96 * posterior.sd(node.sha))
    assert 0.86 <= np.mean(held) <= 0.99


def test_a_long_lineage_is_handled():
    world = grown(11, size=400)
    posterior = believe(world)
    errors = [posterior.mean(n.sha) - world.truth(n.sha) for n in world.nodes]
    assert np.median(np.abs(errors)) < SIGMA
    assert all(posterior.sd(node.sha) > 0 for node in world.nodes)


# --- one trial after another -----------------------------------------------------------------


def by_trial(readings):
    """Readings of each trial together, in the order of their trials."""
    trials = {}
    for reading in readings:
        trials.setdefault((reading.variant, reading.trial_id), []).append(reading)
    return list(trials.values())


def told_one_by_one(world, fitted):
    """A posterior of the first ``fitted`` trials, told the others; variants come with their run."""
    trials = by_trial(world.readings)
    born = {node.sha: place for place, node in enumerate(world.nodes)}
    first = [reading for trial in trials[:fitted] for reading in trial]
    known = 1 + max((born[reading.variant] for reading in first), default=0)
    posterior = fit(world.nodes[:known], first, fraction=FRACTION)
    for trial in trials[fitted:]:
        known = max(known, 1 + born[trial[0].variant])
        posterior = posterior.after(world.nodes[:known], trial)
    return posterior


def assert_alike(world, one, other):
    for node in world.nodes:
        assert one.mean(node.sha) == pytest.approx(other.mean(node.sha), rel=0, abs=1e-9)
        assert one.sd(node.sha) == pytest.approx(other.sd(node.sha), rel=1e-7)
        assert one.p_better(node.sha, BASELINE) == pytest.approx(
            other.p_better(node.sha, BASELINE), rel=0, abs=1e-7
        )


@settings(max_examples=12)
@given(seed=SEEDS, fitted=st.integers(1, 20))
def test_trials_told_one_by_one_teach_what_all_at_once_do(seed, fitted):
    world = grown(seed, size=25)
    for node in world.nodes[1:8:3]:
        world.run(node.sha)
    posterior = told_one_by_one(world, fitted)
    assert_alike(world, posterior, posterior.at_once())


def test_a_first_snapshot_and_a_new_device_class_can_be_told():
    world = World(np.random.default_rng(3))
    for _ in range(3):
        world.run(BASELINE, snapshot=False)
    for _ in range(6):
        world.run(world.mutate(BASELINE))
    away = [dataclasses.replace(r, device_class="h200") for r in world.readings[-4:]]
    world.readings[-4:] = away
    posterior = told_one_by_one(world, 3)
    assert_alike(world, posterior, posterior.at_once())
    assert posterior.class_offset("h200") == pytest.approx(
        posterior.at_once().class_offset("h200"), abs=1e-9
    )


def test_a_first_snapshot_teaches_the_same_whoever_knows_of_variants_under_way():
    """A sitting knows of variants that a resumed one first hears of with their trial."""
    world = World(np.random.default_rng(3))
    for _ in range(3):
        world.run(BASELINE, snapshot=False)
    for _ in range(4):
        world.run(world.mutate(BASELINE, effect=0.01), snapshot=False)
    under_way = [world.mutate(BASELINE, effect=0.05) for _ in range(2)]
    told, nodes = len(world.readings), {node.sha: node for node in world.nodes}
    resumed = fit(world.nodes[:-2], world.readings, fraction=FRACTION)
    sitting = resumed.after(world.nodes, [])
    for sha in (world.nodes[2].sha, *under_way):
        world.run(sha)
    for trial in by_trial(world.readings[told:]):
        resumed = resumed.after(with_relatives(nodes, [trial[0].variant]), trial)
        sitting = sitting.after(world.nodes, trial)
    assert [sitting.mean(n.sha) for n in world.nodes] == [resumed.mean(n.sha) for n in world.nodes]
    assert_alike(world, sitting, sitting.at_once())


def test_a_posterior_stays_as_it_is_when_more_is_told():
    world = grown(4, size=12)
    before = believe(world)
    kept = [(before.mean(node.sha), before.sd(node.sha)) for node in world.nodes]
    sha = world.mutate(world.nodes[5].sha)
    world.run(sha)
    after = before.after([world.nodes[-1]], world.readings[-2:])
    assert [(before.mean(n.sha), before.sd(n.sha)) for n in world.nodes[:-1]] == kept
    assert sha in after
    assert sha not in before
    assert after.fitness(sha).trial_count == 1


def test_what_is_not_read_yet_does_not_change_what_is_believed_of_others_to_the_bit():
    world = grown(6, size=16)
    trials = by_trial(world.readings)
    later = world.mutate(world.nodes[3].sha)
    readings = [reading for trial in trials[:-3] for reading in trial]
    one = fit(world.nodes[:-1], readings, fraction=FRACTION)
    other = one.after([world.nodes[-1]], [])
    for trial in trials[-3:]:
        one, other = one.after([], trial), other.after([], trial)
    assert [one.mean(n.sha) for n in world.nodes[:-1]] == [
        other.mean(n.sha) for n in world.nodes[:-1]
    ]
    assert later in other


def test_a_disaster_that_is_told_is_known_for_one():
    world = grown(5, size=20, disaster_share=0.0)
    before = believe(world)
    wreck = world.mutate(BASELINE, effect=0.4)
    world.run(wreck)
    after = before.after([world.nodes[-1]], world.readings[-2:])
    for node in world.nodes[:-1]:
        assert after.mean(node.sha) == pytest.approx(before.mean(node.sha), abs=0.4 * SIGMA)
    assert after.mean(wreck) == pytest.approx(1.95, abs=0.01)


@pytest.mark.parametrize("bpb", [1e3, 1e6, 1e12, 1e300])
def test_a_score_beyond_all_measure_is_told_like_any_disaster(bpb):
    """A genome prints what it likes: twice, with a child that is sane again."""
    world = grown(5, size=20, disaster_share=0.0)
    posterior = believe(world)
    wreck = world.mutate(BASELINE, effect=0.0)
    child = world.mutate(wreck, effect=0.0)
    for trial, sha, score in ((901, wreck, bpb), (902, wreck, 0.9 * bpb), (903, child, 1.55)):
        posterior = posterior.after(world.nodes, [Reading(sha, score, trial)])
    at_once = posterior.at_once()
    for node in world.nodes:
        assert posterior.sd(node.sha) < np.inf
        if node.sha != wreck:
            assert posterior.mean(node.sha) == pytest.approx(
                at_once.mean(node.sha), abs=0.01 * SIGMA
            )
    assert posterior.p_better(BASELINE, wreck) > 0.999
    assert posterior.mean(child) == pytest.approx(1.55, abs=3 * SIGMA)
