"""The second moments of features, and their sums over each class: exact integers, which many hospitals' rows add up to.

For a state's features phi of m columns and rows of classes 0..C-1:

    rows     n_k                 rows of class k
    sums     S_ik                of phi_i over the rows of class k
    squares  G_ij                of phi_i phi_j over all rows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from medward.agents.closed_form.features import IntegerRows, RandomFeatures

Counts = NDArray[np.int64]
#: Rows whose features are held at once.
_CHUNK = 8192
#: Features have at least so many steps, and at most so many.
LEAST_STEPS, MOST_STEPS = 15, 4096


class ImpossibleMoments(ValueError):
    """Numbers that are the moments of no rows."""


@dataclass(frozen=True)
class Moments:
    """Moments of some rows.

    Args:
        rows: n, int64[C].
        sums: S, int64[states, m, C].
        squares: G, int64[states, m, m], symmetric.
    """

    rows: Counts
    sums: Counts
    squares: Counts

    def packed(self) -> Counts:
        """Return all of it as one vector without repetition, int64[size]: n, then S and the triangle of G a state."""
        upper = np.triu_indices(self.squares.shape[1])
        parts = [self.rows]
        for sums, squares in zip(self.sums, self.squares, strict=True):
            parts += [sums.ravel(), squares[upper]]
        return np.concatenate(parts)

    def check(self, largest: int) -> None:
        """Refuse what no rows with features from 0 to `largest` have; it does not find every such lie.

        Raises:
            ImpossibleMoments: says what is wrong.
        """
        total = int(self.rows.sum())
        if total < 1 or (self.rows < 0).any():
            raise ImpossibleMoments("it counts no rows, or fewer than none")
        if (self.sums < 0).any() or (self.sums > largest * self.rows).any():
            raise ImpossibleMoments("a class's sum of a feature is larger than its rows allow")
        for squares in self.squares:
            diagonal = np.diagonal(squares)
            if (squares < 0).any() or (diagonal > largest**2 * total).any():
                raise ImpossibleMoments("a product of features is larger than the rows allow")
            root = np.sqrt(diagonal.astype(np.float64))
            if (squares > np.outer(root, root) * (1 + 2.0**-40)).any():
                raise ImpossibleMoments("a product of two features is larger than those of each with itself allow")


def moments_size(states: int, features: int, classes: int) -> int:
    """Return how many numbers the moments are."""
    return classes + states * (features * classes + features * (features + 1) // 2)


def largest_feature(most_rows: int, bound: int) -> int:
    """Return F = isqrt((bound - 1) / most_rows), at most 4096: so no hospital's moments reach `bound`.

    Args:
        most_rows: no hospital adds more rows.
        bound: one more than the largest moment that a hospital may contribute.

    Raises:
        ImpossibleMoments: too little would be left of a feature.
    """
    largest = min(isqrt((bound - 1) // most_rows), MOST_STEPS)
    if largest < LEAST_STEPS:
        most = (bound - 1) // LEAST_STEPS**2
        raise ImpossibleMoments(f"a hospital with up to {most_rows} rows is too large for one sum, of at most {most}")
    return largest


def moments_of(states: Sequence[RandomFeatures], inputs: IntegerRows, y: NDArray[np.integer], classes: int) -> Moments:
    """Return the moments of rows.

    Args:
        states: the features of each state.
        inputs: rows of `inputs_of`.
        y: each row's class, 0 to classes - 1.
        classes: C.
    """
    features = states[0].matrix.shape[1]
    sums = np.zeros((len(states), features, classes))
    squares = np.zeros((len(states), features, features))
    for start in range(0, len(inputs), _CHUNK):
        rows = slice(start, start + _CHUNK)
        held = np.eye(classes)[y[rows]]
        for state, own in enumerate(states):
            phi = own.of(inputs[rows])
            # Integers below 2^53: the library may add them in any order.
            sums[state] += phi.T @ held
            squares[state] += phi.T @ phi
    return Moments(np.bincount(y, minlength=classes).astype(np.int64), sums.astype(np.int64), squares.astype(np.int64))


def unpacked(packed: Counts, states: int, features: int, classes: int) -> Moments:
    """Read what `Moments.packed` wrote, or a sum of such.

    Raises:
        ImpossibleMoments: it has another length.
    """
    if packed.shape != (moments_size(states, features, classes),):
        raise ImpossibleMoments(f"there are {packed.size} numbers, not {moments_size(states, features, classes)}")
    row, column = np.triu_indices(features)
    sums = np.empty((states, features, classes), np.int64)
    squares = np.empty((states, features, features), np.int64)
    place = classes
    for state in range(states):
        sums[state] = packed[place : place + features * classes].reshape(features, classes)
        place += features * classes
        triangle = packed[place : place + len(row)]
        squares[state, row, column] = squares[state, column, row] = triangle
        place += len(row)
    return Moments(packed[:classes].copy(), sums, squares)
