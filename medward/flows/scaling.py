"""From raw columns to what a network takes, fitted on summed counts of training rows and on nothing else.

A quantile scaler maps each number to its place among knots: 129 quantiles of all values and 129 of the distinct ones,
so that a rare range still gets room. A standard scaler maps to standard deviations from the mean. Both are fitted from
a `Grid` and its counts (medward.flows.sketch), whether those come from one hospital or from the sum of many.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medward.flows.errors import FlowsError
from medward.flows.schema import Column
from medward.flows.sketch import _END, Grid, column_counts, values_of
from medward.machine_code import kernel

QUANTILES = 129
# The standard kind clips there: what lies further out is told apart by nothing that a training row taught.
FARTHEST_SD = 10.0

ScalerKind = Literal["quantile", "standard"]


@dataclass(frozen=True)
class Scaler:
    """A fitted scaler: which columns it keeps, and how each number is mapped.

    Args:
        kind: "quantile" or "standard".
        numbers: the matrix columns that are mapped, in ascending order.
        indicators: the matrix columns that pass as they are (two values at most).
        flags: columns whose being missing is told to the network by a flag of its own.
        knots: for the quantile kind, for each number its ascending knots, padded at the end with the last one.
        knot_count: how many of them count.
        mean: for the standard kind, for each number its mean; zeros otherwise.
        scale: likewise one over its standard deviation; ones otherwise.
        bins: for each number the ascending edges, in scaled units, of the bins of a piecewise-linear embedding,
            padded at the end with the last one; these too hold about equal shares of the training values.
        bin_count: how many bins each has.
    """

    kind: ScalerKind
    numbers: NDArray[np.int64]
    indicators: NDArray[np.int64]
    flags: NDArray[np.int64]
    knots: NDArray[np.float32]
    knot_count: NDArray[np.int64]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    bins: NDArray[np.float32]
    bin_count: NDArray[np.int64]

    @property
    def width(self) -> int:
        """The width of what `encode` returns: numbers, their presence, indicators, flags."""
        return 2 * len(self.numbers) + len(self.indicators) + len(self.flags)

    def check(self, columns: int) -> None:
        """Refuse a kind and arrays from a file that do not fit: compiled code reads them without looking at their ends.

        Args:
            columns: how many columns the feature matrix has.

        Raises:
            ValueError: they do not.
        """
        many, places = len(self.numbers), (self.numbers, self.indicators, self.flags)
        counts, moments, tables = (self.knot_count, self.bin_count), (self.mean, self.scale), (self.knots, self.bins)
        fits = (
            all(one.dtype == np.int64 and one.ndim == 1 and ((one >= 0) & (one < columns)).all() for one in places)
            and all(one.dtype == np.int64 and one.shape == (many,) for one in counts)
            and all(one.dtype == np.float32 and one.shape == (many,) for one in moments)
            and all(one.dtype == np.float32 and one.ndim == 2 and len(one) == many for one in tables)
            and ((self.knot_count >= 1) & (self.knot_count <= self.knots.shape[1])).all()
            and ((self.bin_count >= 1) & (self.bin_count < self.bins.shape[1])).all()
            and all(np.isfinite(one).all() for one in (*moments, *tables))
            and ascend(self.knots, self.knot_count)
        )
        if self.kind not in get_args(ScalerKind):
            raise ValueError("its scaler is of a kind that this medward does not know")
        if not fits:
            raise ValueError("the arrays of its scaler do not fit each other")

    def keep(self, inputs: NDArray[np.intp]) -> "Scaler":
        """Return a scaler of some of the inputs alone.

        Args:
            inputs: their places among the numbers, indicators and flags, one after the other.
        """
        many, ones = len(self.numbers), len(self.indicators)
        kept = np.sort(inputs)
        numbers = kept[kept < many]
        return replace(
            self,
            indicators=self.indicators[kept[(kept >= many) & (kept < many + ones)] - many],
            flags=self.flags[kept[kept >= many + ones] - many - ones],
            **{
                name: getattr(self, name)[numbers]
                for name in ("numbers", "knots", "knot_count", "mean", "scale", "bins", "bin_count")
            },
        )

    def encode(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map rows of the raw matrix to what the network takes.

        Args:
            x: rows by matrix columns; NaN where missing.

        Returns:
            Rows by `width`: the scaled numbers (in [0, 1], or standard deviations; 0 where missing), for each whether
            it is there, the indicators (0 where missing), and the flags.
        """
        out = np.empty((len(x), self.width), np.float32)
        _encode(
            np.ascontiguousarray(x, np.float32),
            *(self.numbers, self.indicators, self.flags),
            *(self.knots, self.knot_count, self.mean, self.scale, self.kind == "quantile"),
            out,
        )
        return out


