"""Walking DAGs: order, repeats, bounds, links of every known codec."""

import pytest

from medward.store.cid import DAG_PB, IDENTITY, RAW, Cid
from medward.store.dag import links_of, walk
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.limits import DagLimits
from medward.store.records import encode_record, record_cid


class Blocks(dict[Cid, bytes]):
    def record(self, *links: Cid) -> Cid:
        block = encode_record(list(links))
        cid = record_cid(block)
        self[cid] = block
        return cid

    def raw(self, content: bytes) -> Cid:
        cid = Cid.of(content)
        self[cid] = content
        return cid


def names(blocks: Blocks, root: Cid, repeat: bool = False) -> list[Cid]:
    return [cid for cid, _ in walk(root, blocks.__getitem__, repeat=repeat)]


def test_blocks_come_depth_first_in_the_order_of_the_links() -> None:
    blocks = Blocks()
    a, b, c = (blocks.raw(letter) for letter in (b"a", b"b", b"c"))
    left, right = blocks.record(a, b), blocks.record(c)
    root = blocks.record(left, right)
    assert names(blocks, root) == [root, left, a, b, right, c]


def test_a_block_linked_twice_comes_once_or_each_time() -> None:
    blocks = Blocks()
    leaf = blocks.raw(b"leaf")
    middle = blocks.record(leaf)
    root = blocks.record(middle, leaf, middle)
    assert names(blocks, root) == [root, middle, leaf]
    assert names(blocks, root, repeat=True) == [root, middle, leaf, leaf, middle, leaf]


def test_inline_blocks_are_followed_but_not_given() -> None:
    blocks = Blocks()
    inline = Cid(1, RAW, IDENTITY, b"small")
    root = blocks.record(inline)
    assert names(blocks, root) == [root]


def test_a_dag_that_unfolds_without_end_is_stopped_by_each_bound() -> None:
    blocks = Blocks()
    cid = blocks.raw(b"x" * 1000)
    for _ in range(30):
        cid = blocks.record(*[cid] * 10)
    for limits in (DagLimits(max_blocks=500), DagLimits(max_bytes=50_000), DagLimits(max_depth=20)):
        with pytest.raises(LimitExceeded):
            for _ in walk(cid, blocks.__getitem__, limits, repeat=True):
                pass
    assert len(names(blocks, cid)) == 31


def test_an_unknown_codec_is_refused_by_name() -> None:
    with pytest.raises(InvalidDag, match="codec 0x129"):
        links_of(Cid.of(b"{}", 0x0129), b"{}")


def test_a_malformed_node_is_named() -> None:
    cid = Cid.of(b"\xff", DAG_PB)
    with pytest.raises(InvalidDag, match=str(cid)):
        links_of(cid, b"\xff")
