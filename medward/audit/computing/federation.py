"""A federation that computes on ciphertexts, as an audit sees it: what members computed is computed again.

Computing needs no secret and has the same bytes everywhere, so who handed in another result than follows is proved to
have done so by its own signed record. Opening needs the owners' secret keys; of that an audit sees what is shown.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from medward.audit.computing.blobs import AuditedBlobs
from medward.audit.findings import AuditResult, Finding
from medward.audit.history import RefusedRecord
from medward.audit.kinds import AuditedFederation
from medward.audit.stores import Stores
from medward.federation.computing.application import REFUSED, ComputingApplication, state_at
from medward.federation.computing.evaluation_keys import most_key_bytes, read_published_key
from medward.federation.computing.records import ComputingState, ContactSaid, KeyOnRecord
from medward.federation.errors import FederationError, RecordRefused
from medward.fhe.computing.keys import EvaluationKey
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.errors import FheError
from medward.ledger.execution import Executed
from medward.ledger.types import Transaction, TxResult
from medward.store.errors import InvalidCid, InvalidDag, InvalidRecord, LimitExceeded, StoreError

S = TypeVar("S", bound=ComputingState)
W = TypeVar("W", bound="PastWork")


class NotThere(Exception):
    """A blob that is needed to check something is whole in none of the homes; the text says which."""


class NoSuchResult(Exception):
    """Nothing follows from what is on record, since a blob on record is none; the text says which."""


@dataclass(frozen=True)
class PastWork:
    """Work as it was on record last: a batch or a task.

    Args:
        number: of eight digits.
        results: what each member computed, in the order of the ledger.
        agreed: the result that was opened, or may be; empty where there is none.
        opened: whether its result was opened.
        needed: name -> what it is of the blobs that it rests on.
        kept: whether it is on record still, so that members keep its blobs.
        for_tests: whether it is of a ring that is not secure.
    """

    number: str
    results: tuple[tuple[str, str], ...]
    agreed: str
    opened: bool
    needed: Mapping[str, str]
    kept: bool
    for_tests: bool


class AuditedComputing(AuditedFederation, Generic[S, W]):
    """A federation that computes on ciphertexts.

    Args:
        make_application: makes the ledger's application as it begins.
        chain: of the ledger, to which keys are bound.

    Attributes:
        past: every batch or task by its number, with the last state that has it.
    """

    state_type: type[S]

    def __init__(self, make_application: Callable[[], ComputingApplication[S]], chain: bytes) -> None:
        super().__init__()
        self._make_application, self._chain = make_application, chain
        self._replayed = make_application()
        self._state: S = state_at(self._replayed.snapshot(), self.state_type)
        self._named: dict[str, str] = {}
        self.past: dict[str, S] = {}

    @abstractmethod
    def named_by(self, record: object, author: str) -> Iterator[tuple[str, str]]:
        """Yield (name, what it is) of the blobs that a record names."""

    @abstractmethod
    def numbers_of(self, state: S) -> Mapping[str, object]:
        """Return the batches or tasks that are on record, by number."""

    @abstractmethod
    def work_of(self, state: S, number: str, *, kept: bool) -> W:
        """Return a batch or task as it stands in a state."""

    @abstractmethod
    def told_of(self, state: S, number: str) -> tuple[str, str]:
        """Return what a batch or task is, and how it ended."""

    @abstractmethod
    def computed(self, state: S, work: W, blobs: AuditedBlobs) -> str:
        """Compute a result again, and return its name.

        Raises:
            NotThere: a blob is missing.
            NoSuchResult: nothing follows from what is on record.
        """

    @abstractmethod
    def check_opened(self, state: S, work: W, blobs: AuditedBlobs, found: AuditResult) -> None:
        """Check what was opened, as far as anybody can.

        Raises:
            NotThere: a blob is missing.
        """

    def new_application(self) -> ComputingApplication[S]:
        """Return the ledger's application as it begins."""
        self._replayed = self._make_application()
        return self._replayed

    def decode(self, payload: bytes) -> object | None:
        """Return the record that a payload holds, None where it holds none."""
        found: object | None = self._replayed.decoded(payload)
        return found

    def take(self, executed: Executed, transaction: Transaction, result: TxResult) -> None:
        """Take an ordered transaction and what became of it."""
        record, author = self.decode(transaction.payload), self._replayed.author(transaction.client)
        if record is None or author is None or result.code not in (0, REFUSED):
            self.note_unread(executed, result)
            return
        for name, what in self.named_by(record, author):
            self._named.setdefault(name, what)
        if not isinstance(record, ContactSaid):
            try:
                self._state = self._replayed.applied(self._state, record, author, executed.block.time)
            except RecordRefused as refused:
                kind = type(record).__name__
                self.refused.append(RefusedRecord(executed.block.height, author, kind, str(refused)))
                return
        self.taken += 1
        for number in self.numbers_of(self._state):
            self.past[number] = self._state

    def agrees(self) -> bool:
        """Return whether the records led here to the same state as in the replayed application."""
        return self._state == state_at(self._replayed.snapshot(), self.state_type)

    def outcomes(self) -> Mapping[int, tuple[str, str]]:
        """Return, of every batch or task by its number, what it was and how it ended."""
        return {int(number): self.told_of(state, number) for number, state in sorted(self.past.items())}

    def blobs(self, members: Collection[str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the blobs that records name, and those that opened results on record rest on."""
        needed: dict[str, str] = {}
        for number in self.numbers_of(self._state):
            work = self._work(number)
            if work.opened:
                needed |= work.needed
        return {**self._named, **needed}, needed

    def check(
        self, numbers: Sequence[int], stores: Stores, groups: Mapping[str, AuditResult], said: Callable[[str], None]
    ) -> None:
        """Compute results again, compare those of the members with them, and check what was opened."""
        group = self.groups[0]
        blobs = AuditedBlobs(stores)
        for member, known in sorted(self._state.keys.items()):
            groups[group].count("keys")
            if known.opened > known.published.outputs:
                told = f"the key of {member} may open {known.published.outputs:,} outputs, and opened {known.opened:,}"
                groups[group].remarks.append(Finding(told, name=known.published.key, guilty=(member,)))
        for number in (f"{one:08d}" for one in numbers):
            said(f"the {group}: {int(number)}")
            self._check(self._work(number), blobs, groups[group])

    def _work(self, number: str) -> W:
        return self.work_of(self.past[number], number, kept=number in self.numbers_of(self._state))

    def _check(self, work: W, blobs: AuditedBlobs, found: AuditResult) -> None:
        state, what = self.past[work.number], f"{self.unit} {int(work.number)}"
        found.count(self.groups[0])
        if work.for_tests:
            found.remarks.append(Finding(f"{what} is of a ring that is not secure, which is for tests alone"))
        try:
            if work.results:
                self._compare(state, work, blobs, found)
            if work.opened:
                self.check_opened(state, work, blobs, found)
        except NotThere as missing:
            # What is on record is told as missing by the store's checks.
            told = f"{what} could not be checked: {missing}" + (
                "" if work.kept else ", and nobody need keep it any more"
            )
            found.remarks.append(Finding(told))

    def _compare(self, state: S, work: W, blobs: AuditedBlobs, found: AuditResult) -> None:
        """Compute a result again, and tell of every member that handed in another."""
        what = f"{self.unit} {int(work.number)}"
        try:
            true, why = self.computed(state, work, blobs), ""
            found.count("computed anew")
        except NoSuchResult as nothing:
            true, why = "", f", although none follows: {nothing}"
        for member, result in work.results:
            found.count("results")
            if result != true:
                told = f"{member} handed in a result of {what} that does not follow from what is on record{why}"
                found.remarks.append(Finding(told, name=result, guilty=(member,)))
        if work.opened and work.agreed != true:
            liars = tuple(member for member, result in work.results if result == work.agreed)
            told = (
                f"what was opened of {what} does not follow from what is on record; {' and '.join(liars)} computed it"
            )
            found.problems.append(Finding(told, name=work.agreed, guilty=liars))

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn what can go wrong with blobs on record into what it says of them.

        Args:
            what: is read or computed.

        Raises:
            NotThere: a blob is missing.
            NoSuchResult: a blob is none.
        """
        try:
            yield
        except (InvalidCid, InvalidDag, InvalidRecord, LimitExceeded, FheError, FederationError) as error:
            raise NoSuchResult(f"{what}: {error}") from None
        except StoreError as error:
            raise NotThere(f"{what}: {error}") from None

    def key_of(
        self, keys: Mapping[str, KeyOnRecord], member: str, parameters: ComputingParameters, blobs: AuditedBlobs
    ) -> EvaluationKey:
        """Return a member's evaluation key; see `reading`."""
        published = keys[member].published
        data = blobs.get(published.key, most_key_bytes(parameters))
        return read_published_key(published, member, parameters, self._chain, data)


def named_keys(keys: Mapping[str, KeyOnRecord], members: Iterable[str]) -> dict[str, str]:
    """Return name -> what it is of members' evaluation keys."""
    return {keys[member].published.key: f"the evaluation key of {member}" for member in members}
