"""Blocks as files: written aside, flushed, then renamed into place, so that a block is whole or not there.

    blocks/<x>/<key>   one file a block; <key> is the multihash in base32 and <x> its last character but one
    incoming/          files being written; emptied when the store is opened
    damaged/           blocks that no longer matched their name; emptied by garbage collection
    lock               held by the one process that writes

Writing and flushing run beside reading and hashing: a 50 MB blob costs about as much as one plain copy that is flushed.
"""

import errno
import fcntl
import os
import shutil
import stat
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from medward.store.blocks import Blocks, BlockWriter, check_block_size, read_block_file, store_full
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound, CorruptBlock, InvalidCid, StoreError, StoreInUse
from medward.store.interface import Usage
from medward.whole_file import flush_folder

_FLUSHING_THREADS = 4  # enough to hide the flush of one block behind the hashing of the next
_MAX_UNWRITTEN = 4  # blocks of one writer that are copied in memory and not yet handed to the system
_MAX_PENDING = 64  # files of one writer that are not yet under their names
_KEY_CHARACTERS = "abcdefghijklmnopqrstuvwxyz234567"  # of base32: all folders are there before the first block
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskBlocks(Blocks):
    """Blocks in a directory.

    Args:
        directory: made if it is missing.
        limit: most bytes of blocks; None leaves it to the disk.
        read_only: look at a directory that another process may be writing; nothing in it is changed.

    Raises StoreInUse if another process writes there.
    """

    def __init__(self, directory: Path, limit: int | None = None, read_only: bool = False) -> None:
        self.directory = directory
        self._limit = limit
        self._read_only = read_only
        self._accounts = threading.Lock()
        if not read_only:
            self._prepare()
        elif not (directory / "blocks").is_dir():
            raise StoreError(f"{directory} holds no store: it has no folder 'blocks'; check the path")
        self._flushing = ThreadPoolExecutor(_FLUSHING_THREADS, thread_name_prefix="flush")
        self._blocks, self._bytes, self._reserved = 0, 0, 0
        try:
            for entry in self._files():
                if entry.is_file(follow_symlinks=False):
                    self._account(1, entry.stat(follow_symlinks=False).st_size)
        except OSError as error:
            raise _unusable(directory, error) from None

    def get(self, cid: Cid) -> bytes:
        """See `Blocks.get`."""
        path = self._path(cid)
        try:
            block = read_block_file(cid, path, f"the store {self.directory}")
        except CorruptBlock:
            if not self.has(cid):
                self._set_aside(cid, path)
            raise
        if not cid.matches(block):
            self._set_aside(cid, path)
            raise CorruptBlock(
                f"the block {cid} in {path} no longer matches its name and was set aside; fetch it again from a peer"
            )
        return block

    def has(self, cid: Cid) -> bool:
        """See `Blocks.has`."""
        try:
            return stat.S_ISREG(self._path(cid).lstat().st_mode)
        except OSError:
            return False

    @contextmanager
    def writer(self) -> Iterator[BlockWriter]:
        """See `Blocks.writer`."""
        if self._read_only:
            raise StoreError(f"the store {self.directory} is open for reading only")
        writer = _DiskWriter(self, self._flushing)
        try:
            yield writer
            writer.commit()
        finally:
            writer.discard()

    def delete(self, cid: Cid) -> int:
        """See `Blocks.delete`."""
        path = self._path(cid)
        with self._accounts:
            try:
                found = path.lstat()
            except FileNotFoundError:
                return 0
            if stat.S_ISDIR(found.st_mode):
                return 0  # no block, and perhaps somebody's files
            path.unlink()
            if not stat.S_ISREG(found.st_mode):
                return 0
            self._account(-1, -found.st_size)
        return found.st_size

    def names(self) -> Iterator[Cid]:
        """See `Blocks.names`."""
        for entry in self._files():
            with suppress(InvalidCid):
                yield Cid.of_key(entry.name)

    def usage(self) -> Usage:
        """See `Blocks.usage`."""
        return Usage(self._blocks, self._bytes, self._limit)

    def empty_damaged(self) -> None:
        """Remove the blocks that were set aside."""
        _empty(self.directory / "damaged")

    def close(self) -> None:
        """See `Blocks.close`."""
        self._flushing.shutdown()
        if not self._read_only:
            os.close(self._lock_file)

    def reserve(self, size: int) -> None:
        """Set `size` bytes aside for a block that is being written; StoreFull if the limit has no room for it."""
        with self._accounts:
            if self._limit is not None and self._bytes + self._reserved + size > self._limit:
                raise store_full(f"its limit of {self._limit} bytes")
            self._reserved += size

    def unreserve(self, size: int) -> None:
        """Give back what `reserve` set aside."""
        with self._accounts:
            self._reserved -= size

    def place(self, cid: Cid, written: Path, size: int) -> Path:
        """Rename a flushed file to its block's name and return the folder that has yet to be flushed."""
        path = self._path(cid)
        there = self.has(cid)
        if not there and os.path.lexists(path):
            self._set_aside(cid, path)
        with self._accounts:
            if not there:
                self._account(1, size)
            written.rename(path)
        return path.parent

    def is_intact(self, cid: Cid) -> bool:
        """Say whether the block is there and matches its name; one that does not is set aside."""
        try:
            self.get(cid)
        except (BlockNotFound, CorruptBlock):
            return False
        return True

    def _prepare(self) -> None:
        try:
            for name in ("blocks", "incoming", "damaged"):
                (self.directory / name).mkdir(parents=True, exist_ok=True)
            self._lock_file = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(self.directory, error) from None
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_file)
            raise StoreInUse(
                f"another process has the store {self.directory} open; stop it, or use another directory"
            ) from None
        try:
            for character in _KEY_CHARACTERS:
                (self.directory / "blocks" / character).mkdir(exist_ok=True)
            flush_folder(self.directory / "blocks")
            flush_folder(self.directory)
            _empty(self.directory / "incoming")
        except OSError as error:
            os.close(self._lock_file)
            raise _unusable(self.directory, error) from None

    def _files(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self.directory / "blocks") as folders:
            for folder in folders:
                if not folder.is_dir(follow_symlinks=False):
                    continue
                with os.scandir(folder.path) as files:
                    yield from files

    def _path(self, cid: Cid) -> Path:
        key = cid.key
        return self.directory / "blocks" / key[-2] / key

    def _set_aside(self, cid: Cid, path: Path) -> None:
        if self._read_only:
            return
        with self._accounts, suppress(OSError):
            found, aside = path.lstat(), self.directory / "damaged" / cid.key
            if aside.is_dir() or stat.S_ISDIR(found.st_mode):
                aside = aside.with_name(f"{cid.key}.{uuid.uuid4().hex}")
            path.rename(aside)
            if stat.S_ISREG(found.st_mode):
                self._account(-1, -found.st_size)

    def _account(self, blocks: int, size: int) -> None:
        self._blocks += blocks
        self._bytes += size


