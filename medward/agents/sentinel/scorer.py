"""Scoring at a gateway, without JAX: numba turns rows into the first layer's inputs, numpy does the layers.

The arithmetic is the network's (network.py), window by window: encode, embed, hidden layers, streams. A bin that is
full contributes its whole slope, so the embedding of a number is a running sum of slopes up to its bin plus a part of
that bin's: a table look-up instead of a product over all bins.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medward.flows.history import FeatureSpace
from medward.flows.scaling import FARTHEST_SD, Scaler, ascend, bin_of, place_among
from medward.flows.schema import Group
from medward.machine_code import kernel


@dataclass(frozen=True)
class Weights:
    """A trained network as plain arrays; quaternion layers are already real matrices.

    Args:
        slope: (numbers, bins, width) of the embedding; (numbers, 0, 1) where there is none.
        offset: (numbers, width), the embedding's bias.
        matrices: the hidden layers' matrices, (inputs, outputs) each.
        biases: their biases.
        value: (hidden, 1) and its bias, the value stream.
        value_bias: of shape (1,).
        advantage: (hidden, actions), the advantage stream.
        advantage_bias: of shape (actions,).
        squares: whether inputs are clipped to [0, 1] and hidden units are the squares of both complex halves of
            quaternions (parts in quarters), instead of the positive part.
    """

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    matrices: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    value: NDArray[np.float32]
    value_bias: NDArray[np.float32]
    advantage: NDArray[np.float32]
    advantage_bias: NDArray[np.float32]
    squares: bool = False

    def check(self, scaler: Scaler, actions: int) -> None:
        """Refuse arrays from a file that do not fit each other: compiled code reads them without looking at their ends.

        What compiled code divides by is not zero either, and no value is infinite.

        Args:
            scaler: of their inputs, whose own arrays fit.
            actions: how many there are.

        Raises:
            ValueError: they do not.
        """
        heads = ((self.value, self.value_bias, 1), (self.advantage, self.advantage_bias, actions))
        dimensions = (
            *((self.slope, 3), (self.offset, 2), (self.value, 2), (self.advantage, 2)),
            *((self.value_bias, 1), (self.advantage_bias, 1)),
            *((matrix, 2) for matrix in self.matrices),
            *((bias, 1) for bias in self.biases),
        )
        # Of a number that is none, every comparison says no: the model would let all rows pass.
        if not all(one.dtype == np.float32 and one.ndim == n and np.isfinite(one).all() for one, n in dimensions):
            raise ValueError(_MISFIT)
        many, bins, width = len(scaler.numbers), scaler.bins.shape[1] - 1, self.slope.shape[-1]
        embedded = self.slope.size > 0
        inputs = many * (width if embedded else 1) + len(scaler.indicators) + len(scaler.flags) + 2
        sizes = [len(bias) for bias in self.biases]
        fits = (
            self.slope.shape == ((many, bins, width) if embedded else (0, 0, 1))
            and (not embedded or ascend(scaler.bins, scaler.bin_count + 1))
            and self.offset.shape == (len(self.slope), width)
            and len(self.matrices) >= 1
            and len(self.matrices[0]) >= inputs
            and all(
                matrix.shape == (rows, size)
                for matrix, rows, size in zip(self.matrices, [len(self.matrices[0]), *sizes], sizes, strict=False)
            )
            and all(one.shape == (sizes[-1], count) and bias.shape == (count,) for one, bias, count in heads)
            and not (self.squares and any(size % 4 for size in sizes))
        )
        if not fits:
            raise ValueError(_MISFIT)


_MISFIT = "the arrays of its network do not fit each other, or are no numbers"


# Rows that go through the layers at once: their activations fit the second-level cache.
_CHUNK = 2048


class Scores(NamedTuple):
    """What Sentinel makes of a batch of windows.

    Args:
        decision: 0 ALLOW, or the class that is alerted on.
        escalated: whether the evidence was bought first.
        q: for each action its Q-value in the state in which the decision was made; ESCALATE (the last) is -inf where
            the evidence was already bought, or there is none to buy.
        suspicion: the likeliest alert's logit less ALLOW's; the higher, the more likely an attack.
    """

    decision: NDArray[np.int32]
    escalated: NDArray[np.bool_]
    q: NDArray[np.float32]
    suspicion: NDArray[np.float32]


class Scorer:
    """Decides windows with a trained Sentinel.

    Args:
        space: the features that the model takes.
        scaler: the scaler it was trained with.
        weights: the network.
        highest_cost: the highest entry of the cost matrix, which scales the advantages.
        always_informed: whether the evidence of every row is bought.
    """

    def __init__(
        self,
        space: FeatureSpace,
        scaler: Scaler,
        weights: Weights,
        highest_cost: float,
        always_informed: bool = False,
    ) -> None:
        cheap = np.array([column.group is Group.CHEAP for column in space.columns])
        history = np.array([column.history for column in space.columns])
        # One by one, since numba takes microseconds for each named tuple at every call.
        self._seen = (*_inputs(scaler, cheap, history), *_tables(scaler, weights))
        self._arguments = (*self._seen, *_layers(weights, highest_cost), weights.squares)
        self._always_informed = always_informed
        self._width = len(weights.matrices[0])
        self._highest = np.float32(highest_cost)
        self.actions = len(weights.advantage_bias)
        #: Where nothing is expensive there is nothing to buy, whatever the network thinks of ESCALATE.
        self._sells = not cheap.all()

    def score(self, x: NDArray[np.float32]) -> Scores:
        """Decide rows of the raw feature matrix, each for itself; rows that escalate are decided on second sight.

        Args:
            x: rows by the feature space's columns; NaN where missing.
        """
        if self._always_informed:
            q, suspicion = self.q_values(x, bought=True)
            return Scores(q.argmax(axis=1).astype(np.int32), np.full(len(q), self._sells), q, suspicion)
        q, suspicion = self.q_values(x, bought=False)
        decision = q.argmax(axis=1).astype(np.int32)
        escalated = decision == self.actions - 1
        if escalated.any():
            second, doubt = self.q_values(x[escalated], bought=True)
            q[escalated], suspicion[escalated] = second, doubt
            decision[escalated] = second.argmax(axis=1)
        return Scores(decision, escalated, q, suspicion)

    def q_values(self, x: NDArray[np.float32], bought: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each row's Q-values, with or without the evidence, and its suspicion.

        ESCALATE, the last, is -inf where the evidence was bought, or there is none to buy.
        """
        q, suspicion, _ = self._run(x, bought)
        if not self._sells:
            q[:, -1] = -np.inf
        return q, suspicion

    def inputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a network of squares sees of rows, float32[rows, inputs], each within [0, 1]."""
        rows = np.ascontiguousarray(x, np.float32)
        result: NDArray[np.float32] = _inputs_of(rows, *self._seen, self._width)
        return result

    def chances(self, x: NDArray[np.float32], bought: bool) -> NDArray[np.float32]:
        """Return for each row and action 1 + advantage / highest cost, in [0, 1]; with unit costs, that it is right."""
        q, _, value = self._run(x, bought)
        return 1.0 + (q - value[:, None]) / self._highest

    def _run(self, x: NDArray[np.float32], bought: bool) -> tuple[NDArray[np.float32], ...]:
        rows = np.ascontiguousarray(x, np.float32)
        result: tuple[NDArray[np.float32], ...] = _score(rows, bought, *self._arguments)
        return result


#: One number of a row: its column, whether it is seen without the evidence, whether it tells of history, how it is
#: scaled, and how many of the knots and bins are its own.
_NUMBER = np.dtype(
    [
        ("column", np.int64),
        ("cheap", np.bool_),
        ("history", np.bool_),
        ("mean", np.float32),
        ("scale", np.float32),
        ("knot_count", np.int64),
        ("bin_count", np.int64),
    ],
    align=True,
)
#: An indicator or a flag of a row: its column, and whether it is seen without the evidence.
_MARK = np.dtype([("column", np.int64), ("cheap", np.bool_)], align=True)


class _Inputs(NamedTuple):
    """What is read of a row: records of `_NUMBER`, and of `_MARK` for indicators and for flags of missing values."""

    numbers: NDArray[np.void]
    indicators: NDArray[np.void]
    flags: NDArray[np.void]


class _Tables(NamedTuple):
    """The tables that numbers are looked up in.

    Args:
        quantile: whether a number is scaled by its place among its knots, or by mean and factor.
        knots: (numbers, knots).
        edges: (numbers, bins + 1), the bins of the embedding.
        below: (numbers, bins, width), what the embedding sums up below each bin.
        slope: (numbers, bins, width), what a whole bin adds.
    """

    quantile: bool
    knots: NDArray[np.float32]
    edges: NDArray[np.float32]
    below: NDArray[np.float32]
    slope: NDArray[np.float32]


class _Layers(NamedTuple):
    """The layers' matrices and biases, both streams side by side in the last, and the highest cost."""

    matrices: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    highest: np.float32


