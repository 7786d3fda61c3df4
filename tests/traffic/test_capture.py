"""Captures of every form are read, whole or in pieces; what is damaged is told, and what stands before it is kept."""

import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.errors import MedwardError
from medward.traffic.errors import DamagedCapture, NotACapture
from medward.traffic.sources.capture import BATCH, CaptureDecoder, read_capture
from tests.traffic.captures import (
    BEGIN,
    SECOND,
    Timed,
    block,
    enhanced,
    interface,
    odd_frames,
    pcap,
    pcapng,
    section,
)

PACKETS: list[Timed] = [(BEGIN + i * 1_234_567_000, frame) for i, frame in enumerate(odd_frames())]


def decoded(content: bytes, pieces: list[int] | None = None) -> list[tuple[int, bytes, int]]:
    """Return times, octets and wire lengths of all packets, the capture being fed in pieces of these lengths."""
    decoder = CaptureDecoder("a capture")
    found = []
    for piece in (
        [content] if pieces is None else [content[a:b] for a, b in zip([0, *pieces], [*pieces, None], strict=True)]
    ):
        decoder.room()[: len(piece)] = piece
        for batch in decoder.decode(len(piece)):
            for i in range(len(batch)):
                begin = batch.offset[i]
                octets = batch.octets[begin : begin + batch.captured[i]].tobytes()
                found.append((int(batch.time[i]), octets, int(batch.wire[i])))
    decoder.finish()
    return found


def expected(packets: list[Timed] = PACKETS, unit: int = 1000) -> list[tuple[int, bytes, int]]:
    return [(time // unit * unit, frame, len(frame)) for time, frame in packets]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_is_read_in_both_byte_orders_and_resolutions(order: str, nano: bool) -> None:
    assert decoded(pcap(PACKETS, order, nano)) == expected(unit=1 if nano else 1000)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("resolution", [None, 3, 6, 9])
def test_pcapng_is_read_in_both_byte_orders_and_all_resolutions(order: str, resolution: int | None) -> None:
    unit = 10 ** (9 - (6 if resolution is None else resolution))
    assert decoded(pcapng(PACKETS, order, resolution)) == expected(unit=unit)


def test_pcapng_times_in_powers_of_two_are_right_to_a_nanosecond() -> None:
    for time, _, _ in decoded(pcapng([(BEGIN + SECOND // 2, b"x" * 60)], resolution=0x80 | 20)):
        assert time == BEGIN + SECOND // 2


@given(st.lists(st.integers(0, 2500), max_size=8).map(sorted), st.sampled_from(["pcap", "pcapng"]))
def test_pieces_of_any_length_make_the_same_packets(pieces: list[int], form: str) -> None:
    content = (pcap if form == "pcap" else pcapng)(PACKETS)
    assert decoded(content, pieces) == decoded(content)


def test_sections_interfaces_and_unknown_blocks_stand_side_by_side() -> None:
    frame = odd_frames()[0]
    simple = block(3, struct.pack("<I", len(frame)) + frame)
    old = block(2, struct.pack(">HHIIII", 1, 0, 0, 5, len(frame), len(frame)) + frame, ">")
    content = (
        section() + block(0xBAD, b"whatever") + interface() + enhanced(BEGIN, frame) + simple + section(">")
        + interface(">", resolution=9) + interface(">") + old + enhanced(BEGIN, frame, ">", 10**9)
    )  # fmt: skip
    assert decoded(content) == [
        (BEGIN, frame, len(frame)), (BEGIN, frame, len(frame)), (5000, frame, len(frame)), (BEGIN, frame, len(frame)),
    ]  # fmt: skip


def test_capture_of_many_packets_comes_in_batches(tmp_path: Path) -> None:
    packets = [(BEGIN + i * 1000, b"x" * 60) for i in range(2 * BATCH + 5)]
    (tmp_path / "many.pcap").write_bytes(pcap(packets))
    assert [len(batch) for batch in read_capture(tmp_path / "many.pcap")] == [BATCH, BATCH, 5]


def read_until_it_fails(path: Path) -> tuple[int, MedwardError]:
    count = 0
    with pytest.raises(MedwardError) as caught:  # noqa: PT012
        for batch in read_capture(path):
            count += len(batch)
    return count, caught.value


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_capture_that_ends_inside_a_record_is_told_after_its_packets(tmp_path: Path, form: object) -> None:
    path = tmp_path / "cut"
    path.write_bytes(form(PACKETS)[:-3])  # type: ignore[operator]
    count, error = read_until_it_fails(path)
    assert count == len(PACKETS) - 1
    assert isinstance(error, DamagedCapture)
    assert f"{path} cannot be read beyond packet {count} (byte {error.offset}): it ends inside a record" in str(error)


def test_impossible_length_is_told_after_the_packets_before_it(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap(PACKETS) + struct.pack("<IIII", 1, 1, 1 << 31, 1 << 31) + bytes(100))
    count, error = read_until_it_fails(path)
    assert count == len(PACKETS)
    assert isinstance(error, DamagedCapture)
    assert error.offset == len(pcap(PACKETS))
    path.write_bytes(pcapng(PACKETS) + struct.pack("<II", 6, 13) + bytes(100))
    count, error = read_until_it_fails(path)
    assert count == len(PACKETS)
    assert "impossible length" in str(error)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has 0 octets"),
        (b"\xd4\xc3\xb2", "has 3 octets"),
        (b"time,source\n1,2\n", "begins with 74696d65"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "compressed with gzip"),
        (pcap(PACKETS, link=105), "link type 105"),
    ],
)
def test_what_is_no_capture_is_told_in_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    count, error = read_until_it_fails(path)
    assert count == 0
    assert isinstance(error, NotACapture)
    assert said in str(error)


def test_interfaces_without_end_are_refused() -> None:
    with pytest.raises(DamagedCapture, match="more than 4096 interfaces"):
        decoded(section() + interface() * 5000)


def read_or_refused(content: bytes) -> bool:
    """Tell whether a capture is refused in one sentence; an error of any other kind comes through."""
    try:
        return not all(len(octets) <= wire for _, octets, wire in decoded(content))
    except (NotACapture, DamagedCapture) as error:
        return "\n" not in str(error)


def test_mutated_captures_are_read_or_refused() -> None:
    rng = np.random.default_rng(4)
    refused = 0
    for form in (pcap, pcapng):
        for _ in range(1500):
            content = bytearray(form(PACKETS))
            for place in rng.integers(len(content), size=3):
                content[place] = rng.integers(256)
            refused += read_or_refused(bytes(content[: rng.integers(1, len(content) + 1)]))
    assert 1000 < refused < 3000


def test_a_stream_that_cannot_seek_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(pcapng(PACKETS)))
    writer.start()
    assert sum(len(batch) for batch in read_capture(path)) == len(PACKETS)
    writer.join()


def test_standard_input_is_read() -> None:
    program = "from medward.traffic.sources.capture import read_capture; print(sum(len(b) for b in read_capture('-')))"
    done = subprocess.run([sys.executable, "-c", program], input=pcap(PACKETS), capture_output=True, check=True)
    assert int(done.stdout) == len(PACKETS)
