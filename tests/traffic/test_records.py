"""Walks over the records of a capture: nothing beyond the octets that were read, and no length that lies."""

import struct
from dataclasses import dataclass

import numpy as np
import pytest

from medward.traffic.packets import LINK_ETHERNET
from medward.traffic.sources.records import (
    DAMAGED,
    FULL,
    INTERFACE,
    LONGEST_BLOCK,
    LONGEST_PACKET,
    MORE,
    SECTION,
    empty_arrays,
    number,
    walk_pcap,
    walk_pcapng,
)
from tests.traffic.captures import BEGIN, SECOND, block, enhanced, interface, section

#: Link type, snap length, units in a second and seconds to add of interfaces.
ETHERNET = (LINK_ETHERNET, 0, 10**6, 0)


@dataclass(frozen=True)
class Walk:
    """The packets that a walk noted (begin, octets there, octets on the wire, time), the next place, why it ended."""

    packets: list[tuple[int, int, int, int]]
    next: int
    why: int


def walked(
    content: bytes, *interfaces: tuple[int, int, int, int], end: int | None = None, begin: int = 0, room: int = 8
) -> Walk:
    """Walk over blocks of pcapng or, where no interface is given, over records of pcap."""
    octets, arrays = np.frombuffer(bytearray(content), np.uint8), empty_arrays(room)
    end = len(content) if end is None else end
    if interfaces:
        found = walk_pcapng(octets, begin, end, False, np.array(interfaces, np.int64), *arrays)
    else:
        found = walk_pcap(octets, begin, end, False, 1000, LINK_ETHERNET, *arrays)
    count, at, why = found
    columns = (array[:count].tolist() for array in arrays[:4])
    return Walk(list(zip(*columns, strict=True)), at, why)


