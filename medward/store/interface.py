"""The vocabulary of the store; open this file first.

A *blob* is a file of any size, imported as UnixFS; a *record* is a small DAG-CBOR value. Both are DAGs of *blocks*,
and each is named by the CID of its root. A name promises its content: every method that gives bytes has checked them,
block by block, and raises instead of giving a wrong one.

A *pin* keeps a DAG from the garbage collector under a *label* such as `round/7` or `model/current`. A DAG stays as
long as any label holds it, so a round's labels can be released without losing a model that is in use.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from medward.store.car import write_car
from medward.store.cid import DAG_CBOR, Cid
from medward.store.dag import get_inline, walk
from medward.store.errors import InvalidRecord, LimitExceeded, StoreError
from medward.store.importer import UNIXFS_V1_2025, Content, Profile
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.reader import read_file
from medward.store.records import RecordValue, decode_record

_LABEL = re.compile(r"[a-z0-9][a-z0-9/_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Pin:
    """A root that is kept.

    Args:
        cid: the root.
        label: what it is kept for.
        whole: whether its whole DAG is kept; a record is kept alone, and what it links to has pins of its own.
    """

    cid: Cid
    label: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a store holds: blocks, their bytes, and the limit on the bytes (None: the disk's own)."""

    blocks: int
    bytes: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Collected:
    """What a garbage collection removed."""

    blocks: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at every block found.

    Args:
        blocks: blocks read and hashed.
        bytes: their bytes.
        corrupt: blocks that did not match their name and were set aside; `fetch` of a root gets them anew.
        missing: blocks below pinned roots that are not here.
    """

    blocks: int
    bytes: int
    corrupt: Sequence[Cid]
    missing: Sequence[Cid]

    @property
    def intact(self) -> bool:
        """Whether nothing was wrong."""
        return not self.corrupt and not self.missing


class BlobStore(ABC):
    """Blobs and records by content. Safe to use from several threads; every method blocks until it is done.

    What `add`, `put_record`, `import_car`, `fetch` and `pin` have returned for survives a crash at any later instant.
    """

    @abstractmethod
    def add(self, content: Content, *, pin: str, profile: Profile = UNIXFS_V1_2025) -> Cid:
        """Store a blob and return its CID.

        Args:
            content: the bytes, a binary file, or chunks of any sizes; read once, a chunk at a time.
            pin: the label that keeps it.
            profile: the import profile that decides the CID.

        Raises StoreFull, or StoreError if it cannot be written; nothing is pinned then.
        """

    @abstractmethod
    def put_record(self, value: RecordValue, *, pin: str) -> Cid:
        """Store a record and return its CID; InvalidRecord if the value has no canonical form.

        Its pin keeps the record alone: what it links to need not be here and is kept by pins of its own.
        """

    @abstractmethod
    def import_car(self, source: BinaryIO, *, pin: str, limits: DagLimits = DEFAULT_LIMITS) -> tuple[Cid, ...]:
        """Store the DAGs of a CAR, in any order of blocks, and return its roots.

        Raises InvalidCar if it is malformed or a root's DAG is incomplete; nothing is pinned then.
        """

    @abstractmethod
    def fetch(
        self, root: Cid, limits: DagLimits = DEFAULT_LIMITS, *, pin: str | None = None, likely: str | None = None
    ) -> None:
        """Make the whole DAG below `root` present here, from peers where it is not; at once if it already is.

        With `pin`, it is kept under that label, without a moment in which it could be collected. `likely` names the
        peer that most likely has it, such as its author; it is asked first where peers are asked by name.

        Raises BlockNotFound if no peer has a block, LimitExceeded or InvalidDag if the DAG is larger than the caller
        accepts or malformed. Blocks that arrived stay, so that another attempt goes on where this one ended (until a
        garbage collection).
        """

    @abstractmethod
    def fetch_block(self, cid: Cid) -> bytes:
        """Return one block, checked, from a peer where it is not here; BlockNotFound if nobody has it."""

    @abstractmethod
    def has(self, root: Cid) -> bool:
        """Say whether the whole DAG below `root` is here, without asking any peer."""

    @abstractmethod
    def get_block(self, cid: Cid) -> bytes:
        """Return one block that is here, checked; BlockNotFound or CorruptBlock otherwise. Never asks a peer."""

    @abstractmethod
    def pin(self, root: Cid, label: str) -> None:
        """Keep the DAG below `root` under `label`; BlockNotFound unless all of it is here."""

    @abstractmethod
    def unpin(self, root: Cid, label: str) -> None:
        """Take one label off a root; nothing happens if it does not have it."""

    @abstractmethod
    def pins(self, label: str | None = None) -> list[Pin]:
        """Return the pins with this label, or all, sorted by label and CID."""

    @abstractmethod
    def collect_garbage(self) -> Collected:
        """Remove every block below no pin.

        Raises StoreError, and removes nothing, if a pinned DAG lacks a block that links to others, since what is below
        it can't be known then.
        """

    @abstractmethod
    def verify(self) -> Verification:
        """Read and hash every block; set aside what is corrupt; look for holes below the pins."""

    @abstractmethod
    def usage(self) -> Usage:
        """Return how much is held."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections; the store can't be used afterwards."""

    def release(self, label: str) -> int:
        """Take a label off everything that has it, for example `round/7`; return how many roots that were."""
        pins = self.pins(label)
        for pin in pins:
            self.unpin(pin.cid, label)
        return len(pins)

    def add_file(self, path: Path, *, pin: str, profile: Profile = UNIXFS_V1_2025) -> Cid:
        """Store the file at `path`; see `add`."""
        try:
            with path.open("rb") as file:
                return self.add(file, pin=pin, profile=profile)
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None

    def stream(
        self, root: Cid, start: int = 0, stop: int | None = None, limits: DagLimits = DEFAULT_LIMITS
    ) -> Iterator[bytes]:
        """Yield the bytes `start` to `stop` (exclusive) of a blob, fetching it first where it is not here."""
        self.fetch(root, limits)
        yield from read_file(root, self.get_block, start, stop, limits)

    def read(self, root: Cid, limits: DagLimits) -> bytes:
        """Return all bytes of a blob, which must be as long as is due (`file_of`, `file_up_to`); see also `stream`."""
        return b"".join(self.stream(root, limits=limits))

    def get_record(self, cid: Cid) -> RecordValue:
        """Return a record's value, from a peer where it is not here; what it links to is not fetched."""
        if cid.codec != DAG_CBOR:
            raise InvalidRecord(f"{cid} names no record: its codec is not dag-cbor")
        return decode_record(get_inline(cid, self.fetch_block))

    def export_car(self, root: Cid, limits: DagLimits = DEFAULT_LIMITS) -> Iterator[bytes]:
        """Yield the pieces of a CAR of the whole DAG, depth first, each block once; BlockNotFound at a hole."""
        return write_car([root], walk(root, self.get_block, limits))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_label(label: str) -> str:
    """Return `label` if a pin can have it; StoreError otherwise."""
    if not _LABEL.fullmatch(label):
        raise StoreError(f"'{label}' is no pin label: use lower-case letters, digits and / _ . - such as round/7")
    return label


def check_dag_size(root: Cid, blocks: int, size: int, limits: DagLimits) -> None:
    """Raise LimitExceeded if a DAG of so many blocks and bytes is more than `limits` allow."""
    if blocks > limits.max_blocks or size > limits.max_bytes:
        raise LimitExceeded(f"{root} has more than {limits.max_blocks} blocks or {limits.max_bytes} bytes")


def sorted_pins(pins: Iterable[Pin]) -> list[Pin]:
    """Return pins in the order in which every store lists them."""
    return sorted(pins, key=lambda pin: (pin.label, str(pin.cid)))
