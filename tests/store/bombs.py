"""Bombs: DAGs of a few blocks, each under its right name, that cost whoever reads them more than they are worth.

Each is made for a place where a file of `SIZE` bytes is due. Those of `RIGHT_LENGTH` declare exactly that length, so
that it is not the length that gives them away.
"""

from collections.abc import Callable, Sequence

import pytest

from medward.store.blocks import Blocks
from medward.store.cid import DAG_CBOR, DAG_PB, IDENTITY, RAW, Cid
from medward.store.dagpb import PbLink, bytes_field, encode_node, integer_field
from medward.store.limits import MAX_BLOCK_BYTES

SIZE = 3_000_000
Put = Callable[[bytes, int], Cid]
Part = tuple[Cid, int]


def file_node(parts: Sequence[Part], declared: int | None = None, data: bytes = b"") -> bytes:
    """Return a file's node over parts (name and length), which declares the sum of these unless told otherwise."""
    size = len(data) + sum(size for _, size in parts)
    message = integer_field(1, 2) + (bytes_field(2, data) if data else b"")
    message += integer_field(3, size if declared is None else declared)
    message += b"".join(integer_field(4, size) for _, size in parts)
    return encode_node([PbLink(cid, "", size) for cid, size in parts], message)


def tower(put: Put, leaf: bytes, *widths: int) -> Cid:
    """Return the root over one leaf that is linked again and again, on as many levels as there are widths."""
    cid, size = put(leaf, RAW), len(leaf)
    for width in widths:
        cid, size = put(file_node([(cid, size)] * width), DAG_PB), size * width
    return cid


def swelling(put: Put) -> Cid:
    """A leaf of 15 kB that two levels of 200 links make 572 MiB of."""
    return tower(put, b"z" * 15_000, 200, 200)


