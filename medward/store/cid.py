"""Content identifiers: the name of a block is a hash of its bytes and the codec to read them with.

Source: https://github.com/multiformats/cid and https://github.com/multiformats/multibase. The `multiformats` library
reads one CID in 160 microseconds, and a UnixFS node may link to 1,024 others; this reader needs about two. Both agree
in the tests.
"""

import base64
import hashlib
from dataclasses import dataclass

from medward.store.errors import InvalidCid
from medward.store.varint import decode_varint, encode_varint

RAW = 0x55
DAG_PB = 0x70
DAG_CBOR = 0x71
SHA2_256 = 0x12
IDENTITY = 0x00

MAX_IDENTITY_BYTES = 128  # as Kubo: an inline block longer than this is refused
MAX_TEXT = 512  # no supported CID is longer in any base

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Cid:
    """A content identifier.

    Args:
        version: 0 (always dag-pb and sha2-256) or 1.
        codec: multicodec of the block's content: `RAW`, `DAG_PB`, `DAG_CBOR` or another that is only carried along.
        hash_code: multicodec of the hash function; only `SHA2_256` and `IDENTITY` can be checked here.
        digest: the hash, 32 bytes; for `IDENTITY` the content itself, at most 128 bytes.
    """

    version: int
    codec: int
    hash_code: int
    digest: bytes

    @staticmethod
    def of(data: bytes | memoryview, codec: int = RAW, version: int = 1) -> "Cid":
        """Return the sha2-256 CID of a block that consists of `data`."""
        return Cid(version, codec, SHA2_256, hashlib.sha256(data).digest())

    @staticmethod
    def parse(text: str) -> "Cid":
        """Read a CID in text: base58btc `Qm...` (version 0), or multibase base16, base32, base36 or base58btc.

        Raises InvalidCid for anything else, for a hash function other than sha2-256 and identity, and for a form that
        is not the only one of its content in that base.
        """
        if len(text) > MAX_TEXT:
            raise InvalidCid(f"a CID of {len(text)} characters is longer than any that is supported")
        try:
            return Cid.decode(_bytes_of_text(text))
        except ValueError as error:
            raise InvalidCid(f"'{text}' is not a content identifier: {error}") from None
        except InvalidCid as error:
            raise InvalidCid(f"'{text}': {error}") from None

    @staticmethod
    def of_key(key: str) -> "Cid":
        """Return the raw CID of the block that is kept under `key`; InvalidCid if no block can be."""
        try:
            return Cid.decode(b"\x01" + bytes([RAW]) + _decode_base32(key))
        except ValueError as error:
            raise InvalidCid(f"'{key}' is no block's key: {error}") from None

    @staticmethod
    def decode(encoded: bytes | memoryview) -> "Cid":
        """Read the binary form that takes up all of `encoded`; InvalidCid if it is malformed or goes on after it."""
        cid, end = Cid.decode_prefix(encoded)
        if end != len(encoded):
            raise InvalidCid(f"{len(encoded) - end} bytes follow the CID {cid}")
        return cid

    @staticmethod
    def decode_prefix(buffer: bytes | memoryview, offset: int = 0) -> tuple["Cid", int]:
        """Return the CID that begins at `offset` and the offset after it; InvalidCid if there is none."""
        try:
            version = 1
            if bytes(buffer[offset : offset + 2]) == b"\x12\x20":
                version, codec = 0, DAG_PB
            else:
                version, offset = decode_varint(buffer, offset)
                if version != 1:
                    raise InvalidCid(f"CID version {version} is unknown")
                codec, offset = decode_varint(buffer, offset)
            hash_code, offset = decode_varint(buffer, offset)
            length, offset = decode_varint(buffer, offset)
        except ValueError as error:
            raise InvalidCid(f"not a CID: {error}") from None
        _check_hash(hash_code, length)
        digest = bytes(buffer[offset : offset + length])
        if len(digest) != length:
            raise InvalidCid(f"the CID's hash is cut off: {len(digest)} of {length} bytes")
        return Cid(version, codec, hash_code, digest), offset + length

    @property
    def multihash(self) -> bytes:
        """The hash with its function and length: the same for every version and codec over the same bytes."""
        return encode_varint(self.hash_code) + encode_varint(len(self.digest)) + self.digest

    @property
    def key(self) -> str:
        """The multihash in lower-case base32: the name under which a blockstore keeps the block."""
        return _base32(self.multihash)

    @property
    def inline(self) -> bytes | None:
        """The whole content where the CID carries it (identity hash), else None."""
        return self.digest if self.hash_code == IDENTITY else None

    def matches(self, data: bytes | memoryview) -> bool:
        """Say whether `data` is the content that this CID names."""
        if self.hash_code == IDENTITY:
            return self.digest == bytes(data)
        return hashlib.sha256(data).digest() == self.digest

    def __bytes__(self) -> bytes:
        if self.version == 0:
            return self.multihash
        return b"\x01" + encode_varint(self.codec) + self.multihash

    def __str__(self) -> str:
        if self.version == 0:
            return _encode_digits(self.multihash, _BASE58)
        return "b" + _base32(bytes(self))


def _check_hash(hash_code: int, length: int) -> None:
    if hash_code == SHA2_256 and length == 32:
        return
    if hash_code == IDENTITY and length <= MAX_IDENTITY_BYTES:
        return
    raise InvalidCid(
        f"its hash (function 0x{hash_code:x}, {length} bytes) cannot be checked here; "
        "use sha2-256, or the identity function with at most 128 bytes"
    )


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _bytes_of_text(text: str) -> bytes:
    """Undo the multibase encoding; ValueError where it is malformed or not the only form."""
    if len(text) == 46 and text.startswith("Qm"):
        return _decode_digits(text, _BASE58)
    prefix, body = text[:1], text[1:]
    if prefix == "b":
        return _decode_base32(body)
    if prefix == "B" and body == body.upper():
        return _decode_base32(body.lower())
    if prefix == "z":
        return _decode_digits(body, _BASE58)
    if prefix == "k":
        return _decode_digits(body, _BASE36)
    if prefix == "f" and body == body.lower():
        return bytes.fromhex(body)
    raise ValueError("it begins like no CID (expected Qm..., or base16, base32, base36 or base58btc with its prefix)")


def _decode_base32(body: str) -> bytes:
    if body != body.lower() or "=" in body:
        raise ValueError("base32 is lower case and without padding")
    data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    if _base32(data) != body:
        raise ValueError("its last character holds bits that belong to no byte")
    return data


def _encode_digits(data: bytes, alphabet: str) -> str:
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    leading_zeros = len(data) - len(data.lstrip(b"\0"))
    return alphabet[0] * leading_zeros + digits


def _decode_digits(text: str, alphabet: str) -> bytes:
    number = 0
    for character in text:
        number = number * len(alphabet) + alphabet.index(character)
    leading_zeros = len(text) - len(text.lstrip(alphabet[0]))
    return b"\0" * leading_zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
