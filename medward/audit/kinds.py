"""A kind of federation, as an audit sees it: what its records mean, and what is checked besides ledger and store."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar

from medward.audit.demo import DemoTruth
from medward.audit.findings import AuditResult, Finding, Read
from medward.audit.history import RefusedRecord
from medward.audit.stores import Stores
from medward.ledger.execution import Executed
from medward.ledger.types import Application, Transaction, TxResult

#: What is checked of every federation.
COMMON_GROUPS = ("files", "ledger", "store")


class AuditedFederation(ABC):
    """A federation whose records are replayed, one after the other, and then checked.

    Attributes:
        unit: what its work comes in, in a word.
        groups: of checks, besides those of every federation.
        unread: records that could not be read, or were ordered twice.
        refused: records that broke a rule.
        taken: how many records were followed.
    """

    unit: ClassVar[str]
    groups: ClassVar[Sequence[str]]

    def __init__(self) -> None:
        self.unread: list[RefusedRecord] = []
        self.refused: list[RefusedRecord] = []
        self.taken = 0

    @abstractmethod
    def new_application(self) -> Application:
        """Return the ledger's application as it begins; it is replayed beside this."""

    @abstractmethod
    def decode(self, payload: bytes) -> object | None:
        """Return the record that a payload holds, None where it holds none."""

    @abstractmethod
    def take(self, executed: Executed, transaction: Transaction, result: TxResult) -> None:
        """Take an ordered transaction and what became of it, in order."""

    @abstractmethod
    def agrees(self) -> bool:
        """Return whether the records led here to the same state as in the replayed application."""

    @abstractmethod
    def outcomes(self) -> Mapping[int, tuple[str, str]]:
        """Return, of every unit of work by its number, what it was and how it ended."""

    @abstractmethod
    def blobs(self, members: Collection[str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return name -> what it is of the blobs that records name, and of those that must be in a home.

        Args:
            members: whose homes are audited.
        """

    @abstractmethod
    def check(
        self,
        numbers: Sequence[int],
        stores: Stores,
        groups: Mapping[str, AuditResult],
        said: Callable[[str], None],
    ) -> None:
        """Check what was done.

        Args:
            numbers: of the units that are checked.
            stores: the homes'.
            groups: take what is found.
            said: is told what is being checked.
        """

    def truth(self, read: Read, found: AuditResult) -> DemoTruth | None:
        """Return, after everything was checked, what a demo of it must have written; None where no demo has this kind.

        Args:
            read: gives a blob.
            found: takes what stands in the way.
        """
        return None

    def refusals(self) -> tuple[Finding, ...]:
        """Return, in sentences, the records that changed nothing."""
        unread = (Finding(one.why, height=one.height) for one in self.unread)
        refused = (
            Finding(f"a {one.kind} of {one.author or 'a stranger'} was refused: {one.why}", height=one.height)
            for one in self.refused
        )
        return (*unread, *refused)

    def note_unread(self, executed: Executed, result: TxResult) -> None:
        """Note a record that could not be read, or was ordered twice."""
        why = result.data.decode("utf-8", "replace") or "ordered twice"
        self.unread.append(RefusedRecord(executed.block.height, "", "", why))
