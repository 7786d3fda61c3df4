"""Flows: who they are of, when they end, what makes way in a full table, and TCP's numbers as they wrap."""

import struct
from collections.abc import Sequence

import pytest

from medward.bench.traffic import generation
from medward.traffic.copies import COPY_WITHIN
from medward.traffic.flows import IDLE
from medward.traffic.hashing import fixed_key
from medward.traffic.meter import Meter, MeterSettings
from medward.traffic.packets import ACK, FIN, RST, SYN
from tests.traffic.captures import BEGIN, SECOND, Timed, batch, ipv6
from tests.traffic.test_meter import SMALL, Row, one

#: The fewest flows that a table has room for: two buckets.
NARROW = MeterSettings(flows=16, devices=64, addresses=64, segments=64)
LAST = (1 << 32) - 1


def segment(opener: bool, flags: int, sequence: int = 0, payload: bytes = b"", port: int = 40000) -> bytes:
    """A segment between the hosts 2, which opens, and 3."""
    ends = (2, 3, (port, 80)) if opener else (3, 2, (80, port))
    return generation.tcp(*ends, (sequence, 0), flags, payload)


def flows_of(packets: Sequence[Timed], settings: MeterSettings = SMALL) -> int:
    meter = Meter(settings, fixed_key(1))
    for packet in packets:
        meter.step(batch([packet]))
    return meter.counters.flows


def in_turn(*frames: bytes) -> list[Timed]:
    # So far apart that an equal frame is no copy of the one before.
    return [(BEGIN + 2 * COPY_WITHIN * number, frame) for number, frame in enumerate(frames)]


def test_both_directions_are_one_flow_and_other_ends_protocols_and_kinds_are_others() -> None:
    udp = generation.udp
    same = [udp(2, 3, (53, 9), b"x"), udp(3, 2, (9, 53), b"x"), udp(2, 3, (53, 9), b"longer")]
    assert flows_of(in_turn(*same)) == 1
    others = [
        udp(2, 3, (9, 53), b"x"),
        udp(2, 4, (53, 9), b"x"),
        udp(2, 3, (53, 10), b"x"),
        generation.tcp(2, 3, (53, 9), (0, 0), ACK, b"x"),
        ipv6(2, 3, 17, struct.pack("!HHHH", 53, 9, 9, 0) + b"x"),
    ]
    for number, other in enumerate(others):
        assert flows_of(in_turn(*same, *others[:number], other)) == 2 + number


def test_packets_of_a_device_to_itself_are_one_flow_a_pair_of_ports() -> None:
    udp = generation.udp
    assert flows_of(in_turn(udp(2, 2, (53, 9), b"x"), udp(2, 2, (9, 53), b"x"), udp(2, 2, (9, 9), b"x"))) == 2


@pytest.mark.parametrize(("gap", "flows"), [(IDLE, 1), (IDLE + 1, 2)])
def test_flow_ends_when_it_was_idle_for_five_minutes(gap: int, flows: int) -> None:
    packets = [(BEGIN, segment(True, SYN)), (BEGIN + SECOND, segment(False, SYN | ACK))]
    assert flows_of([*packets, (BEGIN + SECOND + gap, segment(True, ACK, 1))]) == flows


CLOSED = (segment(True, SYN), segment(False, SYN | ACK), segment(True, FIN | ACK, 1), segment(False, FIN | ACK, 1))
RESET = (segment(True, SYN), segment(False, RST | ACK))


LAST_SEGMENTS = {
    "a SYN that is sent again": (CLOSED[:2], segment(True, SYN), 1),
    "a SYN while one end is open yet": (CLOSED[:3], segment(True, SYN), 1),
    "a SYN after both ends": (CLOSED, segment(True, SYN), 2),
    "a SYN of the other after both ends": (CLOSED, segment(False, SYN), 2),
    "the last ACK": (CLOSED, segment(True, ACK, 2), 1),
    "an answer to a SYN after both ends": (CLOSED, segment(False, SYN | ACK), 1),
    "a SYN after a reset": (RESET, segment(True, SYN, 9), 2),
    "a second reset": (RESET, segment(True, RST), 1),
}


@pytest.mark.parametrize(("before", "last", "flows"), LAST_SEGMENTS.values(), ids=LAST_SEGMENTS)
def test_only_a_closed_flow_begins_again_and_only_with_a_syn(
    before: tuple[bytes, ...], last: bytes, flows: int
) -> None:
    assert flows_of(in_turn(*before, last)) == flows


