"""Keys of one owner: the secret, the public key, and what a server needs to multiply and rotate.

    b_d     = -s a_d + e_d                  a_d common to all owners, from a public label; (b_0, a_0) is the public key
    d_(0,d) = -s d_(1,d) + P g_d r + e'_d   d_(1,d) uniform, r ternary
    d_(2,d) = r a_d + P g_d s + e''_d
    k_d     = -s a'_d + P g_d s' + e_d      a'_d uniform; s' = s^2, or s(X^k)
    b^_d    = -s a^_d + e_d,   d^_d = r^ a^_d + P g^_d s + e'_d,   v^_d = -s u_d + P g^_d r^ + e''_d

All that is uniform is expanded from a public label or seed (spec/computing.md, section 6).
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.formats.fields import MOST_LABEL, MOST_NAME, SEED_BYTES
from medward.fhe.computing.formats.residue_rows import pack_rows
from medward.fhe.computing.parameters import ERROR_VARIANCE, ComputingParameters
from medward.fhe.computing.residues import permute
from medward.fhe.errors import CiphertextMismatch
from medward.fhe.sampling import KEY_BYTES, KeyStream, expand_vector, framed, gaussian, hedged_key, ternary

#: Hexadecimal digits of a fingerprint that stand behind an owner's name.
_SHOWN_DIGITS = 16


@dataclass(frozen=True, eq=False)
class SwitchingKey:
    """Takes an element that belongs to another secret to the owner's: k and a', float64[D, top + K, N] each."""

    k: Doubles = field(repr=False)
    a: Doubles = field(repr=False)


@dataclass(frozen=True, eq=False)
class GadgetKey:
    """For products of many owners' ciphertexts: b^, d^ and v^, float64[D', top + K, N] each."""

    b: Doubles = field(repr=False)
    d: Doubles = field(repr=False)
    v: Doubles = field(repr=False)


@dataclass(frozen=True, eq=False)
class PublicKey:
    """(b_0, a_0), with which anybody encrypts for the owner.

    Args:
        owner: the name with the beginning of the fingerprint.
        parameters: the set.
        label: that a_0 is expanded from.
        b: b_0, float64[top, N].
    """

    owner: str
    parameters: ComputingParameters
    label: bytes
    b: Doubles = field(repr=False)

    @property
    def a(self) -> Doubles:
        """a_0, float64[top, N]."""
        return common_elements(self.parameters, self.label)[0, : self.parameters.top]


@dataclass(frozen=True, eq=False)
class EvaluationKey:
    """What a server needs of one owner to multiply and rotate.

    Args:
        owner: the name of the secret key's owner, with the beginning of its fingerprint.
        parameters: the set.
        label: of the common elements a_d; ciphertexts of several owners are multiplied if theirs are the same.
        seed: that d_(1,d) and the a'_d are expanded from.
        square: from s^2 to s.
        b, d0, d1, d2: float64[D, top + K, N], for products of this owner's parts with others'.
        automorphisms: by the power k of X -> X^k.
        gadget: the part for many owners, where there is one.
    """

    owner: str
    parameters: ComputingParameters
    label: bytes
    seed: bytes
    square: SwitchingKey
    b: Doubles = field(repr=False)
    d0: Doubles = field(repr=False)
    d1: Doubles = field(repr=False)
    d2: Doubles = field(repr=False)
    automorphisms: Mapping[int, SwitchingKey] = field(repr=False)
    gadget: GadgetKey | None = field(default=None, repr=False)


class SecretKey:
    """An owner's secret s; it is never copied, and who keeps it keeps its seed.

    Args:
        owner: the owner's name. Ciphertexts carry it with the beginning of the key's fingerprint, so that what is under
            an earlier key of the same owner is never mistaken.
        parameters: the set.
        label: of the elements a_d that are common to all who compute together.
        seed: 32 secret bytes from which s and the public key follow; drawn from the operating system where left out.

    Raises:
        CiphertextMismatch: a name that cannot be written or shown, or a label or seed of a wrong length.
    """

    def __init__(self, owner: str, parameters: ComputingParameters, label: bytes, seed: bytes | None = None) -> None:
        if not owner or not owner.isprintable() or len(owner.encode()) + 1 + _SHOWN_DIGITS > MOST_NAME:
            raise CiphertextMismatch(
                f"a key needs the name of its owner, in 1 to {MOST_NAME - 1 - _SHOWN_DIGITS} bytes that can be printed"
            )
        if len(label) > MOST_LABEL or (seed is not None and len(seed) != KEY_BYTES):
            raise CiphertextMismatch(f"a label has at most {MOST_LABEL} bytes, and a key's seed {KEY_BYTES}")
        self.parameters = parameters
        self.label = label
        self.seed = os.urandom(KEY_BYTES) if seed is None else seed
        self._context = computing_context(parameters)
        occasion = framed("medward computing key 1", self.seed, parameters.digest, label)
        own = KeyStream(hashlib.sha256(occasion).digest())
        #: s in evaluation form, modulo all primes.
        self.s = self._everywhere(ternary(own, parameters.degree))
        self._b = self._hidden(self.s, common_elements(parameters, label), own)
        #: The SHA-256 of the public key with its parameters and label, in hexadecimal.
        self.fingerprint = fingerprint_of(parameters, label, self._b[0])
        self.owner = f"{owner}/{self.fingerprint[:_SHOWN_DIGITS]}"

    def __repr__(self) -> str:
        return f"SecretKey({self.owner!r}, ...)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret key is never copied; keep its seed where secrets are kept")

    def public_key(self) -> PublicKey:
        """Return the key with which others encrypt for the owner."""
        return PublicKey(self.owner, self.parameters, self.label, self._b[0, : self.parameters.top])

    def hedged_stream(self, *occasion: bytes | str | int) -> KeyStream:
        """Return a fresh stream that repeats, on a cloned machine, only for the same occasion.

        Args:
            occasion: what the stream is for, with the secret value that it hides.
        """
        return KeyStream(hedged_key(self.seed, self.parameters.digest, *occasion))

    def evaluation_key(
        self, rotations: Iterable[int] = (), conjugation: bool = False, gadget: bool = False
    ) -> EvaluationKey:
        """Return what a server needs; keys that are made again have new randomness, but for what hides under elements
        that all share.

        Args:
            rotations: by how many slots to the left a server may rotate.
            conjugation: whether it may conjugate.
            gadget: whether the key gets the part with which products of many owners' ciphertexts are faster.

        Raises:
            CiphertextMismatch: the parameters have no gadget.
        """
        if gadget and not self.parameters.gadget_digit:
            raise CiphertextMismatch("parameters whose digits are one prime have no gadget: take digits of two or more")
        ring, everywhere = self._context.ring, self._context.everywhere
        powers = [power_of_rotation(self.parameters, steps) for steps in rotations]
        if conjugation:
            powers.append(2 * self.parameters.degree - 1)
        common = common_elements(self.parameters, self.label)
        stream = self.hedged_stream("evaluation key", self.label, int(gadget), *powers)
        elements = PublicElements(self.owner, self.parameters, stream.take(SEED_BYTES))
        r = self._everywhere(ternary(stream, self.parameters.degree))
        d1 = elements.expand("d1")
        d0 = self._hidden(self.s, d1, stream)
        d2 = np.stack([ring.multiply_add(r, a, self._error(stream), everywhere) for a in common])
        digits = self.parameters.digits(self.parameters.levels)
        self._add_gadget(r, d0, digits)
        self._add_gadget(self.s, d2, digits)
        moved = {}
        for power in sorted(set(powers)):
            other = permute(self.s, ring.automorphism(power))
            moved[power] = self._switching(other, elements.expand("automorphism", power), stream)
        square = self._switching(ring.multiply(self.s, self.s, everywhere), elements.expand("square"), stream)
        many = self._gadget_key(self._gadget_stream()) if gadget else None
        return EvaluationKey(
            self.owner, self.parameters, self.label, elements.seed, square, self._b, d0, d1, d2, moved, many
        )

    def _gadget_stream(self) -> KeyStream:
        """Return the stream of all that is secret in the gadget part: the same whenever the key is made.

        a^_d and u_d are everybody's and stay. Errors that were drawn anew for each key would be averaged out of many
        keys, and without them s is a quotient.
        """
        occasion = framed("medward computing gadget key 1", self.seed, self.parameters.digest, self.label)
        return KeyStream(hashlib.sha256(occasion).digest())

    def _gadget_key(self, stream: KeyStream) -> GadgetKey:
        a, u = gadget_elements(self.parameters, self.label)
        digits = self.parameters.digits(self.parameters.levels, self.parameters.gadget_digit)
        r = self._everywhere(ternary(stream, self.parameters.degree))
        b, v = self._hidden(self.s, a, stream), self._hidden(self.s, u, stream)
        d = np.stack([self._context.ring.multiply_add(r, x, self._error(stream), self._context.everywhere) for x in a])
        self._add_gadget(self.s, d, digits)
        self._add_gadget(r, v, digits)
        return GadgetKey(b, d, v)

    def _everywhere(self, values: Integers) -> Doubles:
        return self._context.ring.embed(values[None], 1, self._context.everywhere)

    def _error(self, stream: KeyStream) -> Doubles:
        return self._everywhere(gaussian(stream, ERROR_VARIANCE, self.parameters.degree))

    def _hidden(self, s: Doubles, elements: Doubles, stream: KeyStream) -> Doubles:
        """Return -s a_d + e_d for every digit."""
        ring, everywhere = self._context.ring, self._context.everywhere
        products = (ring.multiply(s, a, everywhere) for a in elements)
        return np.stack([ring.subtract(self._error(stream), product, everywhere) for product in products])

    def _switching(self, other: Doubles, a: Doubles, stream: KeyStream) -> SwitchingKey:
        k = self._hidden(self.s, a, stream)
        self._add_gadget(other, k, self.parameters.digits(self.parameters.levels))
        return SwitchingKey(k, a)

    def _add_gadget(self, element: Doubles, key: Doubles, digits: list[range]) -> None:
        """Add P g_d times an element to the key of every digit: P times it modulo the digit's own primes."""
        special = self.parameters.special()
        for row, digit in zip(key, digits, strict=True):
            at = slice(digit[0], digit[-1] + 1)
            self._context.ring.scale_add(element[at], special, row[at], at)


