"""The blocks of a Kubo repository, read from its files without Kubo: for an audit of a node that does not run.

Kubo's default is flatfs: a file for each block, `blocks/<folder>/<KEY>.data`, where KEY is the multihash in upper-case
base32 and the folder its second and third character from the end (go-ds-flatfs, "next-to-last/2").
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from medward.store.blocks import Blocks, BlockWriter, open_plain, read_block_file
from medward.store.cid import Cid
from medward.store.errors import CorruptBlock, InvalidCid, StoreError
from medward.store.interface import Usage

_SHARDING = "/repo/flatfs/shard/v1/next-to-last/2"
_ENDING = ".data"
_LONGEST_SHARDING = 256


class RepositoryBlocks(Blocks):
    """Blocks in a Kubo repository; nothing there is changed.

    Args:
        directory: the repository.

    Raises StoreError where it keeps its blocks in another form.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            with open_plain(directory / "blocks" / "SHARDING") as file:
                found = file.read(_LONGEST_SHARDING).decode("ascii", "replace").strip()
        except OSError as error:
            raise StoreError(f"{directory} is no repository of Kubo with blocks as files: {error.strerror}") from None
        if found != _SHARDING:
            raise StoreError(f"{directory} keeps its blocks as {found!r}; only {_SHARDING} can be read without Kubo")

    def get(self, cid: Cid) -> bytes:
        """See `Blocks.get`; a block that does not match its name stays where it is."""
        path = self._path(cid)
        block = read_block_file(cid, path, str(self.directory))
        if not cid.matches(block):
            raise CorruptBlock(f"the block {cid} in {path} does not match its name")
        return block

    def has(self, cid: Cid) -> bool:
        """See `Blocks.has`."""
        return self._path(cid).is_file()

    def writer(self) -> AbstractContextManager[BlockWriter]:
        """Raise StoreError: only Kubo writes here."""
        raise StoreError(f"{self.directory} is read only; Kubo writes it")

    def delete(self, cid: Cid) -> int:
        """Raise StoreError: only Kubo writes here."""
        raise StoreError(f"{self.directory} is read only; Kubo writes it")

    def names(self) -> Iterator[Cid]:
        """See `Blocks.names`."""
        for path in self._files():
            with suppress(InvalidCid):
                yield Cid.of_key(path.name.removesuffix(_ENDING).lower())

    def usage(self) -> Usage:
        """See `Blocks.usage`."""
        sizes = [path.stat().st_size for path in self._files() if path.is_file()]
        return Usage(len(sizes), sum(sizes), None)

    def close(self) -> None:
        """See `Blocks.close`."""

    def _files(self) -> Iterator[Path]:
        return (self.directory / "blocks").glob(f"*/*{_ENDING}")

    def _path(self, cid: Cid) -> Path:
        key = cid.key.upper()
        return self.directory / "blocks" / key[-3:-1] / f"{key}{_ENDING}"
