"""The kernels that walk over the records of a capture: pcap's, and pcapng's blocks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled

#: Why a walk ended: it needs more octets, its arrays are full, a record is damaged, a block that is not of packets.
MORE, FULL, DAMAGED, SECTION, INTERFACE = 0, 1, 2, 3, 4

#: Octets of the longest packet and of the longest block that are believed; libpcap's own limits.
LONGEST_PACKET = 262_144
LONGEST_BLOCK = 1 << 24

SECTION_HEADER = 0x0A0D0D0A
_INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_SECOND = 1_000_000_000


@compiled
def number(octets: NDArray[np.uint8], at: int, big: bool) -> int:
    """Return the 32-bit number at `at`, in the byte order of the capture."""
    a, b = int(np.int64(octets[at])), int(np.int64(octets[at + 1]))
    c, d = int(np.int64(octets[at + 2])), int(np.int64(octets[at + 3]))
    if big:
        return (a << 24) | (b << 16) | (c << 8) | d
    return (d << 24) | (c << 16) | (b << 8) | a


@compiled
def walk_pcap(
    octets: NDArray[np.uint8],
    at: int,
    end: int,
    big: bool,
    unit: int,
    link: int,
    offset: NDArray[np.int64],
    captured: NDArray[np.int64],
    wire: NDArray[np.int64],
    time: NDArray[np.int64],
    links: NDArray[np.int32],
) -> tuple[int, int, int]:
    """Note the packets of the pcap records in `octets[at:end]`.

    Args:
        octets: the part of the capture that was read.
        at: where the first record begins.
        end: where the octets that were read end.
        big: whether numbers begin with their most significant octet.
        unit: nanoseconds of one unit of the records' fractions of seconds, 1 or 1000.
        link: the capture's link type.
        offset, captured, wire, time, links: the arrays of a `PacketBatch`, to be written.

    Returns:
        How many packets were noted, where the next record begins, and why the walk ended.
    """
    count = 0
    while count < len(offset):
        if at + 16 > end:
            return count, at, MORE
        length = number(octets, at + 8, big)
        fraction = number(octets, at + 4, big)
        if length > LONGEST_PACKET:
            return count, at, DAMAGED
        if at + 16 + length > end:
            return count, at, MORE
        time[count] = number(octets, at, big) * _SECOND + fraction * unit
        offset[count] = at + 16
        captured[count] = length
        wire[count] = max(number(octets, at + 12, big), length)
        links[count] = link
        count += 1
        at += 16 + length
    return count, at, FULL


@compiled
def walk_pcapng(  # noqa: PLR0912 - a block's kinds, side by side
    octets: NDArray[np.uint8],
    at: int,
    end: int,
    big: bool,
    interfaces: NDArray[np.int64],
    offset: NDArray[np.int64],
    captured: NDArray[np.int64],
    wire: NDArray[np.int64],
    time: NDArray[np.int64],
    links: NDArray[np.int32],
) -> tuple[int, int, int]:
    """Note the packets of the pcapng blocks in `octets[at:end]`, until a block that describes others.

    Args:
        octets: the part of the capture that was read.
        at: where the first block begins.
        end: where the octets that were read end.
        big: whether the section's numbers begin with their most significant octet.
        interfaces: [interfaces, 4] link type, snap length, units of time in a second, seconds to add, of each
            interface of the section.
        offset, captured, wire, time, links: the arrays of a `PacketBatch`, to be written.

    Returns:
        How many packets were noted, where the next block begins, and why the walk ended.
    """
    count = 0
    last = 0
    while count < len(offset):
        if at + 12 > end:
            return count, at, MORE
        kind = number(octets, at, big)
        if kind == SECTION_HEADER:
            return count, at, SECTION
        length = number(octets, at + 4, big)
        if length < 12 or length % 4 or length > LONGEST_BLOCK:
            return count, at, DAMAGED
        if at + length > end:
            return count, at, MORE
        if number(octets, at + length - 4, big) != length:
            return count, at, DAMAGED
        if kind == _INTERFACE:
            return count, at, INTERFACE
        if kind in (_ENHANCED, _OLD_PACKET):
            if length < 32:
                return count, at, DAMAGED
            interface = number(octets, at + 8, big)
            if kind == _OLD_PACKET:
                interface = interface >> 16 if big else interface & 0xFFFF
            size = number(octets, at + 20, big)
            if interface >= len(interfaces) or size > length - 32:
                return count, at, DAMAGED
            ticks = (number(octets, at + 12, big) << 32) | number(octets, at + 16, big)
            rate = interfaces[interface, 2]
            # Whole seconds first: the product of ticks and nanoseconds does not fit in 64 bits.
            seconds = ticks // rate
            time[count] = (seconds + interfaces[interface, 3]) * _SECOND + _fraction(ticks - seconds * rate, rate)
            offset[count] = at + 28
            captured[count] = size
            wire[count] = max(number(octets, at + 24, big), size)
            links[count] = interfaces[interface, 0]
            last = time[count]
            count += 1
        elif kind == _SIMPLE:
            if length < 16 or len(interfaces) == 0:
                return count, at, DAMAGED
            said = number(octets, at + 8, big)
            size = min(said, length - 16)
            if interfaces[0, 1] > 0:
                size = min(size, interfaces[0, 1])
            # A simple packet has no time; it is taken to have come with the one before it.
            time[count] = last
            offset[count] = at + 12
            captured[count] = size
            wire[count] = said
            links[count] = interfaces[0, 0]
            count += 1
        at += length
    return count, at, FULL


@compiled
def _fraction(ticks: int, rate: int) -> int:
    """Return `ticks` of `rate` a second as nanoseconds; ticks < rate."""
    if rate <= _SECOND:
        return ticks * _SECOND // rate
    return int(ticks / rate * _SECOND)


def empty_arrays(packets: int) -> tuple[Any, Any, Any, Any, Any]:
    """Return offset, captured, wire, time and link arrays for so many packets."""
    return (*(np.zeros(packets, np.int64) for _ in range(4)), np.zeros(packets, np.int32))  # type: ignore[return-value]
