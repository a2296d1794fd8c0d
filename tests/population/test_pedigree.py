import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from population import Genome, Lineage, merge_files
from population.pedigree import Pedigree, VariantNode
from tests.builders import a_variant

ROOT = VariantNode("0")


def of(*nodes):
    return Pedigree([ROOT, *nodes])


def carried(pedigree, sha):
    return pedigree.edits(pedigree[sha])


def test_a_stack_carries_its_parents_edits_and_those_it_added():
    a, b, c = VariantNode("a", ("0",)), VariantNode("b", ("0",)), VariantNode("c", ("b",))
    stack = VariantNode("s", ("a",), adds=("c",))
    pedigree = of(a, b, c, stack)
    assert carried(pedigree, "s") == {"a", "c", "s"}  # not b, which c was made on
    assert pedigree.before(stack) == {"a": 1, "c": 1, "b": -1}
    assert stack.unites


def test_an_edit_that_was_made_again_counts_once():
    a, b = a_variant(1, sha="a", parents=("0",)), a_variant(2, sha="b", parents=("0",))
    again = a_variant(3, sha="r", parents=("b",), repeats=("a",))
    node = VariantNode.of(again)
    pedigree = of(VariantNode.of(a), VariantNode.of(b), node)
    assert carried(pedigree, "r") == {"a", "b", "r"}
    assert pedigree.before(node) == {"a": 1, "b": 1, "0": -1}
    assert node.unites
    assert not again.unites
    assert not again.is_single
    assert again.is_repeat
    back = VariantNode.of(a_variant(4, sha="k", parents=("r",), reverts=("a",)))
    assert carried(of(VariantNode.of(a), VariantNode.of(b), node, back), "k") == {"b", "r", "k"}


def test_a_new_edit_beside_one_that_was_made_again_is_an_edit_like_others():
    a = a_variant(1, sha="a", parents=("0",), hunks=("x",))
    b = a_variant(2, sha="b", parents=("0",), hunks=("y",))
    more = a_variant(3, sha="m", parents=("b",), repeats=("a",), hunks=("z",))
    node = VariantNode.of(more)
    assert of(VariantNode.of(a), VariantNode.of(b), node).before(node) == {"a": 1, "b": 1, "0": -1}
    assert not node.unites
    assert a.is_single
    assert not more.is_single
    assert not more.is_repeat


def test_an_edit_that_was_taken_out_is_not_carried():
    a, b = VariantNode("a", ("0",)), VariantNode("b", ("a",))
    without = VariantNode("w", ("b",), drops=("a",))
    pedigree = of(a, b, without)
    assert carried(pedigree, "w") == {"b", "w"}
    assert pedigree.before(without) == {"b": 1, "a": -1, "0": 1}


def test_a_merge_leaves_out_what_one_side_took_out():
    a, b = VariantNode("a", ("0",)), VariantNode("b", ("a",))
    without, other = VariantNode("w", ("b",), drops=("a",)), VariantNode("c", ("b",))
    for parents in (("w", "c"), ("c", "w")):
        merge = VariantNode("m", parents)
        pedigree = of(a, b, without, other, merge)
        assert carried(pedigree, "m") == {"b", "c", "w", "m"}


def test_what_was_taken_out_and_added_again_is_carried():
    a, b = VariantNode("a", ("0",)), VariantNode("b", ("a",))
    without = VariantNode("w", ("b",), drops=("a",))
    back, other = VariantNode("k", ("w",), adds=("a",)), VariantNode("c", ("0",))
    pedigree = of(a, b, without, back, other, VariantNode("m", ("c", "k")))
    assert carried(pedigree, "k") == {"a", "b", "w", "k"}
    assert carried(pedigree, "m") == {"a", "b", "c", "w", "k", "m"}
    beside = VariantNode("d", ("w",))
    for parents in (("k", "d"), ("d", "k")):
        pedigree = of(a, b, without, back, beside, VariantNode("m", parents))
        assert carried(pedigree, "m") == {"a", "b", "w", "k", "d", "m"}


