"""Operations on residues in balanced form, float64[L, N], element by element or slot by slot; results are balanced."""

import numpy as np
from numpy.typing import NDArray

from medward.fhe._compile import compiled
from medward.fhe._modular import reduced, times, times_constant

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


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


# Coefficients of 1, X, X^2, X^3 of a b + c modulo X^4 - zeta, one function each: LLVM vectorises each loop alone, but
# not the four in one, which would need too many checks that the rows do not overlap.


@compiled
def _slots0(
    a: Doubles, b: Doubles, c: Doubles, z: Doubles, zq: Doubles, q: float, iq: float, m: int, out: Doubles
) -> None:
    a0, a1, a2, a3 = a[:m], a[m : 2 * m], a[2 * m : 3 * m], a[3 * m :]
    b0, b1, b2, b3 = b[:m], b[m : 2 * m], b[2 * m : 3 * m], b[3 * m :]
    for j in range(m):
        high = times(a1[j], b3[j], q, iq) + times(a2[j], b2[j], q, iq) + times(a3[j], b1[j], q, iq)
        x = times(a0[j], b0[j], q, iq) + times_constant(high, z[j], zq[j], q)
        out[j] = reduced(reduced(x, q, iq) + c[j], q, iq)


@compiled
def _slots1(
    a: Doubles, b: Doubles, c: Doubles, z: Doubles, zq: Doubles, q: float, iq: float, m: int, out: Doubles
) -> None:
    a0, a1, a2, a3 = a[:m], a[m : 2 * m], a[2 * m : 3 * m], a[3 * m :]
    b0, b1, b2, b3 = b[:m], b[m : 2 * m], b[2 * m : 3 * m], b[3 * m :]
    for j in range(m):
        high = times(a2[j], b3[j], q, iq) + times(a3[j], b2[j], q, iq)
        x = times(a0[j], b1[j], q, iq) + times(a1[j], b0[j], q, iq) + times_constant(high, z[j], zq[j], q)
        out[j] = reduced(reduced(x, q, iq) + c[j], q, iq)


@compiled
def _slots2(
    a: Doubles, b: Doubles, c: Doubles, z: Doubles, zq: Doubles, q: float, iq: float, m: int, out: Doubles
) -> None:
    a0, a1, a2, a3 = a[:m], a[m : 2 * m], a[2 * m : 3 * m], a[3 * m :]
    b0, b1, b2, b3 = b[:m], b[m : 2 * m], b[2 * m : 3 * m], b[3 * m :]
    for j in range(m):
        x = times(a0[j], b2[j], q, iq) + times(a1[j], b1[j], q, iq) + times(a2[j], b0[j], q, iq)
        x += times_constant(times(a3[j], b3[j], q, iq), z[j], zq[j], q)
        out[j] = reduced(reduced(x, q, iq) + c[j], q, iq)


@compiled
def _slots3(a: Doubles, b: Doubles, c: Doubles, q: float, iq: float, m: int, out: Doubles) -> None:
    a0, a1, a2, a3 = a[:m], a[m : 2 * m], a[2 * m : 3 * m], a[3 * m :]
    b0, b1, b2, b3 = b[:m], b[m : 2 * m], b[2 * m : 3 * m], b[3 * m :]
    for j in range(m):
        x = times(a0[j], b3[j], q, iq) + times(a1[j], b2[j], q, iq)
        x += times(a2[j], b1[j], q, iq) + times(a3[j], b0[j], q, iq)
        out[j] = reduced(reduced(x, q, iq) + c[j], q, iq)


@compiled
def multiply_add_limb(
    a: Doubles, b: Doubles, c: Doubles, zeta: Doubles, zeta_q: Doubles, q: float, iq: float, out: Doubles
) -> None:
    """out = a b + c for one limb in evaluation form, slot by slot modulo X^4 - zeta; `out` is none of the others.

    Args:
        a, b, c, out: float64[N], the rows of each block as `_ntt_float.forward` leaves them.
        zeta, zeta_q: float64[C, 4, m], each slot's zeta, and the same over q.
        q, iq: the prime and its rounded inverse.
    """
    m = zeta.shape[2]
    for block in range(zeta.shape[0]):
        for g in range(4):
            o = (16 * block + 4 * g) * m
            p = o + 4 * m
            x, y, z, zq = a[o:p], b[o:p], zeta[block, g], zeta_q[block, g]
            _slots0(x, y, c[o : o + m], z, zq, q, iq, m, out[o : o + m])
            _slots1(x, y, c[o + m : o + 2 * m], z, zq, q, iq, m, out[o + m : o + 2 * m])
            _slots2(x, y, c[o + 2 * m : o + 3 * m], z, zq, q, iq, m, out[o + 2 * m : o + 3 * m])
            _slots3(x, y, c[o + 3 * m : p], q, iq, m, out[o + 3 * m : p])


@compiled
def multiply_add(
    a: Doubles, b: Doubles, c: Doubles, zeta: Doubles, zeta_q: Doubles, q: Doubles, iq: Doubles, out: Doubles
) -> None:
    """out = a b + c for every limb; the tables have a leading axis of L."""
    for i in range(a.shape[0]):
        multiply_add_limb(a[i], b[i], c[i], zeta[i], zeta_q[i], q[i], iq[i], out[i])


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


@compiled
def inner_product(a: Doubles, b: Doubles, q: float, iq: float) -> float:
    """The inner product of two vectors of balanced residues mod q, float64[N] with N a multiple of 4."""
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    for j in range(0, a.shape[0], 4):
        s0 = reduced(times(a[j], b[j], q, iq) + s0, q, iq)
        s1 = reduced(times(a[j + 1], b[j + 1], q, iq) + s1, q, iq)
        s2 = reduced(times(a[j + 2], b[j + 2], q, iq) + s2, q, iq)
        s3 = reduced(times(a[j + 3], b[j + 3], q, iq) + s3, q, iq)
    return reduced(reduced(s0 + s1, q, iq) + reduced(s2 + s3, q, iq), q, iq)


@compiled
def evaluate_polynomial(coefficients: Doubles, point: float, q: Doubles, iq: Doubles, out: Doubles) -> None:
    """out = sum over k of coefficients[k] * point^k, float64[t, L, N] to float64[L, N]; Horner's rule."""
    degree = coefficients.shape[0] - 1
    for i in range(q.shape[0]):
        w_over_q = point * iq[i]
        for j in range(out.shape[1]):
            out[i, j] = coefficients[degree, i, j]
        for k in range(degree - 1, -1, -1):
            for j in range(out.shape[1]):
                x = times_constant(out[i, j], point, w_over_q, q[i])
                out[i, j] = reduced(x + coefficients[k, i, j], q[i], iq[i])
