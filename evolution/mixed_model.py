"""The mixed model: fitness, curve parts, mean effects and offsets as one least squares problem.

Breeders call it the animal model. A variant's fitness is the baseline's plus the effects of the
edits it carries (`pedigree`), so two variants covary by the edits they share. A full reading is
the fitness plus seed noise σ; a snapshot adds one offset, an inherited curve part and its own
noise, and shares a part of the run's seed noise. Levels and offsets are unknown constants with
wide Gaussian priors. Everything here is in σ, around a common centre; `noise` turns it into bpb.

Effects are heavy-tailed: a few edits are disasters of a hundred σ. So each edit has a Student
prior, as a scale mixture: the edit's own precision factor is near 1 for an ordinary effect and tiny
for a disaster, which then neither widens the prior of the others nor moves their mean.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from evolution.least_squares import Look, Rows, Solution, Vector, solve, sparse_rows
from evolution.readings import Reading
from population.pedigree import Form, Pedigree, VariantNode

SEED_SHARE = 0.5  # of a run's seed noise, this part shows at its snapshot already
EFFECT_DF = 3.0  # of the Student prior of an edit's effect
LEVEL_SD = 3000.0  # in σ, like all that follow: levels and offsets are as good as unknown
CLASS_SD = 30.0  # offset of a device class
MEAN_SD = 5.0  # mean effect of all edits
OPERATOR_SD = 3.0  # an operator's own mean, around that
MERGE_MEAN_SD = 1.0  # mean of what merged edits do only in company
FIRST_ROUNDS = 2  # of edit factors before the scales are fitted
FACTOR_ROUNDS = 3  # of edit factors at scales that stay as they are
STEPS = (0.6, 0.3)  # of the search for the logarithms of the scales, round by round


@dataclass(frozen=True, slots=True)
class Scales:
    """Fitted sizes, in σ.

    Attributes:
        effect: Of an ordinary edit's effect.
        company: Of what merged edits do only together.
        curve: Of an edit's effect at the snapshot beyond its effect at the end.
        snapshot: Of a snapshot's own noise.
    """

    effect: float = 2.5
    company: float = 1.0
    curve: float = 1.5
    snapshot: float = 1.0


SCALE_START = Scales()
SCALE_SPREAD = Scales(effect=1.2, company=1.0, curve=1.0, snapshot=0.7)  # sd of the logarithms


@dataclass(frozen=True, slots=True)
class TrialRows:
    """What one trial says, as rows.

    Attributes:
        forms: One a row, over all unknowns.
        values: Of each.
        variances: Of each, in σ².
        told: Edits that are told of for the first time, with their unknowns.
    """

    forms: sparse.csr_array
    values: Vector
    variances: Vector
    told: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class _Row:
    """A reading; ``beside`` is the variance beside the snapshot's own, None for a score."""

    form: dict[int, float]
    value: float
    beside: float | None


