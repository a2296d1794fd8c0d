"""Sparse weighted least squares with an evidence: rows in, means, covariances and evidence out.

Every unknown has one prior row among the rows, so that the evidence needs no more than the weights
and one determinant. Where the unknowns form nearly a tree, as in a lineage, it all stays sparse.
Knows nothing of variants.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

Vector = NDArray[np.float64]


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
        lengths = [len(form) for form in self._forms]
        indices = [column for form in self._forms for column in form]
        data = [coefficient for form in self._forms for coefficient in form.values()]
        indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        matrix = sparse.csr_array(
            (np.array(data, dtype=np.float64), np.array(indices, dtype=np.int64), indptr),
            shape=(len(self._forms), len(self.columns)),
        )
        return System(matrix, matrix.T.tocsr(), np.array(self._values, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Solution:
    """Where the unknowns are, in σ, and how well they are known."""

    means: Vector
    factor: SuperLU
    log_evidence: float

    def variances(self, forms: sparse.csr_array) -> Vector:
        """Of each row's sum."""
        result = np.empty(forms.shape[0])
        for start in range(0, forms.shape[0], 64):
            block = forms[start : start + 64].T.toarray()
            result[start : start + 64] = np.einsum("ij,ij->j", block, self.factor.solve(block))
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
