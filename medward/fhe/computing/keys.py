"""Keys of one owner: the secret, the public key, and what a server needs to multiply and rotate.

    b_d     = -s a_d + e_d                  a_d common to all owners, from a public label; (b_0, a_0) is the public key
    d_(0,d) = -s d_(1,d) + P g_d r + e'_d   d_(1,d) uniform, r ternary
    d_(2,d) = r a_d + P g_d s + e''_d
    k_d     = -s a'_d + P g_d s' + e_d      a'_d uniform; s' = s^2, or s(X^k)

(spec/computing.md, section 6).
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.parameters import ERROR_VARIANCE, ComputingParameters
from medward.fhe.computing.residues import permute
from medward.fhe.errors import CiphertextMismatch
from medward.fhe.sampling import KEY_BYTES, KeyStream, expand_vector, framed, gaussian, ternary, uniform_vector


@dataclass(frozen=True, eq=False)
class SwitchingKey:
    """Takes an element that belongs to another secret to the owner's: k and a', float64[D, top + K, N] each."""

    k: Doubles = field(repr=False)
    a: Doubles = field(repr=False)


@dataclass(frozen=True, eq=False)
class PublicKey:
    """(b_0, a_0), float64[top, N] each, with which anybody encrypts for the owner."""

    owner: str
    parameters: ComputingParameters
    b: Doubles = field(repr=False)
    a: Doubles = field(repr=False)


@dataclass(frozen=True, eq=False)
class EvaluationKey:
    """What a server needs of one owner to multiply and rotate.

    Args:
        owner: the name of the secret key's owner, with the beginning of its fingerprint.
        parameters: the set.
        label: of the common elements a_d; ciphertexts of several owners are multiplied if theirs are the same.
        square: from s^2 to s.
        b, d0, d1, d2: float64[D, top + K, N], for products of this owner's parts with others'.
        automorphisms: by the power k of X -> X^k.
    """

    owner: str
    parameters: ComputingParameters
    label: bytes
    square: SwitchingKey
    b: Doubles = field(repr=False)
    d0: Doubles = field(repr=False)
    d1: Doubles = field(repr=False)
    d2: Doubles = field(repr=False)
    automorphisms: Mapping[int, SwitchingKey] = field(repr=False)


class SecretKey:
    """An owner's secret s; it is never copied, and who keeps it keeps its seed.

    Args:
        owner: the owner's name. Ciphertexts carry it with the beginning of the key's fingerprint, so that what is under
            an earlier key of the same owner is never mistaken.
        parameters: the set.
        label: of the elements a_d that are common to all who compute together.
        seed: 32 secret bytes from which s and the public key follow; drawn from the operating system where left out.
    """

    def __init__(self, owner: str, parameters: ComputingParameters, label: bytes, seed: bytes | None = None) -> None:
        if not owner:
            raise CiphertextMismatch("a key needs the name of its owner")
        self.parameters = parameters
        self.label = label
        self.seed = os.urandom(KEY_BYTES) if seed is None else seed
        #: All randomness but that of s and the public key: fresh, also where the seed was used before.
        self.stream = KeyStream()
        self._context = computing_context(parameters)
        occasion = framed("medward computing key 1", self.seed, str(parameters), label)
        own = KeyStream(hashlib.sha256(occasion).digest())
        #: s in evaluation form, modulo all primes.
        self.s = self._everywhere(ternary(own, parameters.degree))
        self._b = self._hidden(self.s, common_elements(parameters, label), own)
        #: The SHA-256 of the public key, in hexadecimal.
        self.fingerprint = hashlib.sha256(self._b[0, : parameters.top].astype("<f8").tobytes()).hexdigest()
        self.owner = f"{owner}/{self.fingerprint[:16]}"

    def __repr__(self) -> str:
        return f"SecretKey({self.owner!r}, ...)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret key is never copied; keep its seed where secrets are kept")

    def public_key(self) -> PublicKey:
        """Return the key with which others encrypt for the owner."""
        at = slice(0, self.parameters.top)
        return PublicKey(
            self.owner, self.parameters, self._b[0, at], common_elements(self.parameters, self.label)[0, at]
        )

    def evaluation_key(self, rotations: Iterable[int] = (), conjugation: bool = False) -> EvaluationKey:
        """Return what a server needs; keys that are made again have new randomness.

        Args:
            rotations: by how many slots to the left a server may rotate.
            conjugation: whether it may conjugate.
        """
        ring, everywhere = self._context.ring, self._context.everywhere
        powers = [power_of_rotation(self.parameters, steps) for steps in rotations]
        if conjugation:
            powers.append(2 * self.parameters.degree - 1)
        common = common_elements(self.parameters, self.label)
        r = self._everywhere(ternary(self.stream, self.parameters.degree))
        d1 = self._uniform()
        d0 = self._hidden(self.s, d1, self.stream)
        d2 = np.stack([ring.multiply_add(r, a, self._error(self.stream), everywhere) for a in common])
        self._add_gadget(r, d0)
        self._add_gadget(self.s, d2)
        moved = {power: self._switching(permute(self.s, ring.automorphism(power))) for power in powers}
        square = self._switching(ring.multiply(self.s, self.s, everywhere))
        return EvaluationKey(self.owner, self.parameters, self.label, square, self._b, d0, d1, d2, moved)

    def _everywhere(self, values: Integers) -> Doubles:
        return self._context.ring.embed(values[None], 1, self._context.everywhere)

    def _error(self, stream: KeyStream) -> Doubles:
        return self._everywhere(gaussian(stream, ERROR_VARIANCE, self.parameters.degree))

    def _uniform(self) -> Doubles:
        p = self.parameters
        digits = len(p.digits(p.levels))
        rows = [uniform_vector(self.stream, q, p.degree) for _ in range(digits) for q in p.primes]
        return np.stack(rows).reshape(digits, len(p.primes), p.degree)

    def _hidden(self, s: Doubles, elements: Doubles, stream: KeyStream) -> Doubles:
        """Return -s a_d + e_d for every digit."""
        ring, everywhere = self._context.ring, self._context.everywhere
        products = (ring.multiply(s, a, everywhere) for a in elements)
        return np.stack([ring.subtract(self._error(stream), product, everywhere) for product in products])

    def _switching(self, other: Doubles) -> SwitchingKey:
        a = self._uniform()
        k = self._hidden(self.s, a, self.stream)
        self._add_gadget(other, k)
        return SwitchingKey(k, a)

    def _add_gadget(self, element: Doubles, key: Doubles) -> None:
        """Add P g_d times an element to the key of every digit: P times it modulo the digit's own primes."""
        special = self.parameters.special()
        for row, digit in zip(key, self.parameters.digits(self.parameters.levels), strict=True):
            at = slice(digit[0], digit[-1] + 1)
            self._context.ring.scale_add(element[at], special, row[at], at)


def power_of_rotation(parameters: ComputingParameters, steps: int) -> int:
    """Return the power k of the automorphism X -> X^k that rotates the slots to the left by `steps`."""
    return pow(5, steps % parameters.slots, 2 * parameters.degree)


@lru_cache(maxsize=4)
def common_elements(parameters: ComputingParameters, label: bytes) -> Doubles:
    """Return a_d, float64[D, top + K, N] in evaluation form, that SHAKE-128 expands from a public label."""
    digits = len(parameters.digits(parameters.levels))
    named = hashlib.sha256(framed("medward computing 1", str(parameters), label)).digest()
    rows = [
        expand_vector(framed(named, d, i), q, parameters.degree)
        for d in range(digits)
        for i, q in enumerate(parameters.primes)
    ]
    out = np.stack(rows).reshape(digits, len(parameters.primes), parameters.degree)
    out.flags.writeable = False
    return out
