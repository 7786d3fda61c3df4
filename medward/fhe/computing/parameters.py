"""Parameters of computing: the ring, primes, levels and scales, and whether they are secure.

A set follows from a few numbers, so that all parties derive the same one (spec/computing.md, sections 2 and 3).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import log2, prod

from medward.fhe.errors import UnsafeParameters
from medward.fhe.ring.primes import is_prime
from medward.fhe.sampling import framed

#: Most bits of Q P for each degree: 128 bits of security with ternary secrets (spec/computing.md, section 3).
MOST_BITS = {8192: 214, 16384: 430, 32768: 868}
BASE_PRIMES = 2
SPECIAL_BITS = 50
#: Largest scale of one prime; a larger one takes two primes a level.
ONE_PRIME_BITS = 48
#: Variance of the discrete Gaussian that errors are drawn from.
ERROR_VARIANCE = 11


@dataclass(frozen=True)
class ComputingParameters:
    """A complete parameter set; make one with `computing_parameters`.

    Args:
        degree: N, so there are N/2 slots.
        scale_bits: log2 of the scale of a message at the highest level.
        levels: T, how many multiplications one after the other.
        digit: primes in a digit of key switching, and special primes.
        tolerance: the largest bound on the root mean square error of a slot that an operation's result may have.
        primes: base primes, then those of levels 1 to T, then the special ones.
        scales: Delta_0, ..., Delta_T.
    """

    degree: int
    scale_bits: int
    levels: int
    digit: int
    tolerance: float
    primes: tuple[int, ...]
    scales: tuple[int, ...]

    @property
    def slots(self) -> int:
        """N/2, complex numbers in a ciphertext."""
        return self.degree // 2

    @property
    def primes_per_level(self) -> int:
        """r, 1 or 2."""
        return primes_per_level(self.scale_bits)

    def limbs(self, level: int) -> int:
        """Return how many primes a ciphertext at this level has."""
        return BASE_PRIMES + level * self.primes_per_level

    @property
    def top(self) -> int:
        """Primes of a ciphertext at the highest level; the special ones come after them."""
        return self.limbs(self.levels)

    def special(self) -> int:
        """Return P, the product of the special primes."""
        return prod(self.primes[self.top :])

    def divisor(self, level: int) -> int:
        """Return d_level, the product of a level's primes."""
        return prod(self.primes[self.limbs(level - 1) : self.limbs(level)])

    @property
    def gadget_digit(self) -> int:
        """Primes in a digit of the gadget; there is no gadget where it is 0."""
        return self.digit // 2

    def digits(self, level: int, size: int | None = None) -> list[range]:
        """Return the places of the primes of each digit of a ciphertext at this level.

        Args:
            level: 0 to T.
            size: primes in a digit; those of key switching where left out.
        """
        limbs, step = self.limbs(level), self.digit if size is None else size
        return [range(start, min(start + step, limbs)) for start in range(0, limbs, step)]

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 of all that the set is, by which keys and bytes name it."""
        numbers = self.degree, self.scale_bits, self.levels, self.digit, *self.primes
        return hashlib.sha256(framed("medward computing set 1", self.tolerance.hex(), *numbers)).digest()

    @property
    def bits(self) -> float:
        """log2 of Q P."""
        return sum(log2(q) for q in self.primes)


def primes_per_level(scale_bits: int) -> int:
    """Return how many primes a level with such scales has."""
    return 1 if scale_bits <= ONE_PRIME_BITS else 2


@lru_cache(maxsize=32)
def computing_parameters(
    degree: int, scale_bits: int, levels: int, digit: int = 2, *, tolerance: float = 2.0**-10, for_tests: bool = False
) -> ComputingParameters:
    """Return the parameter set that these numbers name.

    Args:
        degree: N, 8192, 16384 or 32768; for tests any power of two from 64 on.
        scale_bits: 30 to 96.
        levels: 1 to 20.
        digit: 1 to 4.
        tolerance: see `ComputingParameters`.
        for_tests: allow what is insecure.

    Raises:
        UnsafeParameters: the set would have less than 128 bits of security, or there is no such set.
    """
    if degree < 64 or degree & (degree - 1) or not 30 <= scale_bits <= 96 or not 1 <= levels <= 20:
        raise UnsafeParameters(
            f"degree {degree}, scale 2^{scale_bits} and {levels} levels make no parameter set: take a degree of "
            f"{', '.join(map(str, MOST_BITS))}, a scale of 30 to 96 bits and 1 to 20 levels"
        )
    if not 1 <= digit <= 4:
        raise UnsafeParameters(f"a digit has 1 to 4 primes, not {digit}")
    taken = list(_first(_near(1 << SPECIAL_BITS, degree, below=True), BASE_PRIMES + digit))
    base, special = taken[:BASE_PRIMES], taken[BASE_PRIMES:]
    scales, by_level = [1 << scale_bits], list[tuple[int, ...]]()
    for _ in range(levels):
        target = scales[-1] ** 2 >> scale_bits
        found = _level_primes(target, primes_per_level(scale_bits), degree, taken)
        taken += found
        by_level.append(found)
        divisor = prod(found)
        scales.append((2 * scales[-1] ** 2 + divisor) // (2 * divisor))
    primes = (*base, *(q for found in reversed(by_level) for q in found), *special)
    parameters = ComputingParameters(degree, scale_bits, levels, digit, tolerance, primes, tuple(reversed(scales)))
    if not for_tests and parameters.bits > MOST_BITS.get(degree, 0):
        allowed = MOST_BITS.get(degree)
        raise UnsafeParameters(
            f"degree {degree} with {parameters.bits:.0f} bits of primes is not secure: "
            + (f"it allows {allowed} bits; take fewer levels or a larger degree" if allowed
               else f"take a degree of {', '.join(map(str, MOST_BITS))}")
        )  # fmt: skip
    return parameters


def _level_primes(target: int, count: int, degree: int, taken: list[int]) -> tuple[int, ...]:
    """Return unused primes whose product is close to `target`."""
    if count == 1:
        return (next(q for q in _near(target, degree) if q not in taken),)
    root = int(target**0.5)
    one = next(q for q in _near(root, degree) if q not in taken)
    other = next(q for q in _near(target // one, degree) if q not in (one, *taken))
    return one, other


def _near(target: int, degree: int, below: bool = False) -> Iterator[int]:
    """Yield the primes that are 1 modulo 2 degree, nearest to `target` first, or only those below it."""
    step = 2 * degree
    low = target // step * step + 1
    low, high = (low - step, low) if low >= target else (low, low + step)
    while True:
        if below or target - low <= high - target:
            candidate, low = low, low - step
        else:
            candidate, high = high, high + step
        if candidate > step and is_prime(candidate):
            yield candidate


def _first(values: Iterator[int], count: int) -> Iterator[int]:
    for _, value in zip(range(count), values, strict=False):
        yield value
