"""Noise that hides the noise of a result which is shown to others.

    f = sum over j < m of b^j x_j,        x_j discrete Gaussians of width 64, 2 <= b <= 30

is a discrete Gaussian of width 64 sqrt(sum of b^2j), but for a relative 2^-123 at every integer; it is drawn in
integers and embedded digit by digit, so it has any size (spec/computing.md, section 9).
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from medward.fhe.arrays import Integers
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.errors import UnsafeParameters
from medward.fhe.sampling import KeyStream, gaussian

_WIDTH = 64
LARGEST_BASE = 30
MOST_DIGITS = 63


@dataclass(frozen=True)
class FloodShape:
    """How noise of a large width is put together.

    Args:
        base: b.
        digits: m.
    """

    base: int
    digits: int

    @property
    def width(self) -> float:
        """The width sigma of the sum."""
        return _WIDTH * sqrt(sum(float(self.base) ** (2 * j) for j in range(self.digits)))

    def draw(self, stream: KeyStream, count: int) -> Integers:
        """Return the digits x_j, int64[m, count]."""
        return np.stack([gaussian(stream, _WIDTH**2, count) for _ in range(self.digits)])


def flood_shape(width: float) -> FloodShape:
    """Return the narrowest shape of at least this width, with as few digits as may be.

    Raises:
        UnsafeParameters: no shape is so wide.
    """
    if not width <= FloodShape(LARGEST_BASE, MOST_DIGITS).width:
        raise UnsafeParameters(f"no noise of width {width:.3g} can be drawn: compute less before a result is opened")
    digits = next(m for m in range(1, MOST_DIGITS + 1) if FloodShape(LARGEST_BASE, m).width >= width)
    bases = range(2, LARGEST_BASE + 1) if digits > 1 else (1,)
    return next(shape for base in bases if (shape := FloodShape(base, digits)).width >= width)


def flooding_width(bound: ErrorBound, degree: int, outputs: int, bits: int) -> float:
    """Return sigma_f = sqrt(12 tau) 2^(s/2) (nu + sqrt(N)/2), after which tau outputs tell of their noise 2^-(s/2).

    Args:
        bound: of the ciphertext that is opened.
        degree: N.
        outputs: tau, all that the key will ever open; 1 to 2^40.
        bits: s, 32 to 128.

    Raises:
        UnsafeParameters: such numbers protect nobody.
    """
    if not 1 <= outputs <= 1 << 40 or not 32 <= bits <= 128:
        raise UnsafeParameters(f"{outputs} outputs at {bits} bits: take 1 to 2^40 outputs and 32 to 128 bits")
    factor: float = sqrt(12 * outputs) * 2.0 ** (bits / 2)
    return factor * (bound.noise + sqrt(degree) / 2)
