"""The ledger's vocabulary: transactions, blocks, results, and the two interfaces that meet here.

`Application` is what is agreed on (the rules of a federation, or a bank in the tests); `Engine` is how (PBFT, or
CometBFT). Neither knows the other: blocks recorded under one engine and replayed under the other give the same state,
as long as they order no change of membership: CometBFT's validators never change.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import msgspec

from medward.ledger.encoding import Count, Name, Structure
from medward.ledger.merkle import MerkleProof
from medward.ledger.signatures import PublicKeys, Signatures

MAX_TRANSACTION_BYTES = 64 * 1024
"""The largest encoded transaction; records are small, ciphertexts live in the store."""


class Transaction(Structure, frozen=True):
    """What a client asks the ledger to apply, once.

    Args:
        client: the client's Ed25519 public key, 32 bytes.
        nonce: the client's own number of it, from 1; see `Execution` for how reuse is refused.
        payload: what the application reads.
        signatures: the client's, over SHA-256(client || payload), with the nonce in the domain.
    """

    client: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    nonce: Count
    payload: Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_BYTES)]
    signatures: Signatures


class Block(msgspec.Struct, frozen=True):
    """One step of the ledger as an application sees it.

    Args:
        height: ascending; a height whose block holds no new transaction is not shown to the application.
        time: agreed time in milliseconds since 1970; never less than the block before.
        transactions: in order; each has a valid signature of its client and was never applied before.
        epoch: the epoch whose members ordered it: the changes of membership that earlier epochs ordered are in effect,
            those of this one are not. None under an engine whose members never change.
    """

    height: int
    time: int
    transactions: tuple[Transaction, ...]
    epoch: int | None = None


class TxResult(Structure, frozen=True):
    """What became of a transaction.

    Args:
        code: 0 where it was applied; any other number is the application's reason for refusing it.
        data: the application's answer, at most 4096 bytes.
    """

    code: Count
    data: Annotated[bytes, msgspec.Meta(max_length=4096)]


class Member(Structure, frozen=True):
    """One replica's identity in one incarnation.

    Args:
        name: the hospital's name, unique in the federation.
        incarnation: 0 at first, one more whenever the replica comes back with a lost or restored disk.
        keys: what its votes are verified with; new in every incarnation.
        certificate: its self-signed TLS certificate (DER), pinned by every other member; empty where none is used.
        address: host:port for replicas.
    """

    name: Name
    incarnation: Count
    keys: PublicKeys
    certificate: Annotated[bytes, msgspec.Meta(max_length=4096)]
    address: Annotated[str, msgspec.Meta(max_length=256)]


class MemberUpdate(Structure, frozen=True):
    """A change of membership that the application ordered: `member` takes the place of `name`, or `name` leaves."""

    name: Name
    member: Member | None


class Snapshot(ABC):
    """The application's state after one block, which later blocks do not change."""

    @property
    @abstractmethod
    def app_hash(self) -> bytes:
        """The root of this state."""

    @abstractmethod
    def encode(self) -> bytes:
        """Return bytes from which `Application.restore` makes the same state; equal states give equal bytes."""

    @abstractmethod
    def prove(self, path: str) -> tuple[bytes | None, bytes, MerkleProof]:
        """Return the value at `path` (None where absent), the key it has in the state's map, and the proof."""


class Applied(msgspec.Struct, frozen=True):
    """What applying a block gave.

    Args:
        results: one for each transaction, in order.
        state: the application's state after the block; its root is asked for only where somebody signs it.
        member_updates: changes of membership; the engine makes them effective at a later block that it chooses.
    """

    results: tuple[TxResult, ...]
    state: Snapshot
    member_updates: tuple[MemberUpdate, ...] = ()

    @property
    def app_hash(self) -> bytes:
        """The root of the application's state after the block, 32 bytes."""
        return self.state.app_hash


class Application(ABC):
    """A deterministic state machine: no clock, no randomness, no disk, no network."""

    @abstractmethod
    def check(self, transaction: Transaction) -> TxResult:
        """Say whether a transaction may wait to be ordered; a filter, not a promise, and it changes nothing."""

    @abstractmethod
    def apply(self, block: Block) -> Applied:
        """Apply the next block; a transaction that breaks a rule gets a code, never an exception."""

    @abstractmethod
    def query(self, path: str) -> bytes | None:
        """Return the value at `path` in the latest state, or None."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the state after the last block; asked for after each, so it should share rather than copy."""

    @abstractmethod
    def restore(self, data: bytes) -> bytes:
        """Replace the state by the one that `data` encodes, and return its app_hash.

        Raises:
            SnapshotMismatch: `data` is not a snapshot of this application.
        """


class Receipt(Structure, frozen=True):
    """Where a transaction was applied, and with what result."""

    height: Count
    result: TxResult


class Engine(ABC):
    """Orders blocks and makes them durable; one object for one node."""

    @abstractmethod
    async def start(self) -> None:
        """Recover what is on disk and take part."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop taking part; everything acknowledged stays on disk."""

    @abstractmethod
    async def submit(self, transaction: Transaction) -> Receipt:
        """Return once the transaction is ordered, durable at a quorum and applied.

        Raises:
            Refused: it will not be ordered, or not now; the text says which.
        """

    @abstractmethod
    async def query(self, path: str) -> bytes | None:
        """Return the value at `path` in this node's latest state."""

    @abstractmethod
    def blocks(self, first: int) -> AsyncIterator[Block]:
        """Yield every block from height `first` on, waiting for new ones."""

    @property
    @abstractmethod
    def height(self) -> int:
        """The last height applied here."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The members that vote now."""
