"""Ridge regression by one solver whose result is the same bytes on every machine.

Every entry is the result of additions, multiplications, divisions and square roots of doubles, each rounded as IEEE 754
says, in an order that the code fixes: no library's sums, no reassociation, no contraction. Vector instructions change
nothing: they work on different entries at once, never on the terms of one.
"""

from math import fsum

import numpy as np

from medward.agents.closed_form.moments import ImpossibleMoments
from medward.fhe.arrays import Doubles
from medward.fhe.ring.kernels import compiled


def ridge(squares: Doubles, products: Doubles, penalty: float) -> Doubles:
    """Return W with (squares + penalty I) W = products, float64[m, targets].

    Args:
        squares: float64[m, m], symmetric.
        products: float64[m, targets].
        penalty: above 0.

    Raises:
        ImpossibleMoments: the matrix is not positive definite, so it is of no rows.
    """
    upper = np.array(squares, np.float64, order="C")
    solution = np.array(products, np.float64, order="C")
    for k in range(len(upper)):
        upper[k, k] += penalty
    if not _factor(upper):
        raise ImpossibleMoments("the products of features are not positive definite, as those of rows are")
    _substitute(upper, solution)
    if not np.isfinite(solution).all():
        raise ImpossibleMoments("the equations have no finite solution")
    return solution


def total_of(values: Doubles) -> float:
    """Return the sum of all entries, rounded once: the same in every order."""
    return fsum(values.ravel().tolist())


@compiled
def _factor(upper: Doubles) -> bool:
    """Put U with U^T U = A into the upper triangle of A; False where A is not positive definite."""
    size = upper.shape[0]
    for j in range(size):
        for k in range(j):
            factor = upper[k, j]
            for i in range(j, size):
                upper[j, i] -= factor * upper[k, i]
        if not upper[j, j] > 0.0:
            return False
        root = np.sqrt(upper[j, j])
        for i in range(j, size):
            upper[j, i] /= root
    return True


@compiled
def _substitute(upper: Doubles, solution: Doubles) -> None:
    """Solve U^T U X = B in place."""
    size, targets = solution.shape
    for j in range(size):
        for k in range(j):
            factor = upper[k, j]
            for t in range(targets):
                solution[j, t] -= factor * solution[k, t]
        for t in range(targets):
            solution[j, t] /= upper[j, j]
    for j in range(size - 1, -1, -1):
        for k in range(j + 1, size):
            factor = upper[j, k]
            for t in range(targets):
                solution[j, t] -= factor * solution[k, t]
        for t in range(targets):
            solution[j, t] /= upper[j, j]
