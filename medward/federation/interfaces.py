"""What a federation stands on, and what may stand there: an ordered log, a store of blobs, a way to sum in secret.

The round (medward.federation.round), its member and its aggregator are pure: they take events and return effects.
Whoever runs them carries the effects out on one implementation of each interface here. medward.federation.memory has
one of each for a single process; a ledger, an IPFS store and homomorphic encryption fill the same places.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medward.errors import MedwardError
from medward.federation.records import Record

IntVector = NDArray[np.int64]


class FederationError(MedwardError):
    """Something that keeps a federation from going on."""


class Refused(FederationError):
    """A record that breaks a rule of the round; it changes nothing."""


class MissingBlob(FederationError):
    """A blob that no reachable store holds."""


class WrongSum(FederationError):
    """An aggregate that is not the sum of the cohort's contributions, or a contribution or share that is malformed."""


@dataclass(frozen=True)
class Slot:
    """The one use that a contribution, an aggregate and a share are made for; they are worthless in any other.

    Args:
        federation: the federation's name.
        round: the round's number; it never repeats in a federation.
        length: how many integers are summed.
    """

    federation: str
    round: int
    length: int


class SecureSum(Protocol):
    """One member's part in adding vectors of integers so that only the sum is learned.

    Everything here is local computation on bytes; whoever calls it moves the bytes. The verbs come in this order:
    every member seals, an aggregator adds, every member checks and gives its share, anyone opens.
    """

    name: str

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        """Return this member's contribution; sealing twice for one slot returns the first contribution again."""

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        """Return the aggregate of the members' contributions, which are keyed by member.

        Raises:
            WrongSum: a contribution is malformed; the message names its member.
        """

    def check(self, slot: Slot, contributions: Mapping[str, bytes], aggregate: bytes) -> None:
        """Return if `aggregate` is exactly the sum of the contributions.

        Raises:
            WrongSum: it is not.
        """

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        """Return this member's share in opening a checked aggregate."""

    def open(self, slot: Slot, aggregate: bytes, shares: Mapping[str, bytes]) -> IntVector:
        """Return the exact sum.

        Raises:
            WrongSum: a share is malformed or missing; the message names its member.
        """


class BlobStore(Protocol):
    """Immutable blobs named by their content."""

    def put(self, content: bytes) -> str:
        """Keep a blob durably and return its name."""

    def get(self, name: str) -> bytes:
        """Return the blob of that name; its content was checked against the name.

        Raises:
            MissingBlob: nobody has it.
        """


class OrderedLog(Protocol):
    """Records that every member sees in one order, each with an agreed time."""

    def append(self, record: Record) -> None:
        """Hand in a record; it appears in `read` once it is ordered, or never if a rule refuses it."""

    def read(self, start: int) -> list[tuple[float, Record]]:
        """Return the ordered records from number `start` on, each with its time in seconds."""
