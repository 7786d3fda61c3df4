"""Windows for a watch, from a capture or an interface, with the packets kept for evidence as they come."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from medward.agents.sentinel.model import SentinelModel
from medward.alerts.alert import Watch
from medward.traffic.meter import Meter, MeterSettings, WindowTable, compile_meter, meter_windows
from medward.traffic.packets import PacketBatch
from medward.traffic.payload.evidence import EvidenceRing, buy_evidence
from medward.traffic.sources.capture import read_capture
from medward.traffic.sources.ring import InterfaceRing

#: How far the clock that ends windows runs behind, so that packets on their way are counted in their own.
BEHIND_NANOSECONDS = 100_000_000
_WAIT_MILLISECONDS = 100


def windows_of_capture(name: Path | str, meter: Meter, evidence: EvidenceRing) -> Iterator[WindowTable]:
    """Yield the windows of a capture; each batch's packets are kept before its windows are handed out.

    Raises:
        TrafficError: it cannot be read to its end; the windows before the damage were yielded.
    """
    return meter_windows(_keep(read_capture(name), evidence), meter)


def windows_of_interface(
    packets: InterfaceRing,
    meter: Meter,
    evidence: EvidenceRing,
    stopping: Callable[[], bool],
    clock: Callable[[], int] = time.time_ns,
) -> Iterator[WindowTable]:
    """Yield the windows of an interface as they end, by packets or by the clock, until `stopping` says so.

    Args:
        packets: the open ring.
        meter: what counts them.
        evidence: keeps them.
        stopping: asked after each batch, and several times a second on a quiet interface.
        clock: nanoseconds since 1970.

    Raises:
        TrafficError: the interface went down.
    """
    while not stopping():
        for batch in packets.batches(_WAIT_MILLISECONDS):
            evidence.add(batch)
            yield from meter.step(batch)
            if stopping():
                break
        yield from meter.advance(clock() - BEHIND_NANOSECONDS)
    yield from meter.finish()


def compile_watch(model: SentinelModel, place: str) -> None:
    """Compile all that a watch needs, so that the first packet of an interface does not wait for it.

    Raises:
        UnusableModel: the model was not trained on the meter's windows.
    """
    watch = Watch(model, place)
    compile_meter()
    octets = np.full(64, 2, np.uint8)
    one = np.array([60], np.int64)
    batch = PacketBatch(octets, np.zeros(1, np.int64), one, one, np.zeros(1, np.int64), np.ones(1, np.int32))
    ring, meter = EvidenceRing(1, 16), Meter(MeterSettings(16, 16, 16, 16, inspect=False))
    ring.add(batch)
    meter.step(batch)
    for table in meter.finish():
        buy_evidence(ring, table.identities)
        watch.step(table, lambda windows: buy_evidence(ring, windows))


def _keep(batches: Iterable[PacketBatch], evidence: EvidenceRing) -> Iterator[PacketBatch]:
    for batch in batches:
        evidence.add(batch)
        yield batch
