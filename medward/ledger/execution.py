"""From ordered transactions to state: replay protection, the application, and the hash that all agree on.

The same object stands under every engine. It refuses what a client did before, hands the rest to the application as
one block, keeps the last replies, and names the result by one hash. See spec/ledger.md, "Execution".
"""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import msgspec

from medward.ledger.encoding import Count, Hash, Structure, decode, digest, encode
from medward.ledger.errors import NotCanonical, SnapshotMismatch
from medward.ledger.merkle import MerkleMap
from medward.ledger.types import Application, Block, MemberUpdate, Receipt, Snapshot, Transaction, TxResult

NONCE_WINDOW = 64
"""How many of a client's transactions may be under way at once; older nonces are refused as replays."""
MAX_CLIENTS = 4096
"""How many clients the replay table holds; a stranger beyond it is refused."""

REPLAYED = 2**32
"""The result code of a transaction that was already applied, or whose nonce left the client's window."""
TOO_MANY_CLIENTS = 2**32 + 1
"""The result code of a new client's transaction when the table is full."""

_RECORD = struct.Struct(">QQ")


class StateSummary(Structure, frozen=True):
    """What the state after a block is; checkpoints carry all of it, CometBFT's headers its root.

    Args:
        height: the block's height.
        time: the agreed time of the last block that changed anything, milliseconds.
        app_hash: the root of the application's state.
        clients: the root of the replay table.
    """

    height: Count
    time: Count
    app_hash: Hash
    clients: Hash

    def digest(self) -> bytes:
        """Return the hash of the whole summary."""
        return digest(self)

    @property
    def root(self) -> bytes:
        """The hash of the state alone, which a block without new transactions leaves as it is."""
        return digest([self.time, self.app_hash, self.clients])


class _Reply(Structure, frozen=True):
    client: bytes
    nonce: Count
    receipt: Receipt


class _SnapshotForm(Structure, frozen=True):
    summary: StateSummary
    clients: tuple[tuple[bytes, bytes], ...]
    replies: tuple[_Reply, ...]
    application: bytes


class StateAfter:
    """The state after one block, which later ones do not change; its roots are worked out when they are asked for.

    Args:
        height: the block's height.
        time: the agreed time of the last block that changed anything, milliseconds.
        application: the application's state.
        clients: the replay table.
    """

    def __init__(self, height: int, time: int, application: Snapshot, clients: MerkleMap) -> None:
        self.height = height
        self.time = time
        self.application = application
        self.clients = clients

    def __eq__(self, other: object) -> bool:
        """Whether both are the same state."""
        return isinstance(other, StateAfter) and self.summary == other.summary

    def __hash__(self) -> int:
        """The summary's."""
        return hash(self.summary)

    @cached_property
    def summary(self) -> StateSummary:
        """What names this state."""
        return StateSummary(self.height, self.time, self.application.app_hash, self.clients.root)


class Executed(msgspec.Struct, frozen=True):
    """What executing a block gave: the block as applied, a result for each transaction, membership changes."""

    block: Block
    results: tuple[TxResult, ...]
    replies: tuple[tuple[Transaction, Receipt], ...]
    state: StateAfter
    member_updates: tuple[MemberUpdate, ...]

    @property
    def summary(self) -> StateSummary:
        """What names the state after the block."""
        return self.state.summary


class ExecutionSnapshot:
    """The state after one block, frozen."""

    def __init__(
        self, summary: StateSummary, clients: MerkleMap, replies: tuple[_Reply, ...], application: Snapshot
    ) -> None:
        self.summary = summary
        self.application = application
        self._clients = clients
        self._replies = replies

    def encode(self) -> bytes:
        """Return the canonical bytes of this state, equal on every correct replica."""
        clients = tuple(self._clients.items())
        return encode(_SnapshotForm(self.summary, clients, self._replies, self.application.encode()))