def fit_scaler(columns: Sequence[Column], grid: Grid, counts: NDArray[np.int64], kind: ScalerKind, bins: int) -> Scaler:
    """Fit a scaler to summed counts of training rows.

    Args:
        columns: what the matrix's columns are.
        grid: the cells that were counted.
        counts: their summed counts, as `medward.flows.sketch.count` lays them out.
        kind: see `Scaler`.
        bins: the most bins a number's embedding may have.

    Raises:
        FlowsError: no column takes more than one value.
    """
    counted = column_counts(grid, counts)
    occupied = [np.flatnonzero(own) for own, _ in counted]
    varied = [j for j in range(len(columns)) if len(occupied[j]) > 1 or (len(occupied[j]) == 1 and counted[j][1])]
    numbers = [j for j in varied if not columns[j].indicator]
    if not varied:
        raise FlowsError("No feature takes more than one value in the training rows: give more rows.")
    flags: dict[int, int] = {}
    for j in varied:
        # Columns that are missing equally often are, in all data sets at hand, missing together: one flag serves them.
        if counted[j][1]:
            flags.setdefault(counted[j][1], j)
    knots, moments, edges = [], [], []
    for j in numbers:
        cells, own = occupied[j], counted[j][0]
        low = values_of(grid.edges[j][cells]).astype(np.float64)
        high = values_of(np.append(grid.edges[j], _END)[cells + 1]).astype(np.float64)
        knots.append(_knots(low, high, own[cells]))
        moments.append(_moments((low + high) / 2, own[cells]))
        scaled = np.interp(low, knots[-1], np.linspace(0, 1, len(knots[-1])))
        edges.append(_bin_edges(scaled, own[cells], bins))
    quantile = kind == "quantile"
    return Scaler(
        kind=kind,
        numbers=np.array(numbers, np.int64),
        indicators=np.array([j for j in varied if columns[j].indicator], np.int64),
        flags=np.array(list(flags.values()), np.int64),
        knots=_padded(knots if quantile else [np.zeros(1)] * len(numbers)),
        knot_count=np.array([len(k) if quantile else 1 for k in knots], np.int64),
        mean=np.array([0.0 if quantile else m for m, _ in moments], np.float32),
        scale=np.array([1.0 if quantile else 1 / max(s, 1e-6) for _, s in moments], np.float32),
        bins=_padded(edges),
        bin_count=np.array([len(e) - 1 for e in edges], np.int64),
    )


def _knots(low: NDArray[np.float64], high: NDArray[np.float64], mass: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the lower bounds of the cells at the quantiles of all values and of the distinct ones, and the top."""
    at = np.linspace(0, 1, QUANTILES)
    share = (np.cumsum(mass) - mass / 2) / mass.sum()
    by_mass = np.searchsorted(share, at).clip(0, len(low) - 1)
    by_value = np.round(at * (len(low) - 1)).astype(np.intp)
    chosen = np.unique(np.concatenate([by_mass, by_value]))
    return np.unique(np.append(low[chosen], low[-1] if len(low) > 1 else high[-1]).astype(np.float32)).astype(
        np.float64
    )


def _moments(middle: NDArray[np.float64], mass: NDArray[np.int64]) -> tuple[float, float]:
    mean = float(np.average(middle, weights=mass))
    return mean, float(np.sqrt(np.average((middle - mean) ** 2, weights=mass)))


def _bin_edges(scaled: NDArray[np.float64], mass: NDArray[np.int64], bins: int) -> NDArray[np.float64]:
    """Half of the edges at equal shares of the values, half at equal distances, without repetition."""
    share = (np.cumsum(mass) - mass / 2) / mass.sum()
    by_mass = np.interp(np.linspace(0, 1, bins // 2 + 1), share, scaled)
    evenly = np.linspace(0, 1, bins - bins // 2 + 1)
    edges = np.unique(np.round(np.concatenate([[0.0], by_mass, evenly, [1.0]]), 6))
    edges = edges[np.append(True, np.diff(edges) > 1e-4)]
    return edges if len(edges) <= bins + 1 else np.append(edges[:bins], 1.0)


def _padded(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    width = max((len(row) for row in rows), default=1)
    out = np.empty((len(rows), width), np.float32)
    for i, row in enumerate(rows):
        out[i, : len(row)], out[i, len(row) :] = row, row[-1]
    return out


def ascend(rows: NDArray[np.float32], counts: NDArray[np.int64]) -> bool:
    """Return whether the first values of each row ascend, so that no two of them are equal.

    Args:
        rows: [n, m].
        counts: how many values of each row count, at most m.
    """
    counted = np.arange(1, rows.shape[1]) < counts[:, None]
    return bool((np.diff(rows, axis=1) > 0)[counted].all())


@kernel(nogil=True)
def _encode(x, numbers, indicators, flags, knots, knot_count, mean, scale, quantile, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    many, ones = len(numbers), len(indicators)
    for i in range(len(x)):
        for k in range(many):
            value = x[i, numbers[k]]
            if np.isnan(value):
                out[i, k], out[i, many + k] = 0.0, 0.0
            else:
                out[i, many + k] = 1.0
                if quantile:
                    out[i, k] = place_among(value, knots[k], knot_count[k])
                else:
                    out[i, k] = min(max((value - mean[k]) * scale[k], -FARTHEST_SD), FARTHEST_SD)
        for k in range(ones):
            value = x[i, indicators[k]]
            out[i, 2 * many + k] = 0.0 if np.isnan(value) else value
        for k in range(len(flags)):
            out[i, 2 * many + ones + k] = 1.0 if np.isnan(x[i, flags[k]]) else 0.0


@kernel(nogil=True)
def place_among(value, knots, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Where `value` stands among ascending knots: 0 at the first, 1 at the last, linear between two."""
    if count < 2 or value <= knots[0]:
        return np.float32(0.0)
    if value >= knots[count - 1]:
        return np.float32(1.0)
    low = bin_of(value, knots, count - 1)
    # In double precision: the distance of two float32 knots may be more than a float32 can hold.
    part = (np.float64(value) - knots[low]) / (np.float64(knots[low + 1]) - knots[low])
    return np.float32((low + part) / (count - 1))


@kernel(nogil=True)
def bin_of(value, edges, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The bin, of `count` ascending ones, that `value` falls into; the first or last where it lies outside."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if edges[middle] <= value:
            low = middle
        else:
            high = middle
    return low
