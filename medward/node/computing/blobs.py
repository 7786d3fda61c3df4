"""Blobs of members that compute on ciphertexts, in a node's store: whole ones, and files that are read in order."""

import io
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from medward.store.cid import Cid
from medward.store.interface import BlobStore
from medward.store.limits import file_up_to


class ComputingBlobs:
    """A store, as computing uses it; every method blocks.

    Args:
        store: the store.
        folder: for files that are being written.
        label: what the labels of all its pins begin with.
    """

    def __init__(self, store: BlobStore, folder: Path, label: str) -> None:
        self._store = store
        self._folder = folder
        self._label = label

    def put(self, content: bytes, label: str) -> str:
        """Keep a blob under a label, and return its name."""
        return str(self._store.add(content, pin=self._label + label))

    def put_file(self, write: Callable[[BinaryIO], object], label: str) -> str:
        """Keep a file under a label, and return its name.

        Args:
            write: writes it.
            label: as `put` has it.
        """
        with tempfile.TemporaryFile(dir=self._folder) as file:
            write(file)
            file.seek(0)
            return str(self._store.add(file, pin=self._label + label))

    def get(self, name: str, most: int) -> bytes:
        """Return a blob of at most so many bytes.

        Raises:
            StoreError: nobody has it, or it is none.
        """
        return self._store.read(Cid.parse(name), file_up_to(most))

    def keep(self, name: str, most: int, label: str) -> None:
        """Fetch a file of at most so many bytes, and keep it under a label, so that its author may go offline.

        Raises:
            StoreError: nobody has it, or it is none.
        """
        self._store.fetch(Cid.parse(name), limits=file_up_to(most), pin=self._label + label)

    def stream(self, name: str, most: int) -> BinaryIO:
        """Return a file of at most so many bytes, to be read in order.

        Raises:
            StoreError: nobody has it, or it is none; reading raises it, too.
        """
        return as_file(self._store.stream(Cid.parse(name), limits=file_up_to(most)))

    def release(self, names: Collection[str], spared: str | None = None) -> None:
        """Let go of blobs that nothing on record needs any more.

        Args:
            names: theirs; whoever orders records chooses them.
            spared: what the labels begin with of blobs that stay, whatever is said of them; None for nothing.
        """
        kept = None if spared is None else self._label + spared
        self._release(lambda label, name: name in names and (kept is None or not label.startswith(kept)))

    def release_label(self, label: str) -> None:
        """Let go of all blobs that were put under a label."""
        self._release(lambda found, _: found == self._label + label)

    def _release(self, unneeded: Callable[[str, str], bool]) -> None:
        pins = [
            pin for pin in self._store.pins() if pin.label.startswith(self._label) and unneeded(pin.label, str(pin.cid))
        ]
        for pin in pins:
            self._store.unpin(pin.cid, pin.label)
        if pins:
            self._store.collect_garbage()


def as_file(pieces: Iterator[bytes]) -> BinaryIO:
    """Return pieces of bytes as a file that is read in order."""
    return io.BufferedReader(_Pieces(pieces))


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a file that is read in order."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