def test_flow_that_begins_again_remembers_nothing_of_the_one_before() -> None:
    """Its opener is the new one's, and numbers that the old one had sent are new."""
    old = (*CLOSED[:2], segment(True, ACK, 1, b"a" * 100), *CLOSED[2:])
    frames = (*old, segment(False, SYN, 0), segment(False, ACK, 1, b"b" * 10), segment(True, ACK, 50, b"c" * 10))
    row = one(in_turn(*frames), 3)
    assert (row["flows_in"], row["flows_out"], row["resent"]) == (1, 1, 0)


@pytest.mark.parametrize(("flags", "opener"), [(SYN | ACK, 3), (ACK, 2), (FIN | ACK, 2), (SYN, 2)])
def test_capture_that_begins_inside_a_connection_tells_its_opener_by_the_answer_to_a_syn(
    flags: int, opener: int
) -> None:
    packets = in_turn(segment(True, flags, 5))
    assert {host: one(packets, host)["flows_out"] for host in (2, 3)} == {opener: 1, 5 - opener: 0}


def resent(*sent: tuple[int, int, int]) -> list[float]:
    """Return, after each of one side's segments (flags, sequence, length), how many were sent again."""
    frames = [segment(True, flags, sequence, bytes(length)) for flags, sequence, length in sent]
    rows: list[Row] = [one(in_turn(*frames[: count + 1]), 2) for count in range(len(frames))]
    return [row["resent"] for row in rows]


def test_payload_that_was_sent_before_is_told_where_numbers_wrap() -> None:
    assert resent((SYN, LAST - 4, 0), (ACK, LAST - 3, 10), (ACK, 6, 10), (ACK, LAST - 3, 10), (ACK, 6, 10)) == [
        0, 0, 0, 1, 2,
    ]  # fmt: skip


def test_part_that_is_new_makes_a_segment_new() -> None:
    assert resent((ACK, 100, 10), (ACK, 105, 10), (ACK, 105, 10), (ACK, 104, 9)) == [0, 0, 1, 2]


def test_number_half_the_numbers_ahead_is_new_and_one_further_was_before() -> None:
    half = 1 << 31
    assert resent((ACK, 0, 1), (ACK, half - 1, 1)) == [0, 0]
    assert resent((ACK, 0, 1), (ACK, half, 1)) == [0, 1]


def test_segment_without_payload_is_never_told_as_sent_again() -> None:
    assert resent((ACK, 100, 10), (ACK, 100, 0), (ACK, 50, 0)) == [0, 0, 0]


def test_sides_have_numbers_of_their_own() -> None:
    frames = (segment(True, ACK, 100, b"a" * 10), segment(False, ACK, 100, b"b" * 10), segment(False, ACK, 110, b"c"))
    assert one(in_turn(*frames), 2)["resent"] == 0


def syns(count: int, begin: int = BEGIN) -> list[Timed]:
    return [(begin + 1000 * number, segment(True, SYN, port=1000 + number)) for number in range(count)]


def test_flood_of_syns_drives_out_its_own_flows_for_a_minute() -> None:
    answered = [(BEGIN, segment(True, SYN)), (BEGIN + 1, segment(False, SYN | ACK))]
    for begin, stays in ((BEGIN + 59 * SECOND, True), (BEGIN + 61 * SECOND, False)):
        meter = Meter(NARROW, fixed_key(1))
        meter.step(batch([*answered, *syns(300, begin)]))
        before = meter.counters.flows
        meter.step(batch([(begin + SECOND // 2, segment(True, ACK, 1, b"x"))]))
        assert meter.counters.flows == before + (not stays)
        assert meter.counters.flows_evicted > 280


def test_closed_flows_make_way_before_older_ones_that_are_open() -> None:
    """A flow that is open and silent stays while those that ended after it make way."""
    meter = Meter(NARROW, fixed_key(1))
    meter.step(batch([(BEGIN, segment(True, SYN))]))
    for number in range(300):
        time, port = BEGIN + (1 + number) * 1000, 1000 + number
        meter.step(batch([(time, segment(True, SYN, port=port)), (time + 1, segment(False, RST | ACK, port=port))]))
    before = meter.counters.flows
    meter.step(batch([(BEGIN + 400_000, segment(True, ACK, 1))]))
    assert before == meter.counters.flows == 301
