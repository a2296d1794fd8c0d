import dataclasses
import itertools
from itertools import pairwise

import pytest

from evolution import belief
from evolution.belief import SCALES, Believer, believe, refit_at
from evolution.engine import STALE
from evolution.noise import Posterior, fit
from tests.evolution.runs import a_run, an_engine


def test_scales_are_fitted_at_every_trial_first_and_then_after_an_eighth_more():
    assert [refit_at(count) for count in range(12)] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 10, 10]
    fitted = sorted({refit_at(count) for count in range(5000)})
    assert len(fitted) < 70
    assert all(later <= earlier * 9 / 8 + 1 for earlier, later in pairwise(fitted))


def told(posterior: Posterior, store) -> dict[str, tuple]:
    """All of every fitness: two with one mean are equal already."""
    return {v.sha: dataclasses.astuple(posterior.fitness(v.sha)) for v in store.variants()}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run that ended, and the scales that were in force after each of its turns."""
    paths, scales = a_run(tmp_path_factory.mktemp("belief"), limits__trials=24), []

    def note(engine, _turn):
        kept = engine._store.fact(SCALES)
        if kept is not None:
            scales.append((kept["trials"], kept["scales"]["effect"]))

    with an_engine(paths, after_turn=note) as (engine, workspace, _):
        engine.run()
        yield workspace.store, workspace.config.stopping.fraction, scales


def test_whoever_reads_a_run_believes_what_its_engine_believes(searched):
    store, _, _ = searched
    posterior = believe(store)
    for sha, stored in store.fitnesses().items():
        believed = posterior.fitness(sha)
        assert stored.trial_count == believed.trial_count
        near = STALE * stored.sd * 1.01
        assert stored.sd == pytest.approx(believed.sd, abs=near)
        if believed.mean is None:
            assert stored.mean is None
        else:
            assert stored.mean == pytest.approx(believed.mean, abs=near)


def test_the_engine_keeps_its_scales_until_enough_is_new(searched):
    store, _, scales = searched
    by_count = dict(scales)
    assert sorted(by_count) == sorted({refit_at(count) for count in by_count})
    assert len(set(scales)) == len(by_count)  # one value each, for as long as it is in force
    ended = sum(t.outcome is not None for t in store.trials() if t.purpose != "verdict")
    assert max(by_count) == refit_at(ended) < ended


def test_a_reader_keeps_nothing_and_a_run_without_scales_can_be_read(searched):
    store, fraction, _ = searched
    kept = store.fact(SCALES)
    store.forget_fact(SCALES)
    try:
        posterior = Believer(store, stop_fraction=fraction).believe()
        assert store.fact(SCALES) is None
        assert posterior.scales.effect > 0
    finally:
        store.set_fact(SCALES, kept)


def test_a_resumed_run_believes_what_the_sitting_before_believed_to_the_bit(tmp_path):
    paths = a_run(tmp_path, limits__trials=14)
    with an_engine(paths) as (engine, workspace, _):
        engine.run()
        store = workspace.store
        sitting = engine._belief()
        anew = Believer(store, stop_fraction=workspace.config.stopping.fraction).believe()
        ended = sum(t.outcome is not None for t in store.trials() if t.purpose != "verdict")
        assert refit_at(ended) < ended  # some were told one by one
        for variant in store.variants():
            assert sitting.mean(variant.sha) == anew.mean(variant.sha)
            assert sitting.sd(variant.sha) == pytest.approx(anew.sd(variant.sha), rel=1e-9)


def test_a_clock_that_goes_backwards_makes_nobody_fit_anew(tmp_path, monkeypatch):
    fitted, ticks = [], itertools.count()

    def noted(nodes, readings, **kwargs):
        fitted.append(len(readings))
        return fit(nodes, readings, **kwargs)

    monkeypatch.setattr(belief, "fit", noted)
    paths = a_run(tmp_path, limits__trials=14)
    with an_engine(paths, clock=lambda: 1.7e9 - 0.5 * next(ticks)) as (engine, workspace, _):
        engine.run()
        store = workspace.store
        sitting = engine._belief()
        assert fitted == sorted(fitted)
        assert len(fitted) == 2 * len(set(fitted))  # for the scales, then with them
        anew = Believer(store, stop_fraction=workspace.config.stopping.fraction).believe()
        assert [sitting.mean(v.sha) for v in store.variants()] == [
            anew.mean(v.sha) for v in store.variants()
        ]
