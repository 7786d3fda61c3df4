"""Telling others where this replica stands, sending them what they lack, and fetching what it lacks itself.

Messages get lost; nothing here is believed but what proves itself. See spec/ledger.md, "Catching up" (T1 to T3).
"""

from medward.ledger.errors import InvalidCertificate
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import Broadcast, Send, SendBlocks
from medward.ledger.pbft.messages import (
    BatchAnswer,
    BlockAnswer,
    FetchBatch,
    FetchBlocks,
    Message,
    PrePrepare,
    StableProof,
    Status,
)
from medward.ledger.pbft.replica import checkpoints, confirmation, repair, transfer
from medward.ledger.pbft.replica.state import ReplicaState
from medward.ledger.pbft.replica.view_change import fetch_missing


def own_status(state: ReplicaState) -> Status:
    """Return where this replica stands."""
    known = (state.low, state.executed, state.oldest_block)
    return Status(state.epoch, state.view, state.changing, *known, not state.confirmed, max(0, state.clock))


def tick(state: ReplicaState) -> None:
    """Say where this replica stands, repeat its view change and its fetches (T1)."""
    if state.now < state.next_status:
        return
    state.next_status = state.now + state.parameters.status_interval
    state.effects.append(Broadcast(own_status(state)))
    own = state.view_changes.get(state.name)
    if state.changing and own is not None:
        state.effects.append(Broadcast(own))
    fetch_missing(state)
    repair.tick(state)
    stuck = state.executed == state.executed_at_status
    state.executed_at_status = state.executed
    if stuck:
        fetch(state)


def on_status(state: ReplicaState, peer: str, status: Status) -> None:
    """Send a peer what it lacks (T2), and fetch what it has and this replica lacks (T3)."""
    before = state.peers.get(peer)
    state.peers[peer] = status
    if status.confirming:
        state.effects.append(Send(peer, confirmation.echo(state, peer)))
    if status.executed > state.executed + state.genesis.parameters.in_flight:
        fetch(state)
    if status.epoch < state.epoch:
        handover = next((h for h in state.handovers if h.certificate.body.epoch == status.epoch), None)
        if handover is not None:
            state.effects.append(Send(peer, StableProof(handover.certificate)))
        return
    if status.epoch > state.epoch:
        return
    answers: list[Message] = []
    if state.stable is not None and status.stable < state.low:
        answers.append(StableProof(state.stable))
    for height, own in state.own_checkpoints.items():
        if own.vote is not None and height > status.stable:
            answers.append(own.vote)
    waits_for_view = status.view < state.view or (status.view == state.view and status.changing)
    if waits_for_view and not state.changing and state.new_view is not None:
        answers.append(state.new_view)
    if before is not None and before.executed == status.executed and before.view == status.view == state.view:
        answers += _own_votes(state, status.executed)
    state.effects += [Send(peer, answer) for answer in answers]


def _own_votes(state: ReplicaState, after: int) -> list[Message]:
    """Return this replica's own messages of the present view above `after`, for a peer without progress."""
    own: list[Message] = []
    if state.changing:
        return own
    leader = state.membership.leader(state.view)
    for height in range(after + 1, after + 1 + state.genesis.parameters.in_flight):
        slot = state.slots.get(height)
        if slot is None:
            continue
        if leader == state.name and slot.header is not None and slot.transactions is not None:
            own.append(PrePrepare(state.view, slot.header, slot.transactions, leader, slot.leader))
        own += [votes[state.name] for votes in (slot.prepares, slot.commits) if state.name in votes]
    return own


def on_fetch_batch(state: ReplicaState, peer: str, message: FetchBatch) -> None:
    """Send the transactions of a header that was prepared before (V6)."""
    known = state.batches.get(message.transactions)
    if known is not None:
        state.effects.append(Send(peer, BatchAnswer(message.height, known[1])))


def on_batch(state: ReplicaState, message: BatchAnswer) -> None:
    """Take the transactions of a header that lacks them; their root proves them (V6)."""
    slot = state.slots.get(message.height)
    if slot is None or slot.header is None or slot.transactions is not None:
        return
    root = transactions_root(message.transactions)
    if root == slot.header.transactions and len(message.transactions) == slot.header.count:
        known = state.batches.get(root, (0, ()))
        state.batches[root] = (max(message.height, known[0]), message.transactions)


def fetch(state: ReplicaState) -> None:
    """Ask one peer that is ahead for blocks, or for a snapshot where the gap is large (T3)."""
    if state.transfer is not None:
        transfer.ask(state)
        return
    waiting = state.fetching_since is not None and state.now - state.fetching_since < state.parameters.fetch_timeout
    if waiting and state.executed < state.fetching_until:
        return
    ahead = sorted(name for name, status in state.peers.items() if status.executed > state.executed)
    if not ahead:
        state.fetching_since = None
        return
    state.fetch_turn += 1
    peer = ahead[state.fetch_turn % len(ahead)]
    status = state.peers[peer]
    gap = status.stable - state.executed
    gone = status.oldest == 0 or status.oldest > state.executed + 1
    state.fetching_since = state.now
    if gap > state.parameters.transfer_gap or (gone and gap > 0):
        state.fetching_until = state.executed + 1
        transfer.begin(state, peer)
        return
    state.fetching_until = min(status.executed, state.executed + state.parameters.fetch_blocks)
    state.effects.append(Send(peer, FetchBlocks(state.executed + 1, state.fetching_until)))


def on_fetch_blocks(state: ReplicaState, peer: str, message: FetchBlocks) -> None:
    """Send stored blocks, a limited number at once."""
    last = min(message.last, state.executed, message.first + state.parameters.fetch_blocks - 1)
    if state.oldest_block and message.first >= state.oldest_block and message.first <= last:
        state.effects.append(SendBlocks(peer, message.first, last))


def on_block(state: ReplicaState, message: BlockAnswer) -> None:
    """Take a block that proves itself: the next ones, and those that this replica's disk lost (T3, T7)."""
    if repair.take(state, message.block):
        return
    header = message.block.certificate.header
    reach = state.executed + 2 * state.parameters.fetch_blocks
    if not state.executed < header.height <= reach or header.height in state.decided or header.epoch != state.epoch:
        return
    try:
        message.block.verify(state.membership, state.chain, state.verifier)
    except InvalidCertificate:
        return
    state.decided[header.height] = message.block


def after_progress(state: ReplicaState) -> None:
    """Ask for more as soon as what was asked for is executed."""
    if state.fetching_since is not None and state.executed >= state.fetching_until and state.transfer is None:
        state.fetching_since = None
        fetch(state)


def on_stable_proof(state: ReplicaState, message: StableProof) -> None:
    """Learn of a stable checkpoint."""
    checkpoints.on_certificate(state, message.certificate)
