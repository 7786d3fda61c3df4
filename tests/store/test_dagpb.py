"""DAG-PB nodes: one canonical form is written, and of others nothing doubtful is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import DAG_PB, Cid
from medward.store.dagpb import PbLink, PbNode, bytes_field, decode_node, encode_node, encode_uint64, integer_field
from medward.store.errors import InvalidDag
from medward.store.limits import MAX_LINKS

CID = Cid.of(b"child")
CIDS = st.binary(max_size=8).map(Cid.of)
LINKS = st.builds(PbLink, CIDS, st.text(max_size=8), st.integers(0, 2**64 - 1))


def link(*fields: bytes) -> bytes:
    return bytes_field(2, b"".join(fields))


HASH, NAME, SIZE = bytes_field(1, bytes(CID)), bytes_field(2, b"name"), integer_field(3, 5)


@given(st.lists(LINKS, max_size=5), st.binary(max_size=40))
def test_node_comes_back(links: list[PbLink], data: bytes) -> None:
    assert decode_node(encode_node(links, data)) == PbNode(links, data)


def test_empty_directory_is_the_one_that_everybody_knows() -> None:
    assert (
        str(Cid.of(encode_node((), bytes.fromhex("0801")), DAG_PB, 0))
        == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    )


def test_links_may_stand_before_or_after_the_data_and_fields_may_be_missing() -> None:
    expected = [PbLink(CID, "name", 5)]
    for block in (link(HASH, NAME, SIZE) + bytes_field(1, b"x"), bytes_field(1, b"x") + link(HASH, NAME, SIZE)):
        assert decode_node(block) == PbNode(expected, b"x")
    assert decode_node(b"") == PbNode([], None)
    assert decode_node(link(HASH)) == PbNode([PbLink(CID, "", 0)], None)


@pytest.mark.parametrize(
    "block",
    [
        bytes_field(1, b"x") + bytes_field(1, b"x"),
        bytes_field(3, b"x"),
        integer_field(1, 5),
        link(),
        link(NAME, SIZE),
        link(HASH, HASH),
        link(HASH, NAME, NAME),
        link(HASH, SIZE, SIZE),
        link(HASH, NAME, SIZE, NAME),
        link(HASH, bytes_field(2, b"\xff")),
        link(HASH, bytes_field(3, b"5")),
        link(bytes_field(1, b"no cid")),
        link(bytes_field(1, b"")),
        link(HASH)[:-1],
        b"\x00",
        b"\x02",
        b"\x0b",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a" + b"\x80" * 10 + b"\x01",
        b"\x0a" + b"\xff" * 9 + b"\x02",
    ],
)
def test_what_is_doubtful_is_refused(block: bytes) -> None:
    with pytest.raises(InvalidDag):
        decode_node(block)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_node_or_refused(block: bytes) -> None:
    try:
        node = decode_node(block)
    except InvalidDag:
        return
    again = decode_node(encode_node(node.links, node.data or b""))
    assert (again.links, again.data) == (node.links, node.data or b"")


def test_block_of_more_links_than_are_read_is_refused() -> None:
    assert len(decode_node(link(HASH) * MAX_LINKS).links) == MAX_LINKS
    with pytest.raises(InvalidDag, match="more fields than are read"):
        decode_node(link(HASH) * (MAX_LINKS + 2))


@given(st.integers(0, 2**64 - 1))
def test_number_has_as_many_bytes_as_it_needs(value: int) -> None:
    assert len(encode_uint64(value)) == max(1, -(-value.bit_length() // 7))
