"""The UnixFS message inside a DAG-PB node: whether it is a file or a directory, and how long its parts are.

Source: https://specs.ipfs.tech/unixfs/ (the data formats, the sister lists of links and block sizes, HAMT parameters).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from medward.store.dagpb import PbNode, bytes_field, integer_field, read_fields
from medward.store.errors import InvalidDag
from medward.store.limits import MAX_LINKS

MAX_FANOUT = 1024  # CVE-2023-23625: a wider shard makes a reader allocate without bound
MURMUR3_X64_64 = 0x22
_OTHER_FIELDS = 16  # that may stand in a message beside the sizes of the parts


class NodeType(IntEnum):
    """What a UnixFS node is."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


@dataclass(frozen=True, slots=True)
class UnixFs:
    """One UnixFS message.

    Args:
        type: what the node is.
        data: the file's bytes that stand in the node itself, a symbolic link's target, or a shard's bitfield.
        block_sizes: for a file, the content bytes below each link, in the order of the links.
        fanout: for a shard, its number of buckets: a power of two from 8 to 1024.
    """

    type: NodeType
    data: bytes = b""
    block_sizes: Sequence[int] = ()
    fanout: int = 0

    @property
    def content_size(self) -> int:
        """The bytes of the file that this node is the root of."""
        return len(self.data) + sum(self.block_sizes)


def encode_file(block_sizes: Sequence[int], data: bytes | memoryview | None, content_size: int) -> bytes:
    """Return the message of a file node: a leaf with `data`, or a parent of parts with `block_sizes`."""
    parts = [integer_field(1, NodeType.FILE)]
    if data is not None:
        parts.append(bytes_field(2, data))
    parts.append(integer_field(3, content_size))
    parts.extend(integer_field(4, size) for size in block_sizes)
    return b"".join(parts)


def encode_directory() -> bytes:
    """Return the message of a plain directory, whose entries are the node's links."""
    return integer_field(1, NodeType.DIRECTORY)


def decode_unixfs(node: PbNode) -> UnixFs:
    """Read the message of a DAG-PB node and check it against the node's links.

    Raises InvalidDag if there is none, or if it contradicts itself or the links (a file whose size is not the sum of
    its parts, other than one size per link, a named part, a shard of a forbidden width).
    """
    if node.data is None:
        raise InvalidDag("a DAG-PB node without data is no UnixFS node")
    message = _read_message(node.data)
    if message.type in (NodeType.FILE, NodeType.RAW):
        if len(message.block_sizes) != len(node.links):
            raise InvalidDag(f"a file node has {len(node.links)} parts but {len(message.block_sizes)} sizes")
        if any(link.name for link in node.links):
            raise InvalidDag("a part of a file has a name")
    if message.type == NodeType.HAMT_SHARD and not _is_valid_fanout(message.fanout):
        raise InvalidDag(f"a shard has {message.fanout} buckets; a power of two from 8 to {MAX_FANOUT} is allowed")
    return message


def _read_message(encoded: bytes) -> UnixFs:
    numbers: dict[int, int] = {}
    data = b""
    block_sizes: list[int] = []
    for number, value in read_fields(encoded, MAX_LINKS + _OTHER_FIELDS):
        if number == 2 and isinstance(value, bytes):
            data = value
        elif number == 4 and isinstance(value, int):
            block_sizes.append(value)
        elif number == 4 and isinstance(value, bytes):
            raise InvalidDag("packed block sizes are not part of UnixFS")
        elif isinstance(value, int):
            numbers[number] = value
    try:
        node_type = NodeType(numbers[1])
    except (KeyError, ValueError):
        raise InvalidDag(f"a UnixFS node is of the unknown type {numbers.get(1)}") from None
    if numbers.get(5, MURMUR3_X64_64) != MURMUR3_X64_64:
        raise InvalidDag(f"a shard uses the hash function 0x{numbers[5]:x}; only murmur3-x64-64 is known")
    message = UnixFs(node_type, data, tuple(block_sizes), numbers.get(6, 0))
    is_file = node_type in (NodeType.FILE, NodeType.RAW)
    if is_file and numbers.get(3, 0) != message.content_size:
        raise InvalidDag(f"a file node says {numbers.get(3, 0)} bytes but its parts have {message.content_size}")
    return message


def _is_valid_fanout(fanout: int) -> bool:
    return 8 <= fanout <= MAX_FANOUT and fanout & (fanout - 1) == 0
