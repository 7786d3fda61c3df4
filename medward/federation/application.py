"""The rules as the ledger's application: transactions in, state under a Merkle root out (medward/ledger/types.py).

The state's map has

    state              the federation's state (rules.py), encoded
    block              the hash of the blocks so far, which rounds take their beacons from
    round/00000012     what became of round 12: cohort, names of all blobs, verdicts, model
    contact/NAME       where a member's store is reached, as it said

so that a query can be proved, and an auditor can follow a model back without the other records.
"""

import hashlib

import msgspec

from medward.federation.interfaces import Refused
from medward.federation.records import Record, decode_record
from medward.federation.rules import Agreement, Federation, apply, founded
from medward.ledger.encoding import Structure, decode, encode
from medward.ledger.errors import LedgerError, NotCanonical, SnapshotMismatch
from medward.ledger.merkle import MerkleMap, MerkleProof
from medward.ledger.types import Application, Applied, Block, Member, MemberUpdate, Snapshot, Transaction, TxResult

UNREADABLE, STRANGER, REFUSED = 1, 2, 3
_MOST_REASON = 512
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


class _Form(Structure, frozen=True):
    items: tuple[tuple[bytes, bytes], ...]


class FederationSnapshot(Snapshot):
    """A federation's state after one block."""

    def __init__(self, state: MerkleMap) -> None:
        self._state = state

    @property
    def app_hash(self) -> bytes:
        """The root of the state's map."""
        return self._state.root

    @property
    def federation(self) -> Federation:
        """The state itself."""
        return decode_state(self._state.get(b"state") or b"")

    @property
    def block(self) -> bytes:
        """The hash of the blocks so far."""
        return self._state.get(b"block") or bytes(32)

    def encode(self) -> bytes:
        """Return the whole map, in its order."""
        return encode(_Form(tuple(self._state.items())))

    def prove(self, path: str) -> tuple[bytes | None, bytes, MerkleProof]:
        """Prove the value at a path."""
        key = path.encode()
        return self._state.get(key), key, self._state.prove(key)


class FederationApplication(Application):
    """A federation on a ledger.

    Args:
        agreement: what it agreed on before it began.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._federation = founded(agreement)
        self._block = bytes(32)
        self._map = MerkleMap().set(b"state", encode_state(self._federation)).set(b"block", self._block)

    @property
    def federation(self) -> Federation:
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
                result = self._carry_out(record, transaction.client, block.time / 1000)
            results.append(result)
        self._map = self._map.set(b"state", encode_state(self._federation)).set(b"block", self._block)
        return Applied(tuple(results), self.snapshot(), _member_updates(before, self._federation))

    def query(self, path: str) -> bytes | None:
        """Return the value at a path of the map."""
        return self._map.get(path.encode())

    def snapshot(self) -> FederationSnapshot:
        """Return the present state; it shares with the past."""
        return FederationSnapshot(self._map)

    def restore(self, data: bytes) -> bytes:
        """Take over a snapshot."""
        try:
            form = decode(data, _Form)
        except NotCanonical as error:
            raise SnapshotMismatch(f"this is no snapshot of a federation: {error}") from error
        state = MerkleMap()
        for key, value in form.items:
            state = state.set(key, value)
        self._federation = decode_state(state.get(b"state") or b"")
        self._block = state.get(b"block") or bytes(32)
        self._map = state
        return state.root

    def _carry_out(self, record: Record, account: bytes, time: float) -> TxResult:
        before = self._federation
        try:
            after = apply(before, record, before.author(account) or "", time, self._block)
        except Refused as refused:
            return TxResult(REFUSED, str(refused).encode()[:_MOST_REASON])
        self._federation = after
        self._note(before, after)
        return TxResult(0, b"")

    def _note(self, before: Federation, after: Federation) -> None:
        """Keep what a later state forgets."""
        now = after.round
        if now is not None and now.over and now != before.round:
            self._map = self._map.set(f"round/{now.number:08d}".encode(), _ENCODER.encode(now))
        for name, contact in after.contacts.items():
            if before.contacts.get(name) != contact:
                self._map = self._map.set(f"contact/{name}".encode(), contact)


def block_hash(before: bytes, block: Block) -> bytes:
    """Return the hash of a block and all before it; it is fixed only when the block is ordered."""
    said = [[transaction.client, transaction.nonce, transaction.payload] for transaction in block.transactions]
    return hashlib.sha256(b"medward blocks 1" + encode([before, block.height, block.time, said])).digest()


def encode_state(state: Federation) -> bytes:
    """Return the one encoding of a federation's state."""
    return _ENCODER.encode(state)


def decode_state(data: bytes) -> Federation:
    """Return the state that `encode_state` encoded.

    Raises:
        SnapshotMismatch: it is none.
    """
    try:
        return msgspec.msgpack.decode(data, type=Federation)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SnapshotMismatch(f"this is no state of a federation: {error}") from error


def _member_updates(before: Federation, after: Federation) -> tuple[MemberUpdate, ...]:
    """Return how the ledger's members change with the federation's."""
    updates = [MemberUpdate(name, None) for name in before.terms.members if name not in after.terms.members]
    for name, replica in sorted(after.replicas.items()):
        if before.replicas.get(name) != replica and name in after.terms.members:
            try:
                updates.append(MemberUpdate(name, decode(replica, Member)))
            except LedgerError:
                # f+1 members asked for it, yet it names no replica: the federation gets a member that never votes.
                continue
    return tuple(updates)
