"""DAG-CBOR records: the published forms, and a refusal of every other form."""

import base64
import json
import math
from typing import Any

import dag_cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.errors import InvalidRecord
from medward.store.records import MAX_DEPTH, RecordValue, decode_record, encode_record, links_of_value, record_cid

from . import vectors

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | st.binary(max_size=40)
    | st.builds(Cid.of, st.binary(max_size=5)),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=4),
    max_leaves=12,
)


def from_dag_json(value: Any) -> RecordValue:
    if isinstance(value, dict) and set(value) == {"/"}:
        inner = value["/"]
        if isinstance(inner, str):
            return Cid.parse(inner)
        encoded = inner["bytes"]
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    if isinstance(value, dict):
        return {key: from_dag_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_dag_json(item) for item in value]
    result: RecordValue = value
    return result


def test_every_vector_is_encoded_decoded_and_named_as_published() -> None:
    for case in vectors.load("dag_cbor.json")["encode"]:
        value = from_dag_json(case["value"])
        encoded = encode_record(value)
        assert encoded.hex() == case["hex"], case["name"]
        assert decode_record(encoded) == value, case["name"]
        assert str(record_cid(encoded)) == case["cid"], case["name"]


def test_every_form_that_is_not_canonical_is_refused() -> None:
    for case in vectors.load("dag_cbor.json")["must_reject_on_decode"]:
        with pytest.raises(InvalidRecord):
            decode_record(bytes.fromhex(case["hex"]))


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("", "nothing at all"),
        ("f97e00", "half-precision NaN"),
        ("fa3f800000", "single-precision 1.0"),
        ("fb7ff8000000000000", "NaN"),
        ("fb7ff0000000000000", "infinity"),
        ("fbfff0000000000000", "minus infinity"),
        ("190017", "23 in three bytes"),
        ("1a000000ff", "255 in five bytes"),
        ("1b00000000ffffffff", "2**32 - 1 in nine bytes"),
        ("5800", "length 0 in two bytes"),
        ("5f4161ff", "bytes of indefinite length"),
        ("9f01ff", "a list of indefinite length"),
        ("bf6161f5ff", "a map of indefinite length"),
        ("c074323031332d30332d32315432303a30343a30305a", "a tag other than 42"),
        ("d82a40", "a link without bytes"),
        ("d82a4100", "a link to nothing"),
        ("d82a0a", "a link that is a number"),
        ("d82a582501550012" + "20" + "00" * 32, "a link without its leading zero"),
        ("62c328", "text that is not UTF-8"),
        ("61", "text cut off"),
        ("5b7fffffffffffffff", "bytes beyond all memory"),
        ("9bffffffffffffffff", "a list beyond all memory"),
        ("bbffffffffffffffff", "a map beyond all memory"),
        ("f4f4", "two items"),
        ("e0", "a simple value that does not exist"),
        ("f814", "false in two bytes"),
        ("ff", "a stop without a start"),
    ],
)
def test_malformed_and_non_canonical_bytes_are_refused(encoded: str, why: str) -> None:
    with pytest.raises(InvalidRecord):
        decode_record(bytes.fromhex(encoded))


@given(values)
def test_every_value_has_one_form_and_comes_back(value: RecordValue) -> None:
    encoded = encode_record(value)
    assert decode_record(encoded) == value
    assert encode_record(decode_record(encoded)) == encoded


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_the_only_form_of_a_value_or_refused(data: bytes) -> None:
    try:
        value = decode_record(data)
    except InvalidRecord:
        return
    assert encode_record(value) == data


@given(values, st.data())
def test_a_record_with_one_byte_changed_is_another_record_or_refused(value: RecordValue, data: st.DataObject) -> None:
    encoded = bytearray(encode_record(value))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_record(bytes(encoded))
    except InvalidRecord:
        return
    assert encode_record(changed) == bytes(encoded)


def test_the_sign_of_zero_is_kept() -> None:
    assert math.copysign(1, decode_record(encode_record(-0.0))) == -1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 1 << 64, -(1 << 64) - 1, {1: "x"}, {"x": object()}, "\ud800", {"bytes": {1, 2}}]
)
def test_a_value_without_a_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRecord):
        encode_record(value)


def test_depth_is_bounded_the_same_on_every_machine() -> None:
    def nested(depth: int) -> bytes:
        return b"\x81" * depth + b"\x00"

    decode_record(nested(MAX_DEPTH))
    with pytest.raises(InvalidRecord, match="deeper"):
        decode_record(nested(MAX_DEPTH + 2))
    with pytest.raises(InvalidRecord, match="deeper"):
        decode_record(nested(100_000))
    value: RecordValue = 0
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(InvalidRecord, match="deeper"):
        encode_record(value)


def test_a_record_over_a_mebibyte_is_refused_both_ways() -> None:
    with pytest.raises(InvalidRecord, match="1 MiB"):
        encode_record(bytes(1024 * 1024))
    with pytest.raises(InvalidRecord, match="1 MiB"):
        decode_record(dag_cbor.encode(bytes(1024 * 1024)))


def test_links_are_found_wherever_they_stand() -> None:
    first, second = Cid.of(b"1"), Cid.of(b"2")
    assert links_of_value({"a": [1, first], "b": {"c": second}, "d": json.dumps({})}) == [first, second]
