"""The messages between replicas, and their encoding on the wire.

See spec/ledger.md, "Messages". Every message that can become evidence carries its own signature and may be relayed;
the others (`Status`, fetches and their answers) are believed only as far as what they carry proves itself.
"""

from typing import Annotated

import msgspec

from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointBody,
    CheckpointCertificate,
    Handover,
    Votes,
)
from medward.ledger.encoding import Count, Hash, Name, Structure, decode_form, digest, encode
from medward.ledger.errors import NotCanonical
from medward.ledger.membership import MAX_MEMBERS
from medward.ledger.signatures import Domain, Signatures

MAX_BATCH = 4096
MAX_WINDOW = 1024
MAX_FRAME = 8 * 2**20
"""The longest encoded message in bytes; see docs/ledger.md, "Limits", for what that means for large federations."""

Batch = Annotated[tuple[bytes, ...], msgspec.Meta(max_length=MAX_BATCH)]


class Request(Structure, frozen=True, tag="request"):
    """Clients' transactions on their way to the leader, encoded."""

    transactions: Batch


class PrePrepare(Structure, frozen=True, tag="pre-prepare"):
    """The leader's proposal for one height (OSDI'99, 4.2)."""

    view: Count
    header: BlockHeader
    transactions: Batch
    sender: Name
    signatures: Signatures

    def domain(self) -> Domain:
        """Return what the signature is about."""
        header = self.header
        return Domain(header.chain, "pre-prepare", header.epoch, self.view, header.height)


class Prepare(Structure, frozen=True, tag="prepare"):
    """A backup's agreement that in this view this height can have only this header (OSDI'99, 4.2)."""

    epoch: Count
    view: Count
    height: Count
    digest: Hash
    sender: Name
    signatures: Signatures


class Commit(Structure, frozen=True, tag="commit"):
    """A replica's word that it holds a prepared certificate for the header, durably (OSDI'99, 4.2)."""

    epoch: Count
    view: Count
    height: Count
    digest: Hash
    sender: Name
    signatures: Signatures


class CheckpointVote(Structure, frozen=True, tag="checkpoint"):
    """A replica's signed state after a height (OSDI'99, 4.3)."""

    body: CheckpointBody
    sender: Name
    signatures: Signatures


class PreparedCertificate(Structure, frozen=True):
    """A header that was prepared: the leader's signature and the prepares of Q-1 others (OSDI'99, 4.4)."""

    view: Count
    header: BlockHeader
    leader: Signatures
    votes: Votes


class ViewChange(Structure, frozen=True, tag="view-change"):
    """A replica leaves for view `view`, with all that it must not forget (OSDI'99, 4.4).

    Args:
        stable: its last stable checkpoint, None only before the first of all.
        prepared: for each height above it, the prepared certificate of the highest view, in ascending height.
    """

    epoch: Count
    view: Count
    stable: CheckpointCertificate | None
    prepared: Annotated[tuple[PreparedCertificate, ...], msgspec.Meta(max_length=MAX_WINDOW)]
    sender: Name
    signatures: Signatures

    @property
    def stable_height(self) -> int:
        """The height of the stable checkpoint, 0 before the first."""
        return 0 if self.stable is None else self.stable.body.height

    def content(self) -> bytes:
        """Return the digest that is signed."""
        return digest([self.epoch, self.view, self.stable, self.prepared, self.sender])


class Proposal(Structure, frozen=True):
    """A header that a new leader proposes again, or a null one, with its pre-prepare signature."""

    header: BlockHeader
    signatures: Signatures


class NewView(Structure, frozen=True, tag="new-view"):
    """The new leader's proof that `view` may begin, and with what (OSDI'99, 4.4)."""

    epoch: Count
    view: Count
    view_changes: Annotated[tuple[ViewChange, ...], msgspec.Meta(max_length=MAX_MEMBERS)]
    proposals: Annotated[tuple[Proposal, ...], msgspec.Meta(max_length=MAX_WINDOW)]
    sender: Name
    signatures: Signatures

    def content(self) -> bytes:
        """Return the digest that is signed."""
        return digest([self.epoch, self.view, self.view_changes, self.proposals, self.sender])


class Status(Structure, frozen=True, tag="status"):
    """Where a replica stands; others answer with what it lacks.

    Args:
        changing: whether it has left for `view` and waits for its new-view.
        stable: its last stable height.
        executed: its last executed height.
        oldest: the first height whose block it can still send.
        confirming: whether it has just started and asks for the votes that others hold of it.
        clock: its wall clock in milliseconds since 1970; for operators alone, no rule looks at it.
    """

    epoch: Count
    view: Count
    changing: bool
    stable: Count
    executed: Count
    oldest: Count
    confirming: bool
    clock: Count


