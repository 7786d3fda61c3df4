"""Random polynomials from a stream cipher, in integers only.

Secret randomness comes from the operating system through AES-256 in counter mode; public randomness (the common
reference string, challenges) from SHAKE. The distributions and their distance from the ideal: spec/scheme.md,
"Sampling".
"""

import hashlib
import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from medward.fhe import _wide
from medward.fhe._compile import compiled, high_product, ones
from medward.fhe._primes import PRIME_BITS
from medward.fhe.parameters import FLOOD_PAIRS
from medward.fhe.ring import Element, Ring

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]


class KeyStream:
    """The key stream of AES-256-CTR under a key, as 64-bit words.

    Args:
        key: 32 bytes. For secrets leave it out: it is then drawn from the operating system, and again in every process
            that is forked off, so that no two processes draw the same randomness.
    """

    _ZEROS = bytes(1 << 16)

    def __init__(self, key: bytes | None = None) -> None:
        self._process = os.getpid() if key is None else None
        self._start(os.urandom(32) if key is None else key)

    def _start(self, key: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def __repr__(self) -> str:
        return "KeyStream(...)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key stream is never copied or stored")

    def words(self, *shape: int) -> Words:
        """Return fresh words, uint64 of this shape."""
        if self._process is not None and self._process != os.getpid():
            self._process = os.getpid()
            self._start(os.urandom(32))
        count = int(np.prod(shape))
        buffer = np.empty(count + 2, np.uint64)  # the cipher asks for one block more than it writes
        view = buffer.data.cast("B")
        done = 0
        while done < 8 * count:
            size = min(8 * count - done, len(self._ZEROS))
            self._encryptor.update_into(memoryview(self._ZEROS)[:size], view[done : done + size + 15])
            done += size
        return buffer[:count].reshape(shape)


def ternary(stream: KeyStream, degree: int) -> Integers:
    """Return int64[degree], each -1, 0 or 1 with probability 1/3 up to 2^-64."""
    out = np.empty(degree, np.int64)
    _ternary(stream.words(degree), out)
    return out


def centred_binomial(stream: KeyStream, degree: int) -> Integers:
    """Return int64[degree], each the difference of two sums of 21 bits: variance 21/2, absolute value at most 21."""
    out = np.empty(degree, np.int64)
    _centred_binomial(stream.words(degree), out)
    return out


def uniform_element(stream: KeyStream, ring: Ring) -> Element:
    """Return an exactly uniform element of the ring."""
    out = np.empty((ring.limbs, ring.degree))
    for i, q in enumerate(ring.primes):
        filled = 0
        while filled < ring.degree:
            filled = _uniform(stream.words(ring.degree - filled + 8), q, out[i], filled)
    return out


def expand_element(label: bytes, ring: Ring) -> Element:
    """Return the element that SHAKE-128 expands from a public label, the same for everybody; uniform if SHAKE is.

    Each limb reads 64-bit little-endian words of SHAKE-128(limb || label), takes their low 50 bits and keeps those
    below the prime.
    """
    out = np.empty((ring.limbs, ring.degree))
    for i, q in enumerate(ring.primes):
        xof = hashlib.shake_128(bytes([i]) + label)
        spare = 64
        while True:
            words = np.frombuffer(xof.digest(8 * (ring.degree + spare)), "<u8").astype(np.uint64)
            if _uniform(words, q, out[i], 0) == ring.degree:
                break
            spare *= 2
    return out


def flood(stream: KeyStream, degree: int, bits: int) -> Integers:
    """Return a flooding polynomial, digits int64[D, degree] (see `_wide`).

    Each coefficient is the sum of FLOOD_PAIRS differences of two uniform integers of `bits` bits: variance
    FLOOD_PAIRS (4^bits - 1) / 6, absolute value below FLOOD_PAIRS 2^bits.
    """
    out = np.zeros((_wide.digit_count(bits), degree), np.int64)
    for _ in range(FLOOD_PAIRS):
        _wide.take_bits(stream.words(min(2, out.shape[0]), degree), bits, 1, out)
        _wide.take_bits(stream.words(min(2, out.shape[0]), degree), bits, -1, out)
    _wide.normalise(out)
    return out


def uniform_mask(stream: KeyStream, degree: int, bits: int) -> Integers:
    """Return digits int64[D, degree] of numbers exactly uniform on [-2^bits, 2^bits)."""
    out = np.zeros((_wide.digit_count(bits), degree), np.int64)
    _wide.take_bits(stream.words(min(2, out.shape[0]), degree), bits + 1, 1, out)
    out -= _wide.digits_of(1 << bits, out.shape[0])[:, None]
    _wide.normalise(out)
    return out


@compiled
def _ternary(words: Words, out: Integers) -> None:
    for j in range(out.shape[0]):
        out[j] = np.int64(high_product(words[j], np.uint64(3))) - 1


@compiled
def _centred_binomial(words: Words, out: Integers) -> None:
    mask = np.uint64((1 << 21) - 1)
    for j in range(out.shape[0]):
        out[j] = np.int64(ones(words[j] & mask)) - np.int64(ones((words[j] >> np.uint64(21)) & mask))


@compiled
def _uniform(words: Words, q: int, out: Element, start: int) -> int:
    mask = np.uint64((1 << 50) - 1)
    filled = start
    half = q // 2
    for j in range(words.shape[0]):
        x = np.int64(words[j] & mask)
        if x < q and filled < out.shape[0]:
            out[filled] = float(x - q) if x > half else float(x)
            filled += 1
    return filled


assert PRIME_BITS == 50  # the mask in _uniform
