"""The embedded store: blocks and pins on this machine, and peers to ask for what is missing."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from medward.store.blocks import Blocks, BlockWriter, MemoryBlocks
from medward.store.car import CarReader, pieces_of_file
from medward.store.cid import RAW, Cid
from medward.store.dag import get_inline, walk
from medward.store.disk import DiskBlocks
from medward.store.errors import BlockNotFound, CorruptBlock, InvalidCar, InvalidDag, StoreError
from medward.store.gate import Gate
from medward.store.importer import UNIXFS_V1_2025, Content, Imported, Profile, import_file
from medward.store.interface import BlobStore, Collected, Pin, Usage, Verification, check_dag_size, check_label
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.pins import PinTable
from medward.store.reader import check_root
from medward.store.records import RecordValue, encode_record, record_cid


class Exchange(Protocol):
    """Gets blocks from peers."""

    def fetch(self, root: Cid, blocks: Blocks, limits: DagLimits, likely: str | None = None) -> None:
        """Put every block of the DAG that `blocks` lacks into it, checked; ask the peer `likely` first.

        Raises BlockNotFound if no peer has a block, LimitExceeded if the DAG is larger than `limits`.
        """

    def fetch_block(self, cid: Cid) -> bytes:
        """Return one block, checked; BlockNotFound if no peer has it."""

    def close(self) -> None:
        """Let go of connections."""


class LocalStore(BlobStore):
    """Blobs over `Blocks`; see `open_directory` and `in_memory`.

    Args:
        blocks: where the blocks lie.
        pins: which roots are kept.
        exchange: whom to ask for missing blocks; None for nobody.
    """

    def __init__(self, blocks: Blocks, pins: PinTable, exchange: Exchange | None = None) -> None:
        self.blocks = blocks
        self._pins = pins
        self._exchange = exchange
        self._gate = Gate()

    def add(self, content: Content, *, pin: str, profile: Profile = UNIXFS_V1_2025) -> Cid:
        """See `BlobStore.add`."""
        return self.add_dag(lambda put: import_file(content, put, profile), pin=pin)

    def add_dag(self, build: Callable[[Callable[[Cid, bytes | memoryview], None]], Imported], *, pin: str) -> Cid:
        """Store what `build` puts, for example a directory of files, and pin the root that it returns."""
        check_label(pin)
        with self._gate.shared():
            with self.blocks.writer() as writer:
                root = build(writer.put).cid
            self._pins.add(Pin(root, pin))
        return root

    def put_record(self, value: RecordValue, *, pin: str) -> Cid:
        """See `BlobStore.put_record`."""
        block = encode_record(value)
        cid = record_cid(block)
        check_label(pin)
        with self._gate.shared():
            with self.blocks.writer() as writer:
                writer.put(cid, block)
            self._pins.add(Pin(cid, pin, whole=False))
        return cid

    def import_car(self, source: BinaryIO, *, pin: str, limits: DagLimits = DEFAULT_LIMITS) -> tuple[Cid, ...]:
        """See `BlobStore.import_car`."""
        check_label(pin)
        car = CarReader(pieces_of_file(source), limits.max_blocks)
        if not car.roots:
            raise InvalidCar("the CAR names no root, so nothing in it could be kept")
        with self._gate.shared():
            with self.blocks.writer() as writer:
                _put_all(car, writer, limits)
            for root in car.roots:
                hole = self._first_hole(root, limits)
                if hole is not None:
                    raise InvalidCar(f"the CAR is incomplete: the block {hole} below its root {root} is missing")
            for root in car.roots:
                self._pins.add(Pin(root, pin))
        return car.roots

    def fetch(
        self, root: Cid, limits: DagLimits = DEFAULT_LIMITS, *, pin: str | None = None, likely: str | None = None
    ) -> None:
        """See `BlobStore.fetch`."""
        with self._gate.shared():
            with suppress(BlockNotFound, CorruptBlock):
                if limits.sizes is not None:
                    check_root(root, self.get_block(root), limits)
            hole = self._first_hole(root, limits)
            if hole is not None and self._exchange is None:
                raise BlockNotFound(f"the block {hole} is not in this store, and there are no peers to ask")
            if hole is not None and self._exchange is not None:
                self._exchange.fetch(root, self.blocks, limits, likely)
            if pin is not None:
                self._pins.add(Pin(root, pin))

    def fetch_block(self, cid: Cid) -> bytes:
        """See `BlobStore.fetch_block`."""
        try:
            return self.get_block(cid)
        except (BlockNotFound, CorruptBlock):
            if self._exchange is None:
                raise
        with self._gate.shared():
            block = self._exchange.fetch_block(cid)
            with self.blocks.writer() as writer:
                writer.put(cid, block)
        return block

    def has(self, root: Cid) -> bool:
        """See `BlobStore.has`."""
        return self._first_hole(root, DEFAULT_LIMITS) is None

    def get_block(self, cid: Cid) -> bytes:
        """See `BlobStore.get_block`."""
        return get_inline(cid, self.blocks.get)

    def pin(self, root: Cid, label: str) -> None:
        """See `BlobStore.pin`."""
        with self._gate.shared():
            hole = self._first_hole(root, DEFAULT_LIMITS)
            if hole is not None:
                raise BlockNotFound(f"cannot pin {root}: its block {hole} is not here; fetch it first")
            self._pins.add(Pin(root, label))

    def unpin(self, root: Cid, label: str) -> None:
        """See `BlobStore.unpin`."""
        self._pins.remove(root, label)

    def pins(self, label: str | None = None) -> list[Pin]:
        """See `BlobStore.pins`."""
        return self._pins.matching(label)

    def collect_garbage(self) -> Collected:
        """See `BlobStore.collect_garbage`."""
        with self._gate.exclusive():
            kept: set[bytes] = set()
            for root, whole in self._pins.roots().items():
                kept.add(root.digest)
                try:
                    kept.update(cid.digest for cid in (self._present(root) if whole else ()))
                except (BlockNotFound, CorruptBlock, InvalidDag) as error:
                    raise StoreError(
                        f"garbage collection removed nothing, as the pinned {root} has a hole: {error}; "
                        "fetch it again, or unpin it"
                    ) from None
            removed = [self.blocks.delete(cid) for cid in self.blocks.names() if cid.digest not in kept]
            if isinstance(self.blocks, DiskBlocks):
                self.blocks.empty_damaged()
        return Collected(len(removed), sum(removed))

    def verify(self) -> Verification:
        """See `BlobStore.verify`."""
        blocks, size, corrupt = 0, 0, []
        for cid in self.blocks.names():
            try:
                size += len(self.blocks.get(cid))
                blocks += 1
            except CorruptBlock:
                corrupt.append(cid)
            except BlockNotFound:  # a garbage collection beside this took it
                continue
        return Verification(blocks, size, corrupt, self._holes_below_pins())

    def usage(self) -> Usage:
        """See `BlobStore.usage`."""
        return self.blocks.usage()

    def close(self) -> None:
        """See `BlobStore.close`."""
        if self._exchange is not None:
            self._exchange.close()
        self._pins.close()
        self.blocks.close()

    def _holes_below_pins(self) -> list[Cid]:
        holes = []
        for root, whole in self._pins.roots().items():
            hole = self._first_hole(root, DEFAULT_LIMITS) if whole else None
            if hole is not None:
                holes.append(hole)
            elif not whole and root.inline is None and not self.blocks.has(root):
                holes.append(root)
        return holes

    def _first_hole(self, root: Cid, limits: DagLimits) -> Cid | None:
        """Return a block below `root` that is missing or corrupt, None if all is here; leaves are not read."""
        try:
            for cid in self._present(root, limits):
                if not self.blocks.has(cid):
                    return cid
        except _Hole as hole:
            return hole.cid
        return None

    def _present(self, root: Cid, limits: DagLimits = DEFAULT_LIMITS) -> Iterator[Cid]:
        """Yield the names of the DAG's blocks; raw leaves are named without being read."""

        def get(cid: Cid) -> bytes:
            try:
                return b"" if _is_leaf(cid) else self.blocks.get(cid)
            except (BlockNotFound, CorruptBlock) as error:
                raise _Hole(cid, str(error)) from None

        return (cid for cid, _ in walk(root, get, limits))


