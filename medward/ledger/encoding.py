"""The one encoding of everything that is hashed, signed or sent: canonical DAG-CBOR of positional lists.

Structures are `msgspec.Struct` with `array_like=True`: on the wire a list, a union's member with its tag first. They
hold only integers, bytes, text, booleans, None and lists of these, so there is no map order, float form or
link to disagree about. Decoding goes through `dag_cbor`, which refuses every non-canonical form, and through a strict
conversion that refuses missing, surplus or mistyped fields: two different byte strings never decode to one value.
See spec/ledger.md, "Encoding".
"""

import hashlib
from typing import Annotated, Any, TypeVar

import dag_cbor
import msgspec
from dag_cbor.decoding.err import CBORDecodingError

from medward.ledger.errors import NotCanonical

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""A SHA-256 digest."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A height, view, epoch, nonce, number of milliseconds or of anything else: 0 to 2**62."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A member's name."""

T = TypeVar("T")


class Structure(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A value with a canonical encoding: its fields in order, as a DAG-CBOR list."""


def encode(value: Any) -> bytes:
    """Return the canonical DAG-CBOR of a `Structure` or of plain integers, bytes, text, booleans, None and lists."""
    out = bytearray()
    _append(out, msgspec.to_builtins(value, builtin_types=(bytes,)))
    return bytes(out)


def decode(data: bytes, kind: type[T]) -> T:
    """Return the value of type `kind` whose canonical encoding is `data`.

    Raises:
        NotCanonical: `data` is not canonical DAG-CBOR, or not of that form.
    """
    value: T = decode_form(data, kind)
    return value


def decode_form(data: bytes, form: Any) -> Any:
    """Return the value of the form `form`, which may be a union of tagged structures, that `data` encodes.

    Raises:
        NotCanonical: `data` is not canonical DAG-CBOR, or not of that form.
    """
    try:
        return msgspec.convert(dag_cbor.decode(data), form, strict=True, builtin_types=(bytes,))
    except (CBORDecodingError, msgspec.ValidationError, ValueError, OverflowError, RecursionError) as error:
        raise NotCanonical(f"these {len(data)} bytes are not a canonical encoding: {_first_line(error)}") from error


def digest(value: Any) -> bytes:
    """Return the SHA-256 of the canonical encoding of `value`."""
    return hashlib.sha256(encode(value)).digest()


def content_identifier(data: bytes) -> str:
    """Return the CIDv1 (dag-cbor, sha2-256, base32) of canonical DAG-CBOR `data`."""
    import base64  # noqa: PLC0415

    raw = b"\x01\x71\x12\x20" + hashlib.sha256(data).digest()
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def _head(out: bytearray, major: int, value: int) -> None:
    """Append a CBOR head in its shortest form (RFC 8949, 4.2.1)."""
    if value < 24:
        out.append(major | value)
    elif value < 0x100:
        out += bytes((major | 24, value))
    elif value < 0x10000:
        out.append(major | 25)
        out += value.to_bytes(2, "big")
    elif value < 0x100000000:
        out.append(major | 26)
        out += value.to_bytes(4, "big")
    elif value < 0x10000000000000000:
        out.append(major | 27)
        out += value.to_bytes(8, "big")
    else:
        raise NotCanonical(f"the integer {value} does not fit in 64 bits")


def _append(out: bytearray, value: Any) -> None:
    # dag_cbor.encode gives the same bytes (tests/ledger/test_encoding.py) and took 69 us where this takes 12 us for a
    # vote; decoding, where forms must be refused, stays with dag_cbor.
    kind = type(value)
    if kind is bytes:
        _head(out, 0x40, len(value))
        out += value
    elif kind is int:
        if value >= 0:
            _head(out, 0x00, value)
        else:
            _head(out, 0x20, -1 - value)
    elif kind is str:
        raw = value.encode()
        _head(out, 0x60, len(raw))
        out += raw
    elif kind is list or kind is tuple:
        _head(out, 0x80, len(value))
        for item in value:
            _append(out, item)
    elif value is None:
        out.append(0xF6)
    elif kind is bool:
        out.append(0xF5 if value else 0xF4)
    else:
        raise NotCanonical(f"a {kind.__name__} has no place in a ledger record")
