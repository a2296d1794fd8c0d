"""Sparse weighted least squares with an evidence: rows in, means, covariances and evidence out.

Every unknown has one prior row among the rows, so that the evidence needs no more than the weights
and one determinant. Where the unknowns form nearly a tree, as in a lineage, it all stays sparse.
Knows nothing of variants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import SuperLU, splu

Vector = NDArray[np.float64]

#: Columns of one solve: three times as quick a column as hundreds at once, which leave the cache.
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class System:
    """Rows as a matrix, ready to be solved under any weights."""

    matrix: sparse.csr_array
    transposed: sparse.csr_array
    values: Vector


class Rows:
    """Rows of the least squares problem: Σ coefficient · unknown = value."""

    def __init__(self) -> None:
        self.columns: dict[tuple[str, str], int] = {}
        self._forms: list[Mapping[int, float]] = []
        self._values: list[float] = []

    def column(self, kind: str, name: str = "") -> int:
        """The number of an unknown; a new one if it has none yet."""
        return self.columns.setdefault((kind, name), len(self.columns))

    def add(self, form: Mapping[int, float], value: float = 0.0) -> int:
        """Add a row and return its number."""
        self._forms.append(form)
        self._values.append(value)
        return len(self._forms) - 1

    def system(self) -> System:
        """The rows so far."""
        matrix = sparse_rows(self._forms, len(self.columns))
        return System(matrix, matrix.T.tocsr(), np.array(self._values, dtype=np.float64))


def sparse_rows(forms: Sequence[Mapping[int, float]], width: int) -> sparse.csr_array:
    """Forms as the rows of a matrix."""
    indices = [column for form in forms for column in form]
    data = [coefficient for form in forms for coefficient in form.values()]
    indptr = np.concatenate([[0], np.cumsum([len(form) for form in forms], dtype=np.int64)])
    entries = (np.array(data, dtype=np.float64), np.array(indices, dtype=np.int64), indptr)
    return sparse.csr_array(entries, shape=(len(forms), width))


def more_rows(matrix: sparse.csr_array, more: sparse.csr_array) -> sparse.csr_array:
    """Both above one another, as wide as the second: much sooner than for any two matrices."""
    indptr = np.concatenate([matrix.indptr, matrix.indptr[-1] + more.indptr[1:]])
    indices = np.concatenate([matrix.indices, more.indices])
    data = np.concatenate([matrix.data, more.data])
    shape = (matrix.shape[0] + more.shape[0], more.shape[1])
    return sparse.csr_array((data, indices, indptr), shape=shape)


@dataclass(frozen=True, slots=True)
class Solution:
    """Where the unknowns are, in σ, and how well they are known."""

    means: Vector
    factor: SuperLU
    log_evidence: float

    def covariances(self, forms: Vector) -> Vector:
        """Of every unknown with each column's sum."""
        return np.asarray(self.factor.solve(forms), dtype=np.float64)

    def variances(self, forms: sparse.csr_array) -> Vector:
        """Of each row's sum."""
        return _variances(self, forms)

    def told(self) -> "Told":
        """The same, to be told more."""
        none = sparse.csr_array((0, self.means.size))
        return Told(self, np.zeros(0), none, np.zeros((0, 0)), self.means)


@dataclass(frozen=True, slots=True)
class Told:
    """A solution that was told more unknowns and rows since, without a new factorization.

    Woodbury's identity: with A⁻¹ the covariances before and H the rows told since, of variances R,
    the covariances are A⁻¹ − A⁻¹Hᵀ(R + HA⁻¹Hᵀ)⁻¹HA⁻¹. The factor of A stays; the Cholesky factor
    of the small matrix in brackets grows with the rows. A further unknown is independent of the
    others until a row ties it to them: it changes nothing of what is believed of them, to the bit.

    Attributes:
        base: The solution before.
        prior: Prior variances of the further unknowns, whose prior means are nought.
        rows: Told since, over all unknowns.
        lower: Cholesky factor of R + HA⁻¹Hᵀ.
        means: Of all unknowns.
    """

    base: Solution
    prior: Vector
    rows: sparse.csr_array
    lower: Vector
    means: Vector

    def covariances(self, forms: Vector) -> Vector:
        """Of every unknown with each column's sum."""
        return self._since(self._before(forms))

    def _before(self, forms: Vector) -> Vector:
        """The covariances before the rows were told."""
        count = self.base.means.size
        prior = self.prior.reshape(-1, *[1] * (forms.ndim - 1))
        return np.concatenate([self.base.covariances(forms[:count]), prior * forms[count:]])

    def _since(self, before: Vector) -> Vector:
        """The covariances now, of those before."""
        if not self.rows.shape[0]:
            return before
        half = solve_triangular(self.lower, self.rows @ before, lower=True, check_finite=False)
        whole = solve_triangular(self.lower, half, lower=True, trans="T", check_finite=False)
        return before - self._before(self.rows.T @ whole)

    def variances(self, forms: sparse.csr_array) -> Vector:
        """Of each row's sum."""
        return _variances(self, forms)

    def with_unknowns(self, variances: Vector) -> "Told":
        """With further unknowns, the last ones."""
        if not variances.size:
            return self
        prior = np.concatenate([self.prior, variances])
        means = np.concatenate([self.means, np.zeros(variances.size)])
        rows = self.rows
        wider = sparse.csr_array(
            (rows.data, rows.indices, rows.indptr), shape=(rows.shape[0], means.size)
        )
        return Told(self.base, prior, wider, self.lower, means)

    def look(self, forms: sparse.csr_array) -> "Look":
        """How sums of unknowns go with all unknowns, one sum a row, so that rows can be told."""
        blocks = [
            self._before(forms[start : start + AT_ONCE].T.toarray())
            for start in range(0, forms.shape[0], AT_ONCE)
        ]
        before = np.hstack(blocks) if blocks else np.zeros((self.means.size, 0))
        now = [self._since(block) for block in blocks]
        return Look(self, forms, before, np.hstack(now) if now else before.copy())


