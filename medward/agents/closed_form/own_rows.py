"""How many rows of its own a hospital has at least, to hide in what is opened (spec/closed-form.md, section 4)."""

import numpy as np
from numpy.typing import NDArray

from medward.agents.closed_form.features import inputs_of
from medward.flows.scaling import Scaler
from medward.flows.schema import UNLABELLED

#: A hospital adds rows of a class only if it has so many of it.
LEAST_CLASS_ROWS = 40
#: Of a cohort at least so many are honest: it has at least f + 2 members.
_HONEST = 2


def least_rows(numbers: int, columns: int) -> int:
    """Return how many different rows make honest hospitals' unknowns no fewer than the numbers that are opened.

    They are never fewer than those of a class.

    Args:
        numbers: that are opened.
        columns: of a row, without those that are computed from other rows.
    """
    return max(-(-numbers // (_HONEST * max(columns, 1))), LEAST_CLASS_ROWS)


def different_rows(scaler: Scaler, x: NDArray[np.float32], columns: int) -> tuple[int, int]:
    """Return how many different rows there are as the features see them, and in how many columns many of them differ.

    What a scaler maps to one place hides nobody: who shapes the scaler could leave one column with two values. A column
    counts if at least `LEAST_CLASS_ROWS` of the different rows have another value in it than the most frequent one: a
    threshold that a few rows pass makes no column.

    Args:
        scaler: of the quantile kind.
        x: rows of the raw feature matrix.
        columns: how many of the matrix's columns, the first, are a row's own; the others are computed from earlier
            rows.
    """
    places = np.concatenate([scaler.numbers, scaler.indicators, scaler.flags])
    own = np.flatnonzero(places < columns)
    if not len(x) or not len(own):
        return min(len(x), 1), 0
    seen = np.ascontiguousarray(inputs_of(scaler.keep(own), x).astype(np.int32))
    whole = seen.view(np.dtype((np.void, seen.shape[1] * seen.itemsize)))[:, 0]
    seen = seen[np.unique(whole, return_index=True)[1]]
    told = {int(places[k]) for k, one in zip(own, seen.T, strict=True) if _off_the_most(one) >= LEAST_CLASS_ROWS}
    return len(seen), len(told)


def _off_the_most(values: NDArray[np.int32]) -> int:
    """Return how many values are another than the most frequent one."""
    return len(values) - int(np.unique(values, return_counts=True)[1].max())


def rows_of_large_classes(y: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the numbers of the rows whose class has at least `LEAST_CLASS_ROWS` rows here; the others take no part.

    Args:
        y: the classes, UNLABELLED where there is none.
    """
    classes, held = np.unique(y, return_counts=True)
    return np.flatnonzero(np.isin(y, classes[(classes != UNLABELLED) & (held >= LEAST_CLASS_ROWS)]))
