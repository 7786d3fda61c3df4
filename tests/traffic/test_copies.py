"""Frames that a capture shows again are passed over, and nothing that anybody does is hidden with them."""

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.copies import COPIES_MOST, COPY_PLACES, COPY_WITHIN
from medward.traffic.meter import Meter, MeterCounters
from medward.traffic.packets import ACK, LINK_SLL, PSH
from tests.traffic.captures import BEGIN, SECOND, Timed, batch, ipv6, mutated, odd_frames
from tests.traffic.test_meter import SMALL, Row, join, mac, metered

MICROSECOND = 1000
FRAME = generation.tcp(2, 3, (40000, 80), (1, 1), PSH | ACK, b"GET / HTTP/1.1\r\n\r\n")


def counted(packets: list[Timed], link: int = 1) -> tuple[MeterCounters, list[Row]]:
    """The counters and all rows of a meter that sees these packets in one batch."""
    meter = Meter(SMALL)
    rows = join([*meter.step(batch(packets, link)), *meter.finish()])
    return meter.counters, list(rows.values())


def shown_again(packets: list[Timed], after: int = 10 * MICROSECOND) -> list[Timed]:
    """The capture with each frame twice, its copy so many nanoseconds later."""
    return sorted([*packets, *((time + after, frame) for time, frame in packets)], key=lambda packet: packet[0])


def of_a_ward() -> list[Timed]:
    """A ward's packets, none of them within reach of an equal one, and odd ones."""
    frames = [frame for _, frame in generation.ward(1200)] + odd_frames()
    return [(BEGIN + k * 3_000_000, frame) for k, frame in enumerate(frames)]


def test_a_capture_that_shows_every_frame_twice_has_the_same_windows() -> None:
    once = metered(of_a_ward(), seed=1)
    twice = metered(shown_again(of_a_ward()), seed=1)
    assert twice.keys() == once.keys()
    for key, row in once.items():
        np.testing.assert_array_equal(list(twice[key].values()), list(row.values()), err_msg=str(key))


def test_copies_are_counted_among_the_packets_and_told_of() -> None:
    counters, _ = counted(shown_again(of_a_ward()))
    assert counters.copies == counters.packets // 2 == len(of_a_ward())
    assert "packets were copies of frames that the capture had shown at most 2 ms before" in counters.warnings()[-1]
    none, _ = counted(of_a_ward())
    assert (none.copies, [sentence for sentence in none.warnings() if "copies" in sentence]) == (0, [])
    few, _ = counted([*of_a_ward(), (BEGIN + 3600 * SECOND, FRAME), (BEGIN + 3600 * SECOND, FRAME)])
    assert (few.copies, [sentence for sentence in few.warnings() if "copies" in sentence]) == (1, [])


@pytest.mark.parametrize(
    "again",
    [FRAME[:12] + b"\x81\x00\x00\x05" + FRAME[12:], FRAME + bytes(6)],
    ids=["with a VLAN tag", "padded"],
)
def test_a_tag_and_padding_make_no_other_frame(again: bytes) -> None:
    assert counted([(BEGIN, FRAME), (BEGIN, again)])[0].copies == 1


def test_whoever_changes_one_octet_is_counted() -> None:
    for at in range(len(FRAME)):
        changed = FRAME[:at] + bytes([FRAME[at] ^ 1]) + FRAME[at + 1 :]
        assert counted([(BEGIN, FRAME), (BEGIN, changed)])[0].copies == 0, at


def test_changed_octets_of_frames_of_all_kinds_are_counted() -> None:
    rng = np.random.default_rng(1)
    frames = list(dict.fromkeys(mutated(rng, [*odd_frames(), ipv6(2, 3, 17, bytes(300))], 3000)))
    packets: list[Timed] = [(BEGIN, frame) for frame in frames]
    meter = Meter(SMALL)
    for packet in packets:
        meter.step(batch([packet, packet]))
    # Each is passed over once, next to itself, where it can be read at all.
    assert meter.counters.copies <= len(frames)
    assert meter.counters.copies > 0.9 * len(frames)


def test_what_another_device_passes_on_is_no_copy() -> None:
    forwarded = FRAME[:6] + bytes.fromhex("020000000009") + FRAME[12:]
    towards = bytes.fromhex("020000000009") + FRAME[6:]
    assert counted([(BEGIN, towards), (BEGIN + MICROSECOND, forwarded)])[0].copies == 0


def test_cooked_frames_of_several_interfaces_are_copies() -> None:
    """A capture on all interfaces of a bridge has another packet type and the same sender for each."""
    packet = FRAME[14:]
    cooked = [b"\0" + bytes([kind]) + b"\0\1\0\6\2\0\0\0\0\2\0\0\x08\0" + packet for kind in (3, 0, 4)]
    other = cooked[0][:11] + b"\x09" + cooked[0][12:]
    packets = [(BEGIN + k * MICROSECOND, frame) for k, frame in enumerate([*cooked, other])]
    assert counted(packets, LINK_SLL)[0].copies == 2


@pytest.mark.parametrize(
    ("after", "copies"), [(0, 1), (COPY_WITHIN, 1), (-COPY_WITHIN, 1), (COPY_WITHIN + 1, 0), (-COPY_WITHIN - 1, 0)]
)
def test_a_frame_of_another_moment_is_a_frame(after: int, copies: int) -> None:
    assert counted([(BEGIN + SECOND, FRAME), (BEGIN + SECOND + after, FRAME)])[0].copies == copies


def test_who_floods_with_one_frame_is_counted_at_a_quarter_of_the_rate() -> None:
    flood = [(BEGIN + k * MICROSECOND, FRAME) for k in range(1600)]
    counters, rows = counted(flood)
    assert counters.copies == 1200
    assert rows[0]["packets_up"] + rows[0]["packets_down"] == 400
    assert COPIES_MOST == 3


def test_a_frame_again_and_again_is_a_copy_within_two_milliseconds_of_the_first_and_not_of_the_last() -> None:
    steady = [(BEGIN + k * 1_500_000, FRAME) for k in range(100)]
    assert counted(steady)[0].copies == 50


def test_so_many_frames_between_a_frame_and_its_copy_are_remembered() -> None:
    """One place a frame: of those of which another one took the place, the copy is counted as a frame."""
    frames = [generation.udp(2, 3, (4000, 53), k.to_bytes(4, "big")) for k in range(COPY_PLACES // 8)]
    counters, _ = counted([(BEGIN, frame) for frame in [*frames, *frames]])
    # A frame keeps its place against 511 others with (1 - 1 / 4096)^511, .88; five deviations of 512 of them are .07.
    assert 0.8 < counters.copies / len(frames) < 0.96


def test_an_end_of_a_tick_comes_with_copies_too() -> None:
    rows = metered([(BEGIN + 2 * SECOND - 1, FRAME), (BEGIN + 2 * SECOND, FRAME), (BEGIN + 2 * SECOND + 1, FRAME)])
    assert [key for key in rows if key[1] == mac(2)] == [(BEGIN // (2 * SECOND), mac(2))]
