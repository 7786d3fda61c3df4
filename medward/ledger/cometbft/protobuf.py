"""Protocol Buffers (proto3) for the few messages of ABCI, from tables instead of generated code.

Follows the wire format of protobuf.dev/programming-guides/encoding: a message is a sequence of (field number, wire
type) and value; unknown fields are skipped, absent ones have their default, a scalar with its default is not written.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from medward.ledger.errors import NotCanonical

Scalar = Literal["int", "bytes", "text", "sfixed64"]
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE: Final[Mapping[str, int]] = {"int": _VARINT, "sfixed64": _FIXED64, "bytes": _LENGTH, "text": _LENGTH}
_DEFAULT: Final[Mapping[str, Any]] = {"int": 0, "sfixed64": 0, "bytes": b"", "text": ""}
MessageValue = dict[str, Any]


class Field(msgspec.Struct, frozen=True):
    """One field of a message.

    Args:
        number: its number on the wire.
        name: its key in the dictionary.
        kind: a scalar, or the table of the message inside.
        repeated: whether it is a list.
        always: whether a message inside is written even where it is empty.
    """

    number: int
    name: str
    kind: "Scalar | Table"
    repeated: bool = False
    always: bool = False


class Table(msgspec.Struct, frozen=True):
    """A message: its fields in ascending number."""

    fields: tuple[Field, ...]


def table(**fields: "tuple[int, Scalar | Table] | tuple[int, Scalar | Table, str]") -> Table:
    """Return a table from name=(number, kind) or name=(number, kind, "repeated" or "always")."""
    made = []
    for name, parts in fields.items():
        flag = parts[2] if len(parts) == 3 else ""
        made.append(Field(parts[0], name, parts[1], flag == "repeated", flag == "always"))
    return Table(tuple(sorted(made, key=lambda field: field.number)))


def varint(value: int) -> bytes:
    """Return a base-128 varint; negative numbers take ten bytes, as int64 does."""
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(form: Table, message: MessageValue) -> bytes:
    """Return the bytes of a message, fields in ascending number.

    Raises:
        NotCanonical: an integer is none of 64 bits with a sign, so that it would be written as another.
    """
    out = bytearray()
    for field in form.fields:
        value = message.get(field.name)
        if field.repeated:
            for item in value or ():
                _write(out, field, item)
        elif value is not None and (field.always or isinstance(field.kind, Table) or value != _DEFAULT[field.kind]):
            _write(out, field, value)
        elif field.always:
            _write(out, field, {})
    return bytes(out)


def decode(form: Table, data: bytes) -> MessageValue:
    """Return a message as a dictionary in which every field but absent messages has a value.

    Raises:
        NotCanonical: the bytes are not a message.
    """
    message: MessageValue = {
        field.name: [] if field.repeated else None if isinstance(field.kind, Table) else _DEFAULT[field.kind]
        for field in form.fields
    }
    known = {field.number: field for field in form.fields}
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        raw, at = _read_raw(data, at, key & 7)
        field = known.get(key >> 3)
        if field is None:
            continue
        value = _convert(field, raw, key & 7)
        if field.repeated:
            message[field.name].append(value)
        else:
            message[field.name] = value
    return message


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at `at` and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise NotCanonical("a varint is cut short or too long")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (2**64 - 1), at


def _write(out: bytearray, field: Field, value: Any) -> None:
    wire = _LENGTH if isinstance(field.kind, Table) else _WIRE[field.kind]
    out += varint(field.number << 3 | wire)
    if isinstance(field.kind, Table):
        inner = encode(field.kind, value)
        out += varint(len(inner)) + inner
    elif field.kind in {"int", "sfixed64"}:
        if not -(2**63) <= value < 2**63:
            raise NotCanonical(f"the field {field.name} is {value}, which has more than 64 bits")
        out += varint(value) if field.kind == "int" else struct.pack("<q", value)
    else:
        raw = value.encode() if field.kind == "text" else value
        out += varint(len(raw)) + raw


def _read_raw(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _VARINT:
        return read_varint(data, at)
    if wire == _LENGTH:
        length, at = read_varint(data, at)
        end = at + length
    elif wire in {_FIXED64, _FIXED32}:
        end = at + (8 if wire == _FIXED64 else 4)
    else:
        raise NotCanonical(f"wire type {wire} is not in use")
    if end > len(data):
        raise NotCanonical("a field is cut short")
    return data[at:end], end


def _convert(field: Field, raw: int | bytes, wire: int) -> Any:
    expected = _LENGTH if isinstance(field.kind, Table) else _WIRE[field.kind]
    if wire != expected:
        raise NotCanonical(f"the field {field.name} has wire type {wire}")
    if isinstance(raw, int):
        return raw - 2**64 if raw >= 2**63 else raw
    if isinstance(field.kind, Table):
        return decode(field.kind, raw)
    if field.kind == "sfixed64":
        return struct.unpack("<q", raw)[0]
    try:
        return raw.decode() if field.kind == "text" else raw
    except UnicodeDecodeError as error:
        raise NotCanonical(f"the field {field.name} is not text") from error
