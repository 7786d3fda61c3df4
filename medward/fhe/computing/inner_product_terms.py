"""Terms of exact inner products: what owners agree on before they encrypt, and the scale that proves results exact.

    nu_0 + k phi < Delta^2 / 2        Delta^2 rows R^2 + nu_0 + k phi < Q_T / 2

Terms whose numbers do not fulfil both are refused: spec/computing.md, section 12.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import inf, log, prod, sqrt

from medward.fhe.computing.flooding import LARGEST_BASE, MOST_DIGITS, FloodShape, flood_shape, flooding_width
from medward.fhe.computing.noise import ErrorBound, noise_model
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.errors import CiphertextMismatch, NoiseTooLarge
from medward.fhe.sampling import framed

MOST_OWNERS = 4
LARGEST_INTEGER = 1 << 50
#: phi / sigma_f: one number of the flood is larger with a probability below 2^-64.
_FLOOD_TAIL = sqrt(2 * (45 + log(2)))
#: Larger scales would need wider floods than there are.
_MOST_SCALE_BITS = 256


@dataclass(frozen=True)
class InnerProductTerms:
    """What owners agree on before they encrypt columns; its scale proves that every result is exact.

    Args:
        parameters: the set.
        rows: the most rows of one inner product, all owners' together.
        largest: R, at least every integer's absolute value; 1 to 2^50.
        owners: how many keys take part, 1 to 4.
        entries: K, the most inner products that are opened together.
        outputs, bits: tau and s of every owner's budget.

    Raises:
        CiphertextMismatch: a number is out of its range.
        NoiseTooLarge: no scale proves results exact.
    """

    parameters: ComputingParameters
    rows: int
    largest: int
    owners: int = 1
    entries: int = 1
    outputs: int = 1024
    bits: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.owners <= MOST_OWNERS or not 1 <= self.largest <= LARGEST_INTEGER:
            raise CiphertextMismatch(f"inner products are of 1 to {MOST_OWNERS} owners and integers of 1 to 2^50")
        if not 1 <= self.rows <= 1 << 40 or not 1 <= self.entries <= 1 << 20:
            raise CiphertextMismatch("inner products have 1 to 2^40 rows, and 1 to 2^20 are opened together")
        if self.scale_bits < 1 or 2 * self.error >= float(1 << 2 * self.scale_bits):
            raise NoiseTooLarge(
                f"inner products of {self.rows:,} rows of integers up to {self.largest:,} cannot be proved exact with "
                f"a modulus of {self.modulus.bit_length()} bits: take a set with more levels, smaller integers or "
                "fewer entries in an opening"
            )

    @property
    def modulus(self) -> int:
        """Q_T."""
        return prod(self.parameters.primes[: self.parameters.top])

    @property
    def blocks(self) -> int:
        """n, the most blocks of one inner product: each owner's last one may be short."""
        return -(-self.rows // self.parameters.degree) + self.owners - 1

    @property
    def most(self) -> int:
        """The largest absolute value of an inner product: rows R^2."""
        return self.rows * self.largest**2

    @cached_property
    def scale_bits(self) -> int:
        """b, the logarithm of Delta: the largest with which no result wraps; 0 if any may."""
        for bits in range(min(self.modulus.bit_length() // 2, _MOST_SCALE_BITS), 0, -1):
            error = self._error(bits)
            if error < inf and 2 * ((self.most << 2 * bits) + int(error) + 1) < self.modulus:
                return bits
        return 0

    @cached_property
    def error(self) -> float:
        """A bound on the distance of an opened sum from the multiple of Delta^2 that it stands for."""
        return self._error(self.scale_bits)

    @cached_property
    def flood(self) -> FloodShape:
        """How the noise of a share is drawn."""
        return flood_shape(self._width(self.scale_bits))

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 of all that the terms are."""
        numbers = self.rows, self.largest, self.owners, self.entries, self.outputs, self.bits
        return hashlib.sha256(framed("medward inner product terms 1", self.parameters.digest, *numbers)).digest()

    def _noise(self, bits: int) -> float:
        """Return nu_0 at the scale 2^bits."""
        model, level = noise_model(self.parameters), self.parameters.levels
        blocks, pairs = self.blocks, self.owners * (self.owners - 1) // 2
        products = 2 * 2.0**bits * sqrt(self.rows) * self.largest * sqrt(blocks) * model.error
        switching = model.relinearisation(level, self.owners, pairs, pairs) / float(self.parameters.special())
        return products + blocks * model.error**2 + switching + (self.owners + pairs) * model.rounding(2)

    def _width(self, bits: int) -> float:
        """Return the least sigma_f at the scale 2^bits."""
        together = ErrorBound(0.0, sqrt(self.entries) * self._noise(bits), 0.0)
        return flooding_width(together, self.entries, self.outputs, self.bits)

    def _error(self, bits: int) -> float:
        width = self._width(bits)
        if width >= FloodShape(LARGEST_BASE, MOST_DIGITS).width:
            return inf
        return self._noise(bits) + self.owners * _FLOOD_TAIL * flood_shape(width).width