def power_of_rotation(parameters: ComputingParameters, steps: int) -> int:
    """Return the power k of the automorphism X -> X^k that rotates the slots to the left by `steps`."""
    return pow(5, steps % parameters.slots, 2 * parameters.degree)


@dataclass(frozen=True)
class PublicElements:
    """Uniform elements of one owner's evaluation key, expanded from its seed.

    Args:
        owner: of the key.
        parameters: the set.
        seed: 32 public bytes.
    """

    owner: str
    parameters: ComputingParameters
    seed: bytes

    def expand(self, *purpose: str | int) -> Doubles:
        """Return the elements for a purpose, float64[D, top + K, N] in evaluation form."""
        named = framed("medward computing evaluation key 1", self.parameters.digest, self.owner, self.seed, *purpose)
        return _expanded(self.parameters, hashlib.sha256(named).digest(), self.parameters.digit)


@lru_cache(maxsize=4)
def common_elements(parameters: ComputingParameters, label: bytes) -> Doubles:
    """Return a_d, float64[D, top + K, N] in evaluation form, that SHAKE-128 expands from a public label."""
    named = hashlib.sha256(framed("medward computing 1", parameters.digest, label)).digest()
    out = _expanded(parameters, named, parameters.digit)
    out.flags.writeable = False
    return out


