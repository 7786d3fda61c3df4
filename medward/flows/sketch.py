"""Additive summaries of a feature matrix: what several hospitals can sum to fit one scaler without showing a row.

A sketch counts, for each column, how many values fall into each cell of a public grid. Counts of disjoint rows add
up to the counts of all rows, so the sum of the hospitals' sketches is the sketch of the pooled rows, exactly. The grid
is refined where the mass is: a coarse first survey (one cell per sign, exponent and leading mantissa bit of a float32),
then finer ones whose cells are chosen from the summed counts of the survey before. Every cell boundary is a float32,
so that two machines never disagree on which side of it a value falls.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.machine_code import kernel

# float32 values ordered as int32 keys; one key in 2**22 is one (sign, exponent, leading mantissa bit).
_COARSE_SHIFT = 22
_LOWEST = -(1 << 31)
_END = 1 << 31
_LOW_BITS = (1 << 31) - 1


@dataclass(frozen=True)
class Grid:
    """The cells that values are counted in, for every column.

    Args:
        edges: for each column the ascending lower bounds of its cells, as order-preserving keys of float32 values;
            the first is the lowest key there is, and a cell ends where the next one begins.
    """

    edges: tuple[NDArray[np.int64], ...]

    @property
    def size(self) -> int:
        """How many numbers `count` returns: one for each cell, and one for each column's missing values."""
        return sum(len(edges) for edges in self.edges) + len(self.edges)

    def check(self) -> None:
        """Raise ValueError where the edges from a file are not as they should be."""
        for edges in self.edges:
            if not len(edges) or edges[0] != _LOWEST or edges[-1] >= _END or (np.diff(edges) <= 0).any():
                raise ValueError("the edges of its cells do not ascend from the lowest value")


def coarse_grid(columns: int) -> Grid:
    """Return the grid of the first survey: 1024 cells for each column, the same for everybody."""
    edges = np.arange(_LOWEST, _END, 1 << _COARSE_SHIFT, dtype=np.int64)
    return Grid((edges,) * columns)


def count(x: NDArray[np.float32], grid: Grid) -> NDArray[np.int64]:
    """Count a matrix's values in the grid's cells.

    Args:
        x: rows by columns; NaN where a value is missing.
        grid: as many columns of cells.

    Returns:
        `grid.size` counts: column by column its cells and then its missing values.
    """
    parts = []
    for j, edges in enumerate(grid.edges):
        values = x[:, j]
        keys = keys_of(values[~np.isnan(values)])
        cells = np.searchsorted(edges, keys, side="right") - 1
        parts.append(np.append(np.bincount(cells, minlength=len(edges)), len(values) - len(keys)))
    return np.concatenate(parts).astype(np.int64)


def column_counts(grid: Grid, counts: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], int]]:
    """Split summed counts into, for each column, the counts of its cells and of its missing values."""
    out, place = [], 0
    for edges in grid.edges:
        out.append((counts[place : place + len(edges)], int(counts[place + len(edges)])))
        place += len(edges) + 1
    return out


def refine(grid: Grid, counts: NDArray[np.int64], cells: int) -> Grid:
    """Return a grid of at most about `cells` cells a column, fine where the summed counts say that values are.

    Occupied cells are halved, always the one with the largest square root of mass a piece, until the budget is spent;
    neighbouring empty cells become one.
    """
    return Grid(
        tuple(
            _refined(edges, own, cells) for edges, (own, _) in zip(grid.edges, column_counts(grid, counts), strict=True)
        )
    )


def _refined(edges: NDArray[np.int64], counts: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    ends = np.append(edges[1:], _END)
    halvings = _halvings(np.sqrt(counts.astype(np.float64)), ends - edges, cells)
    out: list[NDArray[np.int64]] = []
    previous_empty = False
    for start, end, mass, depth in zip(edges, ends, counts, halvings, strict=True):
        if mass:
            out.append(start + (end - start) * np.arange(1 << depth, dtype=np.int64) // (1 << depth))
        elif not previous_empty:
            out.append(np.array([start], np.int64))
        previous_empty = not mass
    return np.concatenate(out)


@kernel(nogil=True)
def _halvings(weight, width, cells):  # type: ignore[no-untyped-def]  # pragma: no cover
    """How often each cell is halved: greedily, the heaviest piece first, while the budget lasts."""
    depth = np.zeros(len(weight), np.int64)
    used = 0
    for i in range(len(weight)):
        used += weight[i] > 0
    while True:
        best, heaviest = -1, 0.0
        for i in range(len(weight)):
            pieces = 1 << depth[i]
            if width[i] >= 2 * pieces and weight[i] / pieces > heaviest and used + pieces <= cells:
                best, heaviest = i, weight[i] / pieces
        if best < 0:
            return depth
        used += 1 << depth[best]
        depth[best] += 1


def keys_of(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Map float32 values to integers in the same order; both zeros get one key."""
    bits = (values + np.float32(0)).view(np.int32).astype(np.int64)
    return np.where(bits >= 0, bits, bits ^ _LOW_BITS)


def values_of(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """Map keys back to the float32 values they stand for, the non-finite ones to the largest finite value."""
    bits = np.where(keys >= 0, keys, keys ^ _LOW_BITS)
    values = np.clip(bits, _LOWEST, _END - 1).astype(np.int32).view(np.float32)
    limit = np.float32(np.finfo(np.float32).max)
    return np.where(np.isfinite(values), values, np.where(keys < 0, -limit, limit))
