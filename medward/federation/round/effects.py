"""Events that a participant is told, and effects that it asks for. Whoever runs it does the I/O.

    Work -> Produced     Fetch -> Fetched, as blobs come     Advance -> Advanced     Judge -> Judged

Effects are carried out in order; a record is ordered after the blobs that it names are stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from medward.federation.records import Next, Record, Task
from medward.federation.round.state import Phase
from medward.federation.sums.interface import IntVector


@dataclass(frozen=True)
class Produced:
    """Event: the work of a round is done; these are the integers to contribute."""

    round: int
    values: IntVector


@dataclass(frozen=True)
class Fetched:
    """Event: blobs of a round, by name: all that a `Fetch` asked for, or those that came first."""

    round: int
    blobs: Mapping[str, bytes]


@dataclass(frozen=True)
class Advanced:
    """Event: the next shared model, made from a decrypted sum, and what the sum after it is for."""

    round: int
    model: bytes
    next: Next | None


@dataclass(frozen=True)
class Judged:
    """Event: this member's verdict on the next shared model."""

    round: int
    accept: bool


RoundEvent = Produced | Fetched | Advanced | Judged


@dataclass(frozen=True)
class Work:
    """Effect: do the round's task on private data, from the shared model of that name."""

    round: int
    task: Task
    model: str


@dataclass(frozen=True)
class Store:
    """Effect: put a blob into the store, kept under a label such as `round/7`."""

    label: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class OrderRecord:
    """Effect: hand a record to the log."""

    record: Record


@dataclass(frozen=True)
class Fetch:
    """Effect: get blobs of a round while it is in this phase; those that come are told without waiting for others."""

    round: int
    why: Phase
    names: tuple[str, ...]


@dataclass(frozen=True)
class Advance:
    """Effect: make the next shared model (`SharedModel.advance`); without a total where nothing was summed."""

    round: int
    model: str
    total: IntVector | None = field(repr=False)
    turnout: tuple[int, int]
    refused: int


@dataclass(frozen=True)
class Judge:
    """Effect: try the next shared model on private validation rows."""

    round: int
    before: str
    after: str


RoundEffect = Work | Store | OrderRecord | Fetch | Advance | Judge
