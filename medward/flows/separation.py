"""How well one column alone tells some rows from the others."""

import numpy as np
from numpy.typing import NDArray

#: A column that separates better than this alone, by the area under its curve, is warned of.
GIVES_AWAY = 0.99
#: Above this area a column is taken to make no error; rounding is what is left.
WITHOUT_ERROR = 0.9999
#: Of fewer rows nothing is said.
LEAST_ROWS = 20
_BINS = 64


def groups_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the group of each number, int64[rows]: its value where there are few, else its quantile."""
    distinct, code = np.unique(values, return_inverse=True)
    if len(distinct) <= _BINS:
        return code.astype(np.int64)
    edges = np.unique(np.quantile(values[np.isfinite(values)], np.linspace(0, 1, _BINS + 1)[1:-1]))
    # A value that takes up several quantiles is an edge twice: it gets a group of its own.
    return np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")


def separation(group: NDArray[np.int64], positive: NDArray[np.bool_]) -> float:
    """Return how well groups alone tell positive rows from the others: an area under the curve, .5 to 1.

    Each half of the rows, every second one, is scored by the share of positive rows in its group of the other half, so
    that a column of values that never come back tells nothing.

    Args:
        group: int64[rows], the number of each row's group.
        positive: bool[rows].
    """
    others, hits = _counts(group, positive.astype(np.int64), 2)
    return _separation(hits + others, hits)


def class_told_apart(group: NDArray[np.int64], classes: NDArray[np.integer]) -> int | None:
    """Return a class, 1 or above, that groups alone tell from all other rows without an error; None if there is none.

    Args:
        group: int64[rows], the number of each row's group.
        classes: int[rows], each row's class; 0 is the benign one, -1 that of rows without one.
    """
    counts = _counts(group, classes.astype(np.int64) + 1, int(classes.max(initial=0)) + 2)
    rows = counts.sum(axis=0)
    for number, hits in enumerate(counts[2:], 1):
        if LEAST_ROWS <= hits.sum() < len(classes) and _separation(rows, hits) > WITHOUT_ERROR:
            return number
    return None


def _counts(group: NDArray[np.int64], kind: NDArray[np.int64], kinds: int) -> NDArray[np.int64]:
    """Return how many rows of each kind are in each group and half, int64[kinds, groups, 2]."""
    count = int(group.max(initial=0)) + 1
    cell = (kind * count + group) * 2 + np.arange(len(group)) % 2
    return np.bincount(cell, minlength=2 * count * kinds).reshape(kinds, count, 2)


def _separation(rows: NDArray[np.int64], hits: NDArray[np.int64]) -> float:
    """Return what `separation` does, from the rows and the positive ones in each group and half, int64[groups, 2]."""
    score = ((hits + hits.sum() / max(rows.sum(), 1)) / (rows + 1))[:, ::-1]
    return _area_under_curve(score.ravel(), rows.ravel(), hits.ravel().astype(np.float64))


def _area_under_curve(score: NDArray[np.float64], rows: NDArray[np.intp], hits: NDArray[np.float64]) -> float:
    """Return the chance that a positive row scores above another one, ties counting half; .5 without both kinds.

    Args:
        score: float64[cells].
        rows: int[cells], how many rows have each score.
        hits: float64[cells], how many of these are positive.
    """
    most, others = hits.sum(), rows.sum() - hits.sum()
    if not most or not others:
        return 0.5
    _, place = np.unique(score, return_inverse=True)
    positive, other = np.bincount(place, weights=hits), np.bincount(place, weights=rows - hits)
    below = np.cumsum(other) - other / 2
    return float((positive * below).sum() / (most * others))
