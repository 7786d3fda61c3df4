"""Events that go into a replica, effects that come out, and the records of its journal.

The shell around a replica carries out the effects of one step in this order: first everything that writes, durably and
as one unit; only then everything that sends or replies. That is the whole of the promise "the vote is durable before it
is sent" (spec/ledger.md, "The journal").
"""

import msgspec

from medward.ledger.certificates import CertifiedBlock, CheckpointCertificate, Handover
from medward.ledger.encoding import Count, Structure
from medward.ledger.execution import Executed
from medward.ledger.pbft.messages import (
    Batch,
    CheckpointVote,
    Commit,
    Evidence,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    ViewChange,
)
from medward.ledger.types import Receipt, Transaction, TxResult


class Received(msgspec.Struct, frozen=True):
    """A message came over the authenticated channel of `peer`."""

    peer: str
    message: Message


class Submitted(msgspec.Struct, frozen=True):
    """Clients handed this node transactions, to keep and to pass on to the leader.

    Args:
        transactions: encoded.
        decoded: the same, decoded, where the shell has done that already; else empty.
    """

    transactions: tuple[bytes, ...]
    decoded: tuple[Transaction, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    """A client of this node wants the answers about these transactions, of which some may be applied already.

    Args:
        client: whose transactions.
        nonces: their numbers.
    """

    client: bytes
    nonces: range


class Tick(msgspec.Struct, frozen=True):
    """Time has passed; see `Replica.next_deadline`."""


class Damaged(msgspec.Struct, frozen=True):
    """The disk does not give back the block at this height."""

    height: int


ReplicaEvent = Received | Submitted | Asked | Tick | Damaged


class LeftView(Structure, frozen=True, tag="left-view"):
    """The replica stopped voting below `view_change.view` in its epoch."""

    view_change: ViewChange


class EnteredView(Structure, frozen=True, tag="entered-view"):
    """The replica accepted a new-view."""

    new_view: NewView


class Accepted(Structure, frozen=True, tag="accepted"):
    """The replica accepted a proposal, with the transactions; `prepare` is its vote, None for the leader."""

    pre_prepare: PrePrepare
    prepare: Prepare | None


class Prepared(Structure, frozen=True, tag="prepared"):
    """The replica holds a prepared certificate; `commit` is its vote, None where a later view overtook it."""

    certificate: PreparedCertificate
    commit: Commit | None


class BatchKept(Structure, frozen=True, tag="batch-kept"):
    """The transactions of a header that was prepared in an earlier view."""

    height: Count
    transactions: Batch


class CheckpointTaken(Structure, frozen=True, tag="checkpoint-taken"):
    """The replica signed its state."""

    vote: CheckpointVote


JournalRecord = LeftView | EnteredView | Accepted | Prepared | BatchKept | CheckpointTaken


class Append(msgspec.Struct, frozen=True):
    """Add a record to the journal."""

    record: JournalRecord


class Compact(msgspec.Struct, frozen=True):
    """Replace the journal by these records: all that still matters after a stable checkpoint."""

    records: tuple[JournalRecord, ...]


class StoreBlock(msgspec.Struct, frozen=True):
    """Keep a certified block that was just executed."""

    block: CertifiedBlock
    executed: Executed


class MendBlock(msgspec.Struct, frozen=True):
    """Put a certified block in the place of one that the disk does not give back."""

    block: CertifiedBlock


class StoreSnapshot(msgspec.Struct, frozen=True):
    """Keep a stable checkpoint with its snapshot in place of the one before."""

    certificate: CheckpointCertificate
    handovers: tuple[Handover, ...]
    data: bytes


class SaveChunk(msgspec.Struct, frozen=True):
    """Keep a verified chunk of a snapshot that is being fetched, so that a restart need not fetch it again."""

    digest: bytes
    data: bytes


class StoreEvidence(msgspec.Struct, frozen=True):
    """Keep a proof that a member equivocated."""

    evidence: Evidence


class Send(msgspec.Struct, frozen=True):
    """Send to one peer."""

    peer: str
    message: Message


class Broadcast(msgspec.Struct, frozen=True):
    """Send to every other member."""

    message: Message


class SendBlocks(msgspec.Struct, frozen=True):
    """Send a peer the stored blocks from `first` to `last`, as `BlockAnswer` messages."""

    peer: str
    first: int
    last: int


class SendChunk(msgspec.Struct, frozen=True):
    """Send a peer one chunk of the stored snapshot at `height`, as a `ChunkAnswer`."""

    peer: str
    height: int
    index: int


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Tell the client that its transaction was applied."""

    client: bytes
    nonce: int
    receipt: Receipt


class Refuse(msgspec.Struct, frozen=True):
    """Tell the client that its transaction will not wait here."""

    transaction: bytes
    result: TxResult
    reason: str


class Halted(msgspec.Struct, frozen=True):
    """The replica stopped voting for good; the reason is for its operator."""

    reason: str


Write = Append | Compact | StoreBlock | MendBlock | StoreSnapshot | SaveChunk | StoreEvidence
ReplicaEffect = Write | Send | Broadcast | SendBlocks | SendChunk | Reply | Refuse | Halted


class Recovered(msgspec.Struct, frozen=True):
    """What a restarted replica finds on its disk, already checked for damage.

    Args:
        records: the journal.
        snapshot: the last stored snapshot, None before the first.
        blocks: the stored blocks above it, in ascending height, without gaps.
        chunks: verified chunks of an unfinished state transfer, by digest.
        oldest: the first height whose block is stored, 0 where none is.
    """

    records: tuple[JournalRecord, ...] = ()
    snapshot: StoreSnapshot | None = None
    blocks: tuple[CertifiedBlock, ...] = ()
    chunks: dict[bytes, bytes] = {}
    oldest: int = 0
