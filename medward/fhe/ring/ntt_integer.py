"""The same transform on unsigned 64-bit integers with Shoup's precomputed quotients (Harvey, JSC 2014).

It shares nothing with the transform on doubles but the factors: it is that one's oracle in tests, and does the work on
CPUs without a fused multiply-add. Residues are in [0, q), any q below 2^61.
"""

import numpy as np

from medward.fhe.arrays import Doubles, Words
from medward.fhe.ring.kernels import compiled, high_product


@compiled
def forward_integer(a: Words, w: Words, w_shoup: Words, q: np.uint64, slot: int) -> None:
    """Transform `a`, uint64[N] in [0, q), in place, to residues modulo each X^slot - zeta, one slot after the other.

    `w`, uint64[N / slot], are the factors, `w_shoup` = floor(w 2^64 / q). Lazy values stay below 4q.
    """
    n = a.shape[0]
    twice = q + q
    t = n
    m = 1
    while t > slot:
        t >>= 1
        for i in range(m):
            factor = w[m + i]
            quotient = w_shoup[m + i]
            for j in range(2 * i * t, 2 * i * t + t):
                x = min(a[j], a[j] - twice)
                y = a[j + t]
                u = factor * y - high_product(quotient, y) * q
                a[j] = x + u
                a[j + t] = x + twice - u
        m <<= 1
    for j in range(n):
        x = min(a[j], a[j] - twice)
        a[j] = min(x, x - q)


@compiled
def inverse_integer(
    a: Words, w: Words, w_shoup: Words, scale: np.uint64, scale_shoup: np.uint64, q: np.uint64, slot: int
) -> None:
    """Undo `forward_integer` in place. Lazy values stay below 2q."""
    n = a.shape[0]
    twice = q + q
    t = slot
    m = n // (2 * slot)
    while m >= 1:
        for i in range(m):
            factor = w[m + i]
            quotient = w_shoup[m + i]
            for j in range(2 * i * t, 2 * i * t + t):
                x = a[j]
                y = a[j + t]
                s = x + y
                a[j] = min(s, s - twice)
                d = x + twice - y
                a[j + t] = factor * d - high_product(quotient, d) * q
        t <<= 1
        m >>= 1
    for j in range(n):
        x = a[j] * scale - high_product(scale_shoup, a[j]) * q
        a[j] = min(x, x - q)


@compiled
def powers(base: np.uint64, base_shoup: np.uint64, q: np.uint64, out: Words) -> None:
    """Fill `out`, uint64[n], with 1, base, base^2, ... mod q."""
    x = np.uint64(1)
    for j in range(out.shape[0]):
        out[j] = x
        y = base * x - high_product(base_shoup, x) * q
        x = min(y, y - q)


@compiled
def to_unsigned(a: Doubles, q: np.uint64, out: Words) -> None:
    """Write the residues `a`, float64 within (-2q, 2q), as uint64 in [0, q) to `out`."""
    modulus = np.int64(q)
    for j in range(a.shape[0]):
        x = np.int64(a[j])
        if x < 0:
            x += modulus
        if x < 0:
            x += modulus
        if x >= modulus:
            x -= modulus
        out[j] = np.uint64(x)


@compiled
def to_balanced(a: Words, q: np.uint64, out: Doubles) -> None:
    """Write the residues `a`, uint64 in [0, q), as balanced doubles to `out`."""
    modulus = np.int64(q)
    for j in range(a.shape[0]):
        x = np.int64(a[j])
        out[j] = float(x - modulus) if x > modulus // 2 else float(x)
