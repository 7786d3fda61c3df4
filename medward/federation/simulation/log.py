"""A log in memory, for a federation in one process."""

import hashlib
from dataclasses import dataclass

from medward.federation.records import Record, encode_record


@dataclass(frozen=True)
class Entry:
    """An ordered record: who signed it, when, the hash of the block that it is in, and the epoch that ordered it."""

    record: Record
    author: str
    time: float
    block: bytes
    epoch: int | None = None


class MemoryLog:
    """An ordered log in memory, every record a block of its own; its clock moves only when it is told to.

    It has no replicas whose members would change later, so every record begins an epoch.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._block = bytes(32)
        self.time = 0.0

    def append(self, record: Record, author: str) -> None:
        """Order a record now."""
        self._block = hashlib.sha256(self._block + author.encode() + b"\n" + encode_record(record)).digest()
        self._entries.append(Entry(record, author, self.time, self._block, len(self._entries)))

    def read(self, start: int) -> list[Entry]:
        """Return the records from number `start` on."""
        return self._entries[start:]

    def __len__(self) -> int:
        return len(self._entries)
