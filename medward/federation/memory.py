"""The interfaces' plain versions for one process: for tests, and for `protect = "none"`."""

import hashlib
from collections.abc import Mapping

import numpy as np

from medward.federation.interfaces import IntVector, MissingBlob, Slot, WrongSum
from medward.federation.records import Record


def blob_name(content: bytes) -> str:
    """Return a blob's name: the SHA-256 of its content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class MemoryStore:
    """A `BlobStore` in memory that counts what goes in and out.

    Attributes:
        bytes_in: bytes put so far.
        bytes_out: bytes got so far.
    """

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self.bytes_in = 0
        self.bytes_out = 0

    def put(self, content: bytes) -> str:
        """Keep a blob and return its name."""
        name = blob_name(content)
        self._blobs[name] = content
        self.bytes_in += len(content)
        return name

    def get(self, name: str) -> bytes:
        """Return the blob of that name."""
        if name not in self._blobs:
            raise MissingBlob(f"No store holds the blob {name}.")
        self.bytes_out += len(self._blobs[name])
        return self._blobs[name]

    def forget(self) -> None:
        """Drop all blobs, when no open round needs them any more."""
        self._blobs.clear()


class MemoryLog:
    """An `OrderedLog` in memory; its clock moves only when it is told to."""

    def __init__(self) -> None:
        self._records: list[tuple[float, Record]] = []
        self.time = 0.0

    def append(self, record: Record) -> None:
        """Order a record now."""
        self._records.append((self.time, record))

    def read(self, start: int) -> list[tuple[float, Record]]:
        """Return the records from number `start` on."""
        return self._records[start:]


class PlainSum:
    """A `SecureSum` that protects nothing: contributions lie open. The baseline that every output names as such."""

    name = "none"

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        """Return the integers as they are, 8 bytes each."""
        if values.shape != (slot.length,):
            raise WrongSum(f"A contribution to round {slot.round} holds {values.size} numbers, not {slot.length}.")
        return values.astype("<i8").tobytes()

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        """Return the sum of the contributions."""
        total = np.zeros(slot.length, np.int64)
        for member, content in contributions.items():
            total += _integers(slot, content, f"{member}'s contribution")
        return self.seal(slot, total)

    def check(self, slot: Slot, contributions: Mapping[str, bytes], aggregate: bytes) -> None:
        """Return if `aggregate` is the sum of the contributions."""
        if self.add(slot, contributions) != aggregate:
            raise WrongSum(f"The aggregate of round {slot.round} is not the sum of its cohort's contributions.")

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        """Return nothing: an open sum needs no shares."""
        del slot, aggregate
        return b""

    def open(self, slot: Slot, aggregate: bytes, shares: Mapping[str, bytes]) -> IntVector:
        """Return the sum."""
        del shares
        return _integers(slot, aggregate, "The aggregate")


def _integers(slot: Slot, content: bytes, what: str) -> IntVector:
    if len(content) != 8 * slot.length:
        raise WrongSum(f"{what} in round {slot.round} has {len(content)} bytes, not {8 * slot.length}.")
    return np.frombuffer(content, "<i8").astype(np.int64)
