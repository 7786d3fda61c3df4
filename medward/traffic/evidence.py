"""The evidence ring: the packets of the last ten seconds, in memory of fixed size, looked into only when it is bought.

A live meter counts headers alone (`MeterSettings.inspect` off) and keeps a copy of each packet here for a while. When a
window's evidence is asked for, `buy_evidence` runs a small meter that inspects over the packets of one device. Payload
is patient data: it is in this memory, for seconds, and nothing here writes it to a disk, a log or an error.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.columns import TICK_SECONDS
from medward.traffic.compilation import compiled
from medward.traffic.devices import BY_MAC
from medward.traffic.meter import Meter, MeterSettings, WindowTable
from medward.traffic.packets import PacketBatch
from medward.traffic.parsing import parse
from medward.traffic.windows import IDENTITY

#: Seconds that evidence reaches back, those of the longest view of the expensive columns.
EVIDENCE_SECONDS = 10
_NANOSECONDS = 1_000_000_000

#: A kept packet; `position` counts octets since the ring was made, and its place is that modulo the ring's size.
_KEPT = np.dtype(
    [("time", np.int64), ("position", np.int64), ("captured", np.int64), ("wire", np.int64), ("link", np.int64)]
)


class EvidenceRing:
    """Copies of the packets that came last. What is newest is kept; what is too much for the ring goes, oldest first.

    Args:
        mebibytes: of octets that are kept.
        packets: how many packets are kept at most.
        longest: octets that are kept of one packet.
    """

    def __init__(self, mebibytes: int = 32, packets: int = 1 << 17, longest: int = 2048) -> None:
        self._octets = np.zeros(mebibytes << 20, np.uint8)
        self._kept = np.zeros(packets, _KEPT)
        self._longest = longest
        # How many packets and octets were ever added.
        self._added = np.zeros(2, np.int64)

    def add(self, batch: PacketBatch) -> None:
        """Keep copies of the packets of a batch."""
        _store(
            self._octets,
            self._kept,
            self._added,
            self._longest,
            batch.octets,
            batch.offset,
            batch.captured,
            batch.wire,
            batch.time,
            batch.link,
        )

    @property
    def oldest(self) -> int | None:
        """The time of the oldest packet that is kept, in nanoseconds since 1970: evidence reaches back so far."""
        kept = self._held()
        return int(kept["time"][0]) if len(kept) else None

    def packets(self, since: int, until: int) -> PacketBatch:
        """Return the kept packets whose time lies in [since, until), in the order in which they came.

        The batch lies in the ring, and is valid until packets are added.
        """
        kept = self._held()
        kept = kept[(kept["time"] >= since) & (kept["time"] < until)]
        return PacketBatch(
            self._octets,
            kept["position"] % len(self._octets),
            kept["captured"].copy(),
            kept["wire"].copy(),
            kept["time"].copy(),
            kept["link"].astype(np.int32),
        )

    def _held(self) -> NDArray[Any]:
        """Return the records of the packets whose octets are not yet overwritten, oldest first."""
        packets, octets = (int(count) for count in self._added)
        first = max(packets - len(self._kept), 0)
        kept = self._kept[np.arange(first, packets) % len(self._kept)]
        return kept[kept["position"] >= octets - len(self._octets)]


@compiled
def _store(
    memory: NDArray[np.uint8],
    kept: NDArray[Any],
    added: NDArray[np.int64],
    longest: int,
    octets: NDArray[np.uint8],
    offset: NDArray[np.int64],
    captured: NDArray[np.int64],
    wire: NDArray[np.int64],
    time: NDArray[np.int64],
    link: NDArray[np.int32],
) -> None:
    for i in range(len(offset)):
        length = min(captured[i], longest)
        place = added[1] % len(memory)
        if place + length > len(memory):  # a packet lies in one piece
            added[1] += len(memory) - place
            place = 0
        begin = offset[i]
        for k in range(length):
            memory[np.uintp(place + k)] = octets[np.uintp(begin + k)]
        record = kept[added[0] % len(kept)]
        record.time = time[i]
        record.position = added[1]
        record.captured = length
        record.wire = wire[i]
        record.link = link[i]
        added[0] += 1
        added[1] += length


def buy_evidence(ring: EvidenceRing, window: NDArray[Any], key: NDArray[np.uint64] | None = None) -> WindowTable:
    """Look into the payload of one device's packets of the ten seconds that end with a window.

    The columns are those that a meter which inspects everything would have given for the window, with two exceptions:
    packets that the ring has lost (see `EvidenceRing.oldest`) are missing, and of a connection that is older than the
    ring's packets nothing is called malformed.

    Args:
        ring: the packets.
        window: one IDENTITY, of a row of a `WindowTable`.
        key: the key of the hash, drawn anew by default.

    Returns:
        The device's window, with the expensive columns; empty where no packet of it is kept.
    """
    until = (int(window["tick"]) + 1) * TICK_SECONDS * _NANOSECONDS
    batch = ring.packets(until - EVIDENCE_SECONDS * _NANOSECONDS, until)
    headers = parse(batch)
    if window["kind"] == BY_MAC:
        mine = (headers["source_mac"] == window["low"]) | (headers["target_mac"] == window["low"])
    else:
        mine = _is_address(headers, "source", window) | _is_address(headers, "target", window)
    settings = MeterSettings(1 << 14, 1 << 8, 1 << 8, 1 << 12, by_address=window["kind"] != BY_MAC)
    meter = Meter(settings, key)
    tables = [*meter.step(batch.take(np.flatnonzero(mine))), *meter.finish()]
    chosen = [(table, np.flatnonzero(_is_window(table.identities, window))) for table in tables]
    identities = np.concatenate([table.identities[rows] for table, rows in chosen] or [np.zeros(0, IDENTITY)])
    values = [table.values[rows] for table, rows in chosen]
    return WindowTable(identities, np.concatenate(values) if values else np.zeros((0, 0), np.float32))


def _is_address(headers: NDArray[Any], end: str, window: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (headers[f"{end}_high"] == window["high"]) & (headers[f"{end}_low"] == window["low"])
    found &= headers["kind"] == window["kind"]
    return found


def _is_window(identities: NDArray[Any], window: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = identities["tick"] == window["tick"]
    for field in ("kind", "high", "low"):
        found &= identities[field] == window[field]
    return found