def test_an_edit_that_one_line_took_out_and_another_took_in_is_in():
    a, b = VariantNode("a", ("0",)), VariantNode("b", ("a",))
    without = VariantNode("w", ("b",), drops=("a",))
    x, stack = VariantNode("x", ("0",)), VariantNode("s", ("x",), adds=("a",))
    pedigree = of(a, b, without, x, stack, VariantNode("m", ("w", "s")))
    assert carried(pedigree, "m") == {"a", "b", "w", "x", "s", "m"}


@pytest.mark.parametrize("field", ["adds", "drops"])
def test_an_edit_of_a_variant_that_is_not_there_is_an_error(field):
    with pytest.raises(ValueError, match="names nobody, which is not in the run"):
        of(VariantNode("s", ("0",), **{field: ("nobody",)}))


@st.composite
def lineages(draw):
    """A lineage of mutations, merges and stacks, and what each mutation's edit is worth."""
    nodes = [ROOT]
    for number in range(1, draw(st.integers(2, 14))):
        sha = f"n{number:02d}"
        parents = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=2, unique=True))
        pedigree = Pedigree(nodes)
        adds, drops = (), ()
        mine = pedigree.edits(parents[0])
        singles = [n.sha for n in nodes if len(n.parents) == 1 and not n.unites]
        if len(parents) == 1 and draw(st.booleans()):
            adds = tuple(sha for sha in singles if sha not in mine and draw(st.booleans()))
            drops = tuple(sha for sha in singles if sha in mine and draw(st.booleans()))
        nodes.append(VariantNode(sha, tuple(p.sha for p in parents), "", adds, drops))
    return nodes


@given(lineages())
def test_what_is_expected_is_the_sum_of_the_edits_that_are_carried(nodes):
    pedigree = Pedigree(nodes)
    worth = {node.sha: 2.0**i for i, node in enumerate(nodes[1:])}
    fitness = {
        node.sha: sum(worth[edit] for edit in pedigree.edits(node)) for node in pedigree.order
    }
    for node in pedigree.order[1:]:
        before = sum(c * fitness[sha] for sha, c in pedigree.before(node).items())
        assert fitness[node.sha] == before + worth[node.sha]


@given(lineages(), st.randoms())
def test_the_order_of_arrival_does_not_matter(nodes, chance):
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    one, other = Pedigree(nodes), Pedigree(shuffled)
    assert one.order == other.order
    for node in nodes:
        assert (one.edits(node), one.before(node)) == (other.edits(node), other.before(node))


def text_of(edits, count):
    """A genome in which each edit turns on a line of its own, far from the others."""
    return Genome.single("".join(f"slot {i} {i in edits}\n" + "#\n" * 6 for i in range(count)))


@settings(max_examples=25)
@given(lineages())
def test_a_variant_carries_what_git_leaves_in_its_text(nodes):
    """Texts are made as operators make them: a merge by git, single edits one by one."""
    pedigree, places = Pedigree(nodes), {node.sha: i for i, node in enumerate(nodes)}
    lineage = Lineage(
        a_variant(i, sha=node.sha, parents=node.parents, adds=node.adds, drops=node.drops)
        for i, node in enumerate(nodes)
    )
    held: dict[str, frozenset[int]] = {}
    for node in nodes:
        own = {places[node.sha]} if node.parents and not node.unites else set()
        inside = set().union(*(held[parent] for parent in node.parents[:1]))
        if len(node.parents) > 1:
            base = lineage.common_ancestor(*node.parents)
            texts = [text_of(held[sha], len(nodes)) for sha in (base, *node.parents)]
            lines = merge_files(*texts).genome.main.splitlines()
            inside = {int(line.split()[1]) for line in lines if line.endswith("True")}
        inside |= {places[sha] for sha in node.adds}
        inside -= {places[sha] for sha in node.drops}
        held[node.sha] = frozenset(inside | own)
        single = {
            places[sha]
            for sha in pedigree.edits(node)
            if not next(other for other in nodes if other.sha == sha).unites
        }
        assert single == held[node.sha]
