"""A data set sealed for its owner, and for other members if it wishes: the format. See spec/sealed-data.md.

    K fresh, 32 bytes;  head = "medward sealed data 1\\n" || length (4) || Header;  h = SHA-256(head)
    E = HKDF-SHA256(K, salt = h, info = "medward sealed data chunks 1")
    chunk_i = AES-256-GCM(E, nonce = 0^7 || i (4) || last (1), content_i; h || i (8) || last (1))
    sealed = head || chunk_0 || ... || chunk_m

The chunks are the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizar (CRYPTO 2015): none can be changed, cut
off, repeated or put elsewhere unnoticed. The header holds a commitment to K, so that it is one content for all readers.
"""

import hashlib
import secrets
import struct
from collections.abc import Iterator, Mapping
from typing import Annotated, BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medward.federation.errors import FederationError
from medward.fhe import hybrid
from medward.fhe.hybrid import HybridKey
from medward.ledger.encoding import Count, Hash, Name, Structure, decode, encode
from medward.ledger.errors import NotCanonical

CHUNK_BYTES = 2**20
_MAGIC = b"medward sealed data 1\n"
_LENGTH = struct.Struct(">I")
_MAX_HEADER = 2**20
_TAG_BYTES = 16
_KEY_BYTES = 32
_MOST_CHUNKS = 2**32


class SealBroken(FederationError):
    """Sealed data that were changed, cut short, or are not sealed to the key at hand."""


class Box(Structure, frozen=True):
    """The content key, sealed to one reader (fhe/hybrid.py)."""

    reader: Name
    key: Annotated[bytes, msgspec.Meta(max_length=hybrid.OVERHEAD + _KEY_BYTES)]


class Origin(Structure, frozen=True):
    """What sealed data say of themselves in the open, and are bound to.

    Args:
        federation: the federation's name.
        member: who sealed them.
        schema: the digest of their schema, empty where nothing is said of them.
        rows: how many rows they have, 0 where that is not known.
    """

    federation: Annotated[str, msgspec.Meta(max_length=256)]
    member: Name
    schema: Annotated[bytes, msgspec.Meta(max_length=32)]
    rows: Count


class Header(Structure, frozen=True):
    """What stands before the chunks.

    Args:
        origin: what they are.
        chunk_bytes: how much content each chunk but the last holds; a reader holds three of them in memory.
        commitment: to the content key.
        boxes: the content key, sealed to each reader.
    """

    origin: Origin
    chunk_bytes: Annotated[int, msgspec.Meta(ge=1, le=4 * CHUNK_BYTES)]
    commitment: Hash
    boxes: Annotated[tuple[Box, ...], msgspec.Meta(min_length=1, max_length=256)]

    @property
    def readers(self) -> tuple[str, ...]:
        """Who can open them."""
        return tuple(box.reader for box in self.boxes)


