"""The tree's layout: nobody stands on another's place, and the champion's line is straight."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis import champion_line, draw_family_tree, tree_layout, tree_parents
from analysis.family_tree import gain_colours
from population import Variant
from tests.builders import a_family


@st.composite
def families(draw: st.DrawFn, largest: int = 25) -> Sequence[Variant]:
    """Variants of one root, each with one or two elder parents."""
    parents: list[tuple[int, ...]] = [()]
    for serial in range(1, draw(st.integers(1, largest))):
        elders = st.integers(0, serial - 1)
        parents.append(draw(st.lists(elders, min_size=1, max_size=2, unique=True).map(tuple)))
    return a_family(*parents)


@settings(max_examples=50)
@given(families(), st.data())
def test_no_two_variants_share_a_place(family: Sequence[Variant], data: st.DataObject):
    champion = data.draw(st.sampled_from(family)).sha
    places = tree_layout(family, champion)
    assert set(places) == {v.sha for v in family}
    assert len(set(places.values())) == len(family)


@settings(max_examples=50)
@given(families(), st.data())
def test_the_champions_line_is_straight(family: Sequence[Variant], data: st.DataObject):
    champion = data.draw(st.sampled_from(family)).sha
    places = tree_layout(family, champion)
    line = champion_line(family, champion)
    assert line[0] == champion
    assert not tree_parents(family)[line[-1]]
    assert len({places[sha].row for sha in line}) == 1


@settings(max_examples=50)
@given(families())
def test_a_variant_hangs_on_a_parent_of_the_generation_before(family: Sequence[Variant]):
    generation = {v.sha: v.generation for v in family}
    for variant in family:
        parent = tree_parents(family)[variant.sha]
        assert (parent is None) == (not variant.parents)
        if parent is not None:
            assert parent in variant.parents
            assert generation[parent] == variant.generation - 1


def test_a_crowded_generation_stands_several_to_a_row():
    family = a_family((), *[(0,)] * 200)
    rows = [place.row for place in tree_layout(family).values()]
    assert max(rows) - min(rows) < 60
    assert len(set(tree_layout(family).values())) == len(family)


def test_several_roots_stand_below_each_other():
    places = tree_layout(a_family((), (), (0,), (1,)))
    assert len(set(places.values())) == 4


def test_one_runaway_failure_does_not_wash_out_the_colours():
    _, norm = gain_colours([20.0, -3.0, -4000.0, float("nan")])
    assert norm(20.0) == pytest.approx(1.0)
    assert norm(0.0) == pytest.approx(0.5)
    assert norm(-20.0) == pytest.approx(0.0)


def test_a_crossover_is_drawn_with_two_edges_and_the_champions_line_in_bold():
    family = a_family((), (0,), (0,), (1, 2))
    gains = [0.0, 0.01, np.nan, 0.02]
    held = {"scoring": "trusted", "containment": "basic"}
    frame = pd.DataFrame({"variant": [v.sha for v in family], "gain": gains, **held})
    axes = draw_family_tree(family, frame, ax=Figure().subplots(), champion=family[3].sha)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "baseline",
        "mutation",
        "crossover",
        "no score",
        "other parent",
    ]
    first, second, bold = (len(edges.get_paths()) for edges in axes.collections[:3])
    assert (first, second, bold) == (3, 1, 2)
    assert {text.get_text() for text in axes.texts} == {"baseline", *(v.name for v in family[1:])}
