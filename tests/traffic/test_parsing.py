"""Headers are read as the standards say, and no packet makes the parser read beyond itself, fail or hang."""

import os
import subprocess
import sys

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic import packets
from medward.traffic.packets import PacketBatch
from medward.traffic.parsing import parse
from tests.traffic.captures import batch, ipv6, mutated, odd_frames
from tests.traffic.reference_parser import parse_ethernet


def frames_of_a_ward() -> list[bytes]:
    return [frame for _, frame in generation.ward(400)]


def assert_as_the_reference(frames: list[bytes]) -> None:
    headers = parse(batch([(0, frame) for frame in frames]))
    for frame, header in zip(frames, headers, strict=True):
        expected = parse_ethernet(frame, len(frame))
        assert {name: int(header[name]) for name in expected} == expected, frame.hex()


def test_headers_are_those_of_a_plain_parser() -> None:
    assert_as_the_reference(odd_frames() + frames_of_a_ward())


@pytest.mark.parametrize("seed", range(5))
def test_headers_of_mutated_packets_are_those_of_a_plain_parser(seed: int) -> None:
    assert_as_the_reference(mutated(np.random.default_rng(seed), odd_frames() + frames_of_a_ward(), 4000))


def test_frames_cut_by_the_capture_keep_the_length_that_their_headers_tell() -> None:
    frame = generation.tcp(2, 3, (40000, 80), (1, 1), 24, bytes(1000))
    header = parse(batch([(0, frame[:100])], wire=[len(frame)]))[0]
    assert (header["trouble"], header["payload_length"], header["payload_captured"]) == (0, 1000, 46)


def test_packet_that_claims_more_than_its_frame_is_malformed() -> None:
    frame = bytearray(generation.udp(2, 3, (40000, 53), b"question"))
    frame[16:18] = b"\x05\xdc"
    assert parse(batch([(0, bytes(frame))]))[0]["trouble"] & packets.MALFORMED


def test_extension_headers_without_end_are_given_up() -> None:
    chain = b"\x3c\x00" + bytes(6)
    header = parse(batch([(0, ipv6(2, 3, 60, chain * 100))]))[0]
    assert (header["kind"], header["has_ports"]) == (packets.IPV6, 0)


def test_link_types_without_ethernet_are_read() -> None:
    packet = generation.ipv4(2, 3, 17, generation.udp(2, 3, (40000, 53), b"question")[34:])
    cooked = b"\0\0\0\1\0\6\2\0\0\0\0\2\0\0\x08\0" + packet
    newer = b"\x08\0\0\0\0\0\0\2\0\1\0\6\2\0\0\0\0\2\0\0" + packet
    for link, frame, has_mac in (
        (packets.LINK_RAW, packet, 0),
        (packets.LINK_IPV4, packet, 0),
        (packets.LINK_NULL, b"\2\0\0\0" + packet, 0),
        (packets.LINK_SLL, cooked, 1),
        (packets.LINK_SLL2, newer, 1),
    ):
        header = parse(batch([(0, frame)], link))[0]
        assert (header["kind"], header["target_port"], header["has_mac"]) == (packets.IPV4, 53, has_mac), link
        if has_mac:
            assert header["source_mac"] == 0x020000000002
    assert parse(batch([(0, packet)], 105))[0]["trouble"] == packets.UNKNOWN_LINK


def with_neighbours(frames: list[bytes], filler: int) -> PacketBatch:
    """Put each frame between octets of one value."""
    between = bytes([filler]) * 64
    octets = np.frombuffer(between + b"".join(frame + between for frame in frames), np.uint8)
    lengths = np.array([len(frame) for frame in frames], np.int64)
    offset = 64 + np.concatenate([[0], np.cumsum(lengths + 64)[:-1]])
    zeros = np.zeros(len(frames), np.int64)
    return PacketBatch(octets, offset.astype(np.int64), lengths, lengths, zeros, np.ones(len(frames), np.int32))


def assert_nothing_is_read_beyond_a_packet(seed: int, count: int) -> None:
    frames = mutated(np.random.default_rng(seed), odd_frames() + frames_of_a_ward(), count)
    headers = [parse(with_neighbours(frames, filler)) for filler in (0x00, 0xFF, 0x45)]
    for other in headers[1:]:
        assert headers[0].tobytes() == other.tobytes()


def test_what_stands_beside_a_packet_does_not_matter() -> None:
    assert_nothing_is_read_beyond_a_packet(1, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_what_stands_beside_a_million_mutated_packets_does_not_matter(seed: int) -> None:
    assert_nothing_is_read_beyond_a_packet(100 + seed, 50_000)


@pytest.mark.slow
def test_no_index_leaves_its_array_with_bounds_checked() -> None:
    """Compiled with bounds checks, each mutated packet alone in memory of exactly its length."""
    program = (
        "import numpy as np\n"
        "from medward.traffic.meter import Meter, MeterSettings\n"
        "from tests.traffic.captures import batch, mutated, odd_frames\n"
        "from tests.traffic.test_parsing import frames_of_a_ward\n"
        "meter = Meter(MeterSettings(256, 64, 64, 64))\n"
        "frames = mutated(np.random.default_rng(3), odd_frames() + frames_of_a_ward(), 50_000)\n"
        "for i, frame in enumerate(frames):\n"
        "    meter.step(batch([(i * 10**7, frame)]))\n"
        "print(meter.counters.packets)\n"
    )
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "50000\n"), done.stderr[-2000:]
