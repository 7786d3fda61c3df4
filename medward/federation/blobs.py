"""Blobs by name, on a content-addressed store: the names are CIDs, and the bytes that go in and out are counted."""

from medward.federation.errors import MissingBlob
from medward.store.cid import Cid
from medward.store.errors import InvalidCid, InvalidDag, InvalidRecord, LimitExceeded, StoreError
from medward.store.importer import import_file
from medward.store.interface import BlobStore
from medward.store.limits import DagLimits


def blob_name(content: bytes) -> str:
    """Return the CID under which every store keeps `content`."""
    return str(import_file(content, lambda *_: None).cid)


class RoundBlobs:
    """The blobs of one round after another, in a store.

    Attributes:
        bytes_in: bytes put so far.
        bytes_out: bytes got so far.

    Args:
        store: the store.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.bytes_in = 0
        self.bytes_out = 0

    def put(self, content: bytes, label: str) -> str:
        """Keep a blob under a label such as `round/7`, durably, and return its name."""
        self.bytes_in += len(content)
        return str(self._store.add(content, pin=label))

    def get(self, name: str, limits: DagLimits) -> bytes:
        """Return the blob of that name; its content was checked against the name.

        Args:
            name: the blob's.
            limits: how long it is, and so how much it may cost; nothing (b"") stands for what is no such blob.

        Raises:
            MissingBlob: no reachable store has it.
        """
        try:
            content = self._store.read(Cid.parse(name), limits)
        except (InvalidCid, InvalidDag, InvalidRecord, LimitExceeded):
            content = b""
        except StoreError as error:
            raise MissingBlob(f"The blob {name} cannot be had: {error}") from error
        self.bytes_out += len(content)
        return content

    def forget(self, label: str) -> None:
        """Let go of what only this label keeps."""
        self._store.release(label)
        self._store.collect_garbage()
