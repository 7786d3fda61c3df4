import json
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from dag_cbor.decoding.err import CBORDecodingError
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.encoding import content_identifier, decode, decode_form, encode
from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.messages import Prepare, Status, decode_message, encode_message
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import TxResult

VECTORS = json.loads((Path(__file__).parent / "vectors" / "dag_cbor.json").read_text())
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=300) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=30),
    max_leaves=40,
)
VOTE = Prepare(1, 2, 3, b"d" * 32, "hospital", (AlgorithmBytes("ed25519", b"s" * 64),))


@given(PLAIN)
def test_our_encoder_gives_the_bytes_of_the_reference_encoder(value):
    assert encode(value) == dag_cbor.encode(value)


@given(PLAIN)
def test_our_decoder_reads_what_the_reference_encoder_wrote(value):
    assert decode_form(dag_cbor.encode(value), Any) == value


@given(st.data())
def test_our_decoder_refuses_whatever_the_reference_decoder_refuses(data):
    encoded = bytearray(dag_cbor.encode(data.draw(PLAIN)))
    for _ in range(data.draw(st.integers(0, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    encoded = encoded[: data.draw(st.integers(0, len(encoded)))]
    try:
        value = decode_form(bytes(encoded), Any)
    except NotCanonical:
        return
    # What ours takes, the reference takes too and reads alike; maps, floats and links ours refuses on purpose.
    assert dag_cbor.decode(bytes(encoded)) == value
    assert encode(value) == bytes(encoded)


@given(st.binary(max_size=60))
def test_our_decoder_agrees_with_the_reference_on_random_bytes(data):
    try:
        value = decode_form(data, Any)
    except NotCanonical:
        try:
            reference = dag_cbor.decode(data)
        except (CBORDecodingError, ValueError, OverflowError):
            return
        assert not only_plain(reference)
        return
    assert dag_cbor.decode(data) == value


def only_plain(value):
    if isinstance(value, list):
        return all(map(only_plain, value))
    return value is None or isinstance(value, bool | int | str | bytes)


def test_deep_nesting_is_refused_without_exhausting_the_stack():
    with pytest.raises(NotCanonical):
        decode_form(b"\x81" * 100_000 + b"\x00", Any)


@pytest.mark.parametrize("case", VECTORS["must_reject_on_decode"], ids=lambda case: case["name"])
def test_every_form_that_is_not_canonical_is_refused(case):
    with pytest.raises(NotCanonical):
        decode_form(bytes.fromhex(case["hex"]), list | int | str | bytes | bool | None)


def test_content_identifiers_match_those_of_other_implementations():
    known = {case["name"]: case for case in VECTORS["encode"]}
    for name in ("true", "empty-string", "empty-bytes"):
        assert content_identifier(bytes.fromhex(known[name]["hex"])) == known[name]["cid"]


def test_a_message_survives_the_wire():
    assert decode_message(encode_message(VOTE)) == VOTE


def test_a_surplus_field_is_refused():
    parts = dag_cbor.decode(encode_message(VOTE))
    assert isinstance(parts, list)
    with pytest.raises(NotCanonical):
        decode_message(dag_cbor.encode([*parts, 0]))


def test_a_missing_field_is_refused():
    parts = dag_cbor.decode(encode_message(Status(0, 0, False, 0, 0, 0, False, 0)))
    assert isinstance(parts, list)
    with pytest.raises(NotCanonical):
        decode_message(dag_cbor.encode(parts[:-1]))


@pytest.mark.parametrize("field", [-1, 2**62 + 1, True, "1", b"1", None, 1.0])
def test_a_mistyped_or_negative_height_is_refused(field):
    parts = dag_cbor.decode(encode_message(VOTE))
    assert isinstance(parts, list)
    parts[3] = field
    with pytest.raises(NotCanonical):
        decode_message(dag_cbor.encode(parts))


@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(data):
    try:
        message = decode_message(data)
    except NotCanonical:
        return
    assert encode_message(message) == data


@given(st.integers(0, len(encode_message(VOTE)) * 8 - 1))
def test_a_flipped_bit_gives_another_value_or_is_refused(bit):
    data = bytearray(encode_message(VOTE))
    data[bit // 8] ^= 1 << bit % 8
    try:
        message = decode_message(bytes(data))
    except NotCanonical:
        return
    assert message != VOTE
    assert encode_message(message) == bytes(data)


def test_decode_names_the_type_that_was_expected():
    with pytest.raises(NotCanonical, match="not a canonical encoding"):
        decode(encode([1]), TxResult)
