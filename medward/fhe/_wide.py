"""Integers of up to 120 bits as three digits (or one) of 40 bits, int64[D, N]; only the top digit is signed.

Floods and proof masks are wider than a machine word; everything done to them is integer arithmetic without branches on
their values.
"""

import numpy as np
from numpy.typing import NDArray

from medward.fhe._compile import compiled

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

DIGIT_BITS = 40
#: Widest unsigned integer that `take_bits` makes.
MOST_BITS = 118


def digit_count(bits: int) -> int:
    """Return how many digits hold a signed sum of a few integers of `bits` bits: one digit has room for 48 bits."""
    return 1 if bits <= 48 else 3


def digit_weights(count: int) -> tuple[int, ...]:
    """Return the digits' weights 1, 2^40, 2^80."""
    return tuple(1 << (DIGIT_BITS * k) for k in range(count))


@compiled
def take_bits(words: Words, bits: int, sign: int, out: Integers) -> None:
    """Add sign times fresh unsigned `bits`-bit integers to the digits `out`, carries left for `normalise`.

    Args:
        words: uint64[2, N] random words (uint64[1, N] is enough for one digit).
        bits: 1..118, at most 48 where `out` has one digit.
        sign: 1 or -1.
        out: int64[D, N].
    """
    n = out.shape[1]
    digit = np.uint64((1 << 40) - 1)
    if out.shape[0] == 1:
        shift = np.uint64(64 - bits)
        for j in range(n):
            out[0, j] += sign * np.int64(words[0, j] >> shift)
        return
    masks = np.zeros(3, np.uint64)
    for k in range(3):
        width = min(max(bits - 40 * k, 0), 40)
        masks[k] = np.uint64((np.uint64(1) << np.uint64(width)) - np.uint64(1))
    for j in range(n):
        low = words[0, j]
        high = words[1, j]
        middle = (low >> np.uint64(40)) | (high << np.uint64(24))
        out[0, j] += sign * np.int64(low & masks[0] & digit)
        out[1, j] += sign * np.int64(middle & masks[1] & digit)
        out[2, j] += sign * np.int64((high >> np.uint64(16)) & masks[2])


@compiled
def normalise(a: Integers) -> None:
    """Bring the low digits of `a` back into [0, 2^40), in place."""
    for k in range(a.shape[0] - 1):
        for j in range(a.shape[1]):
            carry = a[k, j] >> 40
            a[k, j] -= carry << 40
            a[k + 1, j] += carry


@compiled
def add_sparse_product(positions: Integers, signs: Integers, x: Integers, out: Integers) -> None:
    """Add c * x mod X^N + 1 to `out`, where c has coefficient signs[i] at positions[i]; then normalise.

    Args:
        positions, signs: int64[w], the challenge; public.
        x: int64[D', N] digits with D' at most D.
        out: int64[D, N].
    """
    n = x.shape[1]
    for k in range(x.shape[0]):
        for i in range(positions.shape[0]):
            p = positions[i]
            s = signs[i]
            for j in range(n - p):
                out[k, j + p] += s * x[k, j]
            for j in range(n - p, n):
                out[k, j + p - n] -= s * x[k, j]
    for k in range(out.shape[0] - 1):
        for j in range(n):
            carry = out[k, j] >> 40
            out[k, j] -= carry << 40
            out[k + 1, j] += carry


@compiled
def all_below(a: Integers, limit: Integers) -> bool:
    """Whether -L <= a < L for every number in `a`, L given by normalised digits int64[D]; looks at all of them."""
    outside = 0
    digits = a.shape[0]
    for j in range(a.shape[1]):
        low = np.int64(0)
        high = np.int64(0)
        for k in range(digits - 1):
            low = (a[k, j] + limit[k] + low) >> 40
            high = (a[k, j] - limit[k] + high) >> 40
        top = digits - 1
        outside |= (a[top, j] + limit[top] + low) < 0
        outside |= (a[top, j] - limit[top] + high) >= 0
    return outside == 0


def digits_of(value: int, count: int) -> Integers:
    """Return the digits of an integer, int64[count]."""
    out = np.zeros(count, np.int64)
    for k in range(count - 1):
        out[k] = value & ((1 << DIGIT_BITS) - 1)
        value >>= DIGIT_BITS
    out[count - 1] = value
    return out


def to_integers(a: Integers) -> list[int]:
    """Return the numbers as Python integers; slow, for checks and tests."""
    weights = digit_weights(a.shape[0])
    return [sum(int(d) * w for d, w in zip(column, weights, strict=True)) for column in a.T]
