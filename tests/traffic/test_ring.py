"""The ring hands out the packets of an interface, in place and in order, and counts what it had to drop.

Runs on the loopback interface where capturing is permitted.
"""

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from medward.traffic.errors import CaptureDenied
from medward.traffic.meter import Meter, MeterSettings
from medward.traffic.packets import UDP
from medward.traffic.parsing import parse
from medward.traffic.sources.records import empty_arrays
from medward.traffic.sources.ring import BLOCK, InterfaceRing, walk_block


@pytest.fixture
def ring() -> Iterator[InterfaceRing]:
    try:
        opened = InterfaceRing("lo", 8)
    except CaptureDenied as error:
        pytest.skip(str(error))
    with opened:
        yield opened


def send(count: int, port: int, size: int = 8) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(number.to_bytes(size, "big"), ("127.0.0.1", port))


def numbers_at(ring: InterfaceRing, port: int, wanted: int) -> list[int]:
    """Read until so many datagrams to a port were seen; return the numbers that they carry."""
    found: list[int] = []
    deadline = time.monotonic() + 20
    while len(found) < wanted and time.monotonic() < deadline:
        for batch in ring.batches(200):
            for header in parse(batch):
                if header["protocol"] == UDP and header["target_port"] == port:
                    begin = header["payload"]
                    found.append(int.from_bytes(batch.octets[begin : begin + 8].tobytes(), "big"))
    return found


def test_packets_come_in_order(ring: InterfaceRing) -> None:
    send(500, 47311)
    # The loopback interface shows each packet when it leaves and when it arrives.
    found = numbers_at(ring, 47311, 1000)
    assert found[::2] == found[1::2] == list(range(500))
    assert ring.statistics()[0] >= 1000


def test_ring_goes_round(ring: InterfaceRing) -> None:
    for turn in range(30):
        send(200, 47312 + turn, size=1400)
        assert len(numbers_at(ring, 47312 + turn, 400)) == 400


def test_what_nobody_reads_is_dropped_and_counted(ring: InterfaceRing) -> None:
    send(12_000, 47350, size=1400)
    received, dropped = ring.statistics()
    assert dropped > 0
    assert received >= 24_000


def test_live_packets_make_windows(ring: InterfaceRing) -> None:
    meter = Meter(MeterSettings(flows=1024, devices=64, addresses=64, segments=64))
    send(200, 47360)
    deadline = time.monotonic() + 20
    tables = []
    while meter.counters.packets < 400 and time.monotonic() < deadline:
        for batch in ring.batches(200):
            tables += meter.step(batch)
    tables += meter.advance(time.time_ns() + 4_000_000_000)
    rows = [i for table in tables for i, device in enumerate(table.device) if device == "127.0.0.1"]
    assert rows
    assert max(table.column("udp").max() for table in tables) > 0


def test_waiting_for_packets_ends(ring: InterfaceRing) -> None:
    for _ in range(3):
        list(ring.batches(50))


def test_interface_that_is_not_there_is_told() -> None:
    with pytest.raises(CaptureDenied, match=r"nowhere9 .*(not permitted|ip link)"):
        InterfaceRing("nowhere9")


def test_block_of_nonsense_is_not_read_beyond_its_end() -> None:
    rng = np.random.default_rng(6)
    arrays = empty_arrays(BLOCK // 64)
    for _ in range(300):
        memory = np.concatenate([rng.integers(0, 256, 4096, np.uint8), np.zeros(4096, np.uint8)])
        memory[14:20] = 0
        memory[16] = 48
        memory[48:52] = [64, 0, 0, 0]
        count = walk_block(memory, 0, 4096, 1, *arrays)
        assert (arrays[0][:count] + arrays[1][:count] <= 4096).all()
