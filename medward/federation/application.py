"""The rules as the ledger's application: transactions in, state under a Merkle root out (medward/ledger/types.py).

The state's map has

    state/...          the federation's state (rules.py), in parts (parts.py)
    block              the hash of the blocks so far, which rounds take their beacons from
    round/00000012     what became of round 12: cohort, names of all blobs, verdicts, model
    contact/NAME       where a member's store is reached, as it said

so that a query can be proved, and an auditor can follow a model back without the other records. A query for `state`
gives all of its parts as one value, which has no proof of its own.
"""

import hashlib

import msgspec

from medward.federation.errors import RecordRefused
from medward.federation.membership import replica
from medward.federation.parts import changed_parts, state_of
from medward.federation.records import Record, decode_record
from medward.federation.rules import Agreement, FederationState, apply, founded
from medward.ledger.encoding import encode
from medward.ledger.errors import SnapshotMismatch
from medward.ledger.merkle import MerkleMap
from medward.ledger.snapshots import MapSnapshot, decode_map
from medward.ledger.types import Application, Applied, Block, MemberUpdate, Transaction, TxResult

UNREADABLE, STRANGER, REFUSED = 1, 2, 3
_MOST_REASON = 512
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


class FederationSnapshot(MapSnapshot):
    """A federation's state after one block.

    Args:
        state: its map.
        federation: the same state, as the rules have it.
    """

    def __init__(self, state: MerkleMap, federation: FederationState) -> None:
        super().__init__(state)
        self._federation = federation

    @property
    def federation(self) -> FederationState:
        """The state itself."""
        return self._federation

    @property
    def block(self) -> bytes:
        """The hash of the blocks so far."""
        return self._state.get(b"block") or bytes(32)


class FederationApplication(Application):
    """A federation on a ledger.

    Args:
        agreement: what it agreed on before it began.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._federation = founded(agreement)
        self._block = bytes(32)
        self._map = _written(MerkleMap().set(b"block", self._block), None, self._federation)
        self._whole: tuple[FederationState, bytes] | None = None

    @property
    def federation(self) -> FederationState:
        """The latest state."""
        return self._federation

    def check(self, transaction: Transaction) -> TxResult:
        """Refuse what cannot be read or comes from a stranger; what the rules say shows when its turn comes."""
        if decode_record(transaction.payload) is None:
            return TxResult(UNREADABLE, b"this payload is no record of a federation")
        if self._federation.author(transaction.client) is None:
            return TxResult(STRANGER, b"only members speak here")
        return TxResult(0, b"")

    def apply(self, block: Block) -> Applied:
        """Apply the rules to each transaction in order."""
        self._block = block_hash(self._block, block)
        before = self._federation
        results = []
        for transaction in block.transactions:
            result = self.check(transaction)
            record = decode_record(transaction.payload)
            if not result.code and record is not None:
                result = self._carry_out(record, transaction.client, block)
            results.append(result)
        self._map = _written(self._map.set(b"block", self._block), before, self._federation)
        return Applied(tuple(results), self.snapshot(), _member_updates(before, self._federation))

    def query(self, path: str) -> bytes | None:
        """Return the value at a path of the map, or the whole state."""
        if path != "state":
            return self._map.get(path.encode())
        if self._whole is None or self._whole[0] is not self._federation:
            self._whole = self._federation, encode_state(self._federation)
        return self._whole[1]

    def snapshot(self) -> FederationSnapshot:
        """Return the present state; it shares with the past."""
        return FederationSnapshot(self._map, self._federation)

    def restore(self, data: bytes) -> bytes:
        """Take over a snapshot."""
        state = decode_map(data)
        try:
            self._federation = state_of(dict(state.items()))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise SnapshotMismatch(f"this is no state of a federation: {error}") from error
        self._block = state.get(b"block") or bytes(32)
        self._map = state
        return state.root

    def _carry_out(self, record: Record, account: bytes, block: Block) -> TxResult:
        before = self._federation
        author = before.author(account) or ""
        try:
            after = apply(before, record, author, block.time / 1000, self._block, block.epoch)
        except RecordRefused as refused:
            return TxResult(REFUSED, str(refused).encode()[:_MOST_REASON])
        self._federation = after
        self._note(before, after)
        return TxResult(0, b"")

    def _note(self, before: FederationState, after: FederationState) -> None:
        """Keep what a later state forgets."""
        now = after.round
        if now is not None and now.over and now != before.round:
            self._map = self._map.set(f"round/{now.number:08d}".encode(), _ENCODER.encode(now))
        if after.contacts is not before.contacts:
            for name in {*before.contacts, *after.contacts}:
                self._map = _with(self._map, f"contact/{name}".encode(), after.contacts.get(name))


def block_hash(before: bytes, block: Block) -> bytes:
    """Return the hash of a block and all before it; it is fixed only when the block is ordered."""
    said = [[transaction.client, transaction.nonce, transaction.payload] for transaction in block.transactions]
    return hashlib.sha256(b"medward blocks 1" + encode([before, block.height, block.time, said])).digest()


def encode_state(state: FederationState) -> bytes:
    """Return the one encoding of a federation's state."""
    return _ENCODER.encode(state)


def decode_state(data: bytes) -> FederationState:
    """Return the state that `encode_state` encoded.

    Raises:
        SnapshotMismatch: it is none.
    """
    try:
        return msgspec.msgpack.decode(data, type=FederationState)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SnapshotMismatch(f"this is no state of a federation: {error}") from error


def _written(state: MerkleMap, before: FederationState | None, after: FederationState) -> MerkleMap:
    """Return the map with the parts of a state that are others than before."""
    parts = changed_parts(before, after)
    for key in (key for key, value in parts.items() if value is None):
        state = state.delete(key)
    return state.update({key: value for key, value in parts.items() if value is not None})


def _with(state: MerkleMap, key: bytes, value: bytes | None) -> MerkleMap:
    if value is None:
        return state.delete(key)
    return state if state.get(key) == value else state.set(key, value)


def _member_updates(before: FederationState, after: FederationState) -> tuple[MemberUpdate, ...]:
    """Return how the ledger's members change with the federation's."""
    then, now = before.membership, after.membership
    gone = [MemberUpdate(name, None) for name in then.names if name not in now.names]
    come = [name for name in now.names if now.accounts[name] != then.accounts.get(name)]
    return (*gone, *(MemberUpdate(name, replica(name, now.replicas[name])) for name in come))
