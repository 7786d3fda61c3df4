"""Exact integers in the coefficients of a plaintext.

A coefficient carries `lanes` signed values x_0, x_1, ... as m = sum of x_i r^i in the balanced mixed radix
r = K (2^b - 1) + 1, wide enough for the sum of K members' values of at most 2^(b-1) - 1. A ciphertext carries
Delta m + noise, and the sum decodes exactly as long as its noise stays below Delta / 2. Decoding never refuses: every
residue is Delta m + noise for some m, whose digits are taken lowest first, and the highest lane takes what is left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.errors import LaneOverflow
from medward.fhe.parameters import MOST_BLOCKS, SumParameters
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced
from medward.fhe.ring.ring import Element

#: Width of a count: each member's counts are from 0 to 2^COUNT_BITS - 1.
COUNT_BITS = 30


def encode(parameters: SumParameters, values: Integers, noise: Integers) -> Element:
    """Return Delta m + noise, coefficient form, float64[1, N].

    Args:
        parameters: the parameter set.
        values: integers [lanes, N] of at most largest_value in absolute value.
        noise: int64[N].

    Raises:
        LaneOverflow: a value does not fit, or the shape is not [lanes, N].
    """
    if values.shape != (parameters.lanes, parameters.degree):
        raise LaneOverflow(
            f"a block has shape {(parameters.lanes, parameters.degree)}, not {values.shape}; use BlockLayout.split"
        )
    out = np.empty((1, parameters.degree))
    p, largest = float(parameters.prime), parameters.largest_value
    block = np.ascontiguousarray(values, np.int64)
    if _encode(block, noise, parameters.radix, parameters.delta, largest, p, 1.0 / p, out[0]):
        raise LaneOverflow(f"a value is outside {-largest}..{largest}; clip before encoding")
    return out


def decode(parameters: SumParameters, plaintext: Element) -> Integers:
    """Return the lane sums, int64[lanes, N], of Delta m + noise in coefficient form, float64[1, N]; total."""
    out = np.empty((parameters.lanes, parameters.degree), np.int64)
    _decode(plaintext[0], parameters.radix, parameters.delta, out)
    return out


@compiled
def _encode(
    values: Integers, noise: Integers, radix: int, delta: int, largest: int, q: float, iq: float, out: Doubles
) -> int:
    outside = 0
    for j in range(out.shape[0]):
        m = np.int64(0)
        for i in range(values.shape[0] - 1, -1, -1):
            outside += (values[i, j] > largest) | (values[i, j] < -largest)
            m = m * radix + values[i, j]
        out[j] = reduced(float(m * delta + noise[j]), q, iq)
    return outside


@compiled
def _decode(plaintext: Doubles, radix: int, delta: int, out: Integers) -> None:
    lanes = out.shape[0]
    half = (radix - 1) // 2
    for j in range(plaintext.shape[0]):
        m = (np.int64(plaintext[j]) + delta // 2) // delta
        for i in range(lanes - 1):
            above = (m + half) // radix
            out[i, j] = m - above * radix
            m = above
        out[lanes - 1, j] = m


@dataclass(frozen=True)
class BlockLayout:
    """Where the counts and values of a contribution lie in blocks of one ciphertext element each.

    A count is a non-negative integer of COUNT_BITS bits, such as a number of rows; it is written in base 2^(b-1), least
    digit first, in slots of its own, and the sums of the members' digits give the sum of the counts. A value is a
    signed integer of b bits in one slot.

    Args:
        parameters: the parameter set.
        counts, values: how many there are.

    Raises:
        LaneOverflow: they need more than MOST_BLOCKS blocks.
    """

    parameters: SumParameters
    counts: int
    values: int

    def __post_init__(self) -> None:
        if self.blocks > MOST_BLOCKS:
            raise LaneOverflow(f"a contribution of {self.blocks} blocks is too large; use at most {MOST_BLOCKS}")

    @property
    def digits(self) -> int:
        """Slots that a count takes."""
        return -(-COUNT_BITS // (self.parameters.bits - 1))

    @property
    def blocks(self) -> int:
        """How many ciphertext elements one contribution takes."""
        return max(1, -(-(self.counts * self.digits + self.values) // self.parameters.values_per_block))

    def split(self, counts: NDArray[np.integer], values: NDArray[np.integer]) -> Integers:
        """Return int64[blocks, lanes, N] for integers `counts` [counts] and `values` [values].

        Raises:
            LaneOverflow: a count does not fit, or an array has another length.
        """
        if counts.shape != (self.counts,) or values.shape != (self.values,):
            raise LaneOverflow(
                f"a contribution has {self.counts} counts and {self.values} values here, not {counts.size} and "
                f"{values.size}"
            )
        if counts.size and not 0 <= counts.min() <= counts.max() < 1 << COUNT_BITS:
            raise LaneOverflow(f"a count is outside 0..{(1 << COUNT_BITS) - 1}")
        width = self.parameters.bits - 1
        flat = np.zeros(self.blocks * self.parameters.values_per_block, np.int64)
        for digit in range(self.digits):
            flat[self._digit(digit)] = (counts.astype(np.int64) >> (width * digit)) & ((1 << width) - 1)
        flat[self._values] = values
        return flat.reshape(self.blocks, self.parameters.lanes, self.parameters.degree)

    def join(self, blocks: Integers) -> Integers:
        """Return the sums of the counts, then of the values, int64[counts + values], from decoded blocks.

        Args:
            blocks: int64[blocks, lanes, N].
        """
        flat = blocks.reshape(-1)
        width = self.parameters.bits - 1
        counts = np.zeros(self.counts, np.int64)
        for digit in range(self.digits):
            counts += flat[self._digit(digit)] << (width * digit)
        return np.concatenate([counts, flat[self._values]])

    def _digit(self, digit: int) -> slice:
        return slice(digit * self.counts, (digit + 1) * self.counts)

    @property
    def _values(self) -> slice:
        return slice(self.digits * self.counts, self.digits * self.counts + self.values)
