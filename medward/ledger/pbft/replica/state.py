"""Everything a replica knows, in one place; the modules beside this one hold the rules that change it."""

from collections import deque
from dataclasses import dataclass, field

import msgspec

from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointBody,
    CheckpointCertificate,
    Handover,
)
from medward.ledger.execution import Execution, ExecutionSnapshot
from medward.ledger.membership import Genesis, Membership
from medward.ledger.pbft.effects import ReplicaEffect, StoreEvidence
from medward.ledger.pbft.messages import (
    CheckpointVote,
    Commit,
    Evidence,
    Manifest,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    Status,
    ViewChange,
    encode_message,
)
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.signatures import Domain, Signatures, Signer, Verifier
from medward.ledger.types import MemberUpdate, Transaction


@dataclass
class Slot:
    """One height in the present view.

    Args:
        header: what the leader proposed, None while only votes have come.
        leader: the leader's signature on it.
        transactions: the batch, None while it is being fetched.
        decoded: the same, decoded and with signatures checked.
        accepted: whether this replica voted for the header (or proposed it).
        prepares, commits: the first vote of each member, by name, verified.
        late_prepares, late_commits: those that came when a quorum was there already, not verified: they may become
            evidence, and they remind their sender of what it said.
    """

    header: BlockHeader | None = None
    digest: bytes = b""
    leader: Signatures = ()
    transactions: tuple[bytes, ...] | None = None
    decoded: tuple[Transaction, ...] | None = None
    accepted: bool = False
    prepares: dict[str, Prepare] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    late_prepares: dict[str, Prepare] = field(default_factory=dict)
    late_commits: dict[str, Commit] = field(default_factory=dict)
    prepared: bool = False
    decided: bool = False


@dataclass
class OwnCheckpoint:
    """A checkpoint that this replica took and that is not stable yet."""

    vote: CheckpointVote | None
    body: CheckpointBody
    data: bytes
    snapshot: ExecutionSnapshot


class PendingRequest(msgspec.Struct, gc=False):
    """A request that waits to be executed."""

    transaction: Transaction
    encoded: bytes
    since: int
    spread: bool = False


@dataclass
class SnapshotTransfer:
    """A snapshot that is being fetched."""

    manifest: Manifest
    memberships: list[Membership]
    chunks: dict[int, bytes]
    asked: dict[int, int]
    peers: list[str]
    turn: int = 0


@dataclass
class MissedBlock:
    """A block that the disk does not give back, and that peers are asked for in turn.

    Args:
        turn: whose turn it is.
        asked: when a peer was asked last, None before the first.
    """

    turn: int
    asked: int | None = None


