"""Rules of computing by a ledger as its application: a state's parts stand in the map under their kind and name."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from medward.federation.computing.records import ComputingState, ContactSaid
from medward.federation.errors import RecordRefused
from medward.ledger.encoding import Count, Structure, decode, decode_form, encode
from medward.ledger.errors import NotCanonical, SnapshotMismatch
from medward.ledger.merkle import MerkleMap
from medward.ledger.snapshots import MapSnapshot, decode_map
from medward.ledger.types import Application, Applied, Block, Transaction, TxResult

S = TypeVar("S", bound=ComputingState)

UNREADABLE, STRANGER, REFUSED = 1, 2, 3
_MOST_REASON = 512


class ComputingSnapshot(MapSnapshot, Generic[S]):
    """A state after one block.

    Args:
        state: its map.
        known: the same state, as the rules have it.
    """

    def __init__(self, state: MerkleMap, known: S) -> None:
        super().__init__(state)
        self.known = known


class ComputingApplication(Application, Generic[S]):
    """Records that members order, applied to a state.

    Args:
        accounts: the public key under which each member speaks, by name.
        state: at the beginning.
    """

    #: What the records are of, for sentences.
    about: ClassVar[str]
    #: The state's mappings by name, each with the type of its values.
    kinds: ClassVar[Mapping[str, type[Structure]]]
    #: The state's counts by name.
    counts: ClassVar[tuple[str, ...]]

    def __init__(self, accounts: Mapping[str, bytes], state: S) -> None:
        self._names = {key: name for name, key in accounts.items()}
        self._map = MerkleMap()
        self._state = state

    @abstractmethod
    def decoded(self, payload: bytes) -> Any:
        """Return the record that a payload holds, None where it holds none."""

    @abstractmethod
    def applied(self, state: S, record: Any, author: str, time: int) -> S:
        """Return the state after a member's record.

        Raises:
            RecordRefused: it breaks a rule; the text says which.
        """

    @abstractmethod
    def state_of(self, members: tuple[str, ...], parts: Mapping[str, Any]) -> S:
        """Return the state of these mappings and counts, by name."""

    def author(self, client: bytes) -> str | None:
        """Return the member who speaks under a key, None for a stranger."""
        return self._names.get(client)

    def check(self, transaction: Transaction) -> TxResult:
        """Refuse what cannot be read or comes from a stranger."""
        if self.decoded(transaction.payload) is None:
            return TxResult(UNREADABLE, f"this payload is no record of {self.about}".encode())
        if transaction.client not in self._names:
            return TxResult(STRANGER, b"only members speak here")
        return TxResult(0, b"")

    def apply(self, block: Block) -> Applied:
        """Apply the rules to each transaction in order."""
        return Applied(tuple(self._carry_out(one, block.time) for one in block.transactions), self.snapshot())

    def query(self, path: str) -> bytes | None:
        """Return the value at a path of the map."""
        return self._map.get(path.encode())

    def snapshot(self) -> ComputingSnapshot[S]:
        """Return the present state; it shares with the past."""
        return ComputingSnapshot(self._map, self._state)

    def restore(self, data: bytes) -> bytes:
        """Take over a snapshot."""
        state = decode_map(data)
        try:
            self._state = self._read(state)
        except (NotCanonical, UnicodeDecodeError) as error:
            raise SnapshotMismatch(f"this is no state of {self.about}: {error}") from error
        self._map = state
        return state.root

    def _carry_out(self, transaction: Transaction, time: int) -> TxResult:
        result = self.check(transaction)
        record = self.decoded(transaction.payload)
        if result.code or record is None:
            return result
        author, before = self._names[transaction.client], self._state
        if isinstance(record, ContactSaid):
            self._map = self._map.set(f"contact/{author}".encode(), record.contact)
            return TxResult(0, b"")
        try:
            after = self.applied(before, record, author, time)
        except RecordRefused as refused:
            return TxResult(REFUSED, str(refused).encode()[:_MOST_REASON])
        told = b""
        for kind in self.counts:
            if getattr(after, kind) != getattr(before, kind):
                self._map = self._map.set(f"count/{kind}".encode(), encode(getattr(after, kind)))
        for kind in self.kinds:
            then, now = getattr(before, kind), getattr(after, kind)
            for name in then.keys() - now.keys():
                self._map = self._map.delete(f"{kind}/{name}".encode())
            for name, value in now.items():
                if then.get(name) is not value:
                    self._map = self._map.set(f"{kind}/{name}".encode(), encode(value))
                    told = name.encode()
        self._state = after
        return TxResult(0, told)

    def _read(self, state: MerkleMap) -> S:
        parts: dict[str, Any] = {kind: {} for kind in self.kinds}
        for key, value in sorted(state.items()):
            kind, _, name = key.decode().partition("/")
            if kind in self.kinds:
                parts[kind][name] = decode(value, self.kinds[kind])
            elif kind == "count" and name in self.counts:
                parts[name] = decode_form(value, Count)
            elif kind != "contact":
                raise NotCanonical(f"it has no {key!a}")
        return self.state_of(self._state.members, parts)


def state_at(snapshot: object, kind: type[S]) -> S:
    """Return the state that a snapshot of the ledger holds.

    Args:
        snapshot: of a ledger of `ComputingApplication`.
        kind: of its state.
    """
    if not isinstance(snapshot, ComputingSnapshot) or not isinstance(snapshot.known, kind):
        raise TypeError(f"the ledger gives no snapshots of {kind.__name__}")
    return snapshot.known
