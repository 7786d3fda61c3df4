"""Bounds on the errors of ciphertexts, in the Euclidean norm, for every operation.

The phase of a ciphertext at level l is Delta_l z + n + c, with |z| <= size in every slot, ||n|| <= noise, which depends
on secrets, and ||c|| <= coding, which follows from the messages. Each bound holds for whatever inputs and circuit, but
for 2^-64 for each random polynomial. Names and proofs: spec/computing.md, section 8.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import log, prod, sqrt

from medward.fhe.computing.encoder import encoding_error
from medward.fhe.computing.parameters import BASE_PRIMES, ERROR_VARIANCE, ComputingParameters
from medward.fhe.errors import NoiseTooLarge

#: t: each use of Lemma T fails with probability exp(-t), below 2^-64.
_TAIL = 45.0
#: theta: how far base conversion rounds from a number, or how large a digit is in units of its modulus.
_THETA = 0.5 + 2.0**-40


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
        self._spread = sqrt(_TAIL + log(n / 2))
        self._sigma = sqrt(ERROR_VARIANCE)
        self._modulus = float(prod(parameters.primes[:BASE_PRIMES]))
        #: Bounds on ||e||, |e|, ||s|| and |s| of one error polynomial and one secret.
        self.error = self.gaussian(self._sigma)
        self.error_values = self._sigma * self._root * (1 + self._spread)
        self.secret = sqrt(2 / 3) * (self._root + sqrt(2 * _TAIL))
        self.secret_values = sqrt(2 / 3) * self._root * (1 + self._spread)

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

    def multiply(self, a: ErrorBound, b: ErrorBound, level: int, switching: float, owners: int) -> ErrorBound:
        """Return the bound of a rescaled product at level - 1.

        Args:
            a, b: of the factors at `level`; of which one may be a plaintext.
            level: of the factors, at least 1.
            switching: V, as `relinearisation` returns it; 0 if no key is switched.
            owners: parties of the result.
        """
        scale = float(self.parameters.scales[level])
        divisor = float(self.parameters.divisor(level))
        center_a, center_b = (scale * x.size + self._root * x.coding for x in (a, b))
        noise = center_a * b.noise + center_b * a.noise + self._root * a.noise * b.noise
        noise += switching / float(self.parameters.special())
        coding = scale * (a.size * b.coding + b.size * a.coding) + self._root * a.coding * b.coding
        size = a.size * b.size
        return ErrorBound(size, noise / divisor + self.rounding(owners), coding / divisor + size / 2)

    def rounding(self, owners: int) -> float:
        """Return rho: of rounding all components of a ciphertext."""
        return _THETA * self._root * (1 + owners * self.secret_values)

    @lru_cache(maxsize=64)  # noqa: B019  # one model for each set lives as long as the process
    def switching(self, level: int) -> float:
        """Return W: of the products of the digits of an element with a switching key's errors."""
        digits = self.parameters.digits(level)
        squares = sum(float(prod(self.parameters.primes[k] for k in digit)) ** 2 for digit in digits)
        errors = self._sigma * self._root * (sqrt(len(digits)) + self._spread)
        return errors * _THETA * self._root * sqrt(squares)

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