def _inputs(scaler: Scaler, cheap: NDArray[np.bool_], history: NDArray[np.bool_]) -> _Inputs:
    numbers = np.zeros(len(scaler.numbers), _NUMBER)
    numbers["column"], numbers["cheap"] = scaler.numbers, cheap[scaler.numbers]
    numbers["history"] = history[scaler.numbers]
    numbers["mean"], numbers["scale"] = scaler.mean, scaler.scale
    numbers["knot_count"], numbers["bin_count"] = scaler.knot_count, scaler.bin_count
    return _Inputs(numbers, _marks(scaler.indicators, cheap), _marks(scaler.flags, cheap))


def _marks(columns: NDArray[np.int64], cheap: NDArray[np.bool_]) -> NDArray[np.void]:
    marks = np.zeros(len(columns), _MARK)
    marks["column"], marks["cheap"] = columns, cheap[columns]
    return marks


def _tables(scaler: Scaler, weights: Weights) -> _Tables:
    sums = np.cumsum(weights.slope, axis=1, dtype=np.float32)
    below = np.concatenate([np.zeros_like(weights.offset)[:, None], sums[:, :-1]], axis=1)
    below += weights.offset[:, None]
    return _Tables(scaler.kind == "quantile", scaler.knots, scaler.bins, below, weights.slope)


