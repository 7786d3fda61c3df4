"""How well one column alone tells some rows from the others."""

import numpy as np
from numpy.typing import NDArray

#: A column that separates better than this alone, by the area under its curve, is warned of.
GIVES_AWAY = 0.99
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
    count = int(group.max(initial=0)) + 1
    half = np.arange(len(group)) % 2 == 0
    prior = positive.mean()
    score = np.empty(len(group))
    for own in (half, ~half):
        other = ~own
        rows = np.bincount(group[other], minlength=count)
        hits = np.bincount(group[other], weights=positive[other], minlength=count)
        score[own] = ((hits + prior) / (rows + 1))[group[own]]
    return area_under_curve(score, positive)


def area_under_curve(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive row scores above another one, ties counting half; .5 without both kinds."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    hits = int(positive.sum())
    others = len(score) - hits
    if not hits or not others:
        return 0.5
    return float((rank[place][positive].sum() - hits * (hits + 1) / 2) / (hits * others))
