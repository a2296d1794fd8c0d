"""What each edit is worth, on a run whose truth is known."""

import math

import pytest

from evolution.belief import believe
from evolution.genes import genes
from population import Origin, Purpose, Store, StoreError
from tests.builders import NOW, a_run, a_variant, an_outcome, conditions


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "run.db", a_run()) as found:
        yield found


def born(store, serial, *scores, **facts):
    """A stored variant with these scores."""
    variant = a_variant(serial, **facts)
    store.add_variant(variant)
    for score in scores:
        trial = store.queue_trial(
            variant.sha, purpose=Purpose.SCREEN, conditions=conditions(), at=NOW
        )
        running = store.start_trial(trial.id, slot=0, lease_seconds=60, at=NOW)
        store.finish_trial(trial.id, running.attempt, an_outcome(score), at=NOW)
    return variant


def named(found):
    return {gene.name: gene for gene in found.listed}


def test_effects_of_a_line_with_an_edit_from_elsewhere(store):
    root = born(store, 0, 1.500, 1.502, 1.498, 1.501)
    store.update_run(baseline=root.sha)
    good = born(store, 1, 1.470, 1.471, 1.469, parents=(root.sha,))
    bad = born(store, 2, 1.530, 1.531, parents=(root.sha,))
    far = born(store, 3, 1.510, 1.509, 1.511, parents=(bad.sha,))  # gains 20 mbpb on a bad parent
    stack = born(
        store, 4, 1.450, 1.451, parents=(good.sha,), adds=(far.sha,), origin=Origin.CROSSOVER
    )
    found = genes(store, stack.sha)
    assert (found.asked, found.count) == (stack, 3)
    by_name = named(found)
    assert set(by_name) == {good.name, far.name, stack.name}
    assert by_name[good.name].gain == pytest.approx(0.030, abs=0.004)
    assert by_name[far.name].gain == pytest.approx(0.020, abs=0.005)
    assert abs(by_name[stack.name].gain) < 0.004
    assert by_name[good.name].p_helpful > 0.99
    assert (by_name[far.name].carriers, by_name[far.name].scored) == (2, 2)
    assert [g.gain for g in found.listed] == sorted((g.gain for g in found.listed), reverse=True)
    everywhere = genes(store, stack.sha, everywhere=True)
    assert named(everywhere)[bad.name].p_helpful < 0.01
    assert not named(everywhere)[bad.name].is_carried
    best = genes(store, stack.sha, everywhere=True, most=1)
    assert ([g.name for g in best.listed], best.count) == ([good.name], 4)


def test_an_edit_that_was_made_again_is_one_with_more_carriers(store):
    def gene_of_far(**again):
        root = born(store, 0 + 10 * len(store.variants()), 1.500, 1.502, 1.498, 1.501)
        first = len(store.variants())
        far = born(store, first, 1.480, parents=(root.sha,))
        other = born(store, first + 1, 1.520, 1.521, 1.519, parents=(root.sha,))
        facts = dict.fromkeys(again, (far.sha,))
        made = born(store, first + 2, 1.500, 1.501, 1.499, parents=(other.sha,), **facts)
        found = genes(store, made.sha, everywhere=True)
        belief = believe(store)
        change = belief.change_effects([made.sha])[made.sha]
        assert change.mean == pytest.approx(belief.mean(made.sha) - belief.mean(other.sha))
        assert change.mean == pytest.approx(-0.020, abs=0.003)
        assert belief.together([made.sha]).mean == pytest.approx(change.mean)
        return named(found), far, made

    alone, far, made = gene_of_far()
    assert (alone[far.name].carriers, alone[made.name].carriers) == (1, 1)
    again, known, repeat = gene_of_far(repeats=True)
    assert repeat.name not in again
    assert (again[known.name].carriers, again[known.name].is_carried) == (2, True)
    assert again[known.name].gain_sd < 0.8 * alone[far.name].gain_sd


def test_edits_of_which_only_the_sum_was_read_often_are_confounded(store):
    level = [0.001 * math.sin(i) for i in range(8)]
    root = born(store, 0, *(1.500 + x for x in level))
    store.update_run(baseline=root.sha)
    middle = born(store, 1, 1.470, parents=(root.sha,))
    last = born(store, 2, *(1.450 + x for x in level), parents=(middle.sha,))
    apart = born(store, 3, *(1.440 + x for x in level), parents=(last.sha,))
    found = genes(store, apart.sha)
    by_name = named(found)
    for one, other in ((middle, last), (last, middle)):
        assert [c.name for c in by_name[one.name].confounded] == [other.name]
        assert by_name[one.name].confounded[0].correlation < -0.7
    assert by_name[apart.name].confounded == ()
    # Also where the other one is not listed.
    for gene in genes(store, apart.sha, most=2).listed:
        assert gene.confounded == by_name[gene.name].confounded


def test_a_run_without_a_score_says_what_to_do(store):
    born(store, 0)
    with pytest.raises(StoreError, match="evolve status"):
        genes(store)
