"""Unsigned varints: the specification's examples, and one form for each number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.varint import decode_varint, encode_varint

#: https://github.com/multiformats/unsigned-varint, "Examples".
EXAMPLES = {1: "01", 127: "7f", 128: "8001", 255: "ff01", 300: "ac02", 16384: "808001"}


@pytest.mark.parametrize(("value", "encoded"), EXAMPLES.items())
def test_examples_of_the_specification(value: int, encoded: str) -> None:
    assert encode_varint(value).hex() == encoded
    assert decode_varint(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


@given(st.integers(0, 2**63 - 1), st.binary(max_size=4), st.binary(max_size=4))
def test_number_comes_back_from_its_place_in_a_buffer(value: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(value)
    assert len(encoded) <= 9
    buffer = memoryview(before + encoded + after)
    assert decode_varint(buffer, len(before)) == (value, len(before) + len(encoded))


@given(st.binary(max_size=12))
def test_whatever_is_read_is_the_only_form_of_its_number(data: bytes) -> None:
    try:
        value, end = decode_varint(data)
    except ValueError:
        return
    assert encode_varint(value) == data[:end]


@pytest.mark.parametrize("data", ["", "80", "8000", "808000", "ff" * 9 + "01", "80" * 8])
def test_number_that_is_cut_off_too_long_or_has_a_shorter_form_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="varint is"):
        decode_varint(bytes.fromhex(data))


@pytest.mark.parametrize("value", [-1, 2**63])
def test_number_out_of_range_has_no_form(value: int) -> None:
    with pytest.raises(ValueError, match="no unsigned varint"):
        encode_varint(value)
