"""CARv1: blocks one after the other in a stream, with the roots in front.

Source: https://ipld.io/specs/transport/car/carv1/. The order of blocks is nobody's promise: who reads a CAR checks
each block against its CID, and that every block of the DAG was there.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from medward.store.cid import SHA2_256, Cid
from medward.store.errors import InvalidCar, InvalidCid, InvalidRecord
from medward.store.limits import DEFAULT_LIMITS, MAX_BLOCK_BYTES
from medward.store.records import RecordValue, decode_record, encode_record
from medward.store.varint import MAX_BYTES, decode_varint, encode_varint

MAX_HEADER_BYTES = 32 * 1024
MAX_CID_BYTES = 256
_READ_BYTES = 64 * 1024


def car_header(roots: Sequence[Cid]) -> bytes:
    """Return the header section of a CAR whose roots are `roots`."""
    links: list[RecordValue] = list(roots)
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


class CarDecoder:
    """Turns a CAR that arrives in pieces into blocks; never holds more than one block, of at most 2 MiB, and a piece.

    Does no input or output itself, so that files and sockets can use it. `roots` is None until the header is there.

    Args:
        most: a CAR of more blocks is refused, repeated ones and those that are skipped included.
    """

    def __init__(self, most: int = DEFAULT_LIMITS.max_blocks) -> None:
        self.roots: tuple[Cid, ...] | None = None
        self._left = self._most = most
        self._buffer = bytearray()

    def receive(self, piece: bytes) -> Iterator[tuple[Cid, bytes]]:
        """Take the next piece and yield the blocks that it completes, each checked against its CID.

        Raises InvalidCar if anything is malformed, longer than the limits, or does not match its CID.
        """
        self._buffer += piece
        while (section := self._next_section()) is not None:
            if self.roots is None:
                self.roots = _decode_header(section)
            else:
                self._left -= 1
                if self._left < 0:
                    raise InvalidCar(f"the CAR holds more than {self._most} blocks")
                cid, block = _decode_section(section)
                if cid.hash_code == SHA2_256:  # a block inside its own CID needs no copy
                    yield cid, block

    def finish(self) -> tuple[Cid, ...]:
        """Return the roots at the end of the stream; InvalidCar if it ends in the middle of something."""
        if self.roots is None:
            raise InvalidCar("the CAR ends before its header does")
        if self._buffer:
            raise InvalidCar("the CAR is cut off in the middle of a block")
        return self.roots

    def _next_section(self) -> bytes | None:
        limit = MAX_HEADER_BYTES if self.roots is None else MAX_BLOCK_BYTES + MAX_CID_BYTES
        head = bytes(self._buffer[:MAX_BYTES])
        if len(head) < MAX_BYTES and all(byte & 0x80 for byte in head):
            return None
        try:
            length, start = decode_varint(head)
        except ValueError as error:
            raise InvalidCar(f"a length in the CAR is malformed: {error}") from None
        if not 0 < length <= limit:
            raise InvalidCar(f"a part of the CAR is {length} bytes long; 1 to {limit} are accepted")
        if len(self._buffer) < start + length:
            return None
        section = bytes(memoryview(self._buffer)[start : start + length])
        del self._buffer[: start + length]
        return section


class CarReader:
    """Reads a CAR from an iterable of pieces; see `CarDecoder` for what is checked.

    Args:
        pieces: the stream in pieces of any sizes; see `pieces_of_file`.
        most: see `CarDecoder`.

    `roots` is known from the start; iterating gives each block with its CID. A second pass is not possible.
    """

    def __init__(self, pieces: Iterable[bytes], most: int = DEFAULT_LIMITS.max_blocks) -> None:
        self._decoder = CarDecoder(most)
        self._blocks = self._read(pieces)
        self._first = next(self._blocks, None)  # reads the header, and one block with it
        self.roots = self._decoder.roots or ()

    def __iter__(self) -> Iterator[tuple[Cid, bytes]]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._blocks

    def _read(self, pieces: Iterable[bytes]) -> Iterator[tuple[Cid, bytes]]:
        for piece in pieces:
            yield from self._decoder.receive(piece)
        self._decoder.finish()


def pieces_of_file(file: BinaryIO) -> Iterator[bytes]:
    """Yield a binary file in pieces of 64 KiB."""
    while piece := file.read(_READ_BYTES):
        yield piece


def _decode_header(encoded: bytes) -> tuple[Cid, ...]:
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


def _decode_section(section: bytes) -> tuple[Cid, bytes]:
    try:
        cid, start = Cid.decode_prefix(section)
    except InvalidCid as error:
        raise InvalidCar(f"a block of the CAR has no usable name: {error}") from None
    block = section[start:]
    if len(block) > MAX_BLOCK_BYTES or not cid.matches(block):
        raise InvalidCar(f"the CAR's block {cid} is not what its name says")
    return cid, block


def _require_cid(value: RecordValue) -> Cid:
    if not isinstance(value, Cid):
        raise InvalidCar("a root of the CAR is not a CID")
    return value
