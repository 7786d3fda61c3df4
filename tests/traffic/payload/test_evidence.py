"""The evidence ring holds the newest packets, and what is bought from it is what inspecting everything would tell."""

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.columns import COLUMNS
from medward.traffic.hashing import fixed_key
from medward.traffic.meter import Meter, MeterSettings, WindowTable
from medward.traffic.payload.evidence import EvidenceRing, buy_evidence
from tests.traffic.captures import BEGIN, SECOND, Timed, batch

EXPENSIVE = [i for i, (measure, _) in enumerate(COLUMNS.values()) if measure.payload]


def contents(ring: EvidenceRing, since: int = 0, until: int = 2**62) -> list[Timed]:
    held = ring.packets(since, until)
    return [
        (int(held.time[i]), held.octets[held.offset[i] : held.offset[i] + held.captured[i]].tobytes())
        for i in range(len(held))
    ]


def test_ring_gives_back_what_it_was_given() -> None:
    packets = [(BEGIN + i * SECOND, bytes([i]) * (60 + i)) for i in range(100)]
    ring = EvidenceRing(1, 1024)
    assert ring.oldest is None
    for at in range(0, 100, 7):
        ring.add(batch(packets[at : at + 7]))
    assert contents(ring) == packets
    assert contents(ring, BEGIN + 10 * SECOND, BEGIN + 20 * SECOND) == packets[10:20]
    assert ring.oldest == BEGIN


@pytest.mark.parametrize(("size", "places"), [(1500, 1 << 12), (60, 256)])
def test_ring_keeps_the_newest_whole_and_in_order(size: int, places: int) -> None:
    rng = np.random.default_rng(1)
    packets = [(BEGIN + i, rng.bytes(int(rng.integers(1, size)))) for i in range(6000)]
    ring = EvidenceRing(1, places)
    for at in range(0, 6000, 100):
        ring.add(batch(packets[at : at + 100]))
        held = contents(ring)
        assert held == packets[: at + 100][-len(held) :]
    assert len(held) > 0.9 * min(places, (1 << 20) / (size / 2))


def test_long_packets_are_cut() -> None:
    ring = EvidenceRing(1, 16, longest=100)
    ring.add(batch([(BEGIN, bytes(1000))]))
    held = ring.packets(0, 2**62)
    assert (held.captured[0], held.wire[0]) == (100, 1000)


def windows_of(packets: list[Timed], inspect: bool, ring: EvidenceRing | None = None) -> list[WindowTable]:
    meter = Meter(MeterSettings(devices=1024, inspect=inspect), fixed_key(1))
    tables = []
    for at in range(0, len(packets), 100):
        part = batch(packets[at : at + 100])
        tables += meter.step(part)
        if ring is not None:
            ring.add(part)
    return [*tables, *meter.finish()]


@pytest.mark.parametrize("times", [1, 2], ids=["shown once", "shown twice"])
def test_bought_evidence_is_what_inspecting_everything_tells(times: int) -> None:
    packets = [(round(time * 1e6) * 1000, frame) for time, frame in generation.ward(6000)]
    packets = [packet for packet in packets if packet[0] < packets[0][0] + 9 * SECOND for _ in range(times)]
    ring = EvidenceRing()
    cheap, all_of_it = windows_of(packets, False, ring), windows_of(packets, True)
    assert np.isnan(cheap[0].values[:, EXPENSIVE]).all()
    bought = 0
    for one, other in zip(cheap, all_of_it, strict=True):
        np.testing.assert_array_equal(one.identities, other.identities)
        asked = np.arange(0, len(one), 2)
        evidence = buy_evidence(ring, one.identities[asked], fixed_key(1))
        np.testing.assert_array_equal(evidence.values[:, EXPENSIVE], other.values[np.ix_(asked, EXPENSIVE)])
        alone = buy_evidence(ring, one.identities[:1], fixed_key(1))
        np.testing.assert_array_equal(alone.values[:, EXPENSIVE], other.values[:1, EXPENSIVE])
        assert alone.octets[0] == evidence.octets[0] >= other.column("payload_up_10s")[0]
        bought += len(asked)
    assert bought > 100


def test_evidence_of_devices_by_address_is_bought_alike() -> None:
    frame = generation.tcp(2, 3, (40000, 80), (1, 1), 24, b"GET /fhir HTTP/1.1\r\n\r\n")
    other = generation.tcp(4, 5, (40000, 80), (1, 1), 24, b"GET /fhir HTTP/1.1\r\n\r\n")
    ring = EvidenceRing(1, 64)
    meter = Meter(MeterSettings(64, 64, 64, 64, by_address=True, inspect=False))
    part = batch([(BEGIN, frame), (BEGIN, other)])
    ring.add(part)
    meter.step(part)
    (table,) = meter.finish()
    asked = [table.device.index(f"10.77.0.{host}") for host in (3, 2)]
    evidence = buy_evidence(ring, table.identities[asked])
    assert evidence.values[:, list(COLUMNS).index("http_requests")].tolist() == [1, 1]
    assert evidence.octets.tolist() == [22, 22]


def test_nothing_is_bought_where_nothing_is_kept() -> None:
    frame = generation.udp(2, 3, (4000, 53), b"x")
    meter = Meter(MeterSettings(64, 64, 64, 64, inspect=False))
    meter.step(batch([(BEGIN, frame)]))
    (table,) = meter.finish()
    evidence = buy_evidence(EvidenceRing(1, 64), table.identities)
    assert np.isnan(evidence.values).all()
    assert evidence.octets.tolist() == [0] * len(table)
    assert len(buy_evidence(EvidenceRing(1, 64), table.identities[:0]).octets) == 0
