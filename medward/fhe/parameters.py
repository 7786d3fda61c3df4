"""Parameters of a secure sum, derived from who takes part; every figure follows from a rule in exact integers.

The rules and their reasons: spec/scheme.md, "Parameters". All members derive the same set from the same few numbers,
so a set is named by them and never sent.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

from medward.fhe.errors import UnsafeParameters
from medward.fhe.ring.primes import ring_primes

#: N, the degree of the ring Z_p[X]/(X^N + 1); p is the largest fitting prime below 2^50.
DEGREE = 2048
#: Width of the discrete Gaussian that secrets and errors are drawn from.
SIGMA = 7
#: T, ternary rows of a challenge: a dealing that is not short passes each with probability at most 1/2.
TESTS = 192
#: Uniform rows of the audit: a wrong answer passes all with probability p^-3.
AUDITS = 3
#: A test's mask has this many times the variance of what the test would tell.
MASK_GAIN = 8
UPDATE_BITS = (4, 8, 12, 16)
MOST_CONTRIBUTORS = 1024
MOST_HOLDERS = 64
#: Most ciphertext blocks in one contribution.
MOST_BLOCKS = 4096
#: A sum decodes wrongly with probability below 2^-FAILURE_BITS, over all coefficients of all its blocks.
FAILURE_BITS = 64
#: A second short sum of secrets exists with probability below 2^-UNIQUE_BITS, over the public element of the sum.
UNIQUE_BITS = 128


@dataclass(frozen=True)
class SumParameters:
    """A complete parameter set; make one with `sum_parameters`.

    Args:
        bits: b, the width of one member's value.
        contributors: K, the most contributions in the sum.
        holders: h, how many hold shares.
        faulty: f, how many of all members may lie.
        threshold: t, how many answers decrypt the sum.
        prime: p.
        mask_variance: of the masks y that hide a test.
        noise_bound: no coefficient of an honest sum's error is larger.
        test_bound: B, the largest value of an accepted test; secrets and errors are then at most 2B.
        sum_bound: no coefficient of the sum of accepted secrets, or of their errors, is larger.
        radix: the sums of a lane are the digits of this balanced radix.
        lanes: lanes in a coefficient.
        delta: the factor of the message in a plaintext.
    """

    bits: int
    contributors: int
    holders: int
    faulty: int
    threshold: int
    prime: int
    mask_variance: int
    noise_bound: int
    test_bound: int
    sum_bound: int
    radix: int
    lanes: int
    delta: int

    @property
    def degree(self) -> int:
        """N, coefficients of a ring element."""
        return DEGREE

    @property
    def tests(self) -> int:
        """T, tests of a dealing."""
        return TESTS

    @property
    def width(self) -> int:
        """Residues in a share: of the secret, the masks of the tests, the masks of the audit."""
        return DEGREE + TESTS + AUDITS

    @property
    def faulty_holders(self) -> int:
        """How many holders may lie."""
        return _third(self.holders)

    @property
    def most_shown(self) -> int:
        """How many shares of a dealing may be shown in the open."""
        return self.threshold - 1 - self.faulty_holders

    @property
    def largest_value(self) -> int:
        """The largest absolute value that a member may put into a lane, 2^(b-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    @property
    def values_per_block(self) -> int:
        """How many values one ciphertext block holds."""
        return self.lanes * DEGREE

    @property
    def digest(self) -> bytes:
        """16 bytes that differ between any two sets; part of every label."""
        text = "medward sum parameters 3|" + "|".join(str(value) for value in vars(self).values())
        return hashlib.sha256(text.encode()).digest()[:16]


@lru_cache(maxsize=64)
def sum_parameters(bits: int, contributors: int, holders: int, faulty: int, threshold: int) -> SumParameters:
    """Derive the parameters of a sum.

    Args:
        bits: one of UPDATE_BITS.
        contributors: 1 to MOST_CONTRIBUTORS.
        holders: 1 to MOST_HOLDERS.
        faulty: f, how many of all members, contributors or holders, may lie.
        threshold: t, 1 to `holders`.

    Raises:
        UnsafeParameters: a number is none of those allowed, t leaves no share that could be shown, or so many may lie
            that the sum of the secrets would not be unique.
    """
    if bits not in UPDATE_BITS:
        raise UnsafeParameters(f"values of {bits} bits are not offered; choose one of {UPDATE_BITS}")
    if not 1 <= contributors <= MOST_CONTRIBUTORS:
        raise UnsafeParameters(f"{contributors} contributors do not fit a sum; use 1 to {MOST_CONTRIBUTORS}")
    if not 1 <= holders <= MOST_HOLDERS:
        raise UnsafeParameters(f"{holders} holders are not possible; use 1 to {MOST_HOLDERS}")
    if not 1 <= threshold <= holders:
        raise UnsafeParameters(f"{threshold} of {holders} answers cannot decrypt a sum; use 1 to {holders}")
    if threshold - 1 - _third(holders) < 1:
        raise UnsafeParameters(
            f"with a threshold of {threshold} of {holders} holders no complaint could be settled, because one shown "
            f"share and those of {_third(holders)} liars would decrypt; use at least {_third(holders) + 2}"
        )
    if faulty < 0:
        raise UnsafeParameters(f"{faulty} liars are not possible; use 0 or more")
    (prime,) = ring_primes(DEGREE, 1)
    noise = _noise_bound(contributors)
    mask = MASK_GAIN * _largest_gain() * SIGMA**2
    test = isqrt((DEGREE * SIGMA**2 + mask) * 441 // 4) + 1
    total = isqrt(121 * contributors * SIGMA**2) + 1 + faulty * 2 * test
    if not _unique(total, prime):
        raise UnsafeParameters(f"with {faulty} liars the sum of the secrets would not be unique; use fewer members")
    radix = contributors * ((1 << bits) - 1) + 1
    lanes = 0
    while prime // radix ** (lanes + 1) > 2 * noise + 1:
        lanes += 1
    if lanes == 0:
        raise UnsafeParameters(f"values of {bits} bits of {contributors} contributors have no room; use fewer bits")
    return SumParameters(
        bits, contributors, holders, faulty, threshold, prime, mask, noise, test, total, radix, lanes,
        prime // radix**lanes,
    )  # fmt: skip


def _third(members: int) -> int:
    """How many of so many members may lie."""
    return (members - 1) // 3


def _largest_gain() -> int:
    """Bound lambda_max(R R^T) for R of T rows and 2N columns, variance 1/2: (sqrt(T) + sqrt(2N))^2 / 2, rounded up."""
    return (TESTS + 2 * DEGREE + 2 * (isqrt(TESTS * 2 * DEGREE) + 1) + 1) // 2


def _noise_bound(contributors: int) -> int:
    """Bound the sum of K errors in every coefficient: z sigma sqrt(K), 2 N MOST_BLOCKS exp(-z^2/2) = 2^-FAILURE_BITS.

    ln 2 < 0.69315; the sum of discrete Gaussians is sub-Gaussian.
    """
    exponent = FAILURE_BITS + 1 + (DEGREE * MOST_BLOCKS - 1).bit_length()
    return isqrt(2 * 69315 * exponent * contributors * SIGMA**2 // 100_000 + 1) + 1


def _unique(bound: int, prime: int) -> bool:
    """Whether a second short sum is as unlikely as promised: (4 B + 1)^(2N) 2^UNIQUE_BITS <= p^N.

    Two sums whose coefficients, and those of their errors, are at most B differ by (d, a_0 d) with at most 4B + 1
    values a coefficient.
    """
    part = DEGREE // UNIQUE_BITS
    return bool((4 * bound + 1) ** (2 * part) * 2 <= prime**part)