class MixedModel:
    """The unknowns of a run and everything said of them, in σ and around a common centre.

    Unknowns: a fitness and a curve part for each variant, mean effects, offsets. Each has one
    prior row, so that the evidence needs no more than the weights and one determinant.
    """

    def __init__(
        self,
        pedigree: Pedigree,
        readings: Sequence[Reading],
        sigma: float,
        *,
        like: "MixedModel | None" = None,
        has_snapshots: bool = False,
    ) -> None:
        """Of all readings at once.

        Args:
            pedigree: All variants.
            readings: All numbers that were read.
            sigma: Seed noise, in bpb.
            like: Takes over centre and home class of this one.
            has_snapshots: True to expect snapshots where none was read yet.
        """
        self.pedigree, self.readings, self.sigma = pedigree, readings, sigma
        scores = [reading.bpb for reading in readings if reading.is_full]
        level = scores or [reading.bpb for reading in readings]
        self.centre = float(np.median(level)) if level else 0.0
        self.has_snapshots = has_snapshots or any(not reading.is_full for reading in readings)
        classes = sorted({reading.device_class for reading in readings})
        self.home_class = self._home_class(classes)
        if like is not None:
            self.centre, self.home_class = like.centre, like.home_class
        self._rows = Rows()
        self._later: dict[tuple[str, str], dict[int, float]] = {}  # what grew, as sums of unknowns
        self._prior: list[float] = []  # variances of the unknowns that grew
        self._open: dict[str, list[int]] = {}  # those of edits that no row told of yet
        self._fixed: dict[int, float] = {}  # row -> sd that is not fitted
        self._edit_rows: list[int] = []
        self._curve_rows: list[int] = []
        self._snapshot_rows: dict[int, float] = {}  # row -> variance beside the snapshot's own
        self.bred = [node for node in pedigree.order if node.parents]
        self._unites = np.array([node.unites for node in self.bred], dtype=np.bool_)
        self._add_lineage()
        self._add_offsets(classes)
        self._add_readings()
        self._system = self._rows.system()

    def _home_class(self, classes: Sequence[str]) -> str:
        """The class of the baseline, or of most readings: fitness is meant there."""
        roots = {node.sha for node in self.pedigree.order if not node.parents}
        counts: dict[str, tuple[int, int]] = dict.fromkeys(classes, (0, 0))
        for reading in self.readings:
            of_root, of_all = counts[reading.device_class]
            counts[reading.device_class] = (of_root + (reading.variant in roots), of_all + 1)
        return max(classes, key=lambda name: counts[name], default="")

    def _add_lineage(self) -> None:
        rows, fixed = self._rows, self._fixed
        mutations = sorted({node.operator for node in self.bred if not node.unites})
        merges = sorted({node.operator for node in self.bred if node.unites})
        if mutations:
            common = rows.column("mean")
            fixed[rows.add({common: 1.0})] = MEAN_SD
        for operator in mutations:
            fixed[rows.add({rows.column("operator", operator): 1.0, common: -1.0})] = OPERATOR_SD
        for operator in merges:
            fixed[rows.add({rows.column("merge", operator): 1.0})] = MERGE_MEAN_SD
        for node in self.pedigree.order:
            if not node.parents:
                fixed[rows.add({rows.column("fitness", node.sha): 1.0})] = LEVEL_SD
        for node in self.bred:
            own = {rows.column("fitness", node.sha): 1.0}
            before = self.before(node)
            self._edit_rows.append(rows.add(own | {c: -x for c, x in before.items()}))
        if self.has_snapshots:
            for node in self.bred:
                own = {rows.column("curve", node.sha): 1.0}
                before = self._curve_form(self.pedigree.before(node))
                self._curve_rows.append(rows.add(own | {c: -x for c, x in before.items()}))

    def _add_offsets(self, classes: Sequence[str]) -> None:
        for name in classes:
            if name != self.home_class:
                self._fixed[self._rows.add({self._rows.column("class", name): 1.0})] = CLASS_SD
        if self.has_snapshots:
            self._fixed[self._rows.add({self._rows.column("snapshot"): 1.0})] = LEVEL_SD

    def _add_readings(self) -> None:
        finals = {reading.trial_id: reading for reading in self.readings if reading.is_full}
        for reading in self.readings:
            row = self._row(reading, finals)
            number = self._rows.add(row.form, row.value)
            if row.beside is None:
                self._fixed[number] = 1.0
            else:
                self._snapshot_rows[number] = row.beside

    def _row(self, reading: Reading, finals: Mapping[int, Reading]) -> "_Row":
        form, value = self.form(reading), self.scaled(reading.bpb)
        final = finals.get(reading.trial_id)
        if reading.is_full:
            return _Row(form, value, None)
        if final is None:
            return _Row(form, value, SEED_SHARE**2)
        # What they share of the run's seed noise is taken out: the rest is independent.
        form = _added(form, self.form(final), -SEED_SHARE)
        return _Row(form, value - SEED_SHARE * self.scaled(final.bpb), 0.0)

    def scaled(self, bpb: float) -> float:
        """In σ, around the centre."""
        return (bpb - self.centre) / self.sigma

    def before(self, node: VariantNode) -> dict[int, float]:
        """Expected fitness before anything was read: inherited edits, and the operator's mean."""
        form = self._sum("fitness", self.pedigree.before(node))
        mean = _mean_column(node)
        if not self._has(*mean):
            mean = ("mean", "")
        if self._has(*mean) and (mean != ("mean", "") or not node.unites):
            form = _added(form, self._quantity(*mean))
        return form

    def _has(self, kind: str, name: str = "") -> bool:
        return (kind, name) in self._later or (kind, name) in self._rows.columns

    def _quantity(self, kind: str, name: str = "") -> dict[int, float]:
        """A fitness, curve part, mean or offset as a sum of unknowns: mostly of itself."""
        column = self._rows.columns.get((kind, name))
        if column is not None:
            return {column: 1.0}
        later = self._later.get((kind, name))
        return {self._rows.column(kind, name): 1.0} if later is None else later

    def _sum(self, kind: str, form: Form) -> dict[int, float]:
        total: dict[int, float] = {}
        for sha, coefficient in form.items():
            total = _added(total, self._quantity(kind, sha), coefficient)
        return total

    def new_mean_variance(self, node: VariantNode) -> float:
        """Prior variance of the mean of an operator that no fitted variant is of; else nought."""
        if self._has(*_mean_column(node)) or not node.parents:
            return 0.0
        if node.unites:
            return MERGE_MEAN_SD**2
        return OPERATOR_SD**2 + (0.0 if self._has("mean") else MEAN_SD**2)

    def _curve_form(self, form: Form) -> dict[int, float]:
        """The baseline's own curve part is the offset."""
        return self._sum("curve", {sha: c for sha, c in form.items() if self.pedigree[sha].parents})

    def form(self, reading: Reading) -> dict[int, float]:
        """Which unknowns a reading is the sum of."""
        node = self.pedigree[reading.variant]
        return _added(self.fitness_form(node.sha), self._trimmings(reading, {node.sha: 1}))

    def before_reading(self, node: VariantNode, reading: Reading) -> dict[int, float]:
        """The same for a variant that is not among the unknowns, its own edit aside."""
        return _added(self.before(node), self._trimmings(reading, self.pedigree.before(node)))

    def _trimmings(self, reading: Reading, curve: Form) -> dict[int, float]:
        form: dict[int, float] = {}
        if not reading.is_full:
            form |= self._curve_form(curve)
            form[self._rows.column("snapshot")] = 1.0
        return form | self.class_form(reading.device_class)

    def class_form(self, device_class: str) -> dict[int, float]:
        """The offset of a device class; nothing for the baseline's own or one without readings."""
        return self._quantity("class", device_class) if self._has("class", device_class) else {}

    def fitness_form(self, sha: str) -> dict[int, float]:
        """The variant's fitness: one unknown, or a sum of those that were there before it."""
        return self._quantity("fitness", sha)

    def expand(self, form: Mapping[int, float]) -> Vector:
        """A form as a dense vector."""
        vector = np.zeros(self.unknown_count)
        for column, coefficient in form.items():
            vector[column] += coefficient
        return vector

    @property
    def unknown_count(self) -> int:
        """How many unknowns there are."""
        return len(self._rows.columns) + len(self._prior)

    def fitness_forms(self, nodes: Sequence[VariantNode]) -> sparse.csr_array:
        """The fitness of each variant, in this order."""
        return sparse_rows([self.fitness_form(node.sha) for node in nodes], self.unknown_count)

    # --- growing -------------------------------------------------------------------------------

    def grown(self, nodes: Sequence[VariantNode], scales: Scales) -> "MixedModel":
        """The same with further variants; this one stays as it is."""
        grown = copy.copy(self)
        grown.pedigree = self.pedigree.grown(nodes)
        grown._later, grown._prior = dict(self._later), list(self._prior)
        grown._open = dict(self._open)
        for node in grown.pedigree.order[len(self.pedigree.order) :]:
            grown._grow(node, scales)
        return grown

    def _grow(self, node: VariantNode, scales: Scales) -> None:
        if not node.parents:
            self._later["fitness", node.sha] = self._unknown(LEVEL_SD**2)
            return
        if not node.unites and not self._has("mean"):
            self._later["mean", ""] = self._unknown(MEAN_SD**2)
        kind, operator = _mean_column(node)
        if not self._has(kind, operator):
            own = self._unknown((MERGE_MEAN_SD if node.unites else OPERATOR_SD) ** 2)
            common = {} if node.unites else self._quantity("mean")
            self._later[kind, operator] = _added(common, own)
        effect, curve = self.own_variances(scales, node.unites).tolist()
        own = self._unknown(effect)
        self._open[node.sha] = list(own)
        self._later["fitness", node.sha] = _added(self.before(node), own)
        if self.has_snapshots:
            own = self._unknown(curve)
            self._open[node.sha] += list(own)
            before = self._curve_form(self.pedigree.before(node))
            self._later["curve", node.sha] = _added(before, own)

    def _unknown(self, variance: float) -> dict[int, float]:
        self._prior.append(variance)
        return {self.unknown_count - 1: 1.0}

    def read(self, readings: Sequence[Reading], scales: Scales) -> tuple["MixedModel", "TrialRows"]:
        """The same with the readings of one more trial, and these as rows."""
        grown = copy.copy(self)
        grown._later, grown._prior = dict(self._later), list(self._prior)
        grown.readings = [*self.readings, *readings]
        for reading in readings:
            name = reading.device_class
            if name != self.home_class and not grown._has("class", name):
                grown._later["class", name] = grown._unknown(CLASS_SD**2)
        finals = {reading.trial_id: reading for reading in readings if reading.is_full}
        rows = [grown._row(reading, finals) for reading in readings]
        said = [{column: x for column, x in row.form.items() if x} for row in rows]
        touched = set().union(*said)
        told = {sha: c for sha, c in self._open.items() if touched.intersection(c)}
        grown._open = {sha: c for sha, c in self._open.items() if sha not in told}
        forms = sparse_rows(said, grown.unknown_count)
        variances = [1.0 if r.beside is None else scales.snapshot**2 + r.beside for r in rows]
        return grown, TrialRows(
            forms, np.array([row.value for row in rows]), np.array(variances), told
        )

    def later_prior(self, start: int = 0) -> Vector:
        """Prior variances of the unknowns that grew, from the ``start``-th on."""
        return np.array(self._prior[start:], dtype=np.float64)

    def own_variances(self, scales: Scales, unites: bool | NDArray[np.bool_]) -> Vector:
        """Prior variance of an ordinary edit's effect, and of its curve part."""
        effect = np.where(unites, scales.company, scales.effect) ** 2
        curve = effect * (scales.curve / scales.effect) ** 2
        return np.array([effect, curve], dtype=np.float64)

    def _weights(self, scales: Scales, factors: Vector) -> Vector:
        variances = np.ones(len(self._system.values))
        fixed = np.fromiter(self._fixed.values(), dtype=np.float64)
        variances[list(self._fixed)] = fixed**2
        effect, curve = self.own_variances(scales, self._unites)
        variances[self._edit_rows] = effect / factors
        if self.has_snapshots:
            variances[self._curve_rows] = curve / factors
            beside = np.fromiter(self._snapshot_rows.values(), dtype=np.float64)
            variances[list(self._snapshot_rows)] = scales.snapshot**2 + beside
        return 1.0 / variances

    def solve(self, scales: Scales, factors: Vector) -> Solution:
        """The unknowns, given the scales and each edit's own precision factor."""
        return solve(self._system, self._weights(scales, factors))

    def edit_factors(self, solution: Solution, scales: Scales) -> Vector:
        """Each edit's precision factor under the Student prior, given where the edits seem to be.

        The mean-field update of the scale mixture: 1 for an edit that nothing was read of.
        """
        variances = self.own_variances(scales, self._unites)
        seen, total = 0.0, np.zeros(len(self.bred))
        for rows, variance in zip((self._edit_rows, self._curve_rows), variances, strict=True):
            if rows:
                forms = self._system.matrix[rows]
                squares = (forms @ solution.means) ** 2 + solution.variances(forms)
                seen, total = seen + 1.0, total + squares / variance
        return np.asarray((EFFECT_DF + seen) / (EFFECT_DF + total), dtype=np.float64)


