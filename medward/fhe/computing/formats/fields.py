"""Fields that encodings of keys, ciphertexts and opened parts are made of, and the header that they begin with.

    "MWC1" | kind (1 byte) | 3 zero bytes | beginning of the digest of the parameters (16 bytes) | body

Numbers are unsigned and, as doubles are, little-endian. A value has one encoding: what is out of its range, in another
order, of another length or left over is refused (spec/computing.md, section 10).
"""

import math
import re
import struct
from enum import IntEnum

from medward.fhe.arrays import Doubles
from medward.fhe.computing.formats.residue_rows import pack_rows, rows_bytes, unpack_rows
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.errors import MalformedEncoding

_MAGIC = b"MWC1"
_DIGEST_BYTES = 16
HEADER_BYTES = 8 + _DIGEST_BYTES
SEED_BYTES = 32
#: Most keys under which one ciphertext may be.
MOST_OWNERS = 64
#: Most bytes of an owner's name with its fingerprint, and of a label.
MOST_NAME = 255
MOST_LABEL = 1024
_OWNER = re.compile(r".+/[0-9a-f]{16}")


class FormatKind(IntEnum):
    """What bytes hold."""

    PUBLIC_KEY = 1
    EVALUATION_KEY = 2
    CIPHERTEXT = 3
    OPENED_PART = 4
    CIPHERTEXT_FILE = 5
    ENCRYPTED_TABLE = 6
    PRODUCT_LIST = 7
    PRODUCT_PARTS = 8
    OPENED_SHARES = 9

    @property
    def words(self) -> str:
        """The name in texts for people."""
        return self.name.lower().replace("_", " ")


def header(kind: FormatKind, parameters: ComputingParameters) -> bytes:
    """Return the bytes that every encoding of this kind with these parameters starts with."""
    return _MAGIC + bytes([kind, 0, 0, 0]) + parameters.digest[:_DIGEST_BYTES]


def number(value: int, size: int) -> bytes:
    """Return a number in so many bytes."""
    return value.to_bytes(size, "little")


def double(value: float) -> bytes:
    """Return a finite double that is not negative."""
    if not 0 <= value < math.inf:
        raise MalformedEncoding(f"{value} is no bound: bounds are finite and not negative")
    return struct.pack("<d", abs(value))


def owner_field(owner: str) -> bytes:
    """Return an owner's name with its length.

    Raises:
        MalformedEncoding: see `check_owner`.
    """
    data = check_owner(owner).encode()
    return number(len(data), 1) + data


def label_field(label: bytes) -> bytes:
    """Return a label with its length.

    Raises:
        MalformedEncoding: it is too long.
    """
    if len(label) > MOST_LABEL:
        raise MalformedEncoding(f"a label of {len(label)} bytes: it may have {MOST_LABEL}")
    return number(len(label), 2) + label


def check_owner(owner: str) -> str:
    """Return an owner's name with the beginning of its key's fingerprint, as keys and ciphertexts carry it.

    Raises:
        MalformedEncoding: it is none.
    """
    if not owner.isprintable() or not _OWNER.fullmatch(owner) or len(owner.encode()) > MOST_NAME:
        raise MalformedEncoding(
            f"{owner[:64]!r} names no key: a name, '/' and 16 hexadecimal digits of the key's fingerprint do, in at "
            f"most {MOST_NAME} bytes"
        )
    return owner


class FieldReader:
    """Reads the fields of one encoding, one after the other.

    Args:
        kind: what the bytes should hold.
        parameters: with which.
        data: all bytes.

    Raises:
        MalformedEncoding: the header is that of something else. Every method raises it for what is out of range.
    """

    def __init__(self, kind: FormatKind, parameters: ComputingParameters, data: bytes | memoryview) -> None:
        self._kind = kind
        self._parameters = parameters
        self._size = len(data)
        self._rest = memoryview(data)
        found = bytes(self._take(HEADER_BYTES))
        expected = header(kind, parameters)
        if found[:4] != _MAGIC:
            raise self.wrong("of a version that this program does not know: take the newest medward")
        if found[4:8] != expected[4:8]:
            raise MalformedEncoding(f"the bytes hold something else than a {kind.words}")
        if found != expected:
            raise self.wrong("made with other parameters: all who compute together take the same")

    def wrong(self, what: str) -> MalformedEncoding:
        """Return the error of an encoding that is, or has, this."""
        return MalformedEncoding(f"{self._kind.words} {what}")

    def _take(self, size: int) -> memoryview:
        if len(self._rest) < size:
            raise self.wrong(f"of {self._size} bytes, which is too short")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        return bytes(self._take(size))

    def number(self, size: int, what: str, least: int, most: int) -> int:
        """Return a number of so many bytes within these limits."""
        value = int.from_bytes(self._take(size), "little")
        if not least <= value <= most:
            raise self.wrong(f"with {what} {value}: it is {least} to {most}")
        return value

    def double(self, what: str) -> float:
        """Return a finite double that is not negative."""
        data = self.take(8)
        value: float = struct.unpack("<d", data)[0]
        if not 0 <= value < math.inf or data[7] & 0x80:
            raise self.wrong(f"with {what} {value}: it is finite and not negative")
        return value

    def owner(self) -> str:
        """Return an owner's name."""
        data = self.take(self.number(1, "a name's length", 1, MOST_NAME))
        try:
            return check_owner(data.decode())
        except UnicodeDecodeError:
            raise self.wrong("with a name that is no UTF-8") from None

    def label(self) -> bytes:
        """Return a label."""
        return self.take(self.number(2, "a label's length", 0, MOST_LABEL))

    def expect(self, elements: int, primes: tuple[int, ...], more: int = 0) -> None:
        """Check that just so many elements modulo these primes are left, and `more` bytes, before any is read."""
        left = elements * rows_bytes(self._parameters.degree, primes) + more
        if len(self._rest) != left:
            raise self.wrong(f"of {self._size} bytes, not {self._size - len(self._rest) + left}")

    def end(self) -> None:
        """Refuse bytes that are left over."""
        if self._rest:
            raise self.wrong(f"of {self._size} bytes, {len(self._rest)} of which are left over")

    def rows(self, primes: tuple[int, ...]) -> Doubles:
        """Return the rows of one element modulo these primes, float64[k, N]."""
        data = self._take(rows_bytes(self._parameters.degree, primes))
        try:
            return unpack_rows(data, self._parameters.degree, primes)
        except MalformedEncoding as error:
            raise self.wrong(f"is damaged: {error}") from None


def packed(elements: Doubles, primes: tuple[int, ...]) -> bytes:
    """Return elements, float64[..., k, N], one after another."""
    return b"".join(pack_rows(rows, primes) for rows in elements.reshape(-1, *elements.shape[-2:]))
