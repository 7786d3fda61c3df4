"""Reading files: every byte and range comes back, and a stranger's DAG costs no more than is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import DAG_CBOR, DAG_PB, Cid
from medward.store.dagpb import encode_node
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.importer import import_file
from medward.store.limits import DagLimits, file_of
from medward.store.reader import check_root, limits_of_root, read_file, walk_file
from medward.store.unixfs import encode_directory

from .test_unixfs import TINY, Blocks, file_node


@given(st.binary(max_size=200), st.integers(0, 220), st.integers(0, 220))
def test_any_range_comes_back_from_the_blocks_that_hold_it_alone(data: bytes, start: int, stop: int) -> None:
    blocks = Blocks()
    root = import_file(data, blocks.put, TINY).cid
    leaves = []

    def get(cid: Cid) -> bytes:
        if cid.codec != DAG_PB:
            leaves.append(cid)
        return blocks[cid]

    assert b"".join(read_file(root, get, start, stop)) == data[start:stop]
    needed = len(range(start // 4, -(-min(stop, len(data)) // 4))) if start < min(stop, len(data)) else 0
    assert len(leaves) == (needed if len(data) > 4 else 1 - (root.codec == DAG_PB))


def chain(depth: int, blocks: Blocks) -> Cid:
    cid = Cid.of(b"x")
    blocks[cid] = b"x"
    for _ in range(depth):
        block = file_node([(cid, 1)])
        cid = Cid.of(block, DAG_PB)
        blocks[cid] = block
    return cid


def test_a_dag_that_is_too_deep_is_refused() -> None:
    blocks = Blocks()
    assert b"".join(read_file(chain(32, blocks), blocks.__getitem__)) == b"x"
    with pytest.raises(LimitExceeded, match="deeper than 32"):
        list(read_file(chain(33, blocks), blocks.__getitem__))


def test_a_file_larger_than_the_reader_accepts_is_refused_before_a_byte() -> None:
    blocks = Blocks()
    root = import_file(b"0123456789", blocks.put, TINY).cid
    with pytest.raises(LimitExceeded, match="10 bytes; at most 9"):
        next(read_file(root, blocks.__getitem__, limits=DagLimits(max_bytes=9)))


def test_a_part_of_another_size_than_promised_is_refused() -> None:
    leaf = Cid.of(b"four")
    block = file_node([(leaf, 5)])
    root = Cid.of(block, DAG_PB)
    with pytest.raises(InvalidDag, match="4 bytes where its parent promises 5"):
        list(read_file(root, {leaf: b"four", root: block}.__getitem__))


def test_parts_without_bytes_cannot_keep_a_reader_busy() -> None:
    blocks = Blocks()
    empty = file_node([], data=None)
    cid = Cid.of(empty, DAG_PB)
    blocks[cid] = empty
    for _ in range(30):
        block = file_node([(cid, 0)] * 100)
        cid = Cid.of(block, DAG_PB)
        blocks[cid] = block
    assert list(read_file(cid, blocks.__getitem__)) == []


def test_a_file_whose_node_holds_bytes_of_its_own_and_parts_is_read_in_order() -> None:
    leaf = Cid.of(b"world")
    block = file_node([(leaf, 5)], data=b"hello ")
    root = Cid.of(block, DAG_PB)
    get = {leaf: b"world", root: block}.__getitem__
    assert b"".join(read_file(root, get)) == b"hello world"
    assert b"".join(read_file(root, get, 4, 8)) == b"o wo"


def test_what_is_no_file_is_said_with_its_name_and_kind() -> None:
    directory = encode_node((), encode_directory())
    for cid, block, told in (
        (Cid.of(directory, DAG_PB), directory, "is a directory, not a file"),
        (Cid.of(b"\xa0", DAG_CBOR), b"\xa0", "its codec is 0x71"),
        (Cid.of(b"\xff", DAG_PB), b"\xff", "a protobuf number is cut off"),
    ):
        with pytest.raises(InvalidDag, match=told) as refused:
            list(read_file(cid, {cid: block}.__getitem__))
        assert str(cid) in str(refused.value)


def test_file_that_is_linked_again_and_again_is_visited_no_more_often_than_is_accepted() -> None:
    leaf = Cid.of(b"x")
    block = file_node([(leaf, 1)] * 100)
    root = Cid.of(block, DAG_PB)
    get = {leaf: b"x", root: block}.__getitem__
    assert b"".join(read_file(root, get, limits=DagLimits(max_blocks=101))) == b"x" * 100
    with pytest.raises(LimitExceeded, match="more than 100 parts"):
        list(read_file(root, get, limits=DagLimits(max_blocks=100)))
    # Where a length is due, its price is bounded at every byte.
    with pytest.raises(LimitExceeded):
        list(read_file(root, get, limits=file_of(100)))
    assert [part.cid for part in walk_file(root, get, once=True)] == [root, leaf]


def test_limits_of_a_root_are_those_of_a_file_of_its_length() -> None:
    blocks = Blocks()
    root = import_file(b"0123456789", blocks.put, TINY).cid
    assert limits_of_root(root, blocks[root]) == file_of(10)
    check_root(root, blocks[root], file_of(10))
    check_root(root, b"anything", DagLimits())
    with pytest.raises(LimitExceeded, match="10 bytes, which is not the length"):
        check_root(root, blocks[root], file_of(11))
