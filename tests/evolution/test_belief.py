from itertools import pairwise

import pytest

from evolution.belief import Believer, believe, refit_at
from tests.evolution.runs import a_run, an_engine


def test_scales_are_fitted_at_every_trial_first_and_then_after_an_eighth_more():
    assert [refit_at(count) for count in range(12)] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 10, 10]
    fitted = sorted({refit_at(count) for count in range(5000)})
    assert len(fitted) < 70
    assert all(later <= earlier * 9 / 8 + 1 for earlier, later in pairwise(fitted))


@pytest.fixture(scope="module")
def a_searched_run(tmp_path_factory):
    paths = a_run(tmp_path_factory.mktemp("belief"), limits__trials=24)
    with an_engine(paths) as (engine, workspace, _):
        fraction = workspace.config.stopping.fraction
        believer = Believer(workspace.store, stop_fraction=fraction)
        engine.run()
        believer.believe()
        yield workspace.store, fraction, believer


def test_a_run_that_is_resumed_believes_what_the_engine_believed(a_searched_run):
    store, fraction, _ = a_searched_run
    posterior = believe(store, stop_fraction=fraction)
    for sha, fitness in store.fitnesses().items():
        assert posterior.fitness(sha) == fitness


def test_scales_that_few_trials_told_are_used_on_more(a_searched_run):
    store, fraction, believer = a_searched_run
    assert believer.believe().scales == believe(store, stop_fraction=fraction).scales