class Execution:
    """The replicated state machine: an application behind replay protection.

    Args:
        application: the rules; this object owns it from now on.
        genesis_time: no block's time is earlier, milliseconds.
    """

    def __init__(self, application: Application, genesis_time: int) -> None:
        self.application = application
        self._clients = MerkleMap()
        # The same records once more, for reading without hashing.
        self._records: dict[bytes, bytes] = {}
        self._replies: OrderedDict[bytes, OrderedDict[int, Receipt]] = OrderedDict()
        self._state = StateAfter(0, genesis_time, application.snapshot(), self._clients)

    @property
    def summary(self) -> StateSummary:
        """What names the present state."""
        return self._state.summary

    @property
    def height(self) -> int:
        """The last height executed."""
        return self._state.height

    @property
    def time(self) -> int:
        """The agreed time of the last block that changed anything, milliseconds."""
        return self._state.time

    def applied(self, client: bytes, nonce: int) -> bool:
        """Return whether this nonce was applied or can no longer be."""
        return _used(self._records.get(client), nonce)

    def reply(self, client: bytes, nonce: int) -> Receipt | None:
        """Return the cached receipt of one of the client's last transactions."""
        return self._replies.get(client, OrderedDict()).get(nonce)

    def check(self, transaction: Transaction) -> TxResult:
        """Return whether the transaction may wait to be ordered (code 0) or why not; its signature is not checked."""
        if self.applied(transaction.client, transaction.nonce):
            return TxResult(REPLAYED, b"")
        if transaction.client not in self._records and len(self._records) >= MAX_CLIENTS:
            return TxResult(TOO_MANY_CLIENTS, b"")
        return self.application.check(transaction)

    def execute(self, time: int, transactions: Sequence[Transaction], epoch: int | None = None) -> Executed:
        """Apply the next block; one without new transactions changes nothing but the height.

        Args:
            time: the proposed time; the block gets the larger of it and the last block's.
            transactions: with signatures already checked.
            epoch: the epoch that ordered it, as its header has it; None where the members never change.
        """
        height, time = self.height + 1, max(time, self.time)
        fresh: list[Transaction] = []
        verdicts: list[TxResult | None] = []
        changed: set[bytes] = set()
        for transaction in transactions:
            refusal = self._claim(transaction)
            verdicts.append(refusal)
            if refusal is None:
                fresh.append(transaction)
                changed.add(transaction.client)
        self._clients = self._clients.update({client: self._records[client] for client in changed})
        block = Block(height, time, tuple(fresh), epoch)
        if not fresh:
            refused = tuple(verdict for verdict in verdicts if verdict is not None)
            self._state = StateAfter(height, self.time, self._state.application, self._clients)
            return Executed(block, refused, (), self._state, ())
        applied = self.application.apply(block)
        given = iter(applied.results)
        results = tuple(next(given) if verdict is None else verdict for verdict in verdicts)
        replies = []
        for transaction, result, verdict in zip(transactions, results, verdicts, strict=True):
            if verdict is None:
                receipt = Receipt(height, result)
                given_to = self._replies.get(transaction.client)
                if given_to is None:
                    given_to = self._replies[transaction.client] = OrderedDict()
                given_to[transaction.nonce] = receipt
                replies.append((transaction, receipt))
        for client in changed:
            self._forget_old(client)
        self._state = StateAfter(height, time, applied.state, self._clients)
        return Executed(block, results, tuple(replies), self._state, applied.member_updates)

    def snapshot(self) -> ExecutionSnapshot:
        """Return the present state, frozen."""
        replies = tuple(
            _Reply(client, nonce, receipt)
            for client in sorted(self._replies)
            for nonce, receipt in sorted(self._replies[client].items())
        )
        return ExecutionSnapshot(self.summary, self._clients, replies, self._state.application)

    def restore(self, data: bytes, expected: bytes) -> None:
        """Replace the state by the one that `data` encodes, whose summary has the digest `expected`.

        Raises:
            SnapshotMismatch: the content is not the one that the digest names.
        """
        try:
            form = decode(data, _SnapshotForm, thinnest=1)
        except NotCanonical as error:
            raise SnapshotMismatch(f"the snapshot does not decode: {error}") from error
        clients = MerkleMap().update(dict(form.clients))
        if form.summary.digest() != expected or clients.root != form.summary.clients:
            raise SnapshotMismatch("the snapshot is not the one that the certificate names")
        if self.application.restore(form.application) != form.summary.app_hash:
            raise SnapshotMismatch("the application's part of the snapshot is not the one that the certificate names")
        self._state = StateAfter(form.summary.height, form.summary.time, self.application.snapshot(), clients)
        self._clients, self._replies = clients, OrderedDict()
        self._records = dict(form.clients)
        for reply in form.replies:
            self._replies.setdefault(reply.client, OrderedDict())[reply.nonce] = reply.receipt

    def _claim(self, transaction: Transaction) -> TxResult | None:
        """Mark a nonce as used, or say why it is refused; the block's end brings the mark into the Merkle map."""
        record = self._records.get(transaction.client)
        if record is None and len(self._records) >= MAX_CLIENTS:
            return TxResult(TOO_MANY_CLIENTS, b"")
        marked = _mark(record, transaction.nonce)
        if marked is None:
            return TxResult(REPLAYED, b"")
        self._records[transaction.client] = marked
        return None

    def _forget_old(self, client: bytes) -> None:
        kept = self._replies[client]
        lowest = max(kept) - NONCE_WINDOW
        for nonce in [nonce for nonce in kept if nonce <= lowest]:
            del kept[nonce]


def transactions_root(transactions: Sequence[bytes]) -> bytes:
    """Return the root of a binary Merkle tree over the encoded transactions, 32 zero bytes for none (RFC 6962, 2.1)."""
    if not transactions:
        return bytes(32)
    level = [hashlib.sha256(b"\x00" + transaction).digest() for transaction in transactions]
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = pairs + (level[-1:] if len(level) % 2 else [])
    return level[0]


def _used(record: bytes | None, nonce: int) -> bool:
    return record is not None and _mark(record, nonce) is None


def _mark(record: bytes | None, nonce: int) -> bytes | None:
    """Return the client's record with `nonce` in it: the highest nonce, and a bit for each of the 64 up to it; None
    where the nonce was used or is older than those.
    """
    if record is None:
        return _RECORD.pack(nonce, 1)
    high, bits = _RECORD.unpack(record)
    behind = high - nonce
    if behind < 0:
        return _RECORD.pack(nonce, (bits << -behind | 1) & (2**64 - 1) if -behind < NONCE_WINDOW else 1)
    if behind >= NONCE_WINDOW or bits >> behind & 1:
        return None
    return _RECORD.pack(high, bits | 1 << behind)
