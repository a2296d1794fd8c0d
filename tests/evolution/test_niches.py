"""An archive of unlike good variants, and the places of survivors that it fills."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.breeding import Knowledge
from evolution.niches import Descriptor, archive, cell, described
from evolution.selection import NICHE_SHARE, survivors
from population import Fitness
from tests.builders import an_outcome
from tests.evolution.runs import a_run, an_engine

means = st.lists(st.none() | st.floats(0.5, 3.0), max_size=40)


def field_of(*given_means):
    return [
        (f"v{i:02d}", Fitness(mean, 0.001, 0 if mean is None else 1))
        for i, mean in enumerate(given_means)
    ]


def cells_of(*numbers):
    return {f"v{i:02d}": (n,) for i, n in enumerate(numbers) if n is not None}


def test_a_variant_is_described_by_its_newest_trial():
    outcomes = [
        an_outcome(train_tokens=1000, train_seconds=2.0, peak_memory_mb=100.0),
        an_outcome(
            train_tokens=3000, train_seconds=2.0, peak_memory_mb=90.0, summary={"num_params_M": 0.5}
        ),
    ]
    assert described(outcomes, 700, list(Descriptor)) == (0.5, 1500.0, 90.0, 700.0)


def test_what_is_not_known_leaves_a_variant_without_a_niche():
    assert described([an_outcome(train_tokens=0)], 700, [Descriptor.SPEED]) is None
    assert described([an_outcome()], 700, [Descriptor.PARAMETERS]) is None
    nonsense = an_outcome(summary={"num_params_M": float("inf")})
    assert described([nonsense], 700, [Descriptor.PARAMETERS]) is None
    assert described([], 700, [Descriptor.CODE]) == (700.0,)


def test_a_cell_is_a_factor_of_the_baseline():
    assert cell((100.0, 2.0), (100.0, 1.0)) == (0, 3)
    assert cell((109.0,), (100.0,)) == (0,)
    assert cell((125.0,), (100.0,)) == (1,)
    assert cell((80.0,), (100.0,)) == (-1,)


def test_the_best_of_each_cell_is_its_elite():
    field = field_of(1.0, 0.9, None, 0.8, 0.9)
    assert archive(field, cells_of(0, 0, 5, None, 7)) == {(0,): "v01", (7,): "v04"}


@given(means, st.data())
def test_no_cell_has_anyone_better_than_its_elite(given_means, data):
    field = field_of(*given_means)
    places = st.lists(st.none() | st.integers(0, 3), min_size=len(field), max_size=len(field))
    cells = cells_of(*data.draw(places))
    elites, fitnesses = archive(field, cells), dict(field)
    assert set(elites) == {cells[sha] for sha, f in field if f.is_scored and sha in cells}
    for sha, fitness in field:
        assert sha not in cells or not fitness.is_scored or fitnesses[elites[cells[sha]]] >= fitness


def test_a_quarter_of_the_places_is_for_cells_that_nobody_before_is_in():
    field = field_of(*(1.0 + 0.01 * i for i in range(20)))
    cells = cells_of(*[0] * 8, *[1] * 6, *[2] * 6)
    kept = [sha for sha, _ in survivors(field, 8, cells=cells)]
    assert kept == ["v00", "v01", "v02", "v03", "v04", "v05", "v08", "v14"]


def test_places_without_an_elite_go_to_the_next_best():
    field = field_of(*(1.0 + 0.01 * i for i in range(20)))
    kept = [sha for sha, _ in survivors(field, 8, cells=cells_of(*[0] * 19, 1))]
    assert kept == ["v00", "v01", "v02", "v03", "v04", "v05", "v06", "v19"]
    assert survivors(field, 8, cells={}) == field[:8]


def test_a_wreck_has_no_place_however_unlike_it_is():
    field = field_of(*(1.0 + 0.01 * i for i in range(60)))
    kept = survivors(field, 8, cells=cells_of(*[0] * 59, 1))
    assert kept == field[:8]


@given(means, st.integers(0, 20), st.data())
def test_niches_fill_a_quarter_of_the_places_and_no_more(given_means, size, data):
    field = field_of(*given_means)
    places = st.lists(st.integers(0, 3), min_size=len(field), max_size=len(field))
    cells = cells_of(*data.draw(places))
    kept, plain = survivors(field, size, cells=cells), survivors(field, size)
    assert len(kept) == len(plain) == len({sha for sha, _ in kept})
    assert len(set(kept) - set(plain)) <= size // NICHE_SHARE
    assert kept == sorted(kept, key=lambda entry: entry[1], reverse=True)


@pytest.mark.parametrize(("niches", "expected"), [(["code"], {11, 12}), ([], {12})])
def test_a_run_keeps_room_for_genomes_of_other_sizes(tmp_path, niches, expected):
    paths = a_run(tmp_path, population__niches=niches, population__survivors=8)
    with an_engine(paths) as (engine, workspace, _):
        store, breeder, manual = workspace.store, engine._breeder, engine._manual()
        baseline, fitnesses = store.variant(store.run().baseline), {}
        for number in range(1, 13):
            spare = {11: 300, 12: 900}.get(number, 1)
            lines = "".join(f"SPARE_{line} = {number}\n" for line in range(spare))
            genome = workspace.baseline.with_main(lines + workspace.baseline.main)
            made = breeder.adopt(genome, idea=str(number), parent=baseline, manual=manual)
            fitnesses[made.sha] = Fitness(1.5 + number / 100, 0.001, 1)
        field = breeder.field(Knowledge(fitnesses, None, (), manual))
        kept = {int(field.variants[sha].hypothesis) for sha, _ in field.survivors}
    assert len(kept) == 8
    assert kept & {11, 12} == expected
