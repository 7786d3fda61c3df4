"""Bounds on the errors of ciphertexts, in the Euclidean norm, for every operation.

The phase of a ciphertext at level l is Delta_l z + n + c, with |z| <= size in every slot, ||n|| <= noise, which depends
on secrets, and ||c|| <= coding, which follows from the messages. Each bound holds for whatever inputs and circuit, but
for 2^-64 for each random polynomial. Names and proofs: spec/computing.md, section 8. Only operations that IEEE 754
rounds correctly are used, and sums in one order, so that every machine finds the same doubles.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import fsum, prod, sqrt

from medward.fhe.computing.encoder import encoding_error
from medward.fhe.computing.parameters import BASE_PRIMES, ERROR_VARIANCE, ComputingParameters
from medward.fhe.errors import NoiseTooLarge

#: t: each use of Lemma T fails with probability exp(-t), below 2^-64.
_TAIL = 45.0
#: theta: how far base conversion rounds from a number, or how large a digit is in units of its modulus.
_THETA = 0.5 + 2.0**-40
#: The natural logarithm of 2.
_LN2 = 0.6931471805599453


@dataclass(frozen=True)
class ErrorBound:
    """What is known of a ciphertext's phase.

    Args:
        size: B, the largest absolute value of a slot.
        noise: nu, of the error that depends on secrets.
        coding: kappa, of the error that follows from the messages.
    """

    size: float
    noise: float
    coding: float

    @property
    def total(self) -> float:
        """The Euclidean norm of both errors together."""
        return self.noise + self.coding


class NoiseModel:
    """The bounds of one parameter set.

    Args:
        parameters: the set.
    """

    def __init__(self, parameters: ComputingParameters) -> None:
        self.parameters = parameters
        n = parameters.degree
        self._root = sqrt(n)
        self._spread = sqrt(_TAIL + _LN2 * (n.bit_length() - 2))
        self._sigma = sqrt(ERROR_VARIANCE)
        self._modulus = float(prod(parameters.primes[:BASE_PRIMES]))
        #: Bounds on ||e||, |e|, ||s|| and |s| of one error polynomial and one secret.
        self.error = self.gaussian(self._sigma)
        self.error_values = self._sigma * self._root * (1 + self._spread)
        self.secret = sqrt(2 / 3) * (self._root + sqrt(2 * _TAIL))
        self.secret_values = sqrt(2 / 3) * self._root * (1 + self._spread)

    @property
    def least(self) -> float:
        """The smallest bound on the noise of any ciphertext: of an encryption, or of rounding after an operation."""
        return min(self.error, self.rounding(1))

    def gaussian(self, width: float) -> float:
        """Return a bound on the Euclidean norm of N discrete Gaussians of this width."""
        return width * (self._root + sqrt(2 * _TAIL))

    def accept(self, bound: ErrorBound, level: int, operation: str) -> ErrorBound:
        """Return the bound of an operation's result if it may be computed.

        Raises:
            NoiseTooLarge: the phase could wrap, or the error is not tolerated.
        """
        scale = float(self.parameters.scales[level])
        if scale * bound.size + bound.total >= self._modulus / 2:
            raise NoiseTooLarge(
                f"{operation}: slots of up to {bound.size:.3g} do not fit; the largest that do are "
                f"{self._modulus / 2 / scale:.3g}. Encode smaller numbers, or bound them more tightly."
            )
        if bound.total > self.parameters.tolerance * scale:
            raise NoiseTooLarge(
                f"{operation}: the slots of the result could be off by {bound.total / scale:.2g}, and "
                f"{self.parameters.tolerance:.2g} is tolerated. Take a larger scale, or a shorter computation."
            )
        return bound

    def fresh(self, size: float, level: int) -> ErrorBound:
        """Return the bound of an encryption under a secret key."""
        return ErrorBound(size, self.error, self._encoding(size, level))

    def fresh_public(self, size: float, level: int) -> ErrorBound:
        """Return the bound of an encryption under a public key."""
        tail = sqrt(2 * _TAIL)
        by_key = sqrt(2 / 3) * (self._root * self.error + tail * self.error_values)
        by_secret = self._sigma * (self._root * self.secret + tail * self.secret_values)
        return ErrorBound(size, self.error + by_key + by_secret, self._encoding(size, level))

    def plain(self, size: float, level: int) -> ErrorBound:
        """Return the bound of an encoded plaintext."""
        return ErrorBound(size, 0.0, self._encoding(size, level))

    def _encoding(self, size: float, level: int) -> float:
        return encoding_error(self.parameters.degree, self.parameters.scales[level], size)

    def add(self, a: ErrorBound, b: ErrorBound) -> ErrorBound:
        """Return the bound of a sum, or a difference."""
        return ErrorBound(a.size + b.size, a.noise + b.noise, a.coding + b.coding)

    def inner_product(
        self, a: ErrorBound, b: ErrorBound, total: float, count: int, level: int, switching: float, owners: int
    ) -> ErrorBound:
        """Return the bound of a sum of products, relinearised and rescaled once, at level - 1.

        Args:
            a, b: of each factor at `level`; of which the second ones may be plaintexts.
            total: L, at least the sum of the second factors' absolute values in every slot.
            count: n, how many products there are.
            level: of the factors, at least 1.
            switching: V, as `relinearisation` returns it; 0 if no key is switched.
            owners: parties of the result.
        """
        scale = float(self.parameters.scales[level])
        divisor = float(self.parameters.divisor(level))
        center_a = scale * a.size + self._root * a.coding
        centers_b = scale * total + count * self._root * b.coding
        noise = count * center_a * b.noise + centers_b * a.noise + count * self._root * a.noise * b.noise
        noise += switching / float(self.parameters.special())
        coding = scale * (count * a.size * b.coding + total * a.coding) + count * self._root * a.coding * b.coding
        size = a.size * total
        return ErrorBound(size, noise / divisor + self.rounding(owners), coding / divisor + size / 2)

    def rounding(self, owners: int) -> float:
        """Return rho: of rounding all components of a ciphertext."""
        return _THETA * self._root * (1 + owners * self.secret_values)

    @lru_cache(maxsize=64)  # noqa: B019  # one model for each set lives as long as the process
    def switching(self, level: int, size: int | None = None) -> float:
        """Return W: of the products of the digits of an element, of `size` primes, with a switching key's errors."""
        digits = self.parameters.digits(level, size)
        squares = fsum(float(prod(self.parameters.primes[k] for k in digit) ** 2) for digit in digits)
        return self._errors(len(digits)) * _THETA * self._root * sqrt(squares)

    def _errors(self, digits: int) -> float:
        """Return E_D, of so many error polynomials at one zero of X^N + 1."""
        return self._sigma * self._root * (sqrt(digits) + self._spread)

    def relinearisation(self, level: int, same: int, pairs: int, firsts: int) -> float:
        """Return V, before the division by P.

        Args:
            level: of the factors.
            same: parties i with a component at s_i^2.
            pairs: pairs i < j with a component at s_i s_j.
            firsts: parties i that are the first of a pair.
        """
        one = self.switching(level)
        rounded = self.secret_values * float(self.parameters.special()) * _THETA * self._root
        return same * one + pairs * 2 * self.secret_values * one + firsts * (rounded + one)

    def gadget_relinearisation(self, level: int, firsts: int, seconds: int) -> float:
        """Return V of KKLSS, before the division by P.

        Args:
            level: of the factors.
            firsts: parties of the factor whose parts are decomposed twice.
            seconds: parties of the other.
        """
        size = self.parameters.gadget_digit
        digits = self.parameters.digits(level, size)
        fourths = fsum(float(prod(self.parameters.primes[k] for k in digit) ** 4) for digit in digits)
        largest = _THETA * self._root * _THETA * self._root * self._root  # of a product of two digits, each of B_d
        one = self._errors(len(digits)) * largest * sqrt(fourths)
        rounded = self.secret_values * float(self.parameters.special()) * _THETA * self._root
        return firsts * seconds * 2 * self.secret_values * one + firsts * (rounded + self.switching(level, size))

    def switched(self, a: ErrorBound, level: int, owners: int) -> ErrorBound:
        """Return the bound after an automorphism, whose keys are switched back for each owner."""
        added = owners * self.switching(level) / float(self.parameters.special()) + self.rounding(owners)
        return ErrorBound(a.size, a.noise + added, a.coding)

    def lowered(self, a: ErrorBound, level: int, to: int, factor: int, owners: int) -> ErrorBound:
        """Return the bound after lowering from `level` to `to` with this integer factor."""
        divisor = float(self.parameters.divisor(to + 1))
        ratio, scale = float(factor) / divisor, float(self.parameters.scales[level])
        return ErrorBound(
            a.size, ratio * a.noise + self.rounding(owners), ratio * a.coding + a.size * scale / (2 * divisor)
        )


@lru_cache(maxsize=32)
def noise_model(parameters: ComputingParameters) -> NoiseModel:
    """Return the bounds of a parameter set, made once per process."""
    return NoiseModel(parameters)
