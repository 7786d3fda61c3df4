"""A disk that loses, tears and corrupts: what the journal promises must hold on it.

A unit is everything one step wrote; a real disk writes it in one transaction. Units that were not yet synced may be
lost or torn at a crash; a torn unit is recognised by its checksum and dropped whole, as SQLite drops a transaction
without its commit frame. Damage to a synced unit is recognised by the chain of checksums, and the disk is then refused.
"""

import hashlib
from dataclasses import dataclass, field
from random import Random

from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import JournalCorrupt
from medward.ledger.pbft.effects import (
    Append,
    Compact,
    JournalRecord,
    Recovered,
    SaveChunk,
    StoreBlock,
    StoreEvidence,
    StoreSnapshot,
    Write,
)


@dataclass
class SimDisk:
    codec: bool = False
    units: list[tuple[Write, ...]] = field(default_factory=list)
    synced: int = 0
    corrupted: bool = False

    def write(self, unit: list[Write]) -> None:
        if unit:
            self.units.append(tuple(unit))

    def sync(self) -> None:
        self.synced = len(self.units)

    def crash(self, random: Random) -> str:
        """Keep what was synced and perhaps some of what was not; return what happened for the trace."""
        unsynced = len(self.units) - self.synced
        survive = random.randint(0, unsynced)
        torn = survive < unsynced and random.random() < 0.5
        self.units = self.units[: self.synced + survive]
        self.synced = len(self.units)
        return f"{survive}/{unsynced}{' torn' if torn else ''}"

    def lose_everything(self) -> None:
        self.units, self.synced, self.corrupted = [], 0, False

    def roll_back(self, random: Random) -> None:
        """Lose synced units from the end: a lying disk, or a restored backup."""
        self.units = self.units[: random.randint(0, len(self.units))]
        self.synced = len(self.units)

    def recover(self) -> Recovered:
        if self.corrupted:
            raise JournalCorrupt("a checksum in the journal does not match")
        records: list[JournalRecord] = []
        snapshot: StoreSnapshot | None = None
        blocks: dict[int, StoreBlock] = {}
        chunks: dict[bytes, bytes] = {}
        for unit in self.units:
            for write in unit:
                if isinstance(write, Append):
                    records.append(self._through_codec(write.record))
                elif isinstance(write, Compact):
                    records = [self._through_codec(record) for record in write.records]
                elif isinstance(write, StoreBlock):
                    blocks[write.block.certificate.header.height] = write
                elif isinstance(write, StoreSnapshot):
                    snapshot, chunks = write, {}
                elif isinstance(write, SaveChunk):
                    assert hashlib.sha256(write.data).digest() == write.digest
                    chunks[write.digest] = write.data
                else:
                    assert isinstance(write, StoreEvidence)
        base = 0 if snapshot is None else snapshot.certificate.body.height
        above = []
        while base + len(above) + 1 in blocks:
            above.append(blocks[base + len(above) + 1].block)
        oldest = base + len(above)
        while oldest in blocks:
            oldest -= 1
        oldest = oldest + 1 if oldest + 1 in blocks else 0
        return Recovered(tuple(records), snapshot, tuple(above), chunks, oldest)

    def block(self, height: int) -> StoreBlock | None:
        for unit in reversed(self.units):
            for write in unit:
                if isinstance(write, StoreBlock) and write.block.certificate.header.height == height:
                    return write
        return None

    def snapshot(self) -> StoreSnapshot | None:
        for unit in reversed(self.units):
            for write in reversed(unit):
                if isinstance(write, StoreSnapshot):
                    return write
        return None

    def evidence(self) -> list[StoreEvidence]:
        return [write for unit in self.units for write in unit if isinstance(write, StoreEvidence)]

    def _through_codec(self, record: JournalRecord) -> JournalRecord:
        if not self.codec:
            return record
        again: JournalRecord = decode_form(encode(record), JournalRecord)
        assert again == record
        return again
