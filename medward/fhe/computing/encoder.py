"""Complex numbers in slots, to the coefficients of a polynomial and back.

zeta = exp(i pi / N). The polynomial m of slots z_j has m(zeta^(5^j)) = Delta z_j; with w_k = m_k + i m_(k+N/2) that is

    Delta z_j = sum over k < N/2 of (w_k zeta^k) exp(2 pi i k t_j / (N/2)),        5^j = 4 t_j + 1 mod 2N

(spec/computing.md, section 5).
"""

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from medward.fhe.arrays import Doubles, Integers

Slots = NDArray[np.complex128]


def encode(values: Slots, scale: int) -> Doubles:
    """Return the rounded coefficients, float64[N] that hold integers, of complex128[N/2] slots.

    Args:
        values: z.
        scale: Delta.
    """
    half = len(values)
    order, twist = _tables(2 * half)
    places = np.empty(half, np.complex128)
    places[order] = values
    w = np.fft.fft(places) * np.conj(twist) * (float(scale) / half)
    out: Doubles = np.rint(np.concatenate([w.real, w.imag]))
    return out


def decode(coefficients: Doubles, scale: int) -> Slots:
    """Return the slots, complex128[N/2], of a polynomial, float64[N]."""
    half = len(coefficients) // 2
    order, twist = _tables(2 * half)
    w = (coefficients[:half] + 1j * coefficients[half:]) / float(scale)
    out: Slots = np.fft.ifft(w * twist)[order] * half
    return out


def encoding_error(degree: int, scale: int, bound: float) -> float:
    """Return kappa: a bound on the Euclidean norm of what encoding slots of at most `bound` rounds away."""
    return sqrt(degree) / 2 + (8 * (degree.bit_length() - 1) + 8) * 2.0**-53 * float(scale) * bound


@lru_cache(maxsize=8)
def _tables(degree: int) -> tuple[Integers, Slots]:
    """Return t_j and zeta^k, both of length N/2."""
    half = degree // 2
    exponents = np.empty(half, np.int64)
    power = 1
    for j in range(half):
        exponents[j] = power
        power = power * 5 % (2 * degree)
    angles = np.pi * np.arange(half) / degree
    return exponents // 4, np.cos(angles) + 1j * np.sin(angles)
