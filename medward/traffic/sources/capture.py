"""Captures in pcap and pcapng form, from a file or a stream that cannot seek: read once, in pieces of fixed memory.

The formats are draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. `CaptureDecoder` is pure: it takes octets and
returns packets. `read_capture` is the shell that reads a file or standard input for it.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medward.traffic.errors import DamagedCapture, NotACapture
from medward.traffic.packets import LINKS, PacketBatch
from medward.traffic.sources.records import (
    DAMAGED,
    INTERFACE,
    LONGEST_BLOCK,
    MORE,
    SECTION,
    empty_arrays,
    number,
    walk_pcap,
    walk_pcapng,
)

#: Octets that are asked for in one read, and packets of the largest batch.
PIECE = 1 << 21
BATCH = 1 << 13
_INTERFACES_MOST = 4096

#: The first four octets of a pcap: byte order, and nanoseconds of a unit of its fractions.
_PCAP = {
    b"\xd4\xc3\xb2\xa1": (False, 1000),
    b"\xa1\xb2\xc3\xd4": (True, 1000),
    b"\x4d\x3c\xb2\xa1": (False, 1),
    b"\xa1\xb2\x3c\x4d": (True, 1),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


class CaptureDecoder:
    """Turns the octets of one capture, in pieces of any size, into batches of packets.

    Args:
        name: the capture, for error messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.packets = 0
        self._memory = np.zeros(2 * PIECE, np.uint8)
        self._begin = self._end = 0
        self._before = 0  # octets of the capture that lie before the memory's first
        self._known = False
        self._pcapng = self._big = False
        self._unit, self._link = 1000, 0
        self._interfaces = np.zeros((0, 4), np.int64)
        self._arrays = empty_arrays(BATCH)

    def room(self) -> memoryview:
        """Return memory of `PIECE` octets for the capture's next ones; what is not yet decoded may move for it."""
        rest = self._end - self._begin
        if self._end + PIECE > len(self._memory):
            self._before += self._begin
            fresh = self._memory
            if rest + PIECE > len(fresh):
                fresh = np.zeros(rest + 2 * PIECE, np.uint8)
            fresh[:rest] = self._memory[self._begin : self._end].copy()
            self._memory, self._begin, self._end = fresh, 0, rest
        return memoryview(self._memory)[self._end : self._end + PIECE]  # type: ignore[arg-type]

    def decode(self, count: int) -> Iterator[PacketBatch]:
        """Yield the packets that are complete with the first `count` octets of `room`.

        A batch is valid until `room` is asked for again, its arrays until the next batch.

        Raises:
            NotACapture: the first octets are of no capture that the meter reads.
            DamagedCapture: a record or block contradicts itself.
        """
        self._end += count
        while True:
            if not self._known and not self._read_head():
                return
            count, self._begin, why = self._walk()
            if count:
                self.packets += count
                offset, captured, wire, time, link = (array[:count] for array in self._arrays)
                yield PacketBatch(self._memory, offset, captured, wire, time, link)
            if why == MORE:
                return
            if why == DAMAGED:
                raise self._damage("a record there has an impossible length")
            if why in (SECTION, INTERFACE) and not (self._read_section() if why == SECTION else self._read_interface()):
                return

    def finish(self) -> None:
        """Say that the capture has ended.

        Raises:
            NotACapture: it was empty or shorter than a header.
            DamagedCapture: it ends inside a record.
        """
        if not self._known:
            raise NotACapture(f"{self.name} is no capture: it has {self._end} octets; give a pcap or pcapng file.")
        if self._begin < self._end:
            raise self._damage("it ends inside a record")

    def _walk(self) -> tuple[int, int, int]:
        if self._pcapng:
            return walk_pcapng(self._memory, self._begin, self._end, self._big, self._interfaces, *self._arrays)
        return walk_pcap(self._memory, self._begin, self._end, self._big, self._unit, self._link, *self._arrays)

    def _damage(self, what: str) -> DamagedCapture:
        return DamagedCapture(self.name, self.packets, self._before + self._begin, what)

    def _read_head(self) -> bool:
        head = self._memory[self._begin : min(self._end, self._begin + 24)].tobytes()
        if len(head) < 4:
            return False
        if head[:4] == _PCAPNG:
            self._known = self._pcapng = True
            return self._read_section()
        if head[:4] not in _PCAP:
            form = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), None)
            if form is not None:
                raise NotACapture(
                    f"{self.name} is compressed with {form}: unpack it first, or pipe what unpacks it to `--pcap -`."
                )
            raise NotACapture(
                f"{self.name} is no capture (it begins with {head[:4].hex()}): give a pcap or pcapng file."
            )
        if len(head) < 24:
            return False
        self._big, self._unit = _PCAP[head[:4]]
        self._link = number(self._memory, self._begin + 20, self._big) & 0xFFFF
        self._demand_link(self._link)
        self._begin += 24
        self._known = True
        return True

    def _demand_link(self, link: int) -> None:
        if link not in LINKS:
            raise NotACapture(
                f"{self.name} holds frames of link type {link}, which the meter does not read: capture Ethernet, Linux "
                "cooked or raw IP frames."
            )

    def _read_section(self) -> bool:
        if self._end - self._begin < 16:
            return False
        order = self._memory[self._begin + 8 : self._begin + 12].tobytes()
        if order not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
            raise self._damage("a section header has no byte order")
        self._big = order == b"\x1a\x2b\x3c\x4d"
        length = self._block_length()
        if length is None:
            return False
        if length < 28:
            raise self._damage("a section header is too short")
        self._interfaces = np.zeros((0, 4), np.int64)
        self._begin += length
        return True

    def _read_interface(self) -> bool:
        length = self._block_length()
        if length is None:
            return False
        if length < 20:
            raise self._damage("an interface description is too short")
        if len(self._interfaces) >= _INTERFACES_MOST:
            raise self._damage(f"it describes more than {_INTERFACES_MOST} interfaces")
        body = self._memory[self._begin + 8 : self._begin + length - 4].tobytes()
        order = "big" if self._big else "little"
        link, snap = int.from_bytes(body[0:2], order), int.from_bytes(body[4:8], order)  # type: ignore[arg-type]
        rate, added = _time_options(body[8:], order)
        if rate is None:
            raise self._damage("an interface has a resolution of time that cannot be")
        # A link type that is not read is told with the packets of it, since other interfaces may be of use.
        self._interfaces = np.vstack([self._interfaces, np.array([[link, snap, rate, added]], np.int64)])
        self._begin += length
        return True

    def _block_length(self) -> int | None:
        """Return the length of the block at hand, or None where it is not all there yet."""
        length = number(self._memory, self._begin + 4, self._big)
        if length < 12 or length % 4 or length > LONGEST_BLOCK:
            raise self._damage("a block there has an impossible length")
        if self._end - self._begin < length:
            return None
        if number(self._memory, self._begin + length - 4, self._big) != length:
            raise self._damage("a block's two lengths differ")
        return length