@dataclass
class ReplicaState:
    """A replica's knowledge; see `Replica` for how it is made."""

    name: str
    genesis: Genesis
    chain: bytes
    signer: Signer
    verifier: Verifier
    parameters: Parameters
    execution: Execution
    memberships: list[Membership]

    now: int = 0
    clock: int = 0
    # How far the clock was ahead of the last block that was decided as it was proposed; 0 within the bound.
    clock_off: int = 0
    effects: list[ReplicaEffect] = field(default_factory=list)
    halted: str | None = None

    # The present view (spec/ledger.md, "Normal case").
    view: int = 0
    changing: bool = False
    new_view: NewView | None = None
    slots: dict[int, Slot] = field(default_factory=dict)
    accepted: int = 0
    last_time: int = 0
    future: dict[str, deque[Message]] = field(default_factory=dict)

    # What outlives views (spec/ledger.md, "View change").
    prepared: dict[int, PreparedCertificate] = field(default_factory=dict)
    batches: dict[bytes, tuple[int, tuple[bytes, ...]]] = field(default_factory=dict)
    view_changes: dict[str, ViewChange] = field(default_factory=dict)
    attempts: int = 0
    new_view_deadline: int | None = None
    # Since when another member has been alone in a later view, and when this one last left or entered a view.
    company_asked_since: int | None = None
    view_since: int = 0

    # What is decided and executed.
    decided: dict[int, CertifiedBlock] = field(default_factory=dict)
    history: bytes = bytes(32)
    oldest_block: int = 0

    # Checkpoints and epochs (spec/ledger.md, "Checkpoints", "Membership").
    stable: CheckpointCertificate | None = None
    stable_snapshot: ExecutionSnapshot | None = None
    stable_chunks: tuple[bytes, ...] = ()
    own_checkpoints: dict[int, OwnCheckpoint] = field(default_factory=dict)
    checkpoint_votes: dict[int, dict[str, CheckpointVote]] = field(default_factory=dict)
    handovers: list[Handover] = field(default_factory=list)
    updates: tuple[MemberUpdate, ...] = ()
    epoch_end: int | None = None
    epoch_end_since: int = 0

    # Requests (spec/ledger.md, "Requests").
    pending: dict[tuple[bytes, int], PendingRequest] = field(default_factory=dict)
    pending_of: dict[bytes, int] = field(default_factory=dict)
    unproposed: dict[tuple[bytes, int], None] = field(default_factory=dict)
    # As a leader: how many requests a block had lately, when the last one was proposed and how long it took, and since
    # when waiting requests have been gathering for the next.
    usual_batch: int = 0
    proposed_at: int = 0
    block_took: int = 0
    gathering_since: int | None = None
    # The same waiting requests by their encodings: what a batch repeats is neither decoded nor verified again.
    verified: dict[bytes, Transaction] = field(default_factory=dict)

    # Catching up (spec/ledger.md, "State transfer").
    peers: dict[str, Status] = field(default_factory=dict)
    next_status: int = 0
    executed_at_status: int = 0
    ahead: CheckpointCertificate | None = None
    fetching_since: int | None = None
    fetching_until: int = 0
    fetch_turn: int = 0
    transfer: SnapshotTransfer | None = None
    kept_chunks: dict[bytes, bytes] = field(default_factory=dict)
    # Blocks that the disk does not give back, by height (T7).
    damaged: dict[int, MissedBlock] = field(default_factory=dict)

    evidence: set[tuple[str, str, int]] = field(default_factory=set)
    # Who has confirmed that this journal knows all votes that they hold of it (spec/ledger.md, J5).
    confirmed_by: set[str] = field(default_factory=set)
    confirmed: bool = False

    @property
    def membership(self) -> Membership:
        """The members that vote in the present epoch."""
        return self.memberships[-1]

    @property
    def epoch(self) -> int:
        """The present epoch."""
        return self.memberships[-1].epoch

    @property
    def low(self) -> int:
        """The last stable height h."""
        return 0 if self.stable is None else self.stable.body.height

    @property
    def high(self) -> int:
        """The highest height that may be voted on, h + L."""
        return self.low + self.genesis.parameters.log_window

    @property
    def executed(self) -> int:
        """The last executed height."""
        return self.execution.height

    @property
    def voting(self) -> bool:
        """Whether this replica, with the key it holds, is a member of the present epoch and may vote (M3, J5)."""
        if self.halted is not None or not self.confirmed:
            return False
        member = self.membership.member(self.name)
        return member is not None and member.keys == self.signer.public_keys

    @property
    def leading(self) -> bool:
        """Whether this replica leads the present view."""
        return not self.changing and self.voting and self.membership.leader(self.view) == self.name

    @property
    def last_proposable(self) -> int:
        """The highest height that may be proposed now: the window, the watermarks and the epoch's end."""
        bound = min(self.executed + self.genesis.parameters.in_flight, self.high)
        return bound if self.epoch_end is None else min(bound, self.epoch_end)

    def slot(self, height: int) -> Slot:
        """Return the slot of `height`, new if need be; the caller has checked the watermarks."""
        return self.slots.setdefault(height, Slot())

    def sign(self, domain: Domain, content: bytes) -> Signatures:
        """Sign with this replica's keys."""
        return self.signer.sign(domain, content)

    def signed_by(self, name: str, domain: Domain, content: bytes, signatures: Signatures) -> bool:
        """Return whether a member of the present epoch signed `content`."""
        member = self.membership.member(name)
        return member is not None and self.verifier.valid(member.keys, domain, content, signatures)

    def timeout(self) -> int:
        """Return the present time-out in milliseconds: doubled for every view change in a row."""
        return self.parameters.request_timeout << min(self.attempts, self.parameters.max_doublings)

    def record_evidence(self, member: str, kind: str, height: int, first: Message, second: Message) -> None:
        """Keep two messages that prove that `member` signed two things where one is allowed (N6)."""
        key = (member, kind, height)
        if key in self.evidence or len(self.evidence) >= self.parameters.max_evidence:
            return
        self.evidence.add(key)
        pair = sorted((encode_message(first), encode_message(second)))
        self.effects.append(StoreEvidence(Evidence(member, pair[0], pair[1])))