class _DiskWriter(BlockWriter):
    def __init__(self, blocks: DiskBlocks, flushing: ThreadPoolExecutor) -> None:
        self._blocks = blocks
        self._flushing = flushing
        self._pending: list[tuple[Cid, Path, int, Future[None]]] = []
        self._known: set[bytes] = set()
        self._unwritten = threading.Semaphore(_MAX_UNWRITTEN)
        self._lock = threading.Lock()

    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        check_block_size(cid, block)
        with self._lock:
            if cid.digest in self._known:
                return
            self._known.add(cid.digest)
            if len(self._pending) >= _MAX_PENDING:
                self._commit()
        if self._blocks.has(cid) and self._blocks.is_intact(cid):
            return
        self._blocks.reserve(len(block))
        path = self._blocks.directory / "incoming" / uuid.uuid4().hex
        self._unwritten.acquire()  # keeps the copies in memory few where the disk is slower than the source
        flushed = self._flushing.submit(self._write_and_flush, path, _that_stays(block))
        with self._lock:
            self._pending.append((cid, path, len(block), flushed))

    def _write_and_flush(self, path: Path, block: bytes | memoryview) -> None:
        try:
            descriptor = _write_file(path, block)
        finally:
            self._unwritten.release()
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def commit(self) -> None:
        with self._lock:
            self._commit()

    def _commit(self) -> None:
        try:
            for _, _, _, flushed in self._pending:
                flushed.result()
            folders = set()
            while self._pending:
                cid, path, size, _ = self._pending[-1]
                folders.add(self._blocks.place(cid, path, size))
                self._blocks.unreserve(size)
                self._pending.pop()
            for done in [self._flushing.submit(flush_folder, folder) for folder in folders]:
                done.result()
        except OSError as error:
            raise _write_error(self._blocks.directory, error) from None

    def discard(self) -> None:
        with self._lock:
            for _, path, size, flushed in self._pending:
                with suppress(OSError):
                    flushed.result()
                path.unlink(missing_ok=True)
                self._blocks.unreserve(size)
            self._pending.clear()


def _empty(folder: Path) -> None:
    """Remove whatever lies in a folder; a link goes, and not what it leads to."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _unusable(directory: Path, error: OSError) -> StoreError:
    if isinstance(error, NotADirectoryError | FileExistsError):
        return StoreError(f"cannot make a store in {directory}: a file of this name is there; name another folder")
    return StoreError(
        f"cannot use the store {directory}: {error.filename}: {error.strerror}; run this as the user who owns it, on a "
        "disk that can be written to"
    )


def _that_stays(block: bytes | memoryview) -> bytes | memoryview:
    """Return `block`, copied if whoever owns its memory could change it after the call."""
    if isinstance(block, memoryview) and not isinstance(block.obj, bytes):
        return bytes(block)
    return block


def _write_file(path: Path, content: bytes | memoryview) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _write_error(directory: Path, error: OSError) -> StoreError:
    if error.errno in _NO_ROOM:
        return store_full(f"the end of the disk that holds {directory}")
    return StoreError(f"cannot write to the store {directory}: {error.strerror}; check the disk and its permissions")