def _time_options(options: bytes, order: str) -> tuple[int | None, int]:
    """Return the units of time in a second and the seconds to add, from the options of an interface."""
    rate: int | None = 1_000_000
    added = 0
    at = 0
    while at + 4 <= len(options):
        code, length = (int.from_bytes(options[at + k : at + k + 2], order) for k in (0, 2))  # type: ignore[arg-type]
        value = options[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == 9 and len(value) == 1:
            power = value[0] & 0x7F
            base = 2 if value[0] & 0x80 else 10
            rate = base**power if base**power < 1 << 62 else None
        elif code == 14 and len(value) == 8:
            added = int.from_bytes(value, order, signed=True)  # type: ignore[arg-type]
            added = added if abs(added) < 1 << 33 else 0
        at += 4 + length + (-length) % 4
    return rate, added


def read_capture(path: Path | str) -> Iterator[PacketBatch]:
    """Yield the packets of a capture, of which no more than some megabytes are in memory at once.

    Args:
        path: a pcap or pcapng file, or `-` for standard input; the form is told by the first octets.

    Yields:
        Batches of at most `BATCH` packets, each valid until the next is asked for.

    Raises:
        NotACapture: it is none, or of a kind that the meter does not read.
        DamagedCapture: it cannot be read to its end; all packets before the damage were yielded.
    """
    standard_input = str(path) == "-"
    decoder = CaptureDecoder("the capture on standard input" if standard_input else str(path))
    with contextlib.ExitStack() as stack:
        if standard_input:
            descriptor = sys.stdin.fileno()
        else:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
        while count := os.readv(descriptor, [decoder.room()]):
            yield from decoder.decode(count)
    decoder.finish()
