"""How many rows of its own a hospital has at least, to hide in what is opened (spec/closed-form.md, section 4)."""

import numpy as np
from numpy.typing import NDArray

from medward.flows.schema import UNLABELLED

#: A hospital adds rows of a class only if it has so many of it.
LEAST_CLASS_ROWS = 40
#: Of a cohort at least so many are honest: it has at least f + 2 members.
_HONEST = 2


def least_rows(numbers: int, columns: int) -> int:
    """Return how many different rows make honest hospitals' unknowns no fewer than the numbers that are opened.

    Args:
        numbers: that are opened.
        columns: of a row.
    """
    return -(-numbers // (_HONEST * max(columns, 1)))


def different_rows(rows: NDArray[np.float32]) -> int:
    """Return how many different rows there are, bit by bit."""
    if not rows.size:
        return 0
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))
    return len(np.unique(whole))


def rows_of_large_classes(y: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the numbers of the rows whose class has at least `LEAST_CLASS_ROWS` rows here; the others are not added.

    Args:
        y: the classes, UNLABELLED where there is none.
    """
    classes, held = np.unique(y, return_counts=True)
    return np.flatnonzero(np.isin(y, classes[(classes != UNLABELLED) & (held >= LEAST_CLASS_ROWS)]))
