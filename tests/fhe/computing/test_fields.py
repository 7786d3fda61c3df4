"""Fields of encodings: one form for each value, and what is out of its range is refused in a sentence."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.fhe.computing.formats.fields import (
    HEADER_BYTES,
    MOST_LABEL,
    MOST_NAME,
    FieldReader,
    FormatKind,
    check_owner,
    double,
    header,
    label_field,
    number,
    owner_field,
    packed,
)
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.samples import PRIMES, TINY, elements
from tests.fhe.computing.world import small

KIND = FormatKind.CIPHERTEXT
DIGITS = "/0123456789abcdef"


def reader(body: bytes, kind: FormatKind = KIND) -> FieldReader:
    return FieldReader(kind, TINY, header(KIND, TINY) + body)


@given(st.integers(1, 8).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, 256**size - 1))))
def test_numbers_come_back(drawn: tuple[int, int]) -> None:
    size, value = drawn
    assert reader(number(value, size)).number(size, "a number", 0, 256**size) == value


@pytest.mark.parametrize("value", [4, 9, 255])
def test_number_out_of_its_limits_is_refused(value: int) -> None:
    with pytest.raises(MalformedEncoding, match=f"ciphertext with levels {value}: it is 5 to 8"):
        reader(number(value, 1)).number(1, "levels", 5, 8)


@given(st.floats(0, allow_infinity=False, allow_nan=False))
def test_doubles_come_back_and_minus_zero_has_one_form(value: float) -> None:
    assert reader(double(value)).double("a bound") == value
    assert double(-0.0) == double(0.0) == bytes(8)


@pytest.mark.parametrize("value", [math.inf, math.nan, -1.0, -5e-324])
def test_what_is_no_bound_is_neither_written_nor_read(value: float) -> None:
    with pytest.raises(MalformedEncoding):
        double(value)
    for data in (struct.pack("<d", value), struct.pack("<d", -0.0)):
        with pytest.raises(MalformedEncoding, match="finite and not negative"):
            reader(data).double("a bound")


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=60))
def test_owners_come_back(name: str) -> None:
    assert reader(owner_field(name + DIGITS)).owner() == name + DIGITS


@pytest.mark.parametrize(
    "owner",
    ["", DIGITS, "ahus", "ahus/0123", "ahus" + DIGITS.upper(), "ahus" + DIGITS + "0" * 16, "a\nb" + DIGITS,
     "\u202ea" + DIGITS,
     "a" * (MOST_NAME - 16) + DIGITS, "ø" * 120 + DIGITS, "\ud800" + DIGITS, "ahus" + DIGITS + "\n"],
)  # fmt: skip
def test_what_names_no_key_is_neither_written_nor_read(owner: str) -> None:
    with pytest.raises(MalformedEncoding, match="names no key") as caught:
        check_owner(owner)
    assert str(caught.value).isprintable()
    data = owner.encode(errors="surrogatepass")
    if len(data) <= MOST_NAME:
        with pytest.raises(MalformedEncoding):
            reader(number(len(data), 1) + data).owner()


@given(st.binary(max_size=300))
def test_any_bytes_are_an_owner_or_refused(data: bytes) -> None:
    try:
        owner = reader(data).owner()
    except MalformedEncoding:
        return
    assert data.startswith(owner_field(owner))


@pytest.mark.parametrize("size", [0, 1, MOST_LABEL])
def test_labels_come_back(size: int) -> None:
    assert reader(label_field(b"\xff" * size)).label() == b"\xff" * size


def test_long_label_is_neither_written_nor_read() -> None:
    with pytest.raises(MalformedEncoding):
        label_field(bytes(MOST_LABEL + 1))
    with pytest.raises(MalformedEncoding):
        reader(number(MOST_LABEL + 1, 2) + bytes(MOST_LABEL + 1)).label()


def test_header_of_anything_else_is_refused() -> None:
    good = header(KIND, TINY)
    assert len(good) == HEADER_BYTES
    for data, told in (
        (b"", "too short"),
        (good[:-1], "too short"),
        (b"MWC2" + good[4:], "newest medward"),
        (good[:5] + b"\1" + good[6:], "something else than a ciphertext"),
        (header(FormatKind.PUBLIC_KEY, TINY), "something else than a ciphertext"),
        (header(KIND, small(levels=2, degree=64)), "other parameters"),
    ):
        with pytest.raises(MalformedEncoding, match=told):
            FieldReader(KIND, TINY, data)
    with pytest.raises(MalformedEncoding, match="something else than a public key"):
        reader(b"", FormatKind.PUBLIC_KEY)


def test_rows_are_read_only_where_just_as_many_are_left() -> None:
    rows = elements("rows", 2, PRIMES)
    data = packed(rows, PRIMES)
    own = reader(data)
    own.expect(2, PRIMES)
    for one in rows:
        np.testing.assert_array_equal(own.rows(PRIMES), one)
    own.expect(0, PRIMES)
    for wrong in (data[:-1], data + b"\0", data[: len(data) // 2], b""):
        with pytest.raises(MalformedEncoding, match=rf"not {HEADER_BYTES + len(data)}$"):
            reader(wrong).expect(2, PRIMES)
    with pytest.raises(MalformedEncoding, match="ciphertext is damaged: a residue"):
        reader(b"\xff" * len(data)).rows(PRIMES)
