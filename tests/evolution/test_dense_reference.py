"""The sparse least squares against a Gaussian process written out: every covariance in full.

The reference knows nothing of rows and unknowns: it says which edits a variant carries, what two
readings share, and solves dense, in extended precision, for levels are known to 3000 σ at first.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.mixed_model import MixedModel, Scales
from evolution.readings import Reading
from population.pedigree import Pedigree, VariantNode

FRACTION = 0.25
CLASSES = ("cpu", "h100", "h200")
OPERATORS = ("knob", "structure")


@dataclass
class Family:
    """Variants, the edits each carries, and each edit's precision factor."""

    nodes: list[VariantNode]
    edits: dict[str, frozenset[str]]
    factors: dict[str, float]

    def kind(self, sha):
        """The operator whose mean an edit shares; merges and stacks have one of their own."""
        node = next(node for node in self.nodes if node.sha == sha)
        return node.unites, node.operator


def merged(nodes, edits, one, other):
    """What git keeps: all that either side has beyond where they parted, and what both have."""
    above = {}
    for node in nodes:
        above[node.sha] = {node.sha}.union(*(above[parent] for parent in node.parents))
    depths = {}
    for node in nodes:
        depths[node.sha] = max((depths[parent] + 1 for parent in node.parents), default=0)
    shared = sorted(above[one] & above[other], key=lambda sha: (-depths[sha], sha))
    parted = edits[shared[0]]
    return frozenset(
        edit
        for edit in edits[one] | edits[other]
        if (edit in edits[one] and edit in edits[other]) or edit not in parted
    )


@st.composite
def families(draw):
    nodes, edits = [VariantNode("b")], {"b": frozenset()}
    for number in range(draw(st.integers(1, 9))):
        sha = f"v{number}"
        pick = st.sampled_from([node.sha for node in nodes])
        parent, mate, kind = (
            draw(pick),
            draw(pick),
            draw(st.sampled_from(["mutate", "merge", "stack"])),
        )
        singles = [n.sha for n in nodes if len(n.parents) == 1 and not n.unites]
        if kind == "merge" and mate != parent:
            nodes.append(VariantNode(sha, (parent, mate), "merge"))
            edits[sha] = merged(nodes[:-1], edits, parent, mate) | {sha}
            continue
        adds, drops = (), ()
        if kind == "stack" and singles:
            adds = tuple(draw(st.sets(st.sampled_from(singles), min_size=1, max_size=3)))
            drops = tuple(draw(st.sets(st.sampled_from(singles), max_size=2)) - set(adds))
        operator = "guided" if adds else draw(st.sampled_from(OPERATORS))
        nodes.append(VariantNode(sha, (parent,), operator, adds, drops))
        edits[sha] = ((edits[parent] | set(adds)) - set(drops)) | {sha}
    factors = {n.sha: draw(st.sampled_from([1.0, 0.7, 1e-3, 1.5])) for n in nodes[1:]}
    return Family(nodes, edits, factors)


@st.composite
def told(draw):
    family, readings = draw(families()), []
    for trial in range(1, draw(st.integers(1, 14)) + 1):
        sha = draw(st.sampled_from([node.sha for node in family.nodes]))
        where, what = draw(st.sampled_from(CLASSES)), draw(st.integers(1, 3))
        score = st.floats(-5, 5).map(lambda x: 1.5 + 0.003 * x)
        if what & 1:
            readings.append(Reading(sha, draw(score), trial, 1.0, where))
        if what & 2:
            readings.append(Reading(sha, draw(score) + 0.1, trial, FRACTION, where))
    sizes = st.sampled_from([0.4, 1.0, 3.0])
    return family, readings, Scales(*(draw(sizes) for _ in range(4)))


class Dense:
    """Covariances by definition, in σ²."""

    def __init__(self, family, scales, home):
        self.family, self.scales, self.home = family, scales, home

    def edits(self, one, other):
        """Of two edits' effects: means of operators are unknown, too."""
        (unites, operator), (others_unite, others_operator) = map(self.family.kind, (one, other))
        own = 0.0
        if one == other:
            size = self.scales.company if unites else self.scales.effect
            own = size**2 / self.family.factors[one]
        if unites or others_unite:
            same = unites and others_unite and operator == others_operator
            return own + 1.0**2 * same
        return own + 5.0**2 + 3.0**2 * (operator == others_operator)

    def curve(self, edit):
        unites, _ = self.family.kind(edit)
        size = self.scales.company if unites else self.scales.effect
        return (size * self.scales.curve / self.scales.effect) ** 2 / self.family.factors[edit]

    def fitnesses(self, one, other):
        pairs = itertools.product(self.family.edits[one], self.family.edits[other])
        return 3000.0**2 + sum(self.edits(a, b) for a, b in pairs)

    def readings(self, one, other):
        total = self.fitnesses(one.variant, other.variant)
        if one.device_class == other.device_class != self.home:
            total += 30.0**2
        if not one.is_full and not other.is_full:
            carried = self.family.edits[one.variant] & self.family.edits[other.variant]
            total += 3000.0**2 + sum(self.curve(edit) for edit in carried)
        if one.trial_id == other.trial_id:
            shares = [1.0 if reading.is_full else 0.5 for reading in (one, other)]
            total += shares[0] * shares[1]  # of the seed's noise, whose variance is one
        if one is other and not one.is_full:
            total += self.scales.snapshot**2
        return total


def table(of, rows, columns):
    return np.array([[of(a, b) for b in columns] for a in rows], dtype=np.longdouble)


def cholesky(matrix):
    lower = np.zeros_like(matrix)
    for i in range(len(matrix)):
        for j in range(i + 1):
            left = matrix[i, j] - lower[i, :j] @ lower[j, :j]
            lower[i, j] = np.sqrt(left) if i == j else left / lower[j, j]
    return lower


def halved(lower, right):
    """The solution of lower · x = right."""
    found = np.zeros_like(right)
    for i in range(len(lower)):
        found[i] = (right[i] - lower[i, :i] @ found[:i]) / lower[i, i]
    return found


@settings(max_examples=30)
@given(told())
def test_means_errors_and_evidence_are_those_of_the_dense_process(case):
    family, readings, scales = case
    model = MixedModel(Pedigree(family.nodes), readings, 0.003)
    factors = np.array([family.factors[node.sha] for node in model.bred])
    solution = model.solve(scales, factors)
    forms = model.fitness_forms(family.nodes)

    dense = Dense(family, scales, model.home_class)
    names = [node.sha for node in family.nodes]
    lower = cholesky(table(dense.readings, readings, readings))
    to_readings = table(
        lambda sha, reading: dense.readings(Reading(sha, 0.0, -1, 1.0, dense.home), reading),
        names,
        readings,
    )
    values = np.array([model.scaled(r.bpb) for r in readings], dtype=np.longdouble)
    half, half_values = halved(lower, to_readings.T), halved(lower, values)
    means = half.T @ half_values
    covariances = table(dense.fitnesses, names, names) - half.T @ half
    evidence = -0.5 * half_values @ half_values - np.log(np.diagonal(lower)).sum()

    assert forms @ solution.means == pytest.approx(means.astype(float), rel=1e-8, abs=1e-8)
    found = forms @ solution.covariances(forms.T.toarray())
    assert found == pytest.approx(covariances.astype(float), rel=1e-8, abs=1e-8)
    assert solution.log_evidence == pytest.approx(float(evidence), rel=1e-8, abs=1e-8)
