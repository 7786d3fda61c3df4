"""Large signed whole numbers as two values each, so that their sums are exact in slots of 16 bits.

    number = high 2^15 + low,   -2^14 <= low < 2^14

The sums of the digits give the sum of the numbers.
"""

import numpy as np

from medward.federation.sums.interface import IntVector

#: How many values a number takes, and how wide each must be.
DIGITS = 2
BITS = 16
#: The largest number; what is larger counts as this.
LARGEST = 1 << 29
_BASE = 15


def to_digits(numbers: IntVector) -> IntVector:
    """Return all numbers' low digits and then their high ones, int64[2 numbers]; they are clipped to +-LARGEST."""
    inside = np.clip(numbers, -LARGEST, LARGEST)
    high = (inside + (1 << (_BASE - 1))) >> _BASE
    return np.concatenate([inside - (high << _BASE), high])


def from_digits(sums: IntVector) -> IntVector:
    """Return the sums of the numbers from the sums of their digits."""
    low, high = np.split(sums, DIGITS)
    return np.asarray(low + (high << _BASE), np.int64)
