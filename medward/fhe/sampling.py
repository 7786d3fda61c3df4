"""Random numbers in integers only: the hedged stream of secrets, discrete Gaussians, uniform residues.

Secret randomness is the key stream of AES-256 in counter mode; public randomness (the elements of a sum, challenges)
comes from SHAKE-128. The distributions and their distance from the ideal: spec/scheme.md, "Sampling".
"""

import hashlib
import os
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from medward.fhe.arrays import Doubles, Integers, Words
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.ring import Element, Ring

KEY_BYTES = 32
#: Bits of a cumulative table; one more random bit gives the sign.
_TABLE_BITS = 127


def framed(*parts: bytes | str | int) -> bytes:
    """Return an encoding of the parts from which each can be read: its length in 8 bytes, then its bytes."""
    out = []
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode() if isinstance(part, str) else part.to_bytes(8, "big")
        out += [len(data).to_bytes(8, "big"), data]
    return b"".join(out)


def hedged_key(secret: bytes, *occasion: bytes | str | int) -> bytes:
    """Return a fresh 32-byte key of a stream of secrets.

    It stays unknown if the system's randomness is good or the member's secret is kept, and repeats, on a cloned machine
    with a clone of the system's randomness, only for the same occasion: the same sum and the same values.

    Args:
        secret: the member's own.
        occasion: what the stream is for.
    """
    return hashlib.sha256(framed("medward hedged key 1", os.urandom(KEY_BYTES), secret, *occasion)).digest()


