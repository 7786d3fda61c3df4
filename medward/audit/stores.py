"""The stores of several homes, read and hashed, and then read as one."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from medward.audit.findings import AuditResult, Finding
from medward.store.blocks import Blocks
from medward.store.cid import RAW, Cid
from medward.store.dag import get_inline, walk
from medward.store.disk import DiskBlocks
from medward.store.errors import BlockNotFound, CorruptBlock, InvalidCid, InvalidDag, LimitExceeded, StoreError
from medward.store.kubo.repository import RepositoryBlocks
from medward.store.limits import DagLimits
from medward.store.local import LocalStore
from medward.store.pins import PinTable
from medward.store.reader import decode_file_node, limits_of_root, read_file


def open_blocks(folder: Path) -> Blocks:
    """Return the blocks in a home's store, for reading; StoreError where there is none."""
    repository = folder / "kubo"
    return RepositoryBlocks(repository) if repository.is_dir() else DiskBlocks(folder, read_only=True)


class Stores:
    """The stores of the homes of one federation, embedded or Kubo's, open for reading.

    The pins are left alone: opening their table would write beside it, and what must be there is told by the ledger.

    Args:
        blocks: each home's, from `open_blocks`.
    """

    def __init__(self, blocks: Mapping[str, Blocks]) -> None:
        self._stores = {home: LocalStore(own, PinTable(None)) for home, own in blocks.items()}
        self._corrupt: dict[str, list[Cid]] = {}

    def close(self) -> None:
        """Let go of the folders."""
        for store in self._stores.values():
            store.close()

    def verify(self, found: AuditResult) -> None:
        """Read and hash every block of every home; `tell` says later what the corrupt ones belong to."""
        for home, store in self._stores.items():
            verified = store.verify()
            found.count("blocks", verified.blocks)
            found.count("bytes", verified.bytes)
            self._corrupt[home] = list(verified.corrupt)

    def read(self, name: str, limits: DagLimits) -> bytes | None:
        """Return a blob from the homes' blocks together, or None where a block is missing.

        Args:
            name: the blob's.
            limits: how long it is; nothing (b"") stands for what is no such blob.
        """
        try:
            root = Cid.parse(name)
            return b"".join(read_file(root, lambda cid: get_inline(cid, self._block), limits=limits))
        except (InvalidCid, InvalidDag, LimitExceeded):
            return b""
        except StoreError:
            return None

    def stream(self, name: str, limits: DagLimits | None = None) -> Iterator[bytes]:
        """Yield a blob's bytes from the homes' blocks together; StoreError at a hole.

        Args:
            name: the blob's.
            limits: how long it is; None for as long as its root says.
        """
        root = Cid.parse(name)
        limits = limits or limits_of_root(root, get_inline(root, self._block))
        return read_file(root, lambda cid: get_inline(cid, self._block), limits=limits)

    def size(self, name: str) -> int:
        """Return how many bytes a blob has; StoreError where its root is not here."""
        root = Cid.parse(name)
        return decode_file_node(root, get_inline(root, self._block)).size

    def has(self, name: str) -> bool:
        """Say whether a blob is whole in the homes together."""
        return self._is_whole(name)

    def tell(self, named: Mapping[str, str], needed: Mapping[str, str], found: AuditResult) -> None:
        """Tell what is corrupt and to what it belongs, and what is in no home.

        Args:
            named: name -> what it is, of every blob that the ledger names.
            needed: the same, of those that must be in at least one home.
        """
        places: dict[bytes, tuple[str, str]] = {}
        if any(self._corrupt.values()):
            for name, what in named.items():
                for cid in self._below(name)[0]:
                    places.setdefault(cid.digest, (name, what))
        for home, corrupt in self._corrupt.items():
            for cid in corrupt:
                name, what = places.get(cid.digest, (str(cid), "a blob that the ledger does not name"))
                told = f"the block {cid} does not match its name; it is part of {what}"
                found.problems.append(Finding(told, home, name=name))
        for name, what in needed.items():
            found.count("blobs")
            if not self._is_whole(name):
                told = f"{what} is whole in none of the homes" if len(self._stores) > 1 else f"{what} is not whole here"
                found.problems.append(Finding(told, name=name))

    def _block(self, cid: Cid) -> bytes:
        """Return a block from the first home that has it and whose bytes match its name."""
        for store in self._stores.values():
            if store.blocks.has(cid):
                try:
                    return store.blocks.get(cid)
                except CorruptBlock:
                    continue
        raise BlockNotFound(f"{cid} is in no home")

    def _has(self, cid: Cid) -> bool:
        corrupt = {home: {bad.digest for bad in found} for home, found in self._corrupt.items() if found}
        return any(
            store.blocks.has(cid) and cid.digest not in corrupt.get(home, ()) for home, store in self._stores.items()
        )

    def _is_whole(self, name: str) -> bool:
        below, every = self._below(name)
        return every and all(self._has(cid) for cid in below)

    def _below(self, name: str) -> tuple[list[Cid], bool]:
        """Return the names of a blob's blocks, as far as the homes together tell, and whether these are all.

        Leaves are named, not read.
        """

        def get(cid: Cid) -> bytes:
            return b"" if cid.codec == RAW else get_inline(cid, self._block)

        try:
            root = Cid.parse(name)
        except StoreError:
            return [], False
        below = [root]
        try:
            for cid, _ in walk(root, get):
                if cid != root:
                    below.append(cid)
        except StoreError:
            return below, False
        return below, True
