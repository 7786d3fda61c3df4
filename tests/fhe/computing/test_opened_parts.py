"""Opened parts as bytes: one encoding, bound to its ciphertext, and no noise of a shape that is none."""

import numpy as np
import pytest

from medward.fhe.computing.flooding import LARGEST_BASE, MOST_DIGITS
from medward.fhe.computing.formats.fields import HEADER_BYTES, owner_field
from medward.fhe.computing.formats.opened_parts import read_opened_part, write_opened_part
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.samples import TINY, opened_part

SHAPE = HEADER_BYTES + len(owner_field(opened_part().owner)) + 32


def test_part_comes_back_and_is_written_the_same_again() -> None:
    part = opened_part()
    data = write_opened_part(part)
    again = read_opened_part(TINY, data)
    assert (again.owner, again.ciphertext, again.flood) == (part.owner, part.ciphertext, part.flood)
    np.testing.assert_array_equal(again.element, part.element)
    assert write_opened_part(again) == data


@pytest.mark.parametrize(
    ("base", "digits", "fine"),
    [(1, 1, True), (2, 2, True), (LARGEST_BASE, MOST_DIGITS, True), (0, 1, False), (1, 0, False), (1, 2, False),
     (2, 1, False), (LARGEST_BASE + 1, 2, False), (2, MOST_DIGITS + 1, False), (255, 255, False)],
)  # fmt: skip
def test_shape_of_noise_is_one_that_is_drawn(base: int, digits: int, fine: bool) -> None:
    data = bytearray(write_opened_part(opened_part()))
    data[SHAPE : SHAPE + 2] = bytes([base, digits])
    if fine:
        assert read_opened_part(TINY, bytes(data)).flood.digits == digits
    else:
        with pytest.raises(MalformedEncoding, match="noise"):
            read_opened_part(TINY, bytes(data))


def test_part_that_is_cut_or_too_long_is_refused_at_every_length() -> None:
    data = write_opened_part(opened_part())
    for size in (*range(0, SHAPE + 3), len(data) - 1):
        with pytest.raises(MalformedEncoding):
            read_opened_part(TINY, data[:size])
    with pytest.raises(MalformedEncoding):
        read_opened_part(TINY, data + b"\0")