HeldVotes = Annotated[
    tuple[Prepare | Commit | CheckpointVote | ViewChange, ...], msgspec.Meta(max_length=4 * MAX_WINDOW)
]


class Echo(Structure, frozen=True, tag="echo"):
    """The newest votes that the sender holds of the receiver, who must know them all."""

    votes: HeldVotes


class StableProof(Structure, frozen=True, tag="stable"):
    """A stable checkpoint's certificate."""

    certificate: CheckpointCertificate


class FetchBatch(Structure, frozen=True, tag="fetch-batch"):
    """Asks for the transactions of a header that was prepared before."""

    height: Count
    transactions: Hash


class BatchAnswer(Structure, frozen=True, tag="batch"):
    """The transactions of a header; their root proves them."""

    height: Count
    transactions: Batch


class FetchBlocks(Structure, frozen=True, tag="fetch-blocks"):
    """Asks for certified blocks from `first` on, up to `last`."""

    first: Count
    last: Count


class BlockAnswer(Structure, frozen=True, tag="block"):
    """A block that proves itself."""

    block: CertifiedBlock


class FetchManifest(Structure, frozen=True, tag="fetch-manifest"):
    """Asks for the latest stable snapshot's manifest, proved from `epoch` on."""

    epoch: Count


class Manifest(Structure, frozen=True, tag="manifest"):
    """A stable checkpoint, the way to its epoch, and the digests of its snapshot's chunks."""

    handovers: Annotated[tuple[Handover, ...], msgspec.Meta(max_length=4096)]
    certificate: CheckpointCertificate
    chunks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=65536)]


class FetchChunk(Structure, frozen=True, tag="fetch-chunk"):
    """Asks for one chunk of the snapshot at `height`."""

    height: Count
    index: Count


class ChunkAnswer(Structure, frozen=True, tag="chunk"):
    """One chunk of the snapshot at `height`; its digest stands in the manifest."""

    height: Count
    index: Count
    data: bytes


Message = (
    Request
    | PrePrepare
    | Prepare
    | Commit
    | CheckpointVote
    | ViewChange
    | NewView
    | Status
    | Echo
    | StableProof
    | FetchBatch
    | BatchAnswer
    | FetchBlocks
    | BlockAnswer
    | FetchManifest
    | Manifest
    | FetchChunk
    | ChunkAnswer
)


class Evidence(Structure, frozen=True):
    """Two messages that one correct member never signs both: proof of equivocation.

    Args:
        member: who signed both.
        first, second: the encoded messages.
    """

    member: Name
    first: bytes
    second: bytes


def encode_message(message: Message) -> bytes:
    """Return the canonical encoding of a message."""
    return encode(message)


_VOTE, _PROOF = 2**14, 2**18
# For each kind the most bytes that a correct member sends of it, and the fewest bytes for each item (`decode_form`).
_LARGEST: dict[str, tuple[int, int]] = {
    "request": (2**20 + 2**17, 32),
    "pre-prepare": (MAX_FRAME, 32),
    "view-change": (2**21, 4),
    "new-view": (MAX_FRAME, 4),
    "checkpoint": (_VOTE, 4),
    "echo": (2**22, 4),
    "stable": (_PROOF * 2, 4),
    "batch": (MAX_FRAME, 32),
    "block": (MAX_FRAME, 32),
    "manifest": (MAX_FRAME, 4),
    "chunk": (MAX_FRAME, 32),
}
_SMALL = (_VOTE, 4)


def decode_message(data: bytes) -> Message:
    """Return the message that `data` encodes; one that is longer or emptier than its kind ever is costs no decoding.

    Raises:
        NotCanonical: it encodes none.
    """
    longest, thinnest = _LARGEST.get(_tag(data), _SMALL)
    if len(data) > longest:
        raise NotCanonical(f"a message of {len(data)} bytes is longer than its kind may be, {longest} bytes")
    message: Message = decode_form(data, Message, thinnest=thinnest)
    return message


def _tag(data: bytes) -> str:
    """Return the kind that an encoded message says it is: the text after the head of its list."""
    if len(data) < 2 or data[0] & 0xE0 != 0x80 or data[1] & 0xE0 != 0x60:
        return ""
    return data[2 : 2 + (data[1] & 0x1F)].decode("ascii", "replace")
