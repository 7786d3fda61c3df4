"""Where blocks lie: the interface that memory and disk share, and the memory."""

import errno
import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from medward.store.cid import RAW, SHA2_256, Cid
from medward.store.errors import BlockNotFound, CorruptBlock, InvalidDag, LimitExceeded, StoreFull
from medward.store.interface import Usage
from medward.store.limits import MAX_BLOCK_BYTES


class BlockWriter(ABC):
    """Takes blocks; all of them are there, durably, when the `with` block that gave the writer ends normally."""

    @abstractmethod
    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        """Take one block whose bytes are already known to match `cid`; a view needs to be valid in the call only.

        Raises StoreFull, or LimitExceeded for a block over 2 MiB.
        """


class Blocks(ABC):
    """Blocks by multihash, so that all codecs and versions of one content share it. Safe from several threads."""

    @abstractmethod
    def get(self, cid: Cid) -> bytes:
        """Return the block, checked against its name; BlockNotFound, or CorruptBlock after setting it aside."""

    @abstractmethod
    def has(self, cid: Cid) -> bool:
        """Say whether the block is there, without reading it."""

    @abstractmethod
    def writer(self) -> AbstractContextManager[BlockWriter]:
        """Return a context in which blocks are put; an exception in it keeps those that were already whole, or none."""

    @abstractmethod
    def delete(self, cid: Cid) -> int:
        """Remove a block and return its size; 0 if it was not there."""

    @abstractmethod
    def names(self) -> Iterator[Cid]:
        """Yield each block's name as a raw CID of version 1: which codec it was put with is not kept."""

    @abstractmethod
    def usage(self) -> Usage:
        """Return how much is held."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""


class MemoryBlocks(Blocks):
    """Blocks in memory, for simulations.

    Args:
        limit: most bytes held; None for no limit.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._blocks: dict[bytes, bytes] = {}
        self._limit = limit
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, cid: Cid) -> bytes:
        """See `Blocks.get`."""
        try:
            return self._blocks[_digest(cid)]
        except KeyError:
            raise BlockNotFound(f"{cid} is not in this store") from None

    def has(self, cid: Cid) -> bool:
        """See `Blocks.has`."""
        return cid.digest in self._blocks

    @contextmanager
    def writer(self) -> Iterator[BlockWriter]:
        """See `Blocks.writer`."""
        yield _MemoryWriter(self)

    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        """Take one block; see `BlockWriter.put`."""
        check_block_size(cid, block)
        with self._lock:
            if cid.digest in self._blocks:
                return
            if self._limit is not None and self._bytes + len(block) > self._limit:
                raise store_full(f"its limit of {self._limit} bytes")
            self._blocks[_digest(cid)] = bytes(block)
            self._bytes += len(block)

    def delete(self, cid: Cid) -> int:
        """See `Blocks.delete`."""
        with self._lock:
            size = len(self._blocks.pop(cid.digest, b""))
            self._bytes -= size
            return size

    def names(self) -> Iterator[Cid]:
        """See `Blocks.names`."""
        for digest in list(self._blocks):
            yield Cid(1, RAW, SHA2_256, digest)

    def usage(self) -> Usage:
        """See `Blocks.usage`."""
        return Usage(len(self._blocks), self._bytes, self._limit)

    def close(self) -> None:
        """See `Blocks.close`."""


class _MemoryWriter(BlockWriter):
    def __init__(self, blocks: MemoryBlocks) -> None:
        self._blocks = blocks

    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        self._blocks.put(cid, block)


def check_block_size(cid: Cid, block: bytes | memoryview) -> None:
    """Raise LimitExceeded for a block that peers would refuse."""
    if len(block) > MAX_BLOCK_BYTES:
        raise LimitExceeded(f"the block {cid} has {len(block)} bytes; no peer takes more than {MAX_BLOCK_BYTES}")


def read_block_file(cid: Cid, path: Path, where: str) -> bytes:
    """Return what the file of a block holds, unchecked, and one byte more than a block may have at most.

    Raises BlockNotFound where there is no such file, CorruptBlock where the disk does not give it.
    """
    try:
        with open_plain(path) as file:
            return file.read(MAX_BLOCK_BYTES + 1)
    except FileNotFoundError:
        raise BlockNotFound(f"{cid} is not in {where}") from None
    except OSError as error:
        raise CorruptBlock(f"cannot read the block {cid} from {path}: {error.strerror}; check the disk") from None


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading; OSError where there is none, or a link, a pipe, a device or a folder in its place.

    A pipe would be waited for without end, and a link may lead anywhere (threat T12).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return open(descriptor, "rb")


def store_full(what: str) -> StoreFull:
    """Return the error for a store that has reached `what`."""
    return StoreFull(f"the store is full: it has reached {what}; release old rounds and collect garbage, or make room")


def _digest(cid: Cid) -> bytes:
    if cid.hash_code != SHA2_256:
        raise InvalidDag(f"{cid} carries its content in itself and is never stored")
    return cid.digest
