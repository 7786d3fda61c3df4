"""Ciphertexts under the keys of one or several owners, and encoded plaintexts, with the bounds on their errors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from medward.fhe.arrays import Doubles
from medward.fhe.computing import encoder
from medward.fhe.computing.context import ComputingContext, computing_context
from medward.fhe.computing.encoder import Slots
from medward.fhe.computing.formats.fields import SEED_BYTES
from medward.fhe.computing.keys import PublicKey, SecretKey
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.parameters import BASE_PRIMES, ERROR_VARIANCE, ComputingParameters
from medward.fhe.computing.residues import DIGIT_BITS, digits_of
from medward.fhe.errors import CiphertextMismatch
from medward.fhe.sampling import KeyStream, expand_vector, framed, gaussian, hedged_key, ternary


@dataclass(frozen=True, eq=False)
class Plaintext:
    """Encoded slots, which a server may read.

    Args:
        parameters: the set.
        level: of the primes and the scale.
        element: float64[limbs, N] in evaluation form.
        bound: on the error of encoding.
    """

    parameters: ComputingParameters
    level: int
    element: Doubles = field(repr=False)
    bound: ErrorBound


@dataclass(frozen=True, eq=False)
class CiphertextVector:
    """Ciphertexts of one level and the same owners side by side.

    Args:
        parameters: the set.
        level: of all of them.
        owners: of all of them.
        parts: float64[n, 1 + owners, limbs, N] in evaluation form.
        bound: that each of them keeps.
    """

    parameters: ComputingParameters
    level: int
    owners: tuple[str, ...]
    parts: Doubles = field(repr=False)
    bound: ErrorBound

    def __len__(self) -> int:
        return len(self.parts)


@dataclass(frozen=True, eq=False)
class Ciphertext:
    """c_0 and one c_i for each owner; c_0 + sum of c_i s_i = Delta z + error modulo Q_l.

    Args:
        parameters: the set.
        level: how many multiplications are left.
        owners: the keys' owners in alphabetical order; all of their keys together decrypt.
        parts: float64[1 + owners, limbs, N] in evaluation form.
        bound: on the slots and the error.
        seed: of a ciphertext that its owner encrypted and nobody computed with: c_1 is expanded from it.
    """

    parameters: ComputingParameters
    level: int
    owners: tuple[str, ...]
    parts: Doubles = field(repr=False)
    bound: ErrorBound
    seed: bytes | None = field(default=None, repr=False)

    @property
    def slot_error(self) -> float:
        """A bound on the root mean square error of the decrypted slots; no slot is off by sqrt(N/2) times more."""
        scale = self.parameters.scales[self.level]
        decoding = encoder.encoding_error(self.parameters.degree, scale, self.bound.size + self.bound.total / scale)
        return (self.bound.total + decoding) / scale


def encode(parameters: ComputingParameters, values: ArrayLike, bound: float, level: int) -> Plaintext:
    """Encode complex numbers at a level's scale.

    Args:
        parameters: the set.
        values: up to N/2 numbers, or one for all slots; the slots after them are 0.
        bound: B, at least every absolute value; it is public, so it must not depend on secret values.
        level: 0 to T.

    Raises:
        CiphertextMismatch: too many values, or one that is larger than the bound or no number.
        NoiseTooLarge: such numbers do not fit.
    """
    if not 0 <= level <= parameters.levels:
        raise CiphertextMismatch(f"there is no level {level}; levels are 0 to {parameters.levels}")
    slots = _slots(parameters, values, bound)
    context = computing_context(parameters)
    known = context.noise.accept(context.noise.plain(bound, level), level, "encode")
    coefficients = encoder.encode(slots, parameters.scales[level])
    element = context.ring.embed(digits_of(coefficients), 1 << DIGIT_BITS, context.at(level))
    return Plaintext(parameters, level, element, known)


def _slots(parameters: ComputingParameters, values: ArrayLike, bound: float) -> Slots:
    found = np.asarray(values, np.complex128)
    slots = np.zeros(parameters.slots, np.complex128)
    if found.ndim == 0:
        slots[:] = found
    elif found.ndim == 1 and len(found) <= parameters.slots:
        slots[: len(found)] = found
    else:
        raise CiphertextMismatch(f"values of shape {found.shape} do not fit {parameters.slots} slots")
    if not np.all(np.abs(slots) <= bound * (1 + 2.0**-50)):
        raise CiphertextMismatch(f"a value is larger than the bound {bound:g}, or is no number: clip the values first")
    return slots


def encrypt(secret: SecretKey, values: ArrayLike, bound: float = 1.0, level: int | None = None) -> Ciphertext:
    """Encrypt slots under their owner's own secret: c_1 expanded from a fresh public seed, c_0 = -c_1 s + m + e.

    Args:
        secret: the owner's.
        values, bound: see `encode`.
        level: the highest where left out.
    """
    parameters = secret.parameters
    plain = encode(parameters, values, bound, parameters.levels if level is None else level)
    context, at = computing_context(parameters), slice(0, len(plain.element))
    ring, stream = context.ring, secret.hedged_stream("ciphertext", plain.level, _digest(plain))
    seed = stream.take(SEED_BYTES)
    c1 = expanded_c1(parameters, secret.owner, plain.level, seed)
    c0 = ring.add(plain.element, _error(context, stream, at), at)
    c0 = ring.subtract(c0, ring.multiply(c1, secret.s[at], at), at)
    known = context.noise.accept(context.noise.fresh(bound, plain.level), plain.level, "encrypt")
    return Ciphertext(parameters, plain.level, (secret.owner,), np.stack([c0, c1]), known, seed)


def expanded_c1(parameters: ComputingParameters, owner: str, level: int, seed: bytes) -> Doubles:
    """Return c_1, float64[limbs, N] in evaluation form, that SHAKE-128 expands from a ciphertext's public seed."""
    named = hashlib.sha256(framed("medward computing ciphertext 1", parameters.digest, owner, level, seed)).digest()
    primes = parameters.primes[: parameters.limbs(level)]
    return np.stack([expand_vector(framed(named, i), q, parameters.degree) for i, q in enumerate(primes)])