def record(size: int, said: int | None = None, wire: int | None = None) -> bytes:
    """A record of pcap, of BEGIN."""
    said = size if said is None else said
    return struct.pack("<IIII", BEGIN // SECOND, 7, said, said if wire is None else wire) + bytes(size)


def packet_block(size: int, said: int, wire: int, which: int = 0, ticks: int = 0) -> bytes:
    """An enhanced packet block with room for so many octets."""
    return block(6, struct.pack("<IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, said, wire) + bytes(size))


def test_record_of_pcap_is_noted_once_its_last_octet_was_read() -> None:
    content = record(60) + record(70)
    first, second = (16, 60, 60, BEGIN + 7000), (92, 70, 70, BEGIN + 7000)
    assert walked(content) == Walk([first, second], 162, MORE)
    for end in (0, 15, 16, 75):
        assert walked(content, end=end) == Walk([], 0, MORE)
    # What lies behind the octets that were read is of an earlier piece.
    for end in (76, 91, 92, 161):
        assert walked(content, end=end) == Walk([first], 76, MORE)


def test_block_of_pcapng_is_noted_once_its_last_octet_was_read() -> None:
    content = enhanced(BEGIN, bytes(60)) + enhanced(BEGIN + SECOND, bytes(60))
    size = len(content) // 2
    assert [packet[3] for packet in walked(content, ETHERNET).packets] == [BEGIN, BEGIN + SECOND]
    for end in (0, 11, 12, size - 1):
        assert walked(content, ETHERNET, end=end) == Walk([], 0, MORE)
    for end in (size, size + 11, 2 * size - 1):
        found = walked(content, ETHERNET, end=end)
        assert (len(found.packets), found.next, found.why) == (1, size, MORE)


def test_walk_goes_on_where_its_arrays_were_full() -> None:
    for content, interfaces in (
        (b"".join(record(10 + k) for k in range(5)), ()),
        (b"".join(enhanced(BEGIN, bytes(10 + k)) for k in range(5)), (ETHERNET,)),
    ):
        sizes, at, whys = list[int](), 0, list[int]()
        for _ in range(3):
            found = walked(content, *interfaces, begin=at, room=2)
            sizes += [packet[1] for packet in found.packets]
            at, whys = found.next, [*whys, found.why]
        assert sizes == [10, 11, 12, 13, 14]
        assert whys == [FULL, FULL, MORE]


def test_packet_longer_than_any_is_damage_and_not_waited_for() -> None:
    assert walked(record(60) + record(0, LONGEST_PACKET)).why == MORE
    found = walked(record(60) + record(0, LONGEST_PACKET + 1))
    assert (len(found.packets), found.next, found.why) == (1, 76, DAMAGED)
    assert walked(record(0, (1 << 32) - 1)).why == DAMAGED
    assert len(walked(record(LONGEST_PACKET)).packets) == 1


def test_packet_is_on_the_wire_at_least_what_is_there_of_it() -> None:
    assert walked(record(60, wire=9)).packets[0][1:3] == (60, 60)
    assert walked(record(60, wire=1500)).packets[0][1:3] == (60, 1500)
    assert walked(packet_block(60, 60, 9), ETHERNET).packets[0][1:3] == (60, 60)
    assert walked(packet_block(60, 60, 1500), ETHERNET).packets[0][1:3] == (60, 1500)


def head(length: int, kind: int = 6) -> bytes:
    return struct.pack("<II", kind, length) + bytes(40)


LIES = {
    **{f"block of {length} octets": head(length) for length in (0, 8, 11, 13, LONGEST_BLOCK + 4, (1 << 32) - 4)},
    "two lengths": enhanced(BEGIN, bytes(60))[:-4] + struct.pack("<I", 96),
    "no room for a packet's head": block(6, bytes(16)),
    "packet longer than its block": packet_block(60, 61, 61),
    "packet of 4 GiB": packet_block(60, (1 << 32) - 1, 60),
    "second interface of one": packet_block(60, 60, 60, which=1),
    "last interface of all numbers": packet_block(60, 60, 60, which=(1 << 32) - 1),
    "second interface of one, in the old form": block(2, struct.pack("<HHIIII", 1, 0, 0, 5, 8, 8) + bytes(8)),
    "simple packet without a length": block(3, b""),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_block_that_contradicts_itself_is_damage_at_its_beginning(lie: bytes) -> None:
    sound = enhanced(BEGIN, bytes(60))
    found = walked(sound + lie + bytes(200), ETHERNET)
    assert (len(found.packets), found.next, found.why) == (1, len(sound), DAMAGED)


def test_longest_block_is_believed_and_waited_for() -> None:
    assert walked(head(LONGEST_BLOCK), ETHERNET) == Walk([], 0, MORE)


def test_blocks_that_describe_others_end_the_walk_and_unknown_ones_are_passed_over() -> None:
    sound = enhanced(BEGIN, bytes(60))
    for other, why in ((section(), SECTION), (interface(), INTERFACE)):
        found = walked(block(0xBAD, bytes(8)) + sound + other, ETHERNET)
        assert (len(found.packets), found.next, found.why) == (1, 20 + len(sound), why)


def test_simple_packet_is_cut_at_the_snap_length_and_comes_with_the_one_before() -> None:
    simple = block(3, struct.pack("<I", 1000) + bytes(100))
    content = enhanced(BEGIN, bytes(60)) + simple
    for snap, captured in ((0, 100), (64, 64), (4096, 100)):
        found = walked(content, (LINK_ETHERNET, snap, 10**6, 0)).packets[1]
        assert found[1:] == (captured, 1000, BEGIN)
    short = walked(block(3, struct.pack("<I", 10) + bytes(12)), ETHERNET).packets[0]
    assert short[1:] == (10, 10, 0)


def test_simple_packet_before_any_interface_is_damage() -> None:
    octets, none = np.frombuffer(bytearray(block(3, struct.pack("<I", 4) + bytes(4))), np.uint8), np.zeros((0, 4), int)
    assert walk_pcapng(octets, 0, len(octets), False, none, *empty_arrays(4)) == (0, 0, DAMAGED)


@pytest.mark.parametrize("rate", [1, 1000, 10**6, 3, 1 << 20, 10**9, 10**12, (1 << 62) - 1])
def test_times_are_right_to_a_nanosecond_in_all_units(rate: int) -> None:
    """The product of ticks and nanoseconds would not fit in 64 bits."""
    generator = np.random.default_rng(rate)
    most = min(2**63, (BEGIN // SECOND) * rate)
    all_ticks = [0, 1, most - 1, *generator.integers(0, most, 20, np.uint64).tolist()]
    for ticks in all_ticks:
        (found,) = walked(packet_block(8, 8, 8, ticks=ticks), (LINK_ETHERNET, 0, rate, 1_000)).packets
        assert abs(found[3] - (1000 * SECOND + ticks * SECOND // rate)) <= (rate > SECOND)


def test_numbers_are_read_in_both_byte_orders() -> None:
    octets = np.frombuffer(bytearray(b"\0\xff\x02\x03\xfe"), np.uint8)
    assert number(octets, 1, True) == 0xFF0203FE
    assert number(octets, 1, False) == 0xFE0302FF
