"""Polynomials over F_p whose coefficients are vectors, given by their values at small points."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced, times
from medward.fhe.ring.primes import balanced


def combine(weights: Doubles, rows: Doubles, prime: int) -> Doubles:
    """Return sum over k of weights[r, k] rows[k] mod p, balanced: float64[R, K], float64[K, W] to float64[R, W]."""
    out = np.empty((weights.shape[0], rows.shape[1]))
    _combine(weights, rows, float(prime), 1.0 / prime, out)
    return out


def products(functionals: Doubles, rows: Doubles, prime: int) -> Doubles:
    """Return the inner products mod p of functionals, float64[R, W], with rows, float64[M, W]: float64[M, R]."""
    out = np.empty((rows.shape[0], functionals.shape[0]))
    _products(functionals, rows, float(prime), 1.0 / prime, out)
    return out


def add(a: Doubles, b: Doubles, prime: int) -> Doubles:
    """Return a + b mod p for balanced residues of any shape."""
    return balance(a + b, prime)


def balance(a: Doubles, prime: int) -> Doubles:
    """Return the balanced representatives of integers below 2p in absolute value."""
    out: Doubles = a - np.rint(a * (1.0 / prime)) * float(prime)
    return out


def evaluate(values: Doubles, point: int, prime: int) -> Doubles:
    """Return the value at `point` of the polynomial of degree t - 1 with `values`, float64[t, W], at 0, ..., t - 1."""
    if point < values.shape[0]:
        row: Doubles = values[point]
        return row
    out: Doubles = combine(weights(range(values.shape[0]), (point,), prime), values, prime)[0]
    return out


def weights(points: Sequence[int], at: Sequence[int], prime: int) -> Doubles:
    """Return Lagrange's weights, float64[len(at), len(points)], which take values at `points` to values at `at`.

    Args:
        points: distinct, 0 to 64.
        at: 0 to 64.
        prime: p.
    """
    out = np.empty((len(at), len(points)))
    places = np.array(points, np.int64), np.array(at, np.int64)
    _weights(*places, _inverses(prime), float(prime), 1.0 / prime, out)
    return out


@lru_cache(maxsize=4)
def _inverses(prime: int) -> Doubles:
    """Return the balanced inverses of 1, ..., 64 at their places."""
    return np.array([0.0, *(float(balanced(pow(k, -1, prime), prime)) for k in range(1, 65))])


@compiled
def _combine(weights: Doubles, rows: Doubles, q: float, iq: float, out: Doubles) -> None:
    for r in range(weights.shape[0]):
        for j in range(rows.shape[1]):
            out[r, j] = 0.0
        for k in range(rows.shape[0]):
            w = weights[r, k]
            for j in range(rows.shape[1]):
                out[r, j] = reduced(times(rows[k, j], w, q, iq) + out[r, j], q, iq)


@compiled
def _products(functionals: Doubles, rows: Doubles, q: float, iq: float, out: Doubles) -> None:
    lanes = 16
    partial = np.empty(lanes)
    width = functionals.shape[1]
    for m in range(rows.shape[0]):
        for r in range(functionals.shape[0]):
            for k in range(lanes):
                partial[k] = 0.0
            whole = width - width % lanes
            for start in range(0, whole, lanes):
                for k in range(lanes):
                    x = times(functionals[r, start + k], rows[m, start + k], q, iq)
                    partial[k] = reduced(x + partial[k], q, iq)
            for j in range(whole, width):
                partial[0] = reduced(times(functionals[r, j], rows[m, j], q, iq) + partial[0], q, iq)
            total = 0.0
            for k in range(lanes):
                total = reduced(total + partial[k], q, iq)
            out[m, r] = total


@compiled
def _weights(points: Integers, at: Integers, inverses: Doubles, q: float, iq: float, out: Doubles) -> None:
    """w_i(x) = product over k != i of (x - k) / (i - k)."""
    for i in range(points.shape[0]):
        scale = 1.0
        for k in range(points.shape[0]):
            if k != i:
                d = points[i] - points[k]
                scale = reduced(times(scale, inverses[d] if d > 0 else -inverses[-d], q, iq), q, iq)
        for r in range(at.shape[0]):
            w = scale
            for k in range(points.shape[0]):
                if k != i:
                    w = reduced(times(w, float(at[r] - points[k]), q, iq), q, iq)
            out[r, i] = w
