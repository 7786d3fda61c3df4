"""Unsigned variable-length integers of the multiformats project: seven bits a byte, least significant first.

Source: https://github.com/multiformats/unsigned-varint (minimal form, at most nine bytes).
"""

MAX_BYTES = 9


def encode_varint(value: int) -> bytes:
    """Return the only encoding of `value`, which must lie in 0 .. 2**63 - 1; ValueError outside it."""
    if not 0 <= value < 1 << 63:
        raise ValueError(f"{value} has no unsigned varint: it must lie in 0 .. 2**63 - 1")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_varint(buffer: bytes | memoryview, offset: int = 0) -> tuple[int, int]:
    """Return the value at `offset` of `buffer` and the offset after it.

    ValueError if the buffer ends first, or if the form is not minimal or longer than nine bytes: each value has one
    form only, so that equal content identifiers are equal bytes.
    """
    value = 0
    for length in range(MAX_BYTES):
        if offset + length >= len(buffer):
            raise ValueError("a varint is cut off")
        byte = buffer[offset + length]
        value |= (byte & 0x7F) << (7 * length)
        if byte < 0x80:
            if byte == 0 and length > 0:
                raise ValueError("a varint is longer than it needs to be")
            return value, offset + length + 1
    raise ValueError("a varint is longer than nine bytes")
