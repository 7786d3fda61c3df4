"""Keyed hashing of what the tables are looked up by, so that nobody outside can aim at collisions.

Pair-multiply-shift (Thorup, High Speed Hashing for Integers and Strings, arXiv:1504.06804, section 3.4) of 32-bit
words x_0 ... x_{d-1}, d even, under random 64-bit a_0 ... a_d:

    h(x) = ((sum over i < d/2 of (a_2i + x_2i+1) (a_2i+1 + x_2i)) + a_d  mod 2^64) >> 32

It is strongly universal: over the choice of the key, two fixed inputs meet in all 32 bits with a probability of 2^-32
exactly. Two of them under independent keys make the 64-bit `fingerprint`, by which an entry is known: two given flows
are confused with a probability of 2^-64. Of ports or addresses that are counted up, the sums make arithmetic sequences,
which would fill sketches and buckets too evenly; a bijection without a key, MurmurHash3's finaliser, breaks these up
and keeps the probability. The key is drawn when a meter is made and never shown.
"""

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled, load_eight

#: The most 32-bit words that are hashed together: two 128-bit addresses, two ports, a protocol and a kind.
WORDS = 10
_HALF = WORDS + 1
KEY_WORDS = 2 * _HALF
#: What is hashed where it is octets and no words.
_OCTETS = np.uint64(4)
_LOW, _HALF_WORD = np.uint64(0xFFFFFFFF), np.uint64(32)


def random_key() -> NDArray[np.uint64]:
    """Draw a key, uint64 [KEY_WORDS], from the system's randomness."""
    return np.frombuffer(secrets.token_bytes(8 * KEY_WORDS), np.uint64).copy()


def fixed_key(seed: int) -> NDArray[np.uint64]:
    """Return the key that follows from a seed: for measurements and tests alone, since who knows it can aim."""
    return np.random.default_rng(seed).integers(0, 2**64, KEY_WORDS, np.uint64)


@compiled
def fingerprint(state: Any, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, e: np.uint64) -> np.uint64:
    """Return the 64-bit hash of five 64-bit words under the key of a STATE; never 0, which marks a free place."""
    key = state.key
    first, second = key[WORDS], key[WORDS + _HALF]
    for i in range(5):
        word = a if i == 0 else b if i == 1 else c if i == 2 else d if i == 3 else e
        x, y = word & _LOW, word >> _HALF_WORD
        first += (key[2 * i] + y) * (key[2 * i + 1] + x)
        second += (key[_HALF + 2 * i] + y) * (key[_HALF + 2 * i + 1] + x)
    return _mix(first, second)


@compiled
def fingerprint3(state: Any, a: np.uint64, b: np.uint64, c: np.uint64) -> np.uint64:
    """Return the hash of three words, as `fingerprint` does that of five."""
    key = state.key
    first, second = key[WORDS], key[WORDS + _HALF]
    for i in range(3):
        word = a if i == 0 else b if i == 1 else c
        x, y = word & _LOW, word >> _HALF_WORD
        first += (key[2 * i] + y) * (key[2 * i + 1] + x)
        second += (key[_HALF + 2 * i] + y) * (key[_HALF + 2 * i + 1] + x)
    return _mix(first, second)


@compiled
def hash_octets(state: Any, octets: NDArray[np.uint8], begin: int, end: int) -> np.uint64:
    """Return a keyed hash of the octets from `begin` to `end`.

    NH (Black and others, UMAC, CRYPTO 1999) of groups of 80 octets, which two different groups share with a
    probability of 2^-32, chained by multiplication with a word of the key.
    """
    key = state.key
    factor = key[KEY_WORDS - 1] | np.uint64(1)
    word = np.uint64(end - begin)
    at = begin
    while at + 80 <= end:
        group = np.uint64(0)
        for k in range(10):
            x = load_eight(octets, np.uintp(at + 8 * k))
            group += (key[2 * k] + (x & _LOW)) * (key[2 * k + 1] + (x >> _HALF_WORD))
        word = (word ^ group) * factor
        word ^= word >> _HALF_WORD
        at += 80
    k = 0
    while at + 8 <= end:
        x = load_eight(octets, np.uintp(at))
        word += (key[2 * k] + (x & _LOW)) * (key[2 * k + 1] + (x >> _HALF_WORD))
        at += 8
        k += 1
    rest = np.uint64(0)
    for place in range(at, end):
        rest = (rest << np.uint64(8)) | np.uint64(octets[place])
    return fingerprint3(state, _OCTETS, rest, word)


@compiled
def _mix(first: np.uint64, second: np.uint64) -> np.uint64:
    found = scattered((first & ~_LOW) | (second >> _HALF_WORD))
    return np.uint64(1) if found == 0 else found


@compiled
def scattered(word: np.uint64) -> np.uint64:
    """Return MurmurHash3's finaliser of a word: a bijection in which every bit depends on all bits of the word."""
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return word ^ (word >> np.uint64(33))