def _layers(weights: Weights, highest_cost: float) -> _Layers:
    head = np.concatenate([weights.advantage, weights.value], axis=1)
    head_bias = np.concatenate([weights.advantage_bias, weights.value_bias])
    return _Layers(
        tuple(np.array(m, np.float32, order="C") for m in (*weights.matrices, head)),
        tuple(np.array(b, np.float32) for b in (*weights.biases, head_bias)),
        np.float32(highest_cost),
    )


@kernel(nogil=True)
def _score(  # type: ignore[no-untyped-def]  # pragma: no cover
    x, bought, numbers, indicators, flags, quantile, knots, edges, below, slope, matrices, biases, highest, squares
):
    """Return each row's Q-values, suspicion and value, a chunk at a time; see `Scorer.q_values`."""
    inputs, tables = _Inputs(numbers, indicators, flags), _Tables(quantile, knots, edges, below, slope)
    actions = len(biases[-1]) - 1
    q = np.empty((len(x), actions), np.float32)
    suspicion, value = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    for start in range(0, len(x), _CHUNK):
        rows = x[start : start + _CHUNK]
        now = np.empty((len(rows), matrices[0].shape[0]), np.float32)
        _encode(rows, bought, inputs, tables, now)
        if squares:
            _clip(now)
        for layer in range(len(matrices)):
            now = np.dot(now, matrices[layer])
            bias, last = biases[layer], layer == len(matrices) - 1
            for i in range(len(now)):
                for m in range(len(bias)):
                    now[i, m] += bias[m]
                    if not last and not squares:
                        now[i, m] = max(now[i, m], np.float32(0.0))
                if not last and squares:
                    _square(now[i])
        for i in range(len(rows)):
            best_alert = np.float32(-np.inf)
            for a in range(actions):
                advantage = highest * (np.float32(1.0) / (np.float32(1.0) + np.exp(-now[i, a])) - np.float32(1.0))
                q[start + i, a] = now[i, actions] + advantage
                if 0 < a < actions - 1:
                    best_alert = max(best_alert, now[i, a])
            suspicion[start + i], value[start + i] = best_alert - now[i, 0], now[i, actions]
            if bought:
                q[start + i, actions - 1] = -np.inf
    return q, suspicion, value


