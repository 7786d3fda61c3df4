"""A small file beside the journal that says up to which unit it was durable, so that a rolled-back journal shows."""

import hashlib
import os
import struct
from pathlib import Path

WITNESS_FILE = "witness"
_ENTRY = struct.Struct(">Q32s32s")


class Witness:
    """Two places, written in turn, so that a torn write leaves the other.

    Not synced: the witness must never be ahead of the database, and it need not keep up with it when the power fails.

    Args:
        folder: the journal's.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / WITNESS_FILE, os.O_RDWR | os.O_CREAT, 0o600)

    def write(self, unit: int, chain: bytes) -> None:
        """Note that unit number `unit` is durable, with which the chain of records ends in `chain`."""
        check = hashlib.sha256(struct.pack(">Q32s", unit, chain)).digest()
        os.pwrite(self._file, _ENTRY.pack(unit, chain, check), unit % 2 * _ENTRY.size)

    def read(self) -> tuple[int, bytes]:
        """Return the newest unit noted and its chain, (0, b"") where none is."""
        newest: tuple[int, bytes] = (0, b"")
        for place in (0, 1):
            data = os.pread(self._file, _ENTRY.size, place * _ENTRY.size)
            if len(data) == _ENTRY.size:
                unit, chain, check = _ENTRY.unpack(data)
                if hashlib.sha256(struct.pack(">Q32s", unit, chain)).digest() == check:
                    newest = max(newest, (unit, chain))
        return newest

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
