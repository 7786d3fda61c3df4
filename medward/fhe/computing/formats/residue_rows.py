"""Rows of residues as bytes, each residue as wide as its prime.

A residue is in [0, q) and has as many bits as q, low bits first. N is a multiple of 64, so a row fills whole 64-bit
words, lowest byte first, without padding.
"""

from collections.abc import Iterable

import numpy as np

from medward.fhe.arrays import Doubles, Words
from medward.fhe.encoding import pack_numbers
from medward.fhe.errors import MalformedEncoding
from medward.fhe.ring.kernels import compiled


def rows_bytes(degree: int, primes: Iterable[int]) -> int:
    """Return the size of one row modulo each of these primes."""
    return sum(degree * prime.bit_length() // 8 for prime in primes)


def pack_rows(rows: Doubles, primes: Iterable[int]) -> bytes:
    """Return balanced residues, float64[k, N], packed."""
    packed = []
    for row, prime in zip(rows, primes, strict=True):
        bits = prime.bit_length()
        out = np.zeros(len(row) * bits // 64, np.uint64)
        pack_numbers(row, prime, bits, out)
        packed.append(out.astype("<u8", copy=False).tobytes())
    return b"".join(packed)


def unpack_rows(data: memoryview, degree: int, primes: tuple[int, ...]) -> Doubles:
    """Return the balanced residues, float64[k, N], of `rows_bytes` bytes.

    Raises:
        MalformedEncoding: another length, or a residue that is not below its prime.
    """
    expected = rows_bytes(degree, primes)
    if len(data) != expected:
        raise MalformedEncoding(f"{len(primes)} rows of residues have {len(data)} bytes, not {expected}")
    out = np.empty((len(primes), degree))
    for row, prime in zip(out, primes, strict=True):
        bits = prime.bit_length()
        size = degree * bits // 8
        words = np.frombuffer(data[:size], "<u8").astype(np.uint64)  # a copy, at an address that words may have
        data = data[size:]
        if not _unpack(words, prime, bits, row):
            raise MalformedEncoding(f"a residue is not below its prime {prime}")
    return out


@compiled
def _unpack(words: Words, prime: int, bits: int, out: Doubles) -> bool:
    """Write balanced residues; whether all are below the prime."""
    mask = np.uint64((1 << bits) - 1)
    half = prime // 2
    largest = np.int64(0)
    for j in range(out.shape[0]):
        begin = j * bits
        k = begin >> 6
        shift = np.uint64(begin & 63)
        value = words[k] >> shift
        if (begin & 63) + bits > 64:
            value |= words[k + 1] << (np.uint64(64) - shift)
        x = np.int64(value & mask)
        largest = max(largest, x)
        out[j] = float(x - prime) if x > half else float(x)
    return bool(largest < prime)
