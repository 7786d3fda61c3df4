"""DAG-PB: the protobuf form of nodes that link to others, which UnixFS files and directories are made of.

Source: https://ipld.io/specs/codecs/dag-pb/spec/. Written here because the canonical form (links before data, an
empty name that is present) is not what protobuf libraries write.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medward.store.cid import Cid
from medward.store.errors import InvalidCid, InvalidDag
from medward.store.limits import MAX_LINKS

_VARINT, _BYTES, _FIXED64, _FIXED32 = 0, 2, 1, 5
_MAX_UINT64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class PbLink:
    """A link to a child: its CID, its name (empty between the parts of a file), and the bytes of its whole DAG."""

    cid: Cid
    name: str
    tree_size: int


@dataclass(frozen=True, slots=True)
class PbNode:
    """A node: links in order, and data for the layer above (UnixFS), None where the field is absent."""

    links: Sequence[PbLink]
    data: bytes | None


def encode_uint64(value: int) -> bytes:
    """Return `value` (0 .. 2**64 - 1) as a protobuf varint."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def bytes_field(number: int, content: bytes | memoryview) -> bytes:
    """Return the protobuf field `number` that holds `content`."""
    return b"".join((encode_uint64(number << 3 | _BYTES), encode_uint64(len(content)), content))


def integer_field(number: int, value: int) -> bytes:
    """Return the protobuf field `number` that holds the unsigned integer `value`."""
    return encode_uint64(number << 3 | _VARINT) + encode_uint64(value)


def read_fields(message: bytes, most: int) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of each field of a protobuf message; InvalidDag where it is malformed.

    Args:
        message: the bytes.
        most: a message of more fields is refused.
    """
    offset = 0
    while offset < len(message):
        most -= 1
        if most < 0:
            raise InvalidDag("a protobuf message has more fields than are read")
        tag, offset = _read_uint64(message, offset)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, offset = _read_uint64(message, offset)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, offset = _read_uint64(message, offset)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
        else:
            raise InvalidDag(f"protobuf wire type {wire_type} is unknown")
        if number == 0 or length > len(message) - offset:
            raise InvalidDag("a protobuf field is cut off or has the number 0")
        yield number, message[offset : offset + length]
        offset += length


def encode_node(links: Sequence[PbLink], data: bytes) -> bytes:
    """Return the canonical DAG-PB form: all links in the given order, then the data."""
    parts = []
    for link in links:
        content = (
            bytes_field(1, bytes(link.cid))
            + bytes_field(2, link.name.encode("utf-8"))
            + integer_field(3, link.tree_size)
        )
        parts.append(bytes_field(2, content))
    parts.append(bytes_field(1, data))
    return b"".join(parts)


def decode_node(block: bytes) -> PbNode:
    """Read a DAG-PB block; links may stand before or after the data, as old blocks have both.

    Raises InvalidDag if the bytes are no such node or link to something whose CID is not supported.
    """
    links: list[PbLink] = []
    data: bytes | None = None
    for number, value in read_fields(block, MAX_LINKS + 1):
        if not isinstance(value, bytes):
            raise InvalidDag(f"field {number} of a DAG-PB node is a number")
        if number == 2:
            links.append(_decode_link(value))
        elif number == 1 and data is None:
            data = value
        else:
            raise InvalidDag(f"field {number} of a DAG-PB node is unknown or stands twice")
    return PbNode(links, data)


def _decode_link(message: bytes) -> PbLink:
    cid: Cid | None = None
    name: str | None = None
    tree_size: int | None = None
    for number, value in read_fields(message, 3):
        try:
            if number == 1 and isinstance(value, bytes) and cid is None:
                cid = Cid.decode(value)
            elif number == 2 and isinstance(value, bytes) and name is None:
                name = value.decode("utf-8")
            elif number == 3 and isinstance(value, int) and tree_size is None:
                tree_size = value
            else:
                raise InvalidDag(f"field {number} of a DAG-PB link is unknown or stands twice")
        except InvalidCid as error:
            raise InvalidDag(f"a DAG-PB node links to something unsupported: {error}") from None
        except UnicodeDecodeError:
            raise InvalidDag("the name of a DAG-PB link is not UTF-8") from None
    if cid is None:
        raise InvalidDag("a DAG-PB link has no CID")
    return PbLink(cid, name or "", tree_size or 0)


def _read_uint64(message: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for length in range(10):
        if offset + length >= len(message):
            raise InvalidDag("a protobuf number is cut off")
        byte = message[offset + length]
        value |= (byte & 0x7F) << (7 * length)
        if byte < 0x80:
            if value > _MAX_UINT64:
                raise InvalidDag("a protobuf number is larger than 64 bits")
            return value, offset + length + 1
    raise InvalidDag("a protobuf number is longer than ten bytes")