def open_directory(
    directory: Path, limit: int | None = None, exchange: Exchange | None = None, read_only: bool = False
) -> LocalStore:
    """Open the embedded store in `directory`, made if it is missing.

    Args:
        directory: holds `blocks/` and `pins.sqlite`.
        limit: most bytes of blocks; None leaves it to the disk.
        exchange: whom to ask for missing blocks.
        read_only: look at a store that may be in use; what would write raises StoreError.

    Raises StoreInUse if another process writes there, StoreError if it can't be made or read.
    """
    blocks = DiskBlocks(directory, limit, read_only)
    try:
        pins = PinTable(directory / "pins.sqlite", read_only)
    except StoreError:
        blocks.close()
        raise
    return LocalStore(blocks, pins, exchange)


def in_memory(limit: int | None = None, exchange: Exchange | None = None) -> LocalStore:
    """Return a store that is gone when the process ends, for simulations."""
    return LocalStore(MemoryBlocks(limit), PinTable(None), exchange)


class _Hole(BlockNotFound):
    """A block that is missing in a walk."""

    def __init__(self, cid: Cid, message: str) -> None:
        super().__init__(message)
        self.cid = cid


def _is_leaf(cid: Cid) -> bool:
    return cid.codec == RAW


def _put_all(car: CarReader, writer: BlockWriter, limits: DagLimits) -> None:
    blocks, size = 0, 0
    for cid, block in car:
        blocks, size = blocks + 1, size + len(block)
        check_dag_size(car.roots[0], blocks, size, limits)
        writer.put(cid, block)
