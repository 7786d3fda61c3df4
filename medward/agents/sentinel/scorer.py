"""Scoring at a gateway, without JAX: numba turns rows into the first layer's inputs, numpy does the layers.

The arithmetic is the network's (network.py), window by window: encode, embed, hidden layers, streams. A bin that is
full contributes its whole slope, so the embedding of a number is a running sum of slopes up to its bin plus a part of
that bin's: a table look-up instead of a product over all bins.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from medward.flows.history import FeatureSpace
from medward.flows.scaling import FARTHEST_SD, Scaler, bin_of, place_among
from medward.flows.schema import Group


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
    """

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    matrices: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    value: NDArray[np.float32]
    value_bias: NDArray[np.float32]
    advantage: NDArray[np.float32]
    advantage_bias: NDArray[np.float32]


# Rows that go through the layers at once: their activations fit the second-level cache.
_CHUNK = 2048


class Scores(NamedTuple):
    """What Sentinel makes of a batch of windows.

    Args:
        decision: 0 ALLOW, or the class that is alerted on.
        escalated: whether the evidence was bought first.
        q: for each action its Q-value in the state in which the decision was made; ESCALATE (the last) is -inf where
            the evidence was already bought.
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
    """

    def __init__(self, space: FeatureSpace, scaler: Scaler, weights: Weights, highest_cost: float) -> None:
        cheap = np.array([column.group is Group.CHEAP for column in space.columns])
        history = np.array([column.history for column in space.columns])
        self._scaler = scaler
        self._places = _places(scaler, weights, cheap, history)
        head = np.concatenate([weights.advantage, weights.value], axis=1)
        head_bias = np.concatenate([weights.advantage_bias, weights.value_bias])
        self._matrices = tuple(np.array(m, np.float32, order="C") for m in (*weights.matrices, head))
        self._biases = tuple(np.array(b, np.float32) for b in (*weights.biases, head_bias))
        self._highest = np.float32(highest_cost)
        self.actions = len(weights.advantage_bias)

    def score(self, x: NDArray[np.float32]) -> Scores:
        """Decide rows of the raw feature matrix, each for itself; rows that escalate are decided on second sight.

        Args:
            x: rows by the feature space's columns; NaN where missing.
        """
        q, suspicion = self.q_values(x, bought=False)
        decision = q.argmax(axis=1).astype(np.int32)
        escalated = decision == self.actions - 1
        if escalated.any():
            second, doubt = self.q_values(x[escalated], bought=True)
            q[escalated], suspicion[escalated] = second, doubt
            decision[escalated] = second.argmax(axis=1)
        return Scores(decision, escalated, q, suspicion)

    def q_values(self, x: NDArray[np.float32], bought: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each row's Q-values, with or without the evidence, and its suspicion."""
        q, suspicion, _ = self._run(x, bought)
        return q, suspicion

    def chances(self, x: NDArray[np.float32], bought: bool) -> NDArray[np.float32]:
        """Return for each row and action 1 + advantage / highest cost, in [0, 1]; with unit costs, that it is right."""
        q, _, value = self._run(x, bought)
        return 1.0 + (q - value[:, None]) / self._highest

    def _run(self, x: NDArray[np.float32], bought: bool) -> tuple[NDArray[np.float32], ...]:
        q = np.empty((len(x), self.actions), np.float32)
        suspicion, value = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
        scaler = self._scaler
        _score(
            *(np.ascontiguousarray(x, np.float32), bought),
            *(scaler.numbers, scaler.indicators, scaler.flags, scaler.kind == "quantile"),
            *(scaler.knots, scaler.knot_count, scaler.mean, scaler.scale),
            *self._places,
            *(self._matrices, self._biases, self._highest),
            *(q, suspicion, value),
        )
        return q, suspicion, value


class _Places(NamedTuple):
    """What is visible of an encoded row, and the embedding's tables."""

    number_cheap: NDArray[np.bool_]
    number_history: NDArray[np.bool_]
    indicator_cheap: NDArray[np.bool_]
    flag_cheap: NDArray[np.bool_]
    edges: NDArray[np.float32]
    bin_count: NDArray[np.int64]
    below: NDArray[np.float32]
    slope: NDArray[np.float32]


def _places(scaler: Scaler, weights: Weights, cheap: NDArray[np.bool_], history: NDArray[np.bool_]) -> _Places:
    sums = np.cumsum(weights.slope, axis=1, dtype=np.float32)
    below = np.concatenate([np.zeros_like(weights.offset)[:, None], sums[:, :-1]], axis=1)
    return _Places(
        *(cheap[scaler.numbers], history[scaler.numbers], cheap[scaler.indicators], cheap[scaler.flags]),
        *(scaler.bins, scaler.bin_count),
        *(below + weights.offset[:, None], weights.slope),
    )


@njit(cache=True)
def _score(  # type: ignore[no-untyped-def]  # pragma: no cover
    x, bought, numbers, indicators, flags, quantile, knots, knot_count, mean, scale, number_cheap, number_history,
    indicator_cheap, flag_cheap, edges, bin_count, below, slope, matrices, biases, highest, q, suspicion, value,
):  # fmt: skip
    """Fill `q`, `suspicion` and `value` for each row of `x`, a chunk at a time; see `Scorer.q_values`."""
    actions = q.shape[1]
    for start in range(0, len(x), _CHUNK):
        rows = x[start : start + _CHUNK]
        now = np.empty((len(rows), matrices[0].shape[0]), np.float32)
        _see(
            rows, bought, numbers, indicators, flags, quantile, knots, knot_count, mean, scale, number_cheap,
            number_history, indicator_cheap, flag_cheap, edges, bin_count, below, slope, now,
        )  # fmt: skip
        for layer in range(len(matrices)):
            now = np.dot(now, matrices[layer])
            bias, last = biases[layer], layer == len(matrices) - 1
            for i in range(len(now)):
                for m in range(len(bias)):
                    now[i, m] += bias[m]
                    if not last:
                        now[i, m] = max(now[i, m], np.float32(0.0))
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


@njit(cache=True)
def _see(  # type: ignore[no-untyped-def]  # pragma: no cover  # noqa: PLR0912
    x, bought, numbers, indicators, flags, quantile, knots, knot_count, mean, scale, number_cheap, number_history,
    indicator_cheap, flag_cheap, edges, bin_count, below, slope, out,
):  # fmt: skip
    """Fill `out` with the first layer's inputs for each row of `x`: what is visible, scaled and embedded."""
    width = below.shape[2] if slope.shape[1] else 1
    for i in range(len(x)):
        place, history_seen = 0, np.float32(0.0)
        for k in range(len(numbers)):
            raw = x[i, numbers[k]]
            if np.isnan(raw) or not (bought or number_cheap[k]):
                for e in range(width):
                    out[i, place + e] = 0.0
            else:
                if quantile:
                    value = place_among(raw, knots[k], knot_count[k])
                else:
                    value = np.float32(min(max((raw - mean[k]) * scale[k], -FARTHEST_SD), FARTHEST_SD))
                if slope.shape[1]:
                    b = bin_of(value, edges[k], bin_count[k])
                    low, high = edges[k, b], edges[k, b + 1]
                    part = min(max((value - low) / (high - low), np.float32(0.0)), np.float32(1.0))
                    for e in range(width):
                        out[i, place + e] = below[k, b, e] + part * slope[k, b, e]
                else:
                    out[i, place] = value
                if number_history[k]:
                    history_seen = np.float32(1.0)
            place += width
        for k in range(len(indicators)):
            raw = x[i, indicators[k]]
            out[i, place] = raw if (bought or indicator_cheap[k]) and not np.isnan(raw) else np.float32(0.0)
            place += 1
        for k in range(len(flags)):
            out[i, place] = 1.0 if (bought or flag_cheap[k]) and np.isnan(x[i, flags[k]]) else 0.0
            place += 1
        out[i, place], out[i, place + 1] = 1.0 if bought else 0.0, history_seen
        for rest in range(place + 2, out.shape[1]):
            out[i, rest] = 0.0
