"""Blobs of the audited homes, read as members that compute read theirs."""

from collections.abc import Callable, Iterator
from tempfile import TemporaryFile
from typing import BinaryIO

from medward.audit.stores import Stores
from medward.node.computing.blobs import as_file
from medward.store.importer import import_file
from medward.store.limits import file_up_to


class AuditedBlobs:
    """The blobs of all homes together, each at most as long as its place on record allows.

    Args:
        stores: the homes'.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def get(self, name: str, most: int) -> bytes:
        """Return a blob of at most so many bytes.

        Raises:
            StoreError: it is whole in none of the homes, or none.
        """
        return b"".join(self._pieces(name, most))

    def stream(self, name: str, most: int) -> BinaryIO:
        """Return a blob of at most so many bytes as a file; StoreError as `get`, also while it is read."""
        return as_file(self._pieces(name, most))

    def _pieces(self, name: str, most: int) -> Iterator[bytes]:
        return self._stores.stream(name, file_up_to(most))


def name_of_file(write: Callable[[BinaryIO], object]) -> str:
    """Return the name under which a store would keep what is written to a file; it is on disk meanwhile."""
    with TemporaryFile() as file:
        write(file)
        file.seek(0)
        return str(import_file(file, lambda *_: None).cid)
