"""What a federation in one process stands on: a log in memory, and the sum of `protect = "none"`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medward.federation.interfaces import IntVector, Slot, WrongSum
from medward.federation.records import Record, encode_record


@dataclass(frozen=True)
class Entry:
    """An ordered record: who signed it, when, and the hash of the block that it is in."""

    record: Record
    author: str
    time: float
    block: bytes


class MemoryLog:
    """An ordered log in memory, every record a block of its own; its clock moves only when it is told to."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._block = bytes(32)
        self.time = 0.0

    def append(self, record: Record, author: str) -> None:
        """Order a record now."""
        self._block = hashlib.sha256(self._block + author.encode() + b"\n" + encode_record(record)).digest()
        self._entries.append(Entry(record, author, self.time, self._block))

    def read(self, start: int) -> list[Entry]:
        """Return the records from number `start` on."""
        return self._entries[start:]

    def __len__(self) -> int:
        return len(self._entries)


class PlainSum:
    """A `SecureSum` that protects nothing: contributions lie open. The baseline that every output names as such.

    A contribution is its member's name, a line end, and the integers of 8 bytes each: no two members' are equal.

    Args:
        member: whose part this is.
    """

    name = "none"

    def __init__(self, member: str) -> None:
        self._member = member
        self._last: tuple[Slot, bytes] | None = None

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        """Return the integers as they are."""
        self._last = (slot, _encoded(slot, self._member, values))
        return self._last[1]

    def sealed(self, slot: Slot) -> bytes | None:
        """Return the contribution to this slot, if it was the last one; nothing outlives this object."""
        return self._last[1] if self._last is not None and self._last[0] == slot else None

    def examine(self, slot: Slot, member: str, contribution: bytes) -> None:
        """Return if the contribution has the right length and name."""
        _integers(slot, contribution, member)

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        """Return the sum of the contributions."""
        total = np.zeros(slot.counts + slot.values, np.int64)
        for member, content in contributions.items():
            total += _integers(slot, content, member)
        return _encoded(slot, "sum", total)

    def check(self, slot: Slot, contributions: Mapping[str, bytes], aggregate: bytes) -> None:
        """Return if `aggregate` is the sum of the contributions."""
        if self.add(slot, contributions) != aggregate:
            raise WrongSum(f"The aggregate of round {slot.round} is not the sum of its cohort's contributions.")

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        """Return the member's name: an open sum needs no more."""
        del slot, aggregate
        return self._member.encode()

    def examine_share(self, slot: Slot, aggregate: bytes, holder: str, share: bytes) -> None:
        """Return if the share is the holder's name."""
        del aggregate
        if share != holder.encode():
            raise WrongSum(f"The share of {holder} in round {slot.round} is malformed.")

    def reveal(self, slot: Slot, holder: str) -> bytes:
        """Return what stands for the silent holder's share."""
        del slot
        return f"{holder} for {self._member}".encode()

    def examine_reveal(self, slot: Slot, holder: str, member: str, revealed: bytes) -> None:
        """Return if it is that."""
        if revealed != f"{holder} for {member}".encode():
            raise WrongSum(f"What {member} revealed of {holder} in round {slot.round} is malformed.")

    def open(
        self,
        slot: Slot,
        aggregate: bytes,
        shares: Mapping[str, bytes],
        revealed: Mapping[str, Mapping[str, bytes]],
    ) -> IntVector:
        """Return the sum."""
        del shares, revealed
        return _integers(slot, aggregate, "sum")


def _encoded(slot: Slot, member: str, values: IntVector) -> bytes:
    if values.shape != (slot.counts + slot.values,):
        raise WrongSum(
            f"A contribution to round {slot.round} holds {values.size} numbers, not {slot.counts + slot.values}."
        )
    return member.encode() + b"\n" + values.astype("<i8").tobytes()


def _integers(slot: Slot, content: bytes, member: str) -> IntVector:
    head, size = member.encode() + b"\n", 8 * (slot.counts + slot.values)
    if len(content) != len(head) + size or not content.startswith(head):
        raise WrongSum(f"The contribution of {member} in round {slot.round} is malformed.")
    return np.frombuffer(content, "<i8", offset=len(head)).astype(np.int64)