@lru_cache(maxsize=4)
def gadget_elements(parameters: ComputingParameters, label: bytes) -> tuple[Doubles, Doubles]:
    """Return a^_d and u_d, float64[D', top + K, N] each in evaluation form, expanded from a public label."""
    found = []
    for name in ("a", "u"):
        named = hashlib.sha256(framed("medward computing gadget 1", parameters.digest, label, name)).digest()
        elements = _expanded(parameters, named, parameters.gadget_digit)
        elements.flags.writeable = False
        found.append(elements)
    return found[0], found[1]


def _expanded(parameters: ComputingParameters, named: bytes, digit: int) -> Doubles:
    digits = len(parameters.digits(parameters.levels, digit))
    rows = [
        expand_vector(framed(named, d, i), q, parameters.degree)
        for d in range(digits)
        for i, q in enumerate(parameters.primes)
    ]
    return np.stack(rows).reshape(digits, len(parameters.primes), parameters.degree)


def fingerprint_of(parameters: ComputingParameters, label: bytes, b: Doubles) -> str:
    """Return the SHA-256, in hexadecimal, of a public key.

    Args:
        parameters, label: under which it was made.
        b: b_0, float64[top, N], or with the special primes behind it.
    """
    rows = pack_rows(b[: parameters.top], parameters.primes[: parameters.top])
    return hashlib.sha256(framed("medward computing public key 1", parameters.digest, label, rows)).hexdigest()


def belongs_to(owner: str, fingerprint: str) -> bool:
    """Whether an owner's name is one with the beginning of this fingerprint."""
    return owner[-_SHOWN_DIGITS - 1 :] == f"/{fingerprint[:_SHOWN_DIGITS]}"