def _added(
    form: Mapping[int, float], other: Mapping[int, float], factor: float = 1.0
) -> dict[int, float]:
    total = dict(form)
    for column, coefficient in other.items():
        total[column] = total.get(column, 0.0) + factor * coefficient
    return total


def told_factors(rows: TrialRows, look: Look, rounds: int = FACTOR_ROUNDS) -> tuple[Look, Vector]:
    """Precision factors of the edits that a trial tells of for the first time.

    The rounds of `fit_factors` for these edits alone: of all others, what is believed stays.

    Args:
        rows: What the trial says.
        look: At the rows, and at further sums after them.
        rounds: How often the factors are reckoned.

    Returns:
        The same look with the edits' prior variances as their factors have them, and the factors.
    """
    columns = [column for unknowns in rows.told.values() for column in unknowns]
    edit_of = np.repeat(np.arange(len(rows.told)), [len(c) for c in rows.told.values()])
    solution, count = look.solution, len(rows.values)
    prior = solution.prior[np.array(columns, dtype=np.int64) - solution.base.means.size]
    own = rows.forms[:, columns].toarray().T
    known = rows.forms @ look.covariances[:, :count] + np.diag(rows.variances)
    known -= (own.T * prior) @ own
    surprise = rows.values - rows.forms @ solution.means
    factors = np.ones(len(rows.told))
    seen = np.bincount(edit_of, minlength=factors.size)
    for _ in range(rounds):
        variances = prior / factors[edit_of]
        gains = np.linalg.solve(known + (own.T * variances) @ own, own.T * variances).T
        means = gains @ surprise
        left = np.maximum(variances - np.einsum("ij,ij->i", gains, own * variances[:, None]), 0.0)
        total = np.bincount(edit_of, (means**2 + left) / prior, minlength=factors.size)
        factors = (EFFECT_DF + seen) / (EFFECT_DF + total)
    return look.with_prior(columns, prior / factors[edit_of]), factors


