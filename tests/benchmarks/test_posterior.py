"""A long search, made up: merges, stacks, disasters, crashed and stopped runs, replicates."""

import numpy as np
import pytest

from benchmarks.posterior import FRACTION, SIGMA, searched
from evolution.noise import DISASTER, Scales, fit


@pytest.mark.parametrize("size", [400, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_long_search_with_disasters_is_believed_the_same_told_or_at_once(size):
    search = searched(size, disaster=DISASTER * SIGMA)
    first, last = search.trials[:-40], search.trials[-40:]
    born = {node.sha: place for place, node in enumerate(search.nodes)}
    known = 1 + max(born[trial[0].variant] for trial in first)
    readings = [reading for trial in first for reading in trial]
    assert max(reading.bpb for reading in readings) > 100  # of 1.5: a disaster is among them
    posterior = fit(search.nodes[:known], readings, fraction=FRACTION, scales=Scales())
    for trial in last:
        posterior = posterior.after(search.nodes, trial)
    once = posterior.at_once()
    told, all_at_once = posterior.fitnesses(), once.fitnesses()
    assert len(told) == size
    for sha, fitness in told.items():
        assert 0 < posterior.sd(sha) < np.inf
        assert np.isfinite(posterior.mean(sha))
        assert fitness.trial_count == all_at_once[sha].trial_count
        # What one disaster tells takes its prior variance of 10¹⁰ σ² down to one, to 16 digits.
        assert posterior.mean(sha) == pytest.approx(once.mean(sha), rel=1e-7, abs=1e-4 * SIGMA)
        assert posterior.sd(sha) == pytest.approx(once.sd(sha), rel=1e-4)
    effects = posterior.edit_means(search.singles)
    sound = [sha for sha in search.singles if search.effects[sha][0] < 1 and told[sha].is_scored]
    errors = [effects[sha] - search.effects[sha][0] for sha in sound]
    assert np.median(np.abs(errors)) < 2 * SIGMA
