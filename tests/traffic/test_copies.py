"""Frames that a capture shows again are passed over, and nothing that anybody does is hidden with them."""

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.copies import COPIES_MOST, COPY_PLACES, COPY_WITHIN, SHOWN, is_copy
from medward.traffic.hashing import random_key
from medward.traffic.meter import Meter, MeterCounters
from medward.traffic.packets import ACK, CUT_SHORT, LINK_ETHERNET, LINK_SLL, PSH
from medward.traffic.parsing import parse
from medward.traffic.tables import STATE
from tests.traffic.captures import BEGIN, SECOND, Timed, batch, ipv6, mutated, odd_frames
from tests.traffic.test_meter import SMALL, mac, metered

MICROSECOND = 1000
FRAME = generation.tcp(2, 3, (40000, 80), (1, 1), PSH | ACK, b"GET / HTTP/1.1\r\n\r\n")


def counted(packets: list[Timed]) -> MeterCounters:
    """The counters of a meter that sees these packets."""
    meter = Meter(SMALL)
    meter.step(batch(packets))
    return meter.counters


def copies_of(packets: list[Timed], link: int = LINK_ETHERNET) -> int:
    """How many of these packets are copies."""
    part = batch(packets, link)
    state, shown = np.zeros(1, STATE), np.zeros(COPY_PLACES, SHOWN)
    state["key"] = random_key()
    return sum(is_copy(state[0], shown, part.octets, header) for header in parse(part))


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
    counters = counted(shown_again(of_a_ward()))
    assert counters.copies == counters.packets // 2 == len(of_a_ward())
    assert "packets were copies of frames that the capture had shown at most 2 ms before" in counters.warnings()[-1]


@pytest.mark.parametrize("few", [0, 1])
def test_a_few_copies_are_not_told_of(few: int) -> None:
    counters = counted([*of_a_ward(), *[(BEGIN + 3600 * SECOND, FRAME)] * (1 + few)])
    assert counters.copies == few
    assert not [sentence for sentence in counters.warnings() if "copies" in sentence]


@pytest.mark.parametrize(
    "again",
    [FRAME[:12] + b"\x81\x00\x00\x05" + FRAME[12:], FRAME + bytes(6)],
    ids=["with a VLAN tag", "padded"],
)
def test_a_tag_and_padding_make_no_other_frame(again: bytes) -> None:
    assert copies_of([(BEGIN, FRAME), (BEGIN, again)]) == 1


def test_whoever_changes_one_octet_is_counted() -> None:
    for at in range(len(FRAME)):
        changed = FRAME[:at] + bytes([FRAME[at] ^ 1]) + FRAME[at + 1 :]
        assert copies_of([(BEGIN, FRAME), (BEGIN, changed)]) == 0, at


def test_frames_of_all_kinds_are_known_again_and_mutated_ones_told_apart() -> None:
    frames = list(dict.fromkeys(mutated(np.random.default_rng(1), [*odd_frames(), ipv6(2, 3, 17, bytes(300))], 3000)))
    apart = [(BEGIN + k * SECOND, frame) for k, frame in enumerate(frames)]
    assert copies_of(apart) == 0
    understood = int((parse(batch(apart))["trouble"] & CUT_SHORT == 0).sum())
    assert understood <= copies_of(shown_again(apart)) <= len(frames)


def test_what_another_device_passes_on_is_no_copy() -> None:
    forwarded = FRAME[:6] + bytes.fromhex("020000000009") + FRAME[12:]
    towards = bytes.fromhex("020000000009") + FRAME[6:]
    assert copies_of([(BEGIN, towards), (BEGIN + MICROSECOND, forwarded)]) == 0


def test_cooked_frames_of_several_interfaces_are_copies() -> None:
    """A capture on all interfaces of a bridge has another packet type and the same sender for each."""
    packet = FRAME[14:]
    cooked = [b"\0" + bytes([kind]) + b"\0\1\0\6\2\0\0\0\0\2\0\0\x08\0" + packet for kind in (3, 0, 4)]
    other = cooked[0][:11] + b"\x09" + cooked[0][12:]
    packets = [(BEGIN + k * MICROSECOND, frame) for k, frame in enumerate([*cooked, other])]
    assert copies_of(packets, LINK_SLL) == 2


@pytest.mark.parametrize(
    ("after", "copies"), [(0, 1), (COPY_WITHIN, 1), (-COPY_WITHIN, 1), (COPY_WITHIN + 1, 0), (-COPY_WITHIN - 1, 0)]
)
def test_a_frame_of_another_moment_is_a_frame(after: int, copies: int) -> None:
    assert copies_of([(BEGIN + SECOND, FRAME), (BEGIN + SECOND + after, FRAME)]) == copies


def test_who_floods_with_one_frame_is_counted_at_a_quarter_of_the_rate() -> None:
    assert copies_of([(BEGIN + k * MICROSECOND, FRAME) for k in range(1600)]) == 1200
    assert COPIES_MOST == 3


def test_copies_come_within_two_milliseconds_of_the_frame_and_not_of_its_last_copy() -> None:
    assert copies_of([(BEGIN + k * 1_500_000, FRAME) for k in range(100)]) == 50


def test_so_many_frames_between_a_frame_and_its_copy_are_remembered() -> None:
    """One place a frame: of those of which another one took the place, the copy is counted as a frame."""
    frames = [generation.udp(2, 3, (4000, 53), k.to_bytes(4, "big")) for k in range(COPY_PLACES // 8)]
    share = copies_of([(BEGIN, frame) for frame in [*frames, *frames]]) / len(frames)
    # A frame keeps its place against 511 others with (1 - 1 / 4096)^511, .88; five deviations of 512 of them are .07.
    assert 0.8 < share < 0.96


def test_an_end_of_a_tick_comes_with_copies_too() -> None:
    rows = metered([(BEGIN + 2 * SECOND - 1, FRAME), (BEGIN + 2 * SECOND, FRAME), (BEGIN + 2 * SECOND + 1, FRAME)])
    assert [key for key in rows if key[1] == mac(2)] == [(BEGIN // (2 * SECOND), mac(2))]
