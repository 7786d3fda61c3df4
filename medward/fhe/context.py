"""The public side of one sum: its elements, the challenge to the dealings, the rows of the audit.

a_0, a_1, ...  = XOF(label of the sum)                       elements of R_p, for the check block and the blocks
R_s, R_e       = XOF(label, beacon)                          {-1, 0, 1}^(T x N) with probabilities 1/4, 1/2, 1/4
Phi f          = R_s f - R_e (a_0 f)                         T tests of a vector f in F_p^N
chi            = XOF(label, "audit", beacon)                 AUDITS uniform rows of F_p^N
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medward.fhe.arrays import Doubles
from medward.fhe.encoding import DIGEST_BYTES
from medward.fhe.parameters import AUDITS, DEGREE, TESTS, SumParameters
from medward.fhe.ring import polynomials
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced, times_constant
from medward.fhe.ring.ring import Element, Ring, ring
from medward.fhe.sampling import KeyStream, expand_element, expand_vector, framed, uniform_vector

Signs = NDArray[np.int8]

#: Residues are cut into two parts of at most this many bits, so that sums of 2^11 of them are exact doubles.
_PART_BITS = 25


@dataclass(frozen=True)
class SumContext:
    """The public values of one sum.

    Args:
        parameters: of the sum.
        occasion: bytes that no other sum has: federation, round, a recent block, who takes part.
        present: the holders' numbers, in order, whom shares are dealt to.
        blocks: ciphertext blocks in a contribution.
    """

    parameters: SumParameters
    occasion: bytes
    present: tuple[int, ...]
    blocks: int

    @cached_property
    def digest(self) -> bytes:
        """What every encoding of this sum bears."""
        return hashlib.sha256(self.label("encodings")).digest()[:DIGEST_BYTES]

    def label(self, *purpose: bytes | str | int) -> bytes:
        """Return a label of this sum for a purpose; no other sum or purpose has it."""
        return framed("medward sum 1", self.parameters.digest, self.occasion, self.blocks, *purpose)

    @property
    def ring(self) -> Ring:
        """R_p."""
        return ring(self.parameters.degree, 1)

    @cached_property
    def check_element(self) -> Element:
        """a_0, evaluation form."""
        return expand_element(self.label("check block"), self.ring)

    @cached_property
    def block_elements(self) -> tuple[Element, ...]:
        """a_1, a_2, ..., evaluation form."""
        return tuple(expand_element(self.label("block", k), self.ring) for k in range(self.blocks))

    def audit_rows(self, beacon: bytes) -> Doubles:
        """Return chi, float64[AUDITS, N]."""
        p = self.parameters.prime
        return np.stack([expand_vector(self.label("audit", beacon, k), p, DEGREE) for k in range(AUDITS)])


class Challenge:
    """The ternary rows that a beacon draws for all dealings of a sum.

    Args:
        context: of the sum.
        beacon: ordered after every commitment.
    """

    def __init__(self, context: SumContext, beacon: bytes) -> None:
        self.context, self.beacon = context, beacon
        size = 2 * DEGREE * TESTS
        stream = hashlib.shake_128(context.label("challenge", beacon)).digest(size // 4)
        bits = np.unpackbits(np.frombuffer(stream, np.uint8)).view(np.int8).reshape(2, 2, DEGREE, TESTS)
        rows = bits[0] - bits[1]
        #: R_s and R_e, transposed: int8[N, T].
        self.secret_rows: Signs = rows[0]
        self.error_rows: Signs = rows[1]

    def tests(self, vectors: Doubles) -> Doubles:
        """Return Phi f for each of the vectors, float64[M, N] (coefficients) to float64[M, T]."""
        r, p = self.context.ring, self.context.parameters.prime
        out = np.empty((vectors.shape[0], TESTS))
        for vector, tested in zip(vectors, out, strict=True):
            f = vector[None].copy()
            product = r.inverse(r.multiply_add(r.forward(f), self.context.check_element, r.zero()))[0]
            tested[:] = polynomials.balance(
                _signed_sums(self.secret_rows, vector, p) - _signed_sums(self.error_rows, product, p), p
            )
        return out

    def error_tests(self, vector: Doubles) -> Doubles:
        """Return R_e x for coefficients x, float64[N] to float64[T]."""
        return _signed_sums(self.error_rows, vector, self.context.parameters.prime)

    @cached_property
    def private_check(self) -> tuple[Doubles, Doubles]:
        """AUDITS random combinations of the tests that nobody else knows: (rho, rho Phi), float64[., T] and [., N].

        Whoever fixed a vector before may expect that it passes all of them, and not every test, with probability
        p^-AUDITS; checking them is many times quicker.
        """
        r, p = self.context.ring, self.context.parameters.prime
        rho = uniform_vector(KeyStream(), p, AUDITS * TESTS).reshape(AUDITS, TESTS)
        plain = r.inverse(self.context.check_element.copy())
        adjoint = np.empty_like(plain)  # the functional x -> <y, a x> is the inner product with a(1/X) y
        adjoint[0, 0] = plain[0, 0]
        adjoint[0, 1:] = -plain[0, :0:-1]
        adjoint = r.forward(adjoint)
        rows = np.empty((AUDITS, DEGREE))
        for k in range(AUDITS):
            errors = _combined_signs(self.error_rows, rho[k], p)
            product = r.inverse(r.multiply_add(r.forward(errors[None]), adjoint, r.zero()))[0]
            rows[k] = polynomials.balance(_combined_signs(self.secret_rows, rho[k], p) - product, p)
        return rho, rows


def _signed_sums(rows: Signs, vector: Doubles, prime: int) -> Doubles:
    """Return sum over j of rows[j, t] vector[j] mod p, float64[T]."""
    out = np.empty(rows.shape[1])
    _add_signed(rows, vector, float(prime), 1.0 / prime, out)
    return out


def _combined_signs(rows: Signs, factors: Doubles, prime: int) -> Doubles:
    """Return sum over t of rows[j, t] factors[t] mod p, float64[N]; T residues below 2^49 add up to less than 2^63."""
    sums = np.empty(rows.shape[0], np.int64)
    _combine_signs(rows, factors.astype(np.int64), sums)
    residues = sums % prime
    return np.where(residues > prime // 2, residues - prime, residues).astype(np.float64)


@compiled
def _add_signed(rows: Signs, vector: Doubles, q: float, iq: float, out: Doubles) -> None:
    """out[t] = sum of +-vector[j] mod q: upper and lower parts of at most 2^24 are added up as exact doubles."""
    width = rows.shape[1]
    upper = np.zeros(width)
    lower = np.zeros(width)
    unit = float(1 << _PART_BITS)
    for j in range(rows.shape[0]):
        u = np.rint(vector[j] / unit)
        v = vector[j] - u * unit
        for t in range(width):
            sign = float(rows[j, t])
            upper[t] += sign * u
            lower[t] += sign * v
    for t in range(width):
        x = times_constant(upper[t], unit, unit * iq, q)
        out[t] = reduced(reduced(x, q, iq) + lower[t], q, iq)


@compiled
def _combine_signs(rows: Signs, factors: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    for j in range(rows.shape[0]):
        total = np.int64(0)
        for t in range(rows.shape[1]):
            total += np.int64(rows[j, t]) * factors[t]
        out[j] = total
