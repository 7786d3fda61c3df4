"""From real-valued updates to exact integers in the coefficients of a plaintext, and back.

A value becomes an integer of b bits:

    step = clip / (2^(b-1) - 1);   q = floor(x / step + u), u uniform on [0, 1);   -(2^(b-1) - 1) <= q <= 2^(b-1) - 1

Rounding is stochastic, so the mean over many members is unbiased (QSGD, NeurIPS'17). What clipping and rounding lose is
kept by the member and added to its next update (error feedback; Karimireddy et al., ICML'19). The randomness of the
rounding comes from a seeded stream: it protects nothing, and the same seed gives the same integers on every machine.

A coefficient carries `lanes` integers x_0, x_1, ... as m = sum of x_i r^i in the balanced mixed radix
r = K (2^b - 1) + 1, wide enough for the sum of K members' integers. A ciphertext carries Delta m + noise, and the sum
decodes exactly as long as its noise stays below Delta / 2. Decoding never refuses: every residue is Delta m + noise for
some m, whose digits are taken lowest first, and the highest lane takes what is left.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.errors import LaneOverflow, UnsafeParameters
from medward.fhe.parameters import MOST_BLOCKS, UPDATE_BITS, SumParameters
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced
from medward.fhe.ring.ring import Element
from medward.fhe.sampling import KeyStream

#: Width of a value in a sum that is not encrypted: as good as not quantised.
PLAIN_BITS = 32
#: Width of a count: each member's counts are from 0 to 2^COUNT_BITS - 1.
COUNT_BITS = 30


@dataclass(frozen=True)
class Quantiser:
    """The agreed map between real values and integers of one round.

    Args:
        bits: b, one of UPDATE_BITS, or PLAIN_BITS.
        clip: the largest absolute value that is represented; finite and positive.

    Raises:
        UnsafeParameters: bits or clip is none of those allowed.
    """

    bits: int
    clip: float

    def __post_init__(self) -> None:
        if self.bits not in (*UPDATE_BITS, PLAIN_BITS):
            raise UnsafeParameters(f"updates of {self.bits} bits are not offered; choose one of {UPDATE_BITS}")
        if not (np.isfinite(self.clip) and self.clip > 0):
            raise UnsafeParameters(f"a clipping range of {self.clip} is not a positive number")

    @property
    def largest(self) -> int:
        """The largest integer, 2^(b-1) - 1; the range is symmetric."""
        return (1 << (self.bits - 1)) - 1

    @property
    def step(self) -> float:
        """The real value of one unit."""
        return self.clip / self.largest

    def quantise(self, values: Doubles, seed: bytes) -> Integers:
        """Return int64 [n] for real `values` [n].

        Args:
            values: finite numbers; those beyond the clipping range are clipped.
            seed: seeds the rounding (`rounding_seed`).

        Raises:
            UnsafeParameters: a value is not finite.
        """
        values = np.asarray(values, np.float64)
        if not np.isfinite(values).all():
            raise UnsafeParameters("the update holds values that are not finite; it was not quantised")
        words = KeyStream(hashlib.sha256(b"medward rounding 1" + seed).digest()).words(values.size)
        uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        scaled = np.clip(values, -self.clip, self.clip) / self.step
        return np.clip(np.floor(scaled + uniform), -self.largest, self.largest).astype(np.int64)

    def dequantise(self, sums: Integers, weight: float = 1.0) -> Doubles:
        """Return real values of integers or of sums of them, divided by `weight` (the sum of the members' weights)."""
        return np.asarray(sums, np.float64) * (self.step / weight)


def rounding_seed(secret: bytes, round: int) -> bytes:
    """Return the seed of a member's rounding in a round; distinct rounds never round alike."""
    return hashlib.sha256(b"medward rounding seed 1" + round.to_bytes(8, "little") + secret).digest()


def weighted(update: Doubles, rows: int, most_rows: int) -> Doubles:
    """Return the update scaled by rows / most_rows, so that no agreed clipping range depends on one member's size.

    Args:
        update: the member's update.
        rows: the member's weight (rows of training data), 0 to most_rows.
        most_rows: the agreed largest weight; members with more count as this many.

    Raises:
        UnsafeParameters: rows is negative or most_rows is not positive.
    """
    if rows < 0 or most_rows < 1:
        raise UnsafeParameters(f"a weight of {rows} rows of at most {most_rows} is not possible")
    return np.asarray(update, np.float64) * (min(rows, most_rows) / most_rows)


def quantise_with_feedback(
    quantiser: Quantiser, update: Doubles, carried: Doubles, seed: bytes
) -> tuple[Integers, Doubles]:
    """Quantise update + carried; return (integers, what was lost and is to be carried to the next round)."""
    wanted = np.asarray(update, np.float64) + carried
    integers = quantiser.quantise(wanted, seed)
    return integers, wanted - quantiser.dequantise(integers)


def encode_lanes(parameters: SumParameters, values: Integers, noise: Integers) -> Element:
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


def decode_lanes(parameters: SumParameters, plaintext: Element) -> Integers:
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
