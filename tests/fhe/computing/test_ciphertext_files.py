"""Files of ciphertexts: read with the memory of one, and nothing that was cut, altered or moved is handed out."""

import io
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.computing.ciphertexts import Ciphertext, encrypt
from medward.fhe.computing.evaluation import add, lower
from medward.fhe.computing.formats.ciphertext_files import read_ciphertexts, write_ciphertexts
from medward.fhe.computing.formats.ciphertexts import write_ciphertext
from medward.fhe.computing.formats.fields import HEADER_BYTES
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.world import owners, small

PARAMETERS = small(levels=1, degree=64)


def _ciphertexts(count: int) -> list[Ciphertext]:
    secret = owners(2, PARAMETERS).secret(0)
    return [encrypt(secret, [k / 8]) for k in range(count)]


def _file(ciphertexts: list[Ciphertext]) -> bytes:
    file = io.BytesIO()
    write_ciphertexts(file, PARAMETERS, ciphertexts)
    return file.getvalue()


def _read(data: bytes) -> list[Ciphertext]:
    return list(read_ciphertexts(io.BytesIO(data), PARAMETERS))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_file_holds_what_was_written_in_order(count: int) -> None:
    written = _ciphertexts(count)
    file = io.BytesIO()
    digest = write_ciphertexts(file, PARAMETERS, iter(written))
    assert file.getvalue().endswith(digest)
    found = _read(file.getvalue())
    assert [write_ciphertext(x) for x in found] == [write_ciphertext(x) for x in written]


def test_ciphertexts_are_handed_out_one_by_one_with_the_memory_of_one() -> None:
    parameters = small(levels=2, degree=8192)
    secret = owners(1, parameters).secret(0)

    def made() -> Iterator[Ciphertext]:
        for k in range(24):
            yield encrypt(secret, [k / 32])

    file = io.BytesIO()
    write_ciphertexts(file, parameters, made())
    size = len(file.getvalue()) // 24
    file.seek(0)
    tracemalloc.start()
    positions = [file.tell() for _ in read_ciphertexts(file, parameters)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(positions) == 24
    assert np.abs(np.diff(positions) - size).max() < 100, "each is handed out when it was read, not at the end"
    assert peak < 12 * size


def test_reader_works_on_a_pipe_that_gives_little_at_a_time() -> None:
    class Trickle(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = data

        def read(self, size: int = -1) -> bytes:
            taken, self._data = self._data[: min(size, 7)], self._data[min(size, 7) :]
            return taken

    written = _ciphertexts(2)
    found = list(read_ciphertexts(Trickle(_file(written)), PARAMETERS))
    assert np.array_equal(found[1].parts, written[1].parts)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_file_that_ends_early_names_the_byte(data: st.DataObject) -> None:
    whole = _file(_ciphertexts(2))
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MalformedEncoding, match=rf"ends at byte {end}, inside ") as found:
        _read(whole[:end])
    assert "\n" not in str(found.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_altered_file_hands_out_what_stands_before_and_names_the_ciphertext(data: st.DataObject) -> None:
    written = _ciphertexts(3)
    whole = bytearray(_file(written))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    record = 4 + len(write_ciphertext(written[0])) + 32
    found = []
    with pytest.raises(MalformedEncoding) as error:
        found.extend(read_ciphertexts(io.BytesIO(bytes(whole)), PARAMETERS))
    before = min(3, max(0, place - HEADER_BYTES) // record)
    for got, was in zip(found, written[:before], strict=False):
        assert write_ciphertext(got) == write_ciphertext(was)
    assert len(found) <= before
    if place >= HEADER_BYTES:
        at = HEADER_BYTES + before * record
        name = f"ciphertext {before + 1}, at byte {at}" if before < 3 else "at byte"
        assert name in str(error.value)


def test_ciphertexts_that_were_moved_doubled_or_dropped_are_refused() -> None:
    whole = _file(_ciphertexts(3))
    record = (len(whole) - HEADER_BYTES - 44) // 3
    head, first, second, third = (whole[: HEADER_BYTES], *(
        whole[HEADER_BYTES + k * record : HEADER_BYTES + (k + 1) * record] for k in range(3)
    ))  # fmt: skip
    end = whole[HEADER_BYTES + 3 * record :]
    for records, place in (
        ((second, first, third), 1), ((first, first, second, third), 2), ((first, third), 2), ((first, second), None),
    ):  # fmt: skip
        text = "its end, at byte" if place is None else f"ciphertext {place}, at byte"
        with pytest.raises(MalformedEncoding, match=text):
            _read(head + b"".join(records) + end)
    with pytest.raises(MalformedEncoding, match=f"goes on after its end, at byte {len(whole)}"):
        _read(whole + b"\0")


def test_length_that_no_ciphertext_has_is_refused_before_memory_is_taken() -> None:
    head = _file([])[:HEADER_BYTES]
    largest = 20_000
    for length, text in ((0xFFFFFFFF, "none has above"), (largest, "ends at byte")):
        tracemalloc.start()
        with pytest.raises(MalformedEncoding, match=text):
            _read(head + length.to_bytes(4, "little") + bytes(100))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000


def test_ciphertext_of_too_many_keys_or_other_parameters_is_refused() -> None:
    world = owners(2, PARAMETERS)
    both = add(encrypt(world.secret(0), [0.5]), encrypt(world.secret(1), [0.5]))
    data = _file([both])
    assert len(_read(data)) == 1
    for result, text in ((both, "none has above"), (lower(both, 0), "it is under 2 keys, not 1")):
        with pytest.raises(MalformedEncoding, match=rf"ciphertext 1, at byte 24.*{text}"):
            list(read_ciphertexts(io.BytesIO(_file([result])), PARAMETERS, owners=1))
    with pytest.raises(MalformedEncoding, match=r"ciphertext 1, at byte 24: ciphertext that somebody computed"):
        list(read_ciphertexts(io.BytesIO(data), PARAMETERS, input_only=True))
    with pytest.raises(MalformedEncoding, match="other parameters"):
        list(read_ciphertexts(io.BytesIO(data), small(levels=2, degree=64)))
    with pytest.raises(MalformedEncoding, match="ciphertext 1 is of other parameters"):
        write_ciphertexts(io.BytesIO(), small(levels=2, degree=64), [both])
