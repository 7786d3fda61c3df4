"""Sealed data: they come back whole to those they are sealed to, and no change goes unnoticed."""

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.sealed_data.format import Header, Origin, SealBroken, open_data, read_header, seal_data
from medward.fhe.hybrid import HybridKey
from medward.ledger.encoding import encode

OWNER, OTHER, STRANGER = HybridKey(), HybridKey(), HybridKey()
READERS = {"north": OWNER.public, "south": OTHER.public}
ORIGIN = Origin("ward-1", "north", b"s" * 32, 12)
CHUNK = 16
TAG = 16


def sealed(content: bytes, origin: Origin = ORIGIN, chunk: int = CHUNK) -> bytes:
    return b"".join(seal_data(io.BytesIO(content), origin, READERS, chunk))


def opened(data: bytes, reader: str = "north", key: HybridKey = OWNER) -> bytes:
    return b"".join(open_data(io.BytesIO(data), reader, key))


def head_of(data: bytes) -> int:
    return len(read_header(io.BytesIO(data))[1])


@given(st.binary(max_size=100))
def test_any_content_comes_back_to_every_reader(content: bytes) -> None:
    data = sealed(content)
    assert opened(data) == content
    assert opened(data, "south", OTHER) == content


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_size_is_that_of_the_content_and_a_tag_for_each_chunk(size: int) -> None:
    data = sealed(bytes(size))
    chunks = max(1, -(-size // CHUNK))
    assert len(data) - head_of(data) == size + TAG * chunks
    assert opened(data) == bytes(size)


def test_header_says_in_the_open_what_the_data_are_and_nothing_of_their_content() -> None:
    data = sealed(b"patient 4711")
    header, _ = read_header(io.BytesIO(data))
    assert (header.origin, header.readers) == (ORIGIN, ("north", "south"))
    assert b"4711" not in data
    assert sealed(b"patient 4711") != data, "every sealing has a key of its own"


def test_nobody_else_opens_them() -> None:
    data = sealed(b"content")
    with pytest.raises(SealBroken, match="not to east"):
        opened(data, "east", STRANGER)
    with pytest.raises(SealBroken, match="another key of north"):
        opened(data, "north", STRANGER)
    with pytest.raises(SealBroken, match="another key of south"):
        opened(data, "south", OWNER)


@settings(max_examples=300)
@given(st.data())
def test_no_changed_bit_gives_a_wrong_byte(data: st.DataObject) -> None:
    content = bytes(range(40))
    changed = bytearray(sealed(content))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    given_out = b""
    with suppress(SealBroken):
        for chunk in open_data(io.BytesIO(bytes(changed)), "north", OWNER):
            given_out += chunk
        raise AssertionError("a change went unnoticed")
    assert content.startswith(given_out)


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """The header, and the chunks."""
    start, size = head_of(data), CHUNK + TAG
    return data[:start], [data[at : at + size] for at in range(start, len(data), size)]


def rearranged(data: bytes) -> Iterator[tuple[str, bytes]]:
    head, (first, second, third, last) = pieces(data)
    yield "the last chunk is missing", head + first + second + third
    yield "all but the first are missing", head + first
    yield "all chunks are missing", head
    yield "the last byte is missing", data[:-1]
    yield "the last chunk has lost its content", head + first + second + third + last[:TAG]
    yield "a chunk is missing in the middle", head + first + third + last
    yield "two chunks changed places", head + second + first + third + last
    yield "a chunk comes twice", head + first + first + second + third + last
    yield "the last chunk comes twice", data + last
    yield "the last chunk comes first", head + last + first + second + third
    yield "something follows", data + b"x"
    yield "the header is cut", head[:-1]
    yield "there is nothing", b""


@pytest.mark.parametrize("number", range(13))
def test_cut_repeated_and_reordered_chunks_are_refused(number: int) -> None:
    what, changed = list(rearranged(sealed(bytes(range(3 * CHUNK + 5)))))[number]
    try:
        opened(changed)
    except SealBroken:
        return
    raise AssertionError(what)


def test_chunk_of_other_data_of_the_same_owner_is_refused() -> None:
    (head, own), (_, other) = pieces(sealed(bytes(40))), pieces(sealed(bytes(40)))
    with pytest.raises(SealBroken):
        opened(head + own[0] + other[1] + own[2])


@pytest.mark.parametrize(
    "origin",
    [
        Origin("ward-2", "north", b"s" * 32, 12),
        Origin("ward-1", "east", b"s" * 32, 12),
        Origin("ward-1", "north", b"t" * 32, 12),
        Origin("ward-1", "north", b"s" * 32, 13),
    ],
)
def test_data_cannot_be_passed_off_as_those_of_another_federation_member_schema_or_size(origin: Origin) -> None:
    data = sealed(b"content")
    header, head = read_header(io.BytesIO(data))
    encoded = encode(Header(origin, header.chunk_bytes, header.commitment, header.boxes))
    forged = head[: -len(encode(header)) - 4] + len(encoded).to_bytes(4, "big") + encoded + data[len(head) :]
    assert read_header(io.BytesIO(forged))[0].origin == origin
    with pytest.raises(SealBroken):
        opened(forged)


def test_boxes_with_different_keys_are_refused_by_the_commitment() -> None:
    """An owner cannot make data that one reader opens to this and another one to that."""
    one, two = sealed(b"content"), sealed(b"another")
    (first, head), (second, _) = read_header(io.BytesIO(one)), read_header(io.BytesIO(two))
    mixed = Header(ORIGIN, CHUNK, first.commitment, (first.boxes[0], second.boxes[1]))
    encoded = encode(mixed)
    forged = head[: -len(encode(first)) - 4] + len(encoded).to_bytes(4, "big") + encoded + one[len(head) :]
    with pytest.raises(SealBroken, match="made to deceive"):
        opened(forged, "south", OTHER)


@pytest.mark.parametrize(
    "data", [b"x" * 100, b"medward sealed data 1\n\xff\xff\xff\xff", b"medward sealed data 1\n\0\0\0\2\x80\x00"]
)
def test_what_is_no_sealed_data_is_refused_without_reading_on(data: bytes) -> None:
    source = io.BytesIO(data + bytes(10_000_000))
    with pytest.raises(SealBroken):
        read_header(source)
    assert source.tell() < 100


def test_malformed_public_key_of_a_reader_is_refused() -> None:
    for public in (b"", bytes(1216), OWNER.public[:-1]):
        with pytest.raises(SealBroken, match="let it publish another"):
            list(seal_data(io.BytesIO(b""), ORIGIN, {"north": public}))


class _Zeros(io.RawIOBase):
    """So many bytes, made as they are read, in odd pieces."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        given = min(size, self._left, 300_001)
        self._left -= given
        return bytes(given)


class _Pieces(io.RawIOBase):
    """An iterator's bytes as a file."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source, self._rest = source, b""

    def read(self, size: int = -1) -> bytes:
        self._rest = self._rest or next(self._source, b"")
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


def test_a_large_file_needs_the_memory_of_a_few_chunks() -> None:
    size = 64 * 2**20
    tracemalloc.start()
    try:
        data = _Pieces(seal_data(_Zeros(size), ORIGIN, READERS))  # type: ignore[arg-type]
        assert sum(len(chunk) for chunk in open_data(data, "north", OWNER)) == size  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()


def test_header_cannot_make_a_reader_hold_large_chunks_or_many_boxes() -> None:
    data = sealed(b"content")
    header, head = read_header(io.BytesIO(data))
    for chunk_bytes, boxes in ((2**26, header.boxes), (header.chunk_bytes, header.boxes * 300)):
        encoded = encode(Header(header.origin, chunk_bytes, header.commitment, boxes))
        forged = head[: -len(encode(header)) - 4] + len(encoded).to_bytes(4, "big") + encoded + data[len(head) :]
        with pytest.raises(SealBroken, match="malformed"):
            read_header(io.BytesIO(forged))
