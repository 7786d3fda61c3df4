"""CARs: those of other programs, our own, and broken ones."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.car import CarReader, car_header, car_section_head, pieces_of_file, write_car
from medward.store.cid import IDENTITY, RAW, Cid
from medward.store.dag import walk
from medward.store.errors import InvalidCar
from medward.store.importer import import_file
from medward.store.limits import MAX_BLOCK_BYTES
from medward.store.reader import read_file
from medward.store.varint import encode_varint

from . import vectors


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def a_car(contents: Iterable[bytes]) -> tuple[list[tuple[Cid, bytes]], bytes]:
    blocks = [(Cid.of(content), content) for content in contents]
    return blocks, b"".join(write_car([Cid.of(b"root")], blocks))


def test_the_car_of_the_javascript_tool_is_read_block_by_block() -> None:
    expected = vectors.load("car/car.json")
    with (vectors.FOLDER / "car" / expected["written_order"]["file"]).open("rb") as file:
        car = CarReader(pieces_of_file(file))
        blocks = list(car)
    assert [str(root) for root in car.roots] == [expected["root"]]
    assert [str(cid) for cid, _ in blocks] == [block["cid"] for block in expected["written_order"]["blocks"]]
    content = b"".join(read_file(car.roots[0], dict(blocks).__getitem__))
    assert hashlib.sha256(content).hexdigest() == expected["content"]["sha256"]


def test_our_depth_first_car_is_that_of_the_javascript_tool_byte_for_byte() -> None:
    expected = vectors.load("car/car.json")
    blocks: dict[Cid, bytes] = {}
    content = vectors.content(expected["content"]["size"])
    root = import_file(content, lambda cid, block: blocks.update({cid: bytes(block)})).cid
    car = b"".join(write_car([root], walk(root, blocks.__getitem__)))
    assert len(car) == expected["dfs_order"]["size"]
    assert hashlib.sha256(car).hexdigest() == expected["dfs_order"]["sha256"]


@given(st.lists(st.binary(max_size=200), max_size=6), st.integers(1, 64))
def test_a_car_comes_back_whatever_pieces_it_arrives_in(contents: list[bytes], size: int) -> None:
    blocks, encoded = a_car(contents)
    car = CarReader(in_pieces(encoded, size))
    assert car.roots == (Cid.of(b"root"),)
    assert list(car) == blocks


@given(st.data())
def test_a_car_that_is_cut_off_is_noticed_unless_it_ends_between_two_blocks(data: st.DataObject) -> None:
    blocks, encoded = a_car([b"first block", b"second block"])
    cut = data.draw(st.integers(0, len(encoded) - 1))
    header = len(car_header([Cid.of(b"root")]))
    first = header + len(car_section_head(*((blocks[0][0], len(blocks[0][1]))))) + len(blocks[0][1])
    if cut in (header, first):
        assert list(CarReader([encoded[:cut]])) == blocks[: 0 if cut == header else 1]
    else:
        with pytest.raises(InvalidCar):
            list(CarReader([encoded[:cut]]))


@given(st.data())
def test_a_changed_byte_never_gives_a_wrong_block(data: st.DataObject) -> None:
    _, encoded = a_car([b"first block", b"second block"])
    changed = bytearray(encoded)
    changed[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidCar):
        for cid, block in CarReader([bytes(changed)]):
            assert cid.matches(block)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "ends before its header"),
        (b"\x00", "0 bytes long"),
        (b"\xff\xff\xff\xff\x7f", "bytes long"),
        (encode_varint(2**40), "bytes long"),
        (b"\x80" * 12, "malformed"),
        (b"\x01\xa0", "no CAR of version 1"),
        (b"\x0a\xa1gversion\x02", "no CAR of version 1"),
        (b"\x0a\xa1gversion\x01", "roots and version"),
        (b"\x02\x18\x01", "header is malformed"),
    ],
)
def test_a_malformed_header_is_refused(encoded: bytes, reason: str) -> None:
    with pytest.raises(InvalidCar, match=reason):
        CarReader([encoded])


def test_a_block_that_does_not_match_its_name_is_refused() -> None:
    cid = Cid.of(b"right")
    with pytest.raises(InvalidCar, match="not what its name says"):
        list(CarReader([*write_car([cid], [(cid, b"wrong")])]))


def test_a_block_of_another_hash_function_is_refused() -> None:
    name = b"\x01\x55\x13\x40" + hashlib.sha512(b"block").digest()
    section = encode_varint(len(name) + 5) + name + b"block"
    with pytest.raises(InvalidCar, match="cannot be checked"):
        list(CarReader([car_header([Cid.of(b"root")]), section]))


def test_a_block_larger_than_two_mebibytes_is_refused_before_it_is_read() -> None:
    arrived = 0

    def endless() -> Iterator[bytes]:
        nonlocal arrived
        yield car_header([Cid.of(b"root")])
        yield car_section_head(Cid.of(b""), MAX_BLOCK_BYTES * 8)
        while True:
            arrived += 65536
            yield bytes(65536)

    with pytest.raises(InvalidCar, match="bytes long"):
        list(CarReader(endless()))
    assert arrived <= 65536


def test_blocks_inside_their_own_cid_are_skipped() -> None:
    inline = Cid(1, RAW, IDENTITY, b"inline")
    assert list(CarReader([*write_car([inline], [(inline, b"inline")])])) == []
