"""CARv1: blocks one after the other in a stream, with the roots in front.

Source: https://ipld.io/specs/transport/car/carv1/. The order of blocks is nobody's promise: who reads a CAR checks
each block against its CID, and that every block of the DAG was there.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from medward.store.cid import SHA2_256, Cid
from medward.store.errors import InvalidCar, InvalidCid, InvalidRecord
from medward.store.limits import MAX_BLOCK_BYTES
from medward.store.records import Value, decode_record, encode_record
from medward.store.varint import MAX_BYTES, decode_varint, encode_varint

MAX_HEADER_BYTES = 32 * 1024
MAX_CID_BYTES = 256
_READ_BYTES = 64 * 1024


def car_header(roots: Sequence[Cid]) -> bytes:
    """Return the header section of a CAR whose roots are `roots`."""
    links: list[Value] = list(roots)
    header = encode_record({"roots": links, "version": 1})
    return encode_varint(len(header)) + header


def car_section_head(cid: Cid, block_size: int) -> bytes:
    """Return what stands before the `block_size` bytes of the block `cid`."""
    name = bytes(cid)
    return encode_varint(len(name) + block_size) + name


def write_car(roots: Sequence[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[bytes]:
    """Yield the pieces of a CAR: its header, then the sections of `blocks` in their order."""
    yield car_header(roots)
    for cid, block in blocks:
        yield car_section_head(cid, len(block))
        yield block


class CarReader:
    """Reads a CAR as it arrives; never more than one block, of at most 2 MiB, is held.

    Args:
        pieces: the stream in pieces of any sizes; see `pieces_of_file`.

    Iterating gives each block with its CID, checked against each other. A second pass is not possible.

    Raises InvalidCar, on construction for the header and while iterating for the blocks, if anything is malformed, cut
    off, longer than the limits, or does not match its CID.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._stream = _PieceBuffer(pieces)
        self.roots = self._read_header()

    def __iter__(self) -> Iterator[tuple[Cid, bytes]]:
        while (length := self._read_length(MAX_BLOCK_BYTES + MAX_CID_BYTES)) is not None:
            section = self._stream.take(length)
            if section is None:
                raise InvalidCar("the CAR is cut off in the middle of a block")
            try:
                cid, start = Cid.decode_prefix(section)
            except InvalidCid as error:
                raise InvalidCar(f"a block of the CAR has no usable name: {error}") from None
            block = section[start:]
            if len(block) > MAX_BLOCK_BYTES or not cid.matches(block):
                raise InvalidCar(f"the CAR's block {cid} is not what its name says")
            if cid.hash_code == SHA2_256:  # a block inside its own CID needs no copy
                yield cid, block

    def _read_header(self) -> tuple[Cid, ...]:
        length = self._read_length(MAX_HEADER_BYTES)
        encoded = None if length is None else self._stream.take(length)
        if encoded is None:
            raise InvalidCar("the CAR ends before its header does")
        try:
            header = decode_record(encoded)
        except InvalidRecord as error:
            raise InvalidCar(f"the CAR's header is malformed: {error}") from None
        if not isinstance(header, dict) or header.get("version") != 1:
            raise InvalidCar("this is no CAR of version 1")
        roots = header.get("roots")
        if set(header) != {"roots", "version"} or not isinstance(roots, list):
            raise InvalidCar("the CAR's header does not consist of roots and version")
        return tuple(_require_cid(root) for root in roots)

    def _read_length(self, limit: int) -> int | None:
        """Return the length of the next section, None at the end of the stream."""
        encoded = bytearray()
        while not encoded or encoded[-1] & 0x80:
            byte = self._stream.take(1)
            if byte is None:
                if encoded:
                    raise InvalidCar("the CAR is cut off in the length of a block")
                return None
            encoded += byte
            if len(encoded) > MAX_BYTES:
                raise InvalidCar("a length in the CAR is malformed")
        try:
            length, _ = decode_varint(bytes(encoded))
        except ValueError as error:
            raise InvalidCar(f"a length in the CAR is malformed: {error}") from None
        if not 0 < length <= limit:
            raise InvalidCar(f"a part of the CAR is {length} bytes long; 1 to {limit} are accepted")
        return length


def pieces_of_file(file: BinaryIO) -> Iterator[bytes]:
    """Yield a binary file in pieces of 64 KiB."""
    while piece := file.read(_READ_BYTES):
        yield piece


def _require_cid(value: Value) -> Cid:
    if not isinstance(value, Cid):
        raise InvalidCar("a root of the CAR is not a CID")
    return value


class _PieceBuffer:
    """Gives exact counts of bytes from a stream of pieces; copies each byte once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._current = memoryview(b"")

    def take(self, count: int) -> bytes | None:
        """Return the next `count` bytes, None if the stream ends before."""
        if count <= len(self._current):
            taken, self._current = self._current[:count], self._current[count:]
            return bytes(taken)
        parts = [self._current]
        missing = count - len(self._current)
        while missing:
            piece = next(self._pieces, None)
            if piece is None:
                return None
            self._current = memoryview(piece)
            parts.append(self._current[:missing])
            self._current = self._current[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