def _mean_column(node: VariantNode) -> tuple[str, str]:
    """The unknown that is the mean effect of a variant's operator."""
    return "merge" if node.unites else "operator", node.operator


def fit_factors(model: MixedModel, scales: Scales, rounds: int = FACTOR_ROUNDS) -> Vector:
    """Each edit's precision factor at known scales; some rounds of `MixedModel.edit_factors`."""
    factors = np.ones(len(model.bred))
    if model.readings and model.bred:
        for _ in range(rounds):
            factors = model.edit_factors(model.solve(scales, factors), scales)
    return factors


def fit_scales(model: MixedModel) -> tuple[Scales, Vector]:
    """Scales by marginal likelihood under log-normal priors, edit factors in turn with them.

    The factors come first, at the scales' starting values, so that a disaster is known for one
    before the scales are fitted.
    """
    scales, factors = SCALE_START, fit_factors(model, SCALE_START, FIRST_ROUNDS)
    if not model.readings or not model.bred:
        return scales, factors
    for step in STEPS:
        scales = _likeliest_scales(model, scales, factors, step)
        factors = model.edit_factors(model.solve(scales, factors), scales)
    return scales, factors


def _likeliest_scales(model: MixedModel, start: Scales, factors: Vector, step: float) -> Scales:
    names = ["effect"]
    names += ["company"] if any(node.unites for node in model.bred) else []
    names += ["curve", "snapshot"] if model.has_snapshots else []
    centre = np.log([getattr(SCALE_START, name) for name in names])
    spread = np.array([getattr(SCALE_SPREAD, name) for name in names])

    def scales_at(logs: Vector) -> Scales:
        sizes = dict(zip(names, np.exp(np.clip(logs, -6.0, 8.0)).tolist(), strict=True))
        return Scales(**sizes)

    def surprise(logs: Vector) -> float:
        prior = float((((logs - centre) / spread) ** 2).sum()) / 2
        return prior - model.solve(scales_at(logs), factors).log_evidence

    first = np.log([getattr(start, name) for name in names])
    simplex = first + np.vstack([np.zeros(len(names)), step * np.eye(len(names))])
    found = minimize(
        surprise,
        first,
        method="Nelder-Mead",
        options={
            "initial_simplex": simplex,
            "maxfev": 25 * len(names),
            "xatol": 0.15,
            "fatol": 0.3,
        },
    )
    return scales_at(found.x)
