"""Bytes that are read in order: short reads are joined, and a size that lies takes no memory."""

import io

import numpy as np
import pytest

from medward.fhe.computing.formats.byte_source import ByteSource
from medward.fhe.errors import MalformedEncoding
from tests.bombs import most_memory_of


class Trickle(io.BytesIO):
    """A pipe, which gives at most three bytes at a time, however many are asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size) if size is not None and size >= 0 else 3)


def test_pieces_of_a_pipe_are_the_bytes_in_order() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        data, at = random.bytes(200), 0
        source = ByteSource(Trickle(data), "table")
        for size in random.integers(0, 20, 9).tolist():
            assert source.take(size, "a row") == source.last == data[at : at + size]
            at += size
            assert source.position == at


@pytest.mark.parametrize("size", [0, 1, 3, 4, 11])
def test_end_inside_of_what_is_awaited_is_told_by_its_byte(size: int) -> None:
    source = ByteSource(Trickle(bytes(5 + size)), "table")
    source.take(5, "a head")
    with pytest.raises(MalformedEncoding, match=f"^table: ends at byte {5 + size}, inside a row: fetch it again"):
        source.take(12, "a row")
    assert source.position == 5


def test_file_that_goes_on_after_its_end_is_refused() -> None:
    source = ByteSource(io.BytesIO(b"12345"), "table")
    source.take(4, "a row")
    with pytest.raises(MalformedEncoding, match=r"^table: goes on after its end, at byte 4$"):
        source.end()
    whole = ByteSource(io.BytesIO(b"1234"), "table")
    whole.take(4, "a row")
    whole.end()


def test_size_that_lies_takes_memory_for_what_is_there() -> None:
    """A head can tell of terabytes: who believed it would ask the system for them at once."""
    source = ByteSource(io.BytesIO(bytes(100)), "table")

    def take() -> None:
        with pytest.raises(MalformedEncoding, match="ends at byte 100"):
            source.take(1 << 42, "a row")

    assert most_memory_of(take) < 1 << 21


def test_long_bytes_are_asked_for_in_pieces() -> None:
    asked: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    data = bytes(range(256)) * (5 << 10)
    assert ByteSource(Watched(data), "table").take(len(data), "rows") == data
    assert max(asked) == 1 << 20
    assert sum(asked) == len(data)
