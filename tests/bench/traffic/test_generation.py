"""Captures that are generated: sound packets, in order, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic import packets
from medward.traffic.parsing import parse
from medward.traffic.sources.capture import read_capture


def headers_of(path: Path) -> np.ndarray:
    return np.concatenate([parse(batch) for batch in read_capture(path)])


@pytest.fixture(scope="module")
def mixture() -> list[tuple[float, bytes]]:
    return list(generation.ward(3000))


def test_flood_has_a_flow_for_each_packet(tmp_path: Path) -> None:
    generation.write_flood(tmp_path / "flood.pcap", 70_000)
    headers = headers_of(tmp_path / "flood.pcap")
    assert len(headers) == 70_000
    assert set(headers["flags"]) == {packets.SYN}
    assert not headers["trouble"].any()
    assert len(np.unique(headers[["source_low", "source_port"]])) == 70_000
    assert len(np.unique(headers["source_mac"])) > 40_000
    assert (headers["source_low"] & 0xFFFF == headers["source_mac"] & 0xFFFF).all()
    assert (np.diff(headers["time"]) > 0).all()


def test_ward_has_sound_packets_in_the_order_of_their_times(tmp_path: Path) -> None:
    generation.write_ward(tmp_path / "ward.pcap", 5000)
    headers = headers_of(tmp_path / "ward.pcap")
    assert len(headers) >= 5000
    assert not headers["trouble"].any()
    assert (np.diff(headers["time"]) >= 0).all()
    assert {1883, 2575, 104, 80, 443, 53} <= set(headers["target_port"].tolist())
    generation.write_ward(tmp_path / "again.pcap", 5000)
    assert (tmp_path / "again.pcap").read_bytes() == (tmp_path / "ward.pcap").read_bytes()


def test_seeds_make_different_captures_and_one_seed_the_same(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generation.write_flood(tmp_path / name, 50, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_addresses_are_private_and_belong_to_no_maker(tmp_path: Path, mixture: list[tuple[float, bytes]]) -> None:
    """10.0.0.0/8 is private (RFC 1918); the second bit of a MAC's first octet says that no maker gave it."""
    (tmp_path / "ward.pcap").write_bytes(b"".join(generation.pcap(iter(mixture))))
    generation.write_flood(tmp_path / "flood.pcap", 300)
    for name in ("ward", "flood"):
        headers = headers_of(tmp_path / f"{name}.pcap")
        for side in ("source", "target"):
            assert set((headers[f"{side}_low"] & 0xFFFFFFFF) >> 24) == {10}
            assert set(headers[f"{side}_mac"] >> 40) == {2}


def test_a_ward_has_as_many_packets_as_are_asked_for(tmp_path: Path) -> None:
    """Ten, too: what a meter takes to start is measured on them."""
    generation.write_ward(tmp_path / "ward.pcap", 10)
    assert len(headers_of(tmp_path / "ward.pcap")) == 10


def test_floods_of_all_sizes_have_so_many_packets_in_order(tmp_path: Path) -> None:
    for count in (0, 1, 2):
        generation.write_flood(tmp_path / "flood.pcap", count)
        size = (tmp_path / "flood.pcap").stat().st_size
        assert size == 24 + count * (16 + 54)


def test_frames_have_the_lengths_that_their_headers_tell() -> None:
    datagram = generation.udp(1, 2, (5, 53), b"payload")
    assert datagram[12:14] == b"\x08\x00"
    assert int.from_bytes(datagram[16:18], "big") == len(datagram) - 14
    assert int.from_bytes(datagram[38:40], "big") == len(b"payload") + 8
    segment = generation.tcp(1, 2, (5, 80), (-1, 1 << 40), 16, b"x" * 9)
    assert int.from_bytes(segment[16:18], "big") == len(segment) - 14 == 20 + 20 + 9
    assert segment[38:46] == b"\xff\xff\xff\xff" + bytes(4)  # numbers go round at 2^32


def test_arp_claims_another_address_with_its_own_mac() -> None:
    honest, forged = generation.arp(3, 4, 2), generation.arp(3, 4, 2, claimed=9)
    assert honest[22:28] == forged[22:28] == honest[6:12]
    assert (honest[28:32], forged[28:32]) == (bytes([10, 77, 0, 3]), bytes([10, 77, 0, 9]))
    assert honest[32:] == forged[32:]


def test_each_connection_counts_its_octets_on(mixture: list[tuple[float, bytes]]) -> None:
    """What a host sends next begins where it ended, so nothing is missing or sent twice."""
    ends: dict[tuple[int, ...], int] = {}
    checked = 0
    for _, frame in mixture:
        if frame[23] != 6:
            continue
        way = (*frame[26:34], *frame[34:38])
        sequence, flags = int.from_bytes(frame[38:42], "big"), frame[47]
        if not flags & 2 and way in ends:
            assert sequence == ends[way]
            checked += 1
        ends[way] = (sequence + len(frame) - 54 + bool(flags & 3)) & 0xFFFFFFFF
    assert checked > 100
