"""The evidence ring: the packets of the last ten seconds, in memory of fixed size, looked into only when it is bought.

A live meter counts headers alone (`MeterSettings.inspect` off) and keeps a copy of each packet here for a while. When
the evidence of windows is asked for, `buy_evidence` runs a meter that inspects over the packets of their devices.
Payload is patient data: it is in this memory, for seconds, and nothing here writes it to a disk, a log or an error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.columns import COLUMNS, TICK_SECONDS
from medward.traffic.compilation import compiled
from medward.traffic.devices import BY_MAC
from medward.traffic.meter import Meter, MeterSettings
from medward.traffic.packets import PacketBatch
from medward.traffic.parsing import parse

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


@dataclass(frozen=True)
class BoughtEvidence:
    """What was bought about some windows.

    Args:
        values: float32 [windows, columns], the expensive columns as an inspecting meter gives them; NaN where nothing
            of a window's device is kept.
        octets: int64 [windows], octets of payload that were looked into for each, which is its price. Those of a copy
            that the capture shows of a frame are among them: it takes looking to know it.
    """

    values: NDArray[np.float32]
    octets: NDArray[np.int64]


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


def buy_evidence(ring: EvidenceRing, windows: NDArray[Any], key: NDArray[np.uint64] | None = None) -> BoughtEvidence:
    """Look into the payload of some devices' packets of the ten seconds that end with their windows.

    The expensive columns are those that a meter which inspects everything would have given, with two exceptions:
    packets that the ring has lost (see `EvidenceRing.oldest`) are missing, and of a connection that is older than the
    ring's packets nothing is called malformed. The packets are parsed and inspected once for all windows, so the work
    is bounded by the ring, however many windows ask.

    Args:
        ring: the packets.
        windows: IDENTITY [windows], of rows of a `WindowTable`, all of one tick.
        key: the key of the hash, drawn anew by default.
    """
    values = np.full((len(windows), len(COLUMNS)), np.nan, np.float32)
    octets = np.zeros(len(windows), np.int64)
    if not len(windows):
        return BoughtEvidence(values, octets)
    until = (int(windows["tick"][0]) + 1) * TICK_SECONDS * _NANOSECONDS
    batch = ring.packets(until - EVIDENCE_SECONDS * _NANOSECONDS, until)
    headers = parse(batch)
    by_address = bool(windows["kind"][0] != BY_MAC)
    asked = _mixed(windows["kind"], windows["high"], windows["low"]) if by_address else windows["low"].astype(np.int64)
    names, place = np.unique(asked, return_inverse=True)
    price, mine = np.zeros(len(names), np.int64), np.zeros(len(headers), np.bool_)
    for end in ("source", "target"):
        who = (
            _mixed(headers["kind"], headers[f"{end}_high"], headers[f"{end}_low"])
            if by_address
            else headers[f"{end}_mac"]
        )
        at = np.minimum(np.searchsorted(names, who), len(names) - 1)
        hit = names[at] == who
        mine |= hit
        price += np.bincount(at[hit], headers["payload_captured"][hit], len(names)).astype(np.int64)
    meter = Meter(MeterSettings(1 << 16, 1 << 10, 1 << 10, 1 << 14, by_address=by_address), key)
    for table in (*meter.step(batch.take(np.flatnonzero(mine))), *meter.finish()):
        ours = table.identities["tick"] == windows["tick"][0]
        rows = {_whose(identity): row for identity, row in zip(table.identities[ours], table.values[ours], strict=True)}
        for number, window in enumerate(windows):
            if (row := rows.get(_whose(window))) is not None:
                values[number] = row
    octets += price[place.ravel()]
    return BoughtEvidence(values, octets)


def _mixed(kind: NDArray[Any], high: NDArray[Any], low: NDArray[Any]) -> NDArray[np.uint64]:
    """Mix addresses into 64 bits; where two meet, packets of both are looked into, and each gets its own row."""
    spread: NDArray[np.uint64] = high.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (spread ^ low.astype(np.uint64)) + (kind.astype(np.uint64) << np.uint64(56))


def _whose(identity: Any) -> tuple[int, int, int]:
    return int(identity["kind"]), int(identity["high"]), int(identity["low"])
