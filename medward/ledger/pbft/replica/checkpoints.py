"""Checkpoints, watermarks, garbage collection, and the change of members that happens at them.

See spec/ledger.md, "Checkpoints" (transitions C1 to C3) and "Membership" (M1 to M3); OSDI'99, 4.3.
"""

import hashlib

from medward.ledger.certificates import (
    BlockHeader,
    CheckpointBody,
    CheckpointCertificate,
    Handover,
    Vote,
    snapshot_digests,
)
from medward.ledger.encoding import Count, Hash, Structure, digest, encode
from medward.ledger.errors import InvalidCertificate
from medward.ledger.membership import Membership, next_membership
from medward.ledger.pbft.effects import (
    Accepted,
    Append,
    BatchKept,
    Broadcast,
    CheckpointTaken,
    Compact,
    EnteredView,
    Halted,
    JournalRecord,
    LeftView,
    Prepared,
    StoreSnapshot,
)
from medward.ledger.pbft.messages import CheckpointVote, PrePrepare
from medward.ledger.pbft.replica import requests
from medward.ledger.pbft.replica.state import OwnCheckpoint, ReplicaState
from medward.ledger.signatures import Domain
from medward.ledger.types import MemberUpdate


class SnapshotForm(Structure, frozen=True):
    """What a snapshot holds besides the application's state: all that every correct replica holds equal."""

    execution: bytes
    history: Hash
    memberships: tuple[Membership, ...]
    updates: tuple[MemberUpdate, ...]
    epoch_end: Count | None


def extend_history(history: bytes, header: BlockHeader) -> bytes:
    """Return the digest of all headers up to this one."""
    return hashlib.sha256(history + header.digest()).digest()