def tiny_leaf(put: Put) -> Cid:
    """The right length in steps of one byte, from three blocks."""
    return tower(put, b"z", 1000, SIZE // 1000)


def tiny_leaf_deep(put: Put) -> Cid:
    """The same over more levels."""
    return tower(put, b"z", 10, 10, 10, 10, 3, 100)


def empty_parts(put: Put) -> Cid:
    """Thousands of parts without a byte beside what is due: no bomb, as they are passed over."""
    nothing, rest = put(b"", RAW), tower(put, b"z" * 500_000, SIZE // 500_000)
    return put(file_node([*[(nothing, 0)] * 8000, (rest, SIZE)]), DAG_PB)


def chain(put: Put) -> Cid:
    """A thousand levels of one link each."""
    return tower(put, b"z" * 1_000_000, 3, *[1] * 1000)


def crowd(put: Put) -> Cid:
    """One block with as many links as 2 MiB hold, to one leaf, of the right length."""
    leaf, width = put(b"z", RAW), 40_000
    return put(file_node([(leaf, 1)] * width, data=b"z" * (SIZE - width - 2_900_000), declared=SIZE), DAG_PB)


def inline_crowd(put: Put) -> Cid:
    """A quarter of a million links to nothing, of eight bytes each: a CID may carry its content in itself."""
    nothing = Cid(1, RAW, IDENTITY, b"")
    link = bytes_field(2, bytes_field(1, bytes(nothing)))
    return put(link * (MAX_BLOCK_BYTES // len(link) - 10) + bytes_field(1, integer_field(1, 2)), DAG_PB)


def sizes_without_links(put: Put) -> Cid:
    """A million lengths of parts that there are not."""
    message = integer_field(1, 2) + integer_field(3, SIZE) + integer_field(4, 3) * (SIZE // 3 - 10)
    return put(bytes_field(1, message), DAG_PB)


def unknown_fields(put: Put) -> Cid:
    """A message of fields that mean nothing, each with another number."""
    fields = b"".join(integer_field(number, 0) for number in range(16, 400_000))
    return put(bytes_field(1, integer_field(1, 2) + integer_field(3, 0) + fields), DAG_PB)


def renamed_link(put: Put) -> Cid:
    """One link that has its name a million times."""
    link = bytes_field(1, bytes(put(b"z", RAW))) + bytes_field(2, b"") * 1_000_000
    return put(bytes_field(2, link) + bytes_field(1, integer_field(1, 2)), DAG_PB)


def broken_promise(put: Put) -> Cid:
    """Parts that hold a thousand times what their parent promises, whose own length is right."""
    large = tower(put, b"z" * 1_000_000, 1000)
    return put(file_node([(large, SIZE)]), DAG_PB)


def false_root(put: Put) -> Cid:
    """A root that declares the right length over parts of another."""
    return put(file_node([(put(b"z" * 1_000_000, RAW), 1_000_000)] * 600, declared=SIZE), DAG_PB)


def exabyte(put: Put) -> Cid:
    """A root that promises an exabyte."""
    return put(file_node([(put(b"z", RAW), 2**60)]), DAG_PB)


def many_blocks(put: Put) -> Cid:
    """The right length in blocks of 300 bytes, all different."""
    leaves = [(put(number.to_bytes(4, "big") * 75, RAW), 300) for number in range(SIZE // 300)]
    nodes = [
        (put(file_node(leaves[at : at + 1000]), DAG_PB), 300 * len(leaves[at : at + 1000]))
        for at in range(0, len(leaves), 1000)
    ]
    return put(file_node(nodes), DAG_PB)


def too_long(put: Put) -> Cid:
    """A file of 80 MB, every byte of which is there."""
    leaves = [(put(number.to_bytes(4, "big") * 500_000, RAW), 2_000_000) for number in range(40)]
    return put(file_node(leaves), DAG_PB)


def folder(put: Put) -> Cid:
    """A directory of thousands of entries."""
    leaf = put(b"z" * 1000, RAW)
    links = [PbLink(leaf, f"{number:06}", 1000) for number in range(20_000)]
    return put(encode_node(links, integer_field(1, 1)), DAG_PB)


def shards(put: Put) -> Cid:
    """A sharded directory whose shards all lead to one other."""
    cid = put(b"z" * 1000, RAW)
    for _ in range(7):
        links = [PbLink(cid, f"{bucket:02X}", 1000) for bucket in range(256)]
        message = integer_field(1, 5) + bytes_field(2, b"\xff" * 32) + integer_field(5, 0x22) + integer_field(6, 256)
        cid = put(encode_node(links, message), DAG_PB)
    return cid


def record(put: Put) -> Cid:
    """A record of a million empty lists, each of one byte here and of dozens in memory."""
    count = 1_000_000
    return put(b"\x9a" + count.to_bytes(4, "big") + b"\x80" * count, DAG_CBOR)


def record_of_links(put: Put) -> Cid:
    """A record that links to one leaf as often as a record can."""
    link = b"\xd8\x2a\x58\x25\x00" + bytes(put(b"z" * 1000, RAW))
    count = 20_000
    return put(b"\x99" + count.to_bytes(2, "big") + link * count, DAG_CBOR)


def unknown_codec(put: Put) -> Cid:
    """A block of a codec that nobody here reads."""
    return put(b"z" * 1_000_000, 0x0129)


def one_block(put: Put) -> Cid:
    """One raw block of 2 MiB, a third short of what is due."""
    return put(b"z" * MAX_BLOCK_BYTES, RAW)


RIGHT_LENGTH = (tiny_leaf, tiny_leaf_deep, chain, broken_promise, many_blocks)
BOMBS: tuple[Callable[[Put], Cid], ...] = (
    *RIGHT_LENGTH,
    swelling,
    crowd,
    inline_crowd,
    sizes_without_links,
    unknown_fields,
    renamed_link,
    false_root,
    exabyte,
    too_long,
    folder,
    shards,
    record,
    record_of_links,
    unknown_codec,
    one_block,
)


def plant(bomb: Callable[[Put], Cid], blocks: Blocks) -> Cid:
    """Put a bomb's blocks into a store and return its root."""
    with blocks.writer() as writer:

        def put(block: bytes, codec: int) -> Cid:
            cid = Cid.of(block, codec)
            writer.put(cid, block)
            return cid

        return bomb(put)


def all_but_two(mark: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """Have a test get each bomb as `bomb`, with this mark on all but a deep and a wide one."""
    marked = [pytest.param(bomb, marks=() if bomb in (chain, crowd) else mark) for bomb in BOMBS]
    return pytest.mark.parametrize("bomb", marked, ids=lambda bomb: bomb.__name__)