class KeyStream:
    """The key stream of AES-256-CTR under a key, as 64-bit words.

    Args:
        key: 32 bytes. Left out, it is drawn from the operating system, and again in every process that is forked off,
            so that no two processes draw the same randomness.
    """

    _ZEROS = bytes(1 << 16)

    def __init__(self, key: bytes | None = None) -> None:
        self._process = os.getpid() if key is None else None
        self._start(os.urandom(KEY_BYTES) if key is None else key)

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
            self._start(os.urandom(KEY_BYTES))
        count = int(np.prod(shape))
        buffer = np.empty(count + 2, np.uint64)  # the cipher asks for one block more than it writes
        view = buffer.data.cast("B")
        done = 0
        while done < 8 * count:
            size = min(8 * count - done, len(self._ZEROS))
            self._encryptor.update_into(memoryview(self._ZEROS)[:size], view[done : done + size + 15])
            done += size
        return buffer[:count].reshape(shape)

    def take(self, size: int) -> bytes:
        """Return fresh bytes; `size` is a multiple of 8."""
        return self.words(size // 8).astype("<u8", copy=False).tobytes()


def gaussian(stream: KeyStream, variance: int, count: int) -> Integers:
    """Return int64[count] from the discrete Gaussian on the integers, weights exp(-k^2 / (2 variance)).

    128 random bits a number against a table of 127-bit cumulative probabilities, all of which are looked at: no branch
    and no address depends on the number.
    """
    high, low = gaussian_table(variance)
    words = stream.words(2, count)
    out = np.empty(count, np.int64)
    _scan(words[0], words[1], high, low, out)
    return out


@lru_cache(maxsize=8)
def gaussian_table(variance: int) -> tuple[Integers, Integers]:
    """Return the table of a discrete Gaussian: T_k = round(2^127 P(|x| <= k)) up to the last below 2^127.

    Computed in decimal arithmetic of 90 digits. Returned as int64 arrays: the upper 63 bits, and the lower 64 bits
    less 2^63, so that both compare as signed numbers.
    """
    cumulative = gaussian_cumulative(variance)
    half = 1 << 63
    high = np.array([c >> 64 for c in cumulative], np.int64)
    return high, np.array([(c & (2 * half - 1)) - half for c in cumulative], np.int64)


def gaussian_cumulative(variance: int) -> list[int]:
    """Return the numbers T_k of `gaussian_table`."""
    with localcontext() as context:
        context.prec = 90
        step = (Decimal(-1) / (2 * variance)).exp()
        weights, weight, ratio = [Decimal(1)], Decimal(1), step
        while weight > Decimal(2) ** -140:
            weight *= ratio
            ratio *= step * step
            weights.append(2 * weight)
        total, reached, scale, out = sum(weights), Decimal(0), Decimal(1 << _TABLE_BITS), []
        for weight in weights:
            reached += weight
            out.append(int((reached / total * scale).to_integral_value()))
    return [c for c in out if c < 1 << _TABLE_BITS]


def uniform_vector(stream: KeyStream, prime: int, count: int) -> Doubles:
    """Return float64[count], exactly uniform balanced residues."""
    out = np.empty(count)
    filled = 0
    while filled < count:
        filled = _uniform(stream.words(count - filled + 8), prime, out, filled)
    return out


def ternary(stream: KeyStream, count: int) -> Integers:
    """Return int64[count], exactly uniform in {-1, 0, 1}: pairs of bits, of which 11 is left out."""
    out = np.empty(0, np.int64)
    while len(out) < count:
        words = stream.words((count - len(out)) // 16 + 8)
        pairs = (words[:, None] >> np.arange(0, 64, 2, dtype=np.uint64) & np.uint64(3)).ravel().astype(np.int64)
        out = np.concatenate([out, pairs[pairs < 3] - 1])
    return out[:count]


def expand_vector(label: bytes, prime: int, count: int) -> Doubles:
    """Return the balanced residues float64[count] that SHAKE-128 expands from a label; uniform if SHAKE is.

    It reads 64-bit little-endian words, takes as many low bits as the prime has and keeps what is below the prime.
    """
    out = np.empty(count)
    xof = hashlib.shake_128(label)
    bits = prime.bit_length()
    spare = 64 + (count * ((1 << bits) - prime) * 9) // (8 * prime)  # a prime just above 2^k keeps every other word
    while True:
        words = np.frombuffer(xof.digest(8 * (count + spare)), "<u8").astype(np.uint64, copy=False)
        if _uniform(words, prime, out, 0) == count:
            return out
        spare *= 2


def expand_element(label: bytes, ring: Ring) -> Element:
    """Return the element that SHAKE-128 expands from a public label, the same for everybody, limb after limb."""
    return np.stack([expand_vector(bytes([i]) + label, q, ring.degree) for i, q in enumerate(ring.primes)])


@compiled
def _scan(upper: Words, lower: Words, high: Integers, low: Integers, out: Integers) -> None:
    """out[j] = how many table entries are at most the upper 127 bits of a number, with its lowest bit as the sign."""
    chunk = 256
    u = np.empty(chunk, np.int64)
    v = np.empty(chunk, np.int64)
    found = np.empty(chunk, np.int64)
    for start in range(0, out.shape[0], chunk):
        size = min(chunk, out.shape[0] - start)
        for j in range(size):
            u[j] = np.int64(upper[start + j] >> np.uint64(1))
            v[j] = np.int64(lower[start + j] ^ np.uint64(1 << 63))
            found[j] = 0
        for k in range(high.shape[0]):
            h = high[k]
            m = low[k]
            for j in range(size):
                found[j] += np.int64((u[j] > h) | ((u[j] == h) & (v[j] >= m)))
        for j in range(size):
            out[start + j] = found[j] * (1 - 2 * np.int64(upper[start + j] & np.uint64(1)))


@compiled
def _uniform(words: Words, q: int, out: Doubles, start: int) -> int:
    bits = 0
    while q >> bits:
        bits += 1
    mask = np.uint64((1 << bits) - 1)
    filled = start
    half = q // 2
    for j in range(words.shape[0]):
        x = np.int64(words[j] & mask)
        if x < q and filled < out.shape[0]:
            out[filled] = float(x - q) if x > half else float(x)
            filled += 1
    return filled