def seal_data(
    content: BinaryIO, origin: Origin, readers: Mapping[str, bytes], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """Yield the pieces of sealed data.

    Args:
        content: what is sealed; read once, a chunk at a time.
        origin: what it is.
        readers: the public key of each who can open it, hybrid.PUBLIC_BYTES long; the owner first.
        chunk_bytes: how much content a chunk holds.

    Raises:
        SealBroken: a public key is malformed, or there is more content than 2^32 chunks hold.
    """
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        boxes = tuple(Box(name, hybrid.seal(public, key, _box_label(origin, name))) for name, public in readers.items())
    except ValueError as error:
        raise SealBroken(f"a reader's public key is of no use ({error}): let it publish another") from None
    head = _head(Header(origin, chunk_bytes, _commitment(key), boxes))
    yield head
    chunks = _Chunks(key, head)
    chunk = _read_full(content, chunk_bytes)
    while True:
        after = _read_full(content, chunk_bytes)
        yield chunks.seal(chunk, last=not after)
        if not after:
            return
        chunk = after


def read_header(sealed: BinaryIO) -> tuple[Header, bytes]:
    """Read the header from the beginning of sealed data; return it and the bytes it was read from.

    Raises:
        SealBroken: there is none.
    """
    start = sealed.read(len(_MAGIC) + _LENGTH.size)
    if len(start) < len(_MAGIC) + _LENGTH.size or not start.startswith(_MAGIC):
        raise SealBroken("these are no sealed data that this version reads")
    (length,) = _LENGTH.unpack(start[len(_MAGIC) :])
    if length > _MAX_HEADER:
        raise SealBroken(
            f"the header of the sealed data says that it has {length} bytes; at most {_MAX_HEADER} are read"
        )
    encoded = _read_full(sealed, length)
    try:
        return decode(encoded, Header), start + encoded
    except NotCanonical as error:
        raise SealBroken(f"the header of the sealed data is malformed: {error}") from None


def sealed_size_fits(header: Header, size: int) -> bool:
    """Say whether so many bytes of chunks can follow a header: anybody can check that, without a key."""
    full = header.chunk_bytes + _TAG_BYTES
    return size == _TAG_BYTES or (size > 0 and (size % full == 0 or size % full > _TAG_BYTES))


def open_data(sealed: BinaryIO, reader: str, key: HybridKey) -> Iterator[bytes]:
    """Yield the content of sealed data, a chunk at a time, each checked before it is given.

    That nothing is missing is known only at the end: what was given before an error must be thrown away.

    Args:
        sealed: the sealed data, read once from their beginning.
        reader: who opens them.
        key: its key.

    Raises:
        SealBroken: they are not sealed to this reader and key, or were changed or cut short.
    """
    header, head = read_header(sealed)
    chunks = _Chunks(_content_key(header, reader, key), head)
    size = header.chunk_bytes + _TAG_BYTES
    chunk, number = _read_full(sealed, size), 0
    while True:
        after = _read_full(sealed, size) if len(chunk) == size else b""
        content = chunks.unseal(chunk, last=not after)
        if not content and number:
            raise SealBroken("the sealed data end with an empty chunk, which no sealing makes")
        yield content
        if not after:
            return
        chunk, number = after, number + 1


def _content_key(header: Header, reader: str, key: HybridKey) -> bytes:
    box = next((box for box in header.boxes if box.reader == reader), None)
    if box is None:
        raise SealBroken(f"the data are sealed to {', '.join(header.readers)}, and not to {reader}")
    try:
        content_key = key.unseal(box.key, _box_label(header.origin, reader))
    except ValueError:
        raise SealBroken(
            f"the data are sealed to another key of {reader} than the one in this home, or their header was changed: "
            "use the key that was published when they were sealed"
        ) from None
    if not secrets.compare_digest(_commitment(content_key), header.commitment):
        raise SealBroken("the header of the sealed data commits to another key than it holds: it was made to deceive")
    return content_key


class _Chunks:
    """Seals or opens one chunk after another."""

    def __init__(self, key: bytes, head: bytes) -> None:
        self._head = hashlib.sha256(head).digest()
        self._cipher = AESGCM(_derive(key, self._head, b"medward sealed data chunks 1"))
        self._number = 0

    def seal(self, content: bytes, last: bool) -> bytes:
        return self._cipher.encrypt(*self._place(last, content))

    def unseal(self, chunk: bytes, last: bool) -> bytes:
        number = self._number
        try:
            return self._cipher.decrypt(*self._place(last, chunk))
        except (InvalidTag, ValueError):
            where = "the last chunk" if last else "a chunk"
            raise SealBroken(
                f"the sealed data were changed or cut short: {where} (number {number}) does not open; get them again"
            ) from None

    def _place(self, last: bool, data: bytes) -> tuple[bytes, bytes, bytes]:
        """Return nonce, data and associated data of the next chunk."""
        number, self._number = self._number, self._number + 1
        if number >= _MOST_CHUNKS:
            raise SealBroken(f"at most {_MOST_CHUNKS} chunks can be sealed at once: seal the parts of it")
        nonce = bytes(7) + number.to_bytes(4, "big") + bytes([last])
        return nonce, data, self._head + number.to_bytes(8, "big") + bytes([last])


def _head(header: Header) -> bytes:
    encoded = encode(header)
    if len(encoded) > _MAX_HEADER:
        raise SealBroken(f"a header of {len(encoded)} bytes is too long: seal the data to fewer readers")
    return _MAGIC + _LENGTH.pack(len(encoded)) + encoded


def _box_label(origin: Origin, reader: str) -> bytes:
    return b"medward data key 1" + encode([encode(origin), reader])


def _commitment(key: bytes) -> bytes:
    return _derive(key, b"", b"medward data key commitment 1")


def _derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def _read_full(source: BinaryIO, size: int) -> bytes:
    """Read so many bytes, fewer only at the end, whatever pieces they come in."""
    parts: list[bytes] = []
    while size and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
