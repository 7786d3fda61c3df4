"""What a participant is told (events) and what it asks to be done (effects). Whoever runs it does the I/O.

    Work -> Produced     Fetch -> Fetched     FetchKeyBlob -> KeyBlobFetched     Advance -> Advanced     Judge -> Judged

Effects are carried out in order; a record is ordered after the blobs that it names are stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from medward.federation.encrypted_sum import EpochMaterial
from medward.federation.interfaces import IntVector
from medward.federation.records import Next, Record, Task
from medward.federation.round import Phase


@dataclass(frozen=True)
class Produced:
    """Event: the work of a round is done; these are the integers to contribute."""

    round: int
    values: IntVector


@dataclass(frozen=True)
class Fetched:
    """Event: the blobs that a `Fetch` asked for, by name, as far as they could be had."""

    fetch: "Fetch"
    blobs: Mapping[str, bytes]


@dataclass(frozen=True)
class KeyBlobFetched:
    """Event: a blob of a key ceremony; None only for a sealed share that cannot be had."""

    fetch: "FetchKeyBlob"
    content: bytes | None


@dataclass(frozen=True)
class Advanced:
    """Event: the next shared model, made from an opened sum, and what the sum after it is for."""

    round: int
    model: bytes
    next: Next | None


@dataclass(frozen=True)
class Judged:
    """Event: this member's verdict on the next shared model."""

    round: int
    accept: bool


Event = Produced | Fetched | KeyBlobFetched | Advanced | Judged


@dataclass(frozen=True)
class Work:
    """Effect: do the round's task on private data, from the shared model of that name."""

    round: int
    task: Task
    model: str


@dataclass(frozen=True)
class Store:
    """Effect: put a blob into the store, kept under a label such as `round/7` or `keys/1`."""

    label: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Order:
    """Effect: hand a record to the log."""

    record: Record


@dataclass(frozen=True)
class Fetch:
    """Effect: get blobs of a round, as far as they can be had; `why` says which step asked."""

    round: int
    attempt: int
    why: Phase
    names: tuple[str, ...]


@dataclass(frozen=True)
class FetchKeyBlob:
    """Effect: get a blob of a ceremony, trying again until it comes or the ceremony is over.

    Args:
        name: the blob.
        dealer: whose sealed share it is, or None for what a `KeyOpen` or `KeyAnswer` names.
        epoch: the epoch that it is for.
    """

    name: str
    dealer: int | None
    epoch: int


@dataclass(frozen=True)
class Advance:
    """Effect: make the next shared model from an opened sum over a cohort, after so many refused ones of this step."""

    round: int
    model: str
    total: IntVector = field(repr=False)
    cohort: tuple[str, ...]
    refused: int


@dataclass(frozen=True)
class Judge:
    """Effect: try the next shared model on private validation rows."""

    round: int
    before: str
    after: str


@dataclass(frozen=True)
class KeepKeys:
    """Effect: keep a key epoch's material durably, readable by this member alone, before anything that follows."""

    material: EpochMaterial = field(repr=False)


Effect = Work | Store | Order | Fetch | FetchKeyBlob | Advance | Judge | KeepKeys