@dataclass(frozen=True, slots=True)
class Look:
    """Sums of unknowns, before some of them are told as rows.

    What is computed goes element by element, or over what is not nought in the order it was said:
    unknowns that no row ties to the others change no bit of what comes out.

    Attributes:
        solution: So far.
        forms: One a row.
        before: Covariances of every unknown with each, before any row was told.
        covariances: The same now.
    """

    solution: Told
    forms: sparse.csr_array
    before: Vector
    covariances: Vector

    def with_prior(self, columns: Sequence[int], variances: Vector) -> "Look":
        """With other prior variances of further unknowns that no row told of yet."""
        if not len(columns):
            return self
        told, prior = self.solution, self.solution.prior.copy()
        prior[np.asarray(columns) - told.base.means.size] = variances
        # Nothing tells of them: each goes with itself alone.
        own = variances[:, None] * self.forms[:, columns].toarray().T
        before, covariances = self.before.copy(), self.covariances.copy()
        before[columns], covariances[columns] = own, own
        solution = Told(told.base, prior, told.rows, told.lower, told.means)
        return Look(solution, self.forms, before, covariances)

    def told(self, values: Vector, variances: Vector) -> tuple[Told, Vector]:
        """The solution once the first forms are told as rows: as many as there are values.

        Returns:
            The solution, and by how much the covariances went down, as U of UUᵀ.

        Raises:
            numpy.linalg.LinAlgError: The rows say the same thing, to rounding.
        """
        old, more = self.solution, len(values)
        rows, covariances = self.forms[:more], self.covariances[:, :more]
        small = np.linalg.cholesky(rows @ covariances + np.diag(variances))
        count = old.rows.shape[0]
        lower = np.zeros((count + more, count + more))
        lower[:count, :count], lower[count:, count:] = old.lower, small
        if count:
            across = old.rows @ self.before[:, :more]
            lower[count:, :count] = solve_triangular(
                old.lower, across, lower=True, check_finite=False
            ).T
        surprise = solve_triangular(small, values - rows @ old.means, lower=True)
        fall, means = np.empty_like(covariances), old.means
        for number in range(more):
            column = covariances[:, number]
            for earlier in range(number):
                column = column - small[number, earlier] * fall[:, earlier]
            fall[:, number] = column / small[number, number]
            means = means + surprise[number] * fall[:, number]
        return Told(old.base, old.prior, more_rows(old.rows, rows), lower, means), fall


def _variances(solution: "Solution | Told", forms: sparse.csr_array) -> Vector:
    result = np.empty(forms.shape[0])
    for start in range(0, forms.shape[0], AT_ONCE):
        block = forms[start : start + AT_ONCE].T.toarray()
        covariances = solution.covariances(block)
        result[start : start + AT_ONCE] = np.einsum("ij,ij->j", block, covariances)
    return np.maximum(result, 0.0)


def solve(system: System, weights: Vector) -> Solution:
    """The unknowns, given the precision of each row."""
    if not system.matrix.shape[1]:
        return Solution(np.zeros(0), splu(sparse.identity(1, format="csc")), 0.0)
    weighted = system.transposed @ sparse.diags_array(weights, format="csr")
    factor = splu(
        (weighted @ system.matrix).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    means = np.asarray(factor.solve(weighted @ system.values), dtype=np.float64)
    residuals = system.values - system.matrix @ means
    evidence = 0.5 * (
        np.log(weights).sum()
        - np.log(np.abs(factor.U.diagonal())).sum()
        - (weights * residuals**2).sum()
    )
    return Solution(means, factor, float(evidence))
