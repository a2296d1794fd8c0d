"""A ring of demes: who is at home where, and when elites are copied onwards."""

from hypothesis import given
from hypothesis import strategies as st

from evolution.islands import Migration, Ring
from population import Fitness
from tests.builders import a_variant, sha_of

BASELINE = a_variant(0)


def bred(*islands):
    """The baseline, then one child of it for each of ``islands``; None is at home on all."""
    children = [
        a_variant(serial, parents=(BASELINE.sha,), island=island)
        for serial, island in enumerate(islands, 1)
    ]
    return [BASELINE, *children]


def sha(serial):
    return sha_of(("variant", serial))


def scored(*means):
    """Fitness of variants 0, 1, …; None for one that is left out."""
    return {
        sha(serial): Fitness(mean, 0.001, 1)
        for serial, mean in enumerate(means)
        if mean is not None
    }


counts = st.integers(2, 6)
births = st.lists(st.none() | st.integers(0, 5), max_size=40)


def test_births_go_round_the_ring():
    turns = [Ring(3, bred(*[None] * births)).turn for births in range(7)]
    assert turns == [1, 2, 0, 1, 2, 0, 1]
    assert Ring(3, bred(None)).from_turn() == [2, 0, 1]


def test_the_baseline_and_what_has_no_island_are_at_home_on_all():
    ring = Ring(2, bred(None, 0, 1))
    assert ring.members(0) == {sha(0), sha(1), sha(2)}
    assert ring.members(1) == {sha(0), sha(1), sha(3)}


@given(counts, births)
def test_without_migrations_a_native_breeds_on_one_island_alone(count, islands):
    ring = Ring(count, bred(*islands))
    homes = [[i for i in range(count) if v.sha in ring.members(i)] for v in ring.variants]
    for variant, found in zip(ring.variants, homes, strict=True):
        assert len(found) == (count if variant.island is None else 1)


def test_the_best_of_the_island_before_are_copied_and_stay_there_too():
    ring = Ring(2, bred(1, 1, 1, 0, 0))
    assert ring.turn == 0
    fitnesses = scored(1.0, 0.9, 0.7, 0.8, 1.0, 1.0)
    made = ring.next_migration(fitnesses, interval=2, size=2)
    assert made == Migration(0, (sha(2), sha(3)))
    after = Ring(2, ring.variants, [made])
    assert {sha(2), sha(3)} < after.members(0)
    assert {sha(2), sha(3)} < after.members(1)
    assert after.next_migration(fitnesses, interval=2, size=2) is None


def test_a_migration_is_due_after_so_many_births_of_the_island_itself():
    busy_neighbour = Ring(2, bred(1, 1, 1, 1, 0))
    fitnesses = scored(1.0, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert busy_neighbour.turn == 0
    assert busy_neighbour.next_migration(fitnesses, interval=2, size=1) is None
    assert busy_neighbour.next_migration(fitnesses, interval=1, size=1) is not None


def test_what_is_barred_or_unscored_is_copied_nowhere():
    ring = Ring(2, bred(1, 1, 1, 0, 0))
    fitnesses = scored(1.0, 0.9, 0.7) | {sha(3): Fitness(None, 0.0, 0)}
    made = ring.next_migration(fitnesses, interval=1, size=5, without={sha(2)})
    assert made == Migration(0, (sha(1),))


def test_an_elite_goes_on_round_the_ring():
    ring = Ring(3, bred(0, 1, 2, 0, 1), [Migration(1, (sha(1),))])
    assert ring.turn == 0
    onwards = Ring(3, bred(0, 1, 2, 0, 1, 2, 0), [Migration(1, (sha(1),))])
    assert onwards.turn == 2
    made = onwards.next_migration(scored(1.0, 0.5, 0.9), interval=1, size=1)
    assert made == Migration(2, (sha(1),))


def test_nobody_to_copy_is_a_migration_too_so_that_it_is_not_due_for_ever():
    ring = Ring(2, bred(0, None, 0))
    made = ring.next_migration(scored(1.0), interval=1, size=2)
    assert made == Migration(0, ())
    assert Ring(2, bred(0, None, 0), [made, made]).next_migration({}, interval=1, size=2) is None


@given(counts, births, st.integers(1, 4), st.integers(1, 3), st.data())
def test_a_migration_copies_the_best_that_the_island_lacks(count, islands, interval, size, data):
    ring = Ring(count, bred(*islands))
    means = data.draw(
        st.lists(
            st.sampled_from([0.8, 0.9, 1.0]),
            min_size=len(ring.variants),
            max_size=len(ring.variants),
        )
    )
    fitnesses = scored(*means)
    made = ring.next_migration(fitnesses, interval=interval, size=size)
    if made is None:
        assert len(ring.natives(ring.turn)) < interval
        return
    source = set(ring.natives(ring.before(made.island)))
    assert made.island == ring.turn
    assert set(made.elites) <= source
    assert len(made.elites) == min(size, len(source))
    left = source - set(made.elites)
    assert all(fitnesses[one] >= fitnesses[other] for one in made.elites for other in left)


def test_of_a_run_that_had_more_islands_all_are_at_home_somewhere():
    ring = Ring(2, bred(3, 2))
    assert (ring.natives(0), ring.natives(1)) == ([sha(2)], [sha(1)])


def test_migrations_of_a_run_that_had_more_islands_count_on_those_that_are_left():
    before = (Migration(2, (sha(9),)), Migration(0, (sha(8),)), Migration(3, (sha(7),)))
    ring = Ring(2, bred(None, 0, 1, 2, 3), before)
    assert ring.copied(0) == [sha(9), sha(8)]
    assert ring.copied(1) == [sha(7)]
    # It is the turn of island 0: two are native there, and two migrations were to it.
    assert ring.next_migration(scored(*[1.0] * 6), interval=1, size=1) is None
