"""Protocol Buffers: the encodings of the format's own documentation, and bytes that are no message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.cometbft.protobuf import decode, encode, read_varint, table, varint
from medward.ledger.errors import NotCanonical

INNER = table(a=(1, "int"))
FORM = table(
    a=(1, "int"), b=(2, "text"), c=(3, INNER), d=(4, "int", "repeated"), e=(5, "sfixed64"), f=(6, "bytes"),
    g=(7, INNER, "repeated"), h=(8, INNER, "always"),
)  # fmt: skip
INT64 = st.integers(-(2**63), 2**63 - 1)
INNERS = st.fixed_dictionaries({"a": INT64})


def test_examples_of_the_format_s_documentation() -> None:
    """protobuf.dev, "Encoding": 150 in field 1, "testing" in field 2, and a message in field 3."""
    assert encode(FORM, {"a": 150})[:3] == bytes.fromhex("089601")
    assert encode(table(b=(2, "text")), {"b": "testing"}) == bytes.fromhex("120774657374696e67")
    assert encode(table(c=(3, INNER)), {"c": {"a": 150}}) == bytes.fromhex("1a03089601")
    assert varint(-1) == b"\xff" * 9 + b"\x01"


@given(
    st.fixed_dictionaries(
        {
            "a": INT64, "b": st.text(max_size=9), "c": st.none() | INNERS, "d": st.lists(INT64, max_size=3), "e": INT64,
            "f": st.binary(max_size=9), "g": st.lists(INNERS, max_size=3), "h": INNERS,
        }
    )
)  # fmt: skip
def test_message_comes_back(message: dict[str, object]) -> None:
    assert decode(FORM, encode(FORM, message)) == message


@pytest.mark.parametrize("kind", ["int", "sfixed64"])
@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64 + 10, 10**30])
def test_number_that_does_not_fit_is_refused_and_never_written_as_another(kind: str, value: int) -> None:
    with pytest.raises(NotCanonical, match="more than 64 bits"):
        encode(table(a=(1, kind)), {"a": value})


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        found = decode(FORM, data)
    except NotCanonical:
        return
    assert decode(FORM, encode(FORM, found)) == {**found, "h": found["h"] or {"a": 0}}


@pytest.mark.parametrize(
    "data",
    [
        *(b"\x08", b"\x08\x80", b"\x08" + b"\x80" * 10 + b"\x01", b"\x12\x05abc", b"\x29\x01\x02", b"\x0b", b"\x0f"),
        *(b"\x0a\x00", b"\x10\x01", b"\x12\x01\xff", b"\x1a\x01\x08", b"\x12" + b"\xff" * 9 + b"\x01"),
    ],
)
def test_message_that_is_cut_short_or_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(FORM, data)


def test_unknown_fields_are_skipped_and_absent_ones_have_their_default() -> None:
    assert decode(table(a=(1, "int")), bytes.fromhex("120774657374696e67 19 0102030405060708 25 01020304 0805")) == {
        "a": 5
    }
    assert decode(FORM, b"") == {"a": 0, "b": "", "c": None, "d": [], "e": 0, "f": b"", "g": [], "h": None}


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_varint_comes_back_and_says_where_it_ends(value: int, after: bytes) -> None:
    assert read_varint(b"x" + varint(value) + after, 1) == (value, 1 + len(varint(value)))
