"""From real-valued updates to the integers of a lane, and back.

    step = clip / (2^(b-1) - 1);   q = floor(x / step + u), u uniform on [0, 1);   -(2^(b-1) - 1) <= q <= 2^(b-1) - 1

Rounding is stochastic, so the mean over many members is unbiased (QSGD, NeurIPS'17). What clipping and rounding lose is
kept by the member and added to its next update (error feedback; Karimireddy et al., ICML'19). The randomness of the
rounding comes from a seeded stream: it protects nothing, and the same seed gives the same integers on every machine.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.errors import UnsafeParameters
from medward.fhe.parameters import UPDATE_BITS
from medward.fhe.sampling import KeyStream

#: Width of a value in a sum that is not encrypted: as good as not quantised.
PLAIN_BITS = 32


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