def note_updates(state: ReplicaState, updates: tuple[MemberUpdate, ...]) -> None:
    """Note ordered changes of membership (M1): they take effect at a checkpoint that no replica can have passed.

    A correct replica votes only up to W heights above the last it executed, so before executing this block none has
    voted above this height + W; the epoch ends at the first checkpoint from there on.
    """
    if not updates:
        return
    if state.epoch_end is None:
        parameters = state.genesis.parameters
        interval = parameters.checkpoint_interval
        state.epoch_end = -(-(state.executed + parameters.in_flight) // interval) * interval
        state.epoch_end_since = state.now
    state.updates += updates


def membership_after(state: ReplicaState, height: int) -> Membership:
    """Return the members that order the height after `height`, which was just executed."""
    if height == state.epoch_end:
        return next_membership(state.membership, state.updates, height + 1)
    return state.membership


def after_execution(state: ReplicaState) -> None:
    """Take a checkpoint where one is due (C1)."""
    if state.executed % state.genesis.parameters.checkpoint_interval == 0:
        take_checkpoint(state)


def take_checkpoint(state: ReplicaState) -> None:
    """Keep the present state, to be signed (C1). A vote that is on record is kept as it is."""
    height = state.executed
    snapshot = state.execution.snapshot()
    following = membership_after(state, height)
    ends = height == state.epoch_end
    memberships = (*state.memberships, following) if ends else tuple(state.memberships)
    form = SnapshotForm(
        snapshot.encode(), state.history, memberships, () if ends else state.updates, None if ends else state.epoch_end
    )
    data = encode(form)
    chunks = snapshot_digests(data, state.genesis.parameters.chunk_bytes)
    body = CheckpointBody(
        state.chain, state.epoch, height, snapshot.summary, state.history, following.digest(), digest(chunks)
    )
    vote = state.checkpoint_votes.get(height, {}).get(state.name)
    state.own_checkpoints[height] = OwnCheckpoint(vote, body, data, snapshot)


def sign_checkpoints(state: ReplicaState) -> None:
    """Sign what was taken (C1): durable first, then sent. One that restarted may have executed before it may vote."""
    if not state.voting:
        return
    for height, own in state.own_checkpoints.items():
        if own.vote is None:
            domain = Domain(state.chain, "checkpoint", state.epoch, 0, height)
            own.vote = CheckpointVote(own.body, state.name, state.sign(domain, own.body.digest()))
            state.checkpoint_votes.setdefault(height, {})[state.name] = own.vote
            state.effects += [Append(CheckpointTaken(own.vote)), Broadcast(own.vote)]


def on_checkpoint_vote(state: ReplicaState, message: CheckpointVote) -> None:
    """Note another's checkpoint (C2)."""
    body = message.body
    interval, height = state.genesis.parameters.checkpoint_interval, body.height
    if (
        body.epoch != state.epoch
        or body.chain != state.chain
        or height % interval
        or not (state.low < height <= state.high)
    ):
        return
    votes = state.checkpoint_votes.setdefault(height, {})
    first = votes.get(message.sender)
    if first is not None and first.body == body:
        return
    domain = Domain(state.chain, "checkpoint", body.epoch, 0, height)
    if not state.signed_by(message.sender, domain, body.digest(), message.signatures):
        return
    if first is None:
        votes[message.sender] = message
    else:
        state.record_evidence(message.sender, "checkpoint", height, first, message)


def advance_stable(state: ReplicaState) -> None:
    """Draw stable checkpoints from the votes that are here (C2), and act on the highest known one (C3)."""
    for height in sorted(state.checkpoint_votes, reverse=True):
        votes = state.checkpoint_votes[height]
        bodies = dict.fromkeys(vote.body for vote in votes.values())
        for body in bodies:
            agreeing = sorted(name for name, vote in votes.items() if vote.body == body)
            if len(agreeing) >= state.membership.quorum:
                chosen = tuple(Vote(name, votes[name].signatures) for name in agreeing)
                _learn(state, CheckpointCertificate(body, chosen))
                break
        else:
            continue
        break
    if state.ahead is not None and state.ahead.body.height <= state.executed:
        certificate, state.ahead = state.ahead, None
        _make_stable(state, certificate)


def on_certificate(state: ReplicaState, certificate: CheckpointCertificate) -> None:
    """Learn of a stable checkpoint from its certificate, if it is higher than the one known."""
    body = certificate.body
    known = state.low if state.ahead is None else state.ahead.body.height
    if body.height <= known or not verified(state, certificate):
        return
    _learn(state, certificate)


def verified(state: ReplicaState, certificate: CheckpointCertificate) -> bool:
    """Return whether the certificate proves its state to one who knows the memberships up to the present epoch."""
    epoch = certificate.body.epoch
    if epoch >= len(state.memberships):
        return False
    try:
        certificate.verify(state.memberships[epoch], state.chain, state.verifier)
    except InvalidCertificate:
        return False
    return True


def _learn(state: ReplicaState, certificate: CheckpointCertificate) -> None:
    height = certificate.body.height
    if height > state.low and (state.ahead is None or height > state.ahead.body.height):
        state.ahead = certificate


def _make_stable(state: ReplicaState, certificate: CheckpointCertificate) -> None:
    """Move the low watermark up to a checkpoint that this replica has reached (C3)."""
    height = certificate.body.height
    own = state.own_checkpoints.get(height)
    if own is None:
        return
    if own.body != certificate.body:
        state.halted = (
            f"this replica's state at height {height} differs from the certified one: its disk or memory is damaged; "
            "empty its ledger folder and let it rejoin as a new incarnation"
        )
        state.effects.append(Halted(state.halted))
        return
    state.stable, state.stable_snapshot = certificate, own.snapshot
    state.stable_chunks = snapshot_digests(own.data, state.genesis.parameters.chunk_bytes)
    _collect_garbage(state, height)
    if height == state.epoch_end:
        _begin_epoch(state, certificate)
    state.effects.append(StoreSnapshot(certificate, tuple(state.handovers), own.data))
    state.effects.append(Compact(live_records(state)))


def _collect_garbage(state: ReplicaState, height: int) -> None:
    for table in (state.slots, state.prepared, state.own_checkpoints, state.checkpoint_votes, state.decided):
        for old in [old for old in table if old <= height]:
            del table[old]
    state.batches = {root: known for root, known in state.batches.items() if known[0] > height}
    state.accepted = max(state.accepted, height)


def _begin_epoch(state: ReplicaState, certificate: CheckpointCertificate) -> None:
    """Hand over to the next members (M2): view 0 of a new epoch, nothing under way."""
    following = next_membership(state.membership, state.updates, certificate.body.height + 1)
    state.handovers.append(Handover(certificate, following))
    state.memberships.append(following)
    state.updates, state.epoch_end = (), None
    state.view, state.changing, state.new_view = 0, False, None
    state.slots, state.prepared, state.batches, state.view_changes = {}, {}, {}, {}
    state.checkpoint_votes, state.future, state.peers = {}, {}, {}
    state.accepted, state.attempts, state.new_view_deadline = certificate.body.height, 0, None
    requests.restart_clocks(state)


def live_records(state: ReplicaState) -> tuple[JournalRecord, ...]:
    """Return the records that still matter (J3): the view, its votes, and what a view change must not forget."""
    records: list[JournalRecord] = []
    own = state.view_changes.get(state.name)
    if state.changing and own is not None:
        records.append(LeftView(own))
    elif state.new_view is not None:
        records.append(EnteredView(state.new_view))
    leader = state.membership.leader(state.view)
    for _, slot in sorted(state.slots.items()):
        if slot.accepted and slot.header is not None and slot.transactions is not None:
            proposal = PrePrepare(state.view, slot.header, slot.transactions, leader, slot.leader)
            records.append(Accepted(proposal, slot.prepares.get(state.name)))
    for height, certificate in sorted(state.prepared.items()):
        slot_of = state.slots.get(height)
        commit = slot_of.commits.get(state.name) if slot_of is not None and certificate.view == state.view else None
        known = state.batches.get(certificate.header.transactions)
        if known is not None:
            records.append(BatchKept(height, known[1]))
        records.append(Prepared(certificate, commit))
    records += [
        CheckpointTaken(own_checkpoint.vote)
        for own_checkpoint in state.own_checkpoints.values()
        if own_checkpoint.vote is not None
    ]
    return tuple(records)
