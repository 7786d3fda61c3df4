"""Operations on residues in balanced form, float64[L, N], element by element or slot by slot; results are balanced."""

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced, times, times_constant


@compiled
def add(a: Doubles, b: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    """out = a + b."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = reduced(a[i, j] + b[i, j], q[i], iq[i])


@compiled
def accumulate(total: Doubles, a: Doubles, b: Doubles, c: Doubles, q: Doubles, iq: Doubles) -> None:
    """total += a + b + c in place: four balanced residues stay below 2q, so one reduction is canonical."""
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            total[i, j] = reduced(total[i, j] + a[i, j] + b[i, j] + c[i, j], q[i], iq[i])


@compiled
def subtract(a: Doubles, b: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    """out = a - b."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = reduced(a[i, j] - b[i, j], q[i], iq[i])


@compiled
def multiply_add(
    a: Doubles, b: Doubles, c: Doubles, zeta: Doubles, zeta_q: Doubles, q: Doubles, iq: Doubles, out: Doubles
) -> None:
    """out = a b + c in evaluation form, slot by slot modulo X^4 - zeta; `out` is none of the others.

    Args:
        a, b, c, out: float64[L, G, 4, m]: G groups of m slots, and the coefficients of 1, X, X^2, X^3 of each.
        zeta, zeta_q: float64[L, G, m], each slot's zeta, and the same over q.
        q, iq: float64[L], the primes and their rounded inverses.
    """
    m = zeta.shape[2]
    y = np.empty((7, m))  # row 3 + k is b_k, and zeta b_(4 + k) for k < 0
    for i in range(a.shape[0]):
        p, ip = q[i], iq[i]
        for g in range(a.shape[1]):
            for j in range(m):
                y[3, j] = b[i, g, 0, j]
            for k in range(1, 4):
                for j in range(m):
                    y[3 + k, j] = b[i, g, k, j]
                    y[k - 1, j] = times_constant(b[i, g, k, j], zeta[i, g, j], zeta_q[i, g, j], p)
            for k in range(4):
                for j in range(m):
                    x = times(a[i, g, 0, j], y[k + 3, j], p, ip) + times(a[i, g, 1, j], y[k + 2, j], p, ip)
                    x += times(a[i, g, 2, j], y[k + 1, j], p, ip) + times(a[i, g, 3, j], y[k, j], p, ip)
                    out[i, g, k, j] = reduced(reduced(x, p, ip) + c[i, g, k, j], p, ip)


@compiled
def scale_add(a: Doubles, w: Doubles, c: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    """out = w a + c with one balanced constant w per limb, float64[L]; |a| <= 4q, |c| <= q/2."""
    for i in range(a.shape[0]):
        w_over_q = w[i] * iq[i]
        for j in range(a.shape[1]):
            out[i, j] = reduced(times_constant(a[i, j], w[i], w_over_q, q[i]) + c[i, j], q[i], iq[i])


@compiled
def embed(digits: Integers, powers: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    """out[i] = sum over k of digits[k] * powers[k, i] mod q[i].

    Args:
        digits: int64[D, N], absolute values below 2^52.
        powers: float64[D, L], balanced residues of the digits' weights.
        q, iq: float64[L].
        out: float64[L, N].
    """
    for i in range(q.shape[0]):
        for j in range(digits.shape[1]):
            out[i, j] = 0.0
        for k in range(digits.shape[0]):
            w = powers[k, i]
            w_over_q = w * iq[i]
            for j in range(digits.shape[1]):
                x = times_constant(float(digits[k, j]), w, w_over_q, q[i])
                out[i, j] = reduced(x + out[i, j], q[i], iq[i])
