"""Small structured records as DAG-CBOR, of which every value has exactly one byte form.

A ledger names records by their hash, so bytes that are not the canonical form of anything are refused: over-long
numbers, unsorted or repeated keys, half- and single-precision floats, NaN, infinities, tags other than links.
Source: https://ipld.io/specs/codecs/dag-cbor/spec/ (strictness).
"""

from typing import Any

import dag_cbor
from dag_cbor.decoding.err import CBORDecodingError
from dag_cbor.encoding.err import CBOREncodingError
from multiformats import CID

from medward.errors import first_line
from medward.store.cid import DAG_CBOR, Cid
from medward.store.errors import InvalidCid, InvalidRecord

MAX_RECORD_BYTES = 1024 * 1024
MAX_ITEMS = 2**16  # numbers, texts, lists and the like; each takes many times its bytes in memory
MAX_RECORD_LINKS = 1024  # the library takes 0.2 ms for each
MAX_DEPTH = 64  # fixed, so that every node refuses the same records however deep its own call stack is

RecordValue = None | bool | int | float | str | bytes | Cid | list["RecordValue"] | dict[str, "RecordValue"]

_NEEDS_BYTES, _NEEDS_ITEMS, _NEEDS_PAIRS, _TAG = (2, 3), 4, 5, 6


def encode_record(value: RecordValue) -> bytes:
    """Return the canonical DAG-CBOR bytes of `value`; a `Cid` inside it becomes a link.

    Raises InvalidRecord if the value has no such form (a number beyond 64 bits, NaN, a key that is no text), is nested
    deeper than 64 levels, has more than 65,536 items or 1,024 links, or is longer than 1 MiB when encoded.
    """
    try:
        encoded = dag_cbor.encode(_with_library_links(value, 0))
    except (CBOREncodingError, TypeError, ValueError, OverflowError) as error:
        raise InvalidRecord(f"this value cannot be a record: {first_line(error)}") from None
    if len(encoded) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"a record of {len(encoded)} bytes is too long: link a blob for more than 1 MiB")
    _check_nesting(encoded)
    return encoded


def decode_record(encoded: bytes) -> RecordValue:
    """Return the value of which `encoded` is the canonical form; InvalidRecord if it is that of none."""
    if len(encoded) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"a record of {len(encoded)} bytes is longer than 1 MiB")
    _check_nesting(encoded)
    try:
        decoded = dag_cbor.decode(bytes(encoded))
        # The library is strict already; this second look costs little and holds whatever a later version does.
        canonical = dag_cbor.encode(decoded)
        value = _with_our_links(decoded)
    except (CBORDecodingError, InvalidCid) as error:
        raise InvalidRecord(f"not canonical DAG-CBOR: {first_line(error)}") from None
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise InvalidRecord(f"not canonical DAG-CBOR: {first_line(error)}") from None
    if canonical != encoded:
        raise InvalidRecord("not canonical DAG-CBOR: the same value has another, shorter or sorted, form")
    return value


def record_cid(encoded: bytes) -> Cid:
    """Return the CID of an encoded record."""
    return Cid.of(encoded, DAG_CBOR)


def links_of_value(value: RecordValue) -> list[Cid]:
    """Return the links inside a record's value, in the order in which its bytes hold them."""
    if isinstance(value, Cid):
        return [value]
    if isinstance(value, dict):
        return [link for item in value.values() for link in links_of_value(item)]
    if isinstance(value, list):
        return [link for item in value for link in links_of_value(item)]
    return []


def _with_library_links(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidRecord(f"a record is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Cid):
        return CID.decode(bytes(value))
    if isinstance(value, dict):
        return {key: _with_library_links(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_library_links(item, depth + 1) for item in value]
    return value


def _with_our_links(value: Any) -> RecordValue:
    if isinstance(value, CID):
        return Cid.decode(bytes(value))
    if isinstance(value, dict):
        return {key: _with_our_links(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_our_links(item) for item in value]
    result: RecordValue = value
    return result


def _check_nesting(encoded: bytes) -> None:
    """Refuse what is nested too deeply or promises more than there is, before anything recurses or allocates."""
    open_items = [1]
    offset, items, tags = 0, 0, 0
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        major_type, argument, offset = _read_head(encoded, offset)
        items += 1
        if items > MAX_ITEMS:
            raise InvalidRecord(f"a record has more than {MAX_ITEMS} items")
        tags += major_type == _TAG
        if tags > MAX_RECORD_LINKS:
            raise InvalidRecord(f"a record has more than {MAX_RECORD_LINKS} links")
        if major_type in _NEEDS_BYTES:
            offset += argument
        elif major_type in (_NEEDS_ITEMS, _NEEDS_PAIRS, _TAG):
            children = 1 if major_type == _TAG else argument * (2 if major_type == _NEEDS_PAIRS else 1)
            if len(open_items) > MAX_DEPTH + 1:
                raise InvalidRecord(f"a record is nested deeper than {MAX_DEPTH} levels")
            if children > len(encoded) - offset:
                raise InvalidRecord("a record promises more items than it has bytes")
            open_items.append(children)
        if offset > len(encoded):
            raise InvalidRecord("a record is cut off")


def _read_head(encoded: bytes, offset: int) -> tuple[int, int, int]:
    if offset >= len(encoded):
        raise InvalidRecord("a record is cut off")
    major_type, information = encoded[offset] >> 5, encoded[offset] & 0x1F
    if information < 24:
        return major_type, information, offset + 1
    if information > 27:
        raise InvalidRecord("a record holds an item of indefinite length")
    end = offset + 1 + (1 << (information - 24))
    return major_type, int.from_bytes(encoded[offset + 1 : end], "big"), end
