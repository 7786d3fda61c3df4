"""The bytes of ring elements, ciphertexts, keys and shares.

    "MWF1" | kind (1 byte) | 3 zero bytes | parameter digest (16 bytes) | residues, 50 bits each, low bits first

Residues are in [0, q), limb after limb, evaluation form. An object has exactly one encoding: a wrong length, kind,
version, parameter set, a residue of q or more, or a non-zero reserved byte is refused, the length before anything is
allocated.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from medward.fhe._compile import compiled
from medward.fhe._primes import PRIME_BITS
from medward.fhe.encryption import Ciphertext
from medward.fhe.errors import MalformedEncoding
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element

Words = NDArray[np.uint64]

_MAGIC = b"MWF1"
HEADER_BYTES = 24


class Kind(IntEnum):
    """What an encoding holds."""

    CIPHERTEXT = 1
    PUBLIC_KEY = 2
    DECRYPTION_SHARE = 3
    DEALT_SHARE = 4
    CIPHERTEXT_PROOF = 5
    KEY_PROOF = 6
    SHARE_PROOF = 7


_NAMES = {kind: kind.name.lower().replace("_", " ") for kind in Kind}
_ELEMENTS = {Kind.CIPHERTEXT: 2, Kind.PUBLIC_KEY: 1, Kind.DECRYPTION_SHARE: 1}


def header(parameters: SumParameters, kind: Kind) -> bytes:
    """Return the 24 bytes that every encoding of this kind starts with."""
    return _MAGIC + bytes([kind, 0, 0, 0]) + parameters.digest


def body(parameters: SumParameters, kind: Kind, data: bytes, size: int) -> memoryview:
    """Check the length and header of `data` and return what follows the header.

    Raises:
        MalformedEncoding: the data are not `size` bytes behind this kind's header.
    """
    if len(data) != HEADER_BYTES + size:
        raise MalformedEncoding(f"a {_NAMES[kind]} has {HEADER_BYTES + size} bytes here, not {len(data)}")
    if data[:4] != _MAGIC:
        raise MalformedEncoding(f"these bytes are not a {_NAMES[kind]} of a version that this program knows")
    if data[4:8] != bytes([kind, 0, 0, 0]):
        raise MalformedEncoding(f"these bytes are another kind of object than a {_NAMES[kind]}")
    if data[8:HEADER_BYTES] != parameters.digest:
        raise MalformedEncoding(f"this {_NAMES[kind]} was made for another parameter set than {parameters.name}")
    return memoryview(data)[HEADER_BYTES:]


def element_bytes(parameters: SumParameters) -> int:
    """Return the packed size of one ring element."""
    return parameters.limbs * parameters.degree * PRIME_BITS // 8


def pack_element(parameters: SumParameters, element: Element) -> bytes:
    """Return the residues of `element`, 50 bits each."""
    out = np.zeros(element_bytes(parameters) // 8, np.uint64)
    _pack_residues(element, np.array(parameters_ring(parameters).primes, np.uint64), out)
    return out.astype("<u8", copy=False).tobytes()


def unpack_element(parameters: SumParameters, data: memoryview) -> Element:
    """Return the element of `element_bytes` bytes.

    Raises:
        MalformedEncoding: a residue is not below its prime.
    """
    words = np.frombuffer(data, "<u8").astype(np.uint64, copy=False)
    out = np.empty((parameters.limbs, parameters.degree))
    if _unpack_residues(words, np.array(parameters_ring(parameters).primes, np.uint64), out):
        raise MalformedEncoding("a residue is not below its prime")
    return out


def encode_elements(parameters: SumParameters, kind: Kind, *elements: Element) -> bytes:
    """Return the encoding of a public key or decryption share (one element) or a ciphertext (c0, c1)."""
    return header(parameters, kind) + b"".join(pack_element(parameters, element) for element in elements)


def decode_elements(parameters: SumParameters, kind: Kind, data: bytes) -> list[Element]:
    """Return the elements of an encoding of this kind.

    Raises:
        MalformedEncoding: anything that `encode_elements` would not have written.
    """
    size = element_bytes(parameters)
    rest = body(parameters, kind, data, _ELEMENTS[kind] * size)
    return [unpack_element(parameters, rest[i * size : (i + 1) * size]) for i in range(_ELEMENTS[kind])]


def encode_ciphertext(parameters: SumParameters, ciphertext: Ciphertext) -> bytes:
    """Return the encoding of a ciphertext or a sum of ciphertexts."""
    return encode_elements(parameters, Kind.CIPHERTEXT, ciphertext.c0, ciphertext.c1)


def decode_ciphertext(parameters: SumParameters, data: bytes) -> Ciphertext:
    """Return the ciphertext of an encoding.

    Raises:
        MalformedEncoding: anything that `encode_ciphertext` would not have written.
    """
    c0, c1 = decode_elements(parameters, Kind.CIPHERTEXT, data)
    return Ciphertext(c0, c1)


def pack_words(values: Words, width: int) -> bytes:
    """Return the low `width` bits (1..63) of each of `values`, uint64[n], low bits first; 64 must divide n * width."""
    out = np.zeros(values.shape[0] * width // 64, np.uint64)
    _pack_words(values, width, out)
    return out.astype("<u8", copy=False).tobytes()


def unpack_words(data: memoryview, width: int, count: int) -> Words:
    """Undo `pack_words`."""
    out = np.empty(count, np.uint64)
    _unpack_words(np.frombuffer(data, "<u8").astype(np.uint64, copy=False), width, out)
    return out


@compiled
def _pack_residues(element: Element, primes: Words, out: Words) -> None:
    position = 0
    filled = np.uint64(0)
    word = np.uint64(0)
    for i in range(element.shape[0]):
        q = np.int64(primes[i])
        for j in range(element.shape[1]):
            x = np.int64(element[i, j])
            value = np.uint64(x + q) if x < 0 else np.uint64(x)
            word |= value << filled
            filled += np.uint64(50)
            if filled >= np.uint64(64):
                out[position] = word
                position += 1
                filled -= np.uint64(64)
                word = value >> (np.uint64(50) - filled)


@compiled
def _unpack_residues(words: Words, primes: Words, out: Element) -> int:
    mask = np.uint64((1 << 50) - 1)
    outside = 0
    bit = 0
    for i in range(out.shape[0]):
        q = np.int64(primes[i])
        for j in range(out.shape[1]):
            k = bit >> 6
            shift = np.uint64(bit & 63)
            value = words[k] >> shift
            if shift > np.uint64(14):
                value |= words[k + 1] << (np.uint64(64) - shift)
            x = np.int64(value & mask)
            if x >= q:
                outside += 1
            out[i, j] = float(x - q) if x > q // 2 else float(x)
            bit += 50
    return outside


@compiled
def _pack_words(values: Words, width: int, out: Words) -> None:
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    bit = 0
    for j in range(values.shape[0]):
        value = values[j] & mask
        k = bit >> 6
        shift = np.uint64(bit & 63)
        out[k] |= value << shift
        if shift + np.uint64(width) > np.uint64(64):
            out[k + 1] |= value >> (np.uint64(64) - shift)
        bit += width


@compiled
def _unpack_words(words: Words, width: int, out: Words) -> None:
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    bit = 0
    for j in range(out.shape[0]):
        k = bit >> 6
        shift = np.uint64(bit & 63)
        value = words[k] >> shift
        if shift + np.uint64(width) > np.uint64(64):
            value |= words[k + 1] << (np.uint64(64) - shift)
        out[j] = value & mask
        bit += width
