"""Lineage: ancestors and common ancestors, without cycles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from population import Lineage, LineageError, generation_of
from tests.builders import a_family, a_variant


@st.composite
def families(draw, max_size=12):
    """Families in which each variant has up to two earlier parents."""
    size = draw(st.integers(1, max_size))
    parents = [
        tuple(draw(st.lists(st.integers(0, n - 1), max_size=2, unique=True))) if n else ()
        for n in range(size)
    ]
    return a_family(*parents)


def test_a_diamond_has_its_top_as_common_ancestor():
    top, left, right, bottom = family = a_family((), (0,), (0,), (1, 2))
    lineage = Lineage(family)
    assert lineage.common_ancestor(left.sha, right.sha) == top.sha
    assert lineage.common_ancestor(bottom.sha, right.sha) == right.sha
    assert lineage.ancestors(bottom.sha) == {top.sha, left.sha, right.sha}
    assert lineage.descendants(top.sha) == {left.sha, right.sha, bottom.sha}
    assert lineage.parents(bottom.sha) == (left.sha, right.sha)
    assert lineage.children(top.sha) == (left.sha, right.sha)
    assert lineage.path_to_root(bottom.sha) == [bottom.sha, left.sha, top.sha]
    assert lineage.depth(bottom.sha) == 2


def test_strangers_have_no_common_ancestor():
    one, other = family = a_family((), ())
    assert Lineage(family).common_ancestor(one.sha, other.sha) is None


def test_the_last_common_ancestor_is_taken_and_not_an_older_one():
    family = a_family((), (0,), (1,), (1,))
    assert Lineage(family).common_ancestor(family[2].sha, family[3].sha) == family[1].sha


def test_the_generation_of_a_baseline_is_zero_and_grows_with_the_highest_parent():
    old, young = a_variant(1, generation=2), a_variant(2, generation=5)
    assert generation_of([]) == 0
    assert generation_of([old, young]) == 6


@given(families(), st.randoms(use_true_random=False))
def test_the_order_of_the_variants_does_not_matter(family, chance):
    shuffled = list(family)
    chance.shuffle(shuffled)
    one, other = Lineage(family), Lineage(shuffled)
    for variant in family:
        assert one.ancestors(variant.sha) == other.ancestors(variant.sha)
        assert one.depth(variant.sha) == other.depth(variant.sha) == variant.generation
        assert one.path_to_root(variant.sha) == other.path_to_root(variant.sha)


@given(families())
def test_a_lineage_built_at_once_equals_one_that_grew(family):
    grown = Lineage()
    for variant in family:
        grown.add(variant)
    whole = Lineage(family)
    assert len(grown) == len(whole) == len(family)
    for variant in family:
        assert variant.sha in grown
        assert grown.children(variant.sha) == whole.children(variant.sha)
        assert grown.ancestors(variant.sha) == whole.ancestors(variant.sha)


@given(families())
def test_no_variant_is_its_own_ancestor(family):
    lineage = Lineage(family)
    for variant in family:
        assert variant.sha not in lineage.ancestors(variant.sha)
        for ancestor in lineage.ancestors(variant.sha):
            assert variant.sha in lineage.descendants(ancestor)
            assert lineage.depth(ancestor) < lineage.depth(variant.sha)


@given(families(), st.data())
def test_a_common_ancestor_is_shared_and_no_shared_one_descends_from_it(family, data):
    a, b = (data.draw(st.sampled_from(family)).sha for _ in "ab")
    lineage = Lineage(family)
    found = lineage.common_ancestor(a, b)
    shared = (lineage.ancestors(a) | {a}) & (lineage.ancestors(b) | {b})
    assert found == lineage.common_ancestor(b, a)
    assert (found in shared) if shared else (found is None)
    assert not shared & (lineage.descendants(found) if found else set())


def test_a_cycle_is_refused():
    one, other = (
        a_variant(1, parents=(a_variant(2).sha,)),
        a_variant(2, parents=(a_variant(1).sha,)),
    )
    with pytest.raises(LineageError, match="form a cycle"):
        Lineage([one, other])
    with pytest.raises(LineageError, match="form a cycle"):
        Lineage([a_variant(1, parents=(a_variant(1).sha,))])


def test_a_missing_parent_is_refused():
    orphan = a_variant(1, parents=(a_variant(0).sha,))
    with pytest.raises(LineageError, match="not among the 1 variants"):
        Lineage([orphan])
    with pytest.raises(LineageError, match="Add the parents first"):
        Lineage().add(orphan)


def test_a_commit_comes_once():
    with pytest.raises(LineageError, match="come twice"):
        Lineage([a_variant(), a_variant()])
    with pytest.raises(LineageError, match="Do not add it again"):
        Lineage([a_variant()]).add(a_variant())


def test_asking_for_a_stranger_says_so():
    with pytest.raises(LineageError, match="not among the 0 variants"):
        Lineage().ancestors("f" * 40)
    assert "f" * 40 not in Lineage()
