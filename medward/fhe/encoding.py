"""The bytes of what members of a sum show each other.

    "MWF2" | kind (1 byte) | 3 zero bytes | digest of the sum (16 bytes) | body

Residues are in [0, p), 50 bits each, low bits first, padded with zero bits to whole 64-bit words. An object has exactly
one encoding: a wrong length, kind, version or sum, a residue of p or more, or a non-zero pad is refused, the length
before anything is allocated.
"""

from enum import IntEnum

import numpy as np

from medward.fhe.arrays import Doubles, Words
from medward.fhe.errors import MalformedEncoding
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.primes import PRIME_BITS

_MAGIC = b"MWF2"
#: So many residues fill so many words; the kernels go from group to group.
_GROUP = 32
_GROUP_WORDS = 25
HEADER_BYTES = 24
DIGEST_BYTES = 16


class EncodingKind(IntEnum):
    """What an encoding holds."""

    CONTRIBUTION = 1
    RESPONSE = 2
    SHOWN_SHARES = 3
    ANSWER = 4
    AUDIT_RESPONSE = 5


_NAMES = {kind: kind.name.lower().replace("_", " ") for kind in EncodingKind}


def header(kind: EncodingKind, digest: bytes) -> bytes:
    """Return the 24 bytes that every encoding of this kind in this sum starts with."""
    return _MAGIC + bytes([kind, 0, 0, 0]) + digest


def body(kind: EncodingKind, digest: bytes, data: bytes, size: int) -> memoryview:
    """Check the length and header of `data` and return what follows the header.

    Raises:
        MalformedEncoding: the data are not `size` bytes behind this kind's header.
    """
    if len(data) != HEADER_BYTES + size:
        raise MalformedEncoding(f"{_NAMES[kind]} of {len(data)} bytes, not {HEADER_BYTES + size}")
    if data[:4] != _MAGIC:
        raise MalformedEncoding(f"{_NAMES[kind]} of a version that this program does not know")
    if data[4:8] != bytes([kind, 0, 0, 0]):
        raise MalformedEncoding(f"object of another kind than {_NAMES[kind]}")
    if data[8:HEADER_BYTES] != digest:
        raise MalformedEncoding(f"{_NAMES[kind]} of another sum")
    return memoryview(data)[HEADER_BYTES:]


def residue_bytes(count: int) -> int:
    """Return the packed size of so many residues."""
    return 8 * -(-count * PRIME_BITS // 64)


def pack_residues(residues: Doubles, prime: int) -> bytes:
    """Return balanced residues, float64 of any shape, 50 bits each."""
    out = np.zeros(residue_bytes(residues.size) // 8, np.uint64)
    pack_numbers(residues.reshape(-1), prime, PRIME_BITS, out)
    return out.astype("<u8", copy=False).tobytes()


def unpack_residues(data: bytes | memoryview, prime: int, count: int) -> Doubles:
    """Return the balanced residues, float64[count], of `residue_bytes(count)` bytes.

    Raises:
        MalformedEncoding: another length, a residue that is not below the prime, or a pad that is not zero.
    """
    residues = _residues(data, prime, count).view(np.int64)
    return np.where(residues > prime // 2, residues - prime, residues).astype(np.float64)


def check_residues(data: bytes | memoryview, prime: int, count: int) -> None:
    """Check what `unpack_residues` checks.

    Raises:
        MalformedEncoding: as `unpack_residues`.
    """
    _residues(data, prime, count)


def add_residues(data: bytes | memoryview, prime: int, totals: Words) -> None:
    """Add packed residues, as integers in [0, p), to `totals`, uint64[count]; 2^13 of them fit.

    Raises:
        MalformedEncoding: as `unpack_residues`.
    """
    np.add(totals, _residues(data, prime, totals.shape[0]), out=totals)


def _residues(data: bytes | memoryview, prime: int, count: int) -> Words:
    """Return packed residues as integers in [0, p), uint64[count].

    Raises:
        MalformedEncoding: as `unpack_residues`.
    """
    if len(data) != residue_bytes(count):
        raise MalformedEncoding(f"{count} residues in {len(data)} bytes, not {residue_bytes(count)}")
    words = np.frombuffer(data, "<u8").astype(np.uint64, copy=False)
    groups = -(-count // _GROUP)
    missing = groups * _GROUP_WORDS - words.shape[0]
    if missing:
        words = np.concatenate([words, np.zeros(missing, np.uint64)])
    out = np.empty(groups * _GROUP, np.uint64)
    _unpack(words, out)
    if out.max() >= prime or out[count:].any():
        raise MalformedEncoding("residue that is not below its prime")
    return out[:count]


@compiled
def pack_numbers(residues: Doubles, prime: int, bits: int, out: Words) -> None:
    """Write balanced residues as numbers in [0, p) of so many bits each, low bits first, into whole words."""
    width = np.uint64(bits)
    position = 0
    filled = np.uint64(0)
    word = np.uint64(0)
    for j in range(residues.shape[0]):
        x = np.int64(residues[j])
        value = np.uint64(x + prime) if x < 0 else np.uint64(x)
        word |= value << filled
        filled += width
        if filled >= np.uint64(64):
            out[position] = word
            position += 1
            filled -= np.uint64(64)
            word = value >> (width - filled)
    if filled > np.uint64(0):
        out[position] = word


@compiled
def _unpack(words: Words, out: Words) -> None:
    """Cut words, groups of 25, into numbers of 50 bits, groups of 32; the inner loop has constant shifts."""
    mask = np.uint64((1 << 50) - 1)
    for group in range(out.shape[0] // 32):
        for place in range(32):
            k = 25 * group + ((50 * place) >> 6)
            shift = np.uint64((50 * place) & 63)
            value = words[k] >> shift
            if shift > np.uint64(14):
                value |= words[k + 1] << (np.uint64(64) - shift)
            out[32 * group + place] = value & mask


assert PRIME_BITS == 50  # the shifts in the kernels
