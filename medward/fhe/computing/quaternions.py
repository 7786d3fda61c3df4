"""Quaternions as two complex ciphertexts: w + xi + yj + zk = u + v j with u = w + xi, v = y + zi.

    (u_1 + v_1 j)(u_2 + v_2 j) = (u_1 u_2 - v_1 conj(v_2)) + (u_1 v_2 + v_1 conj(u_2)) j

Who encrypts a right factor encrypts its conjugates, too (spec/computing.md, section 5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medward.fhe.arrays import Doubles
from medward.fhe.computing.ciphertexts import Ciphertext, encrypt
from medward.fhe.computing.encoder import Slots
from medward.fhe.computing.evaluation import Keys, add, multiply, subtract
from medward.fhe.computing.keys import SecretKey
from medward.fhe.errors import CiphertextMismatch


@dataclass(frozen=True, eq=False)
class EncryptedQuaternions:
    """N/2 quaternions: the ciphertexts of u and v."""

    u: Ciphertext
    v: Ciphertext


@dataclass(frozen=True, eq=False)
class QuaternionFactor:
    """N/2 quaternions to multiply with from the right: the ciphertexts of u, v, conj(u), conj(v)."""

    u: Ciphertext
    v: Ciphertext
    conjugate_u: Ciphertext
    conjugate_v: Ciphertext


def complex_pair(quaternions: ArrayLike) -> tuple[Slots, Slots]:
    """Return u and v, complex128[n] each, of quaternions, float64[n, 4]."""
    found = np.asarray(quaternions, np.float64)
    if found.ndim != 2 or found.shape[1] != 4:
        raise CiphertextMismatch(f"quaternions are rows of four numbers, not an array of shape {found.shape}")
    return found[:, 0] + 1j * found[:, 1], found[:, 2] + 1j * found[:, 3]


def quaternions_of(u: Slots, v: Slots) -> Doubles:
    """Return the quaternions, float64[n, 4], of u and v."""
    return np.stack([u.real, u.imag, v.real, v.imag], axis=1)


def encrypt_quaternions(secret: SecretKey, quaternions: ArrayLike, bound: float = 1.0) -> EncryptedQuaternions:
    """Encrypt quaternions, float64[n, 4], whose u and v are at most `bound` in absolute value."""
    return EncryptedQuaternions(*(encrypt(secret, part, bound) for part in complex_pair(quaternions)))


def encrypt_factor(secret: SecretKey, quaternions: ArrayLike, bound: float = 1.0) -> QuaternionFactor:
    """Encrypt quaternions, float64[n, 4], as right factors."""
    u, v = complex_pair(quaternions)
    return QuaternionFactor(*(encrypt(secret, part, bound) for part in (u, v, np.conj(u), np.conj(v))))


def multiply_quaternions(a: EncryptedQuaternions, b: QuaternionFactor, keys: Keys) -> EncryptedQuaternions:
    """Return the products a b, one level lower: four products of ciphertexts."""
    u = subtract(multiply(a.u, b.u, keys), multiply(a.v, b.conjugate_v, keys))
    v = add(multiply(a.u, b.v, keys), multiply(a.v, b.conjugate_u, keys))
    return EncryptedQuaternions(u, v)