@kernel(nogil=True)
def _clip(now):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Clip the network's inputs to [0, 1] in place."""
    for i in range(len(now)):
        for m in range(now.shape[1]):
            now[i, m] = min(max(now[i, m], np.float32(0.0)), np.float32(1.0))


@kernel(nogil=True)
def _inputs_of(  # type: ignore[no-untyped-def]  # pragma: no cover
    x, numbers, indicators, flags, quantile, knots, edges, below, slope, width
):
    """Return the first layer's inputs, clipped, for each row of `x` with all its evidence."""
    out = np.empty((len(x), width), np.float32)
    _encode(x, True, _Inputs(numbers, indicators, flags), _Tables(quantile, knots, edges, below, slope), out)
    _clip(out)
    return out


@kernel(nogil=True)
def _square(h):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Square both complex halves of each quaternion in place; the four parts lie in quarters."""
    quarter = len(h) // 4
    for start in (0, 2 * quarter):
        for m in range(start, start + quarter):
            re, im = h[m], h[m + quarter]
            h[m], h[m + quarter] = re * re - im * im, np.float32(2.0) * re * im


@kernel(nogil=True)
def _encode(  # type: ignore[no-untyped-def]  # pragma: no cover  # noqa: PLR0912
    x, bought, inputs, tables, out
):
    """Fill `out` with the first layer's inputs for each row of `x`: what is visible, scaled and embedded."""
    numbers, indicators, flags = inputs
    quantile, knots, edges, below, slope = tables
    width = below.shape[2] if slope.shape[1] else 1
    for i in range(len(x)):
        place, history_seen = 0, np.float32(0.0)
        for k in range(len(numbers)):
            number = numbers[k]
            raw = x[i, number.column]
            if np.isnan(raw) or not (bought or number.cheap):
                for e in range(width):
                    out[i, place + e] = 0.0
            else:
                if quantile:
                    value = place_among(raw, knots[k], number.knot_count)
                else:
                    value = np.float32(min(max((raw - number.mean) * number.scale, -FARTHEST_SD), FARTHEST_SD))
                if slope.shape[1]:
                    b = bin_of(value, edges[k], number.bin_count)
                    low, high = edges[k, b], edges[k, b + 1]
                    part = min(max((value - low) / (high - low), np.float32(0.0)), np.float32(1.0))
                    for e in range(width):
                        out[i, place + e] = below[k, b, e] + part * slope[k, b, e]
                else:
                    out[i, place] = value
                if number.history:
                    history_seen = np.float32(1.0)
            place += width
        for k in range(len(indicators)):
            raw = x[i, indicators[k].column]
            out[i, place] = raw if (bought or indicators[k].cheap) and not np.isnan(raw) else np.float32(0.0)
            place += 1
        for k in range(len(flags)):
            out[i, place] = 1.0 if (bought or flags[k].cheap) and np.isnan(x[i, flags[k].column]) else 0.0
            place += 1
        out[i, place], out[i, place + 1] = 1.0 if bought else 0.0, history_seen
        for rest in range(place + 2, out.shape[1]):
            out[i, rest] = 0.0