def encrypt_for(public: PublicKey, values: ArrayLike, bound: float = 1.0, level: int | None = None) -> Ciphertext:
    """Encrypt slots for the owner of a public key: (v b_0 + m + e, v a_0 + e'), v ternary; see `encrypt`."""
    parameters = public.parameters
    plain = encode(parameters, values, bound, parameters.levels if level is None else level)
    context, at = computing_context(parameters), slice(0, len(plain.element))
    stream = KeyStream(hedged_key(_digest(plain), "ciphertext", public.owner, plain.level))
    known = context.noise.accept(context.noise.fresh_public(bound, plain.level), plain.level, "encrypt")
    ring = context.ring
    v = ring.embed(ternary(stream, parameters.degree)[None], 1, at)
    c0 = ring.multiply_add(v, public.b[at], ring.add(plain.element, _error(context, stream, at), at), at)
    c1 = ring.multiply_add(v, public.a[at], _error(context, stream, at), at)
    return Ciphertext(parameters, plain.level, (public.owner,), np.stack([c0, c1]), known)


def side_by_side(ciphertexts: Sequence[Ciphertext]) -> CiphertextVector:
    """Return ciphertexts of one level and the same owners as a vector, without a copy if it is one.

    Raises:
        CiphertextMismatch: there is none, or they are of different levels, owners or parameters.
    """
    kinds = {(one.parameters, one.level, one.owners) for one in ciphertexts}
    if len(kinds) != 1:
        raise CiphertextMismatch("ciphertexts of one level, the same owners and parameters make a vector")
    parts = np.stack([one.parts for one in ciphertexts]) if len(ciphertexts) > 1 else ciphertexts[0].parts[None]
    bound = ErrorBound(*(max(getattr(one.bound, name) for one in ciphertexts) for name in ("size", "noise", "coding")))
    return CiphertextVector(*kinds.pop(), parts, bound)


def promised(ciphertext: Ciphertext, size: float) -> Ciphertext:
    """Return the same ciphertext with a smaller bound on its slots, which whoever encrypted its inputs promises."""
    return replace(ciphertext, bound=replace(ciphertext.bound, size=min(size, ciphertext.bound.size)))


def _digest(plain: Plaintext) -> bytes:
    """Return a digest of a message, which is whole in its first rows.

    Streams are hedged with it: a clone of a machine that encrypts another message must draw another seed and another
    error. Two messages under the same would show their difference, and under the same error alone the secret.
    """
    return hashlib.sha256(plain.element[:BASE_PRIMES].tobytes()).digest()


def _error(context: ComputingContext, stream: KeyStream, at: slice) -> Doubles:
    return context.ring.embed(gaussian(stream, ERROR_VARIANCE, context.parameters.degree)[None], 1, at)


def decrypt(ciphertext: Ciphertext, secrets: Mapping[str, SecretKey]) -> Slots:
    """Return the slots, complex128[N/2], for the owners alone: **whoever else sees them can compute the secret**.

    What others may see goes through `opening`.

    Args:
        ciphertext: at any level.
        secrets: of all its owners, by name.

    Raises:
        CiphertextMismatch: an owner's secret is missing.
    """
    phase = ciphertext.parts[0, :BASE_PRIMES].copy()
    ring, at = computing_context(ciphertext.parameters).ring, slice(0, BASE_PRIMES)
    for owner, part in zip(ciphertext.owners, ciphertext.parts[1:], strict=True):
        if owner not in secrets:
            raise CiphertextMismatch(f"the secret of {owner} is missing: all owners decrypt together")
        phase = ring.multiply_add(part[at], secrets[owner].s[at], phase, at)
    return decoded(ciphertext, phase)


def decoded(ciphertext: Ciphertext, phase: Doubles) -> Slots:
    """Return the slots of a ciphertext's phase, float64[base primes, N] in evaluation form, which is overwritten."""
    at = slice(0, BASE_PRIMES)
    ring = computing_context(ciphertext.parameters).ring
    coefficients = np.array(ring.integers(ring.inverse(phase, at), at), np.float64)
    return encoder.decode(coefficients, ciphertext.parameters.scales[ciphertext.level])
