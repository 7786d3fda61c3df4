"""From what is on disk back to a replica that contradicts nothing it ever sent.

See spec/ledger.md, "The journal" (J1 to J4).
"""

from medward.ledger.certificates import follow_handovers
from medward.ledger.errors import InvalidCertificate, JournalCorrupt, SnapshotMismatch
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import (
    Accepted,
    BatchKept,
    CheckpointTaken,
    EnteredView,
    JournalRecord,
    LeftView,
    Prepared,
    Recovered,
)
from medward.ledger.pbft.replica import checkpoints, ordering, transfer, view_change
from medward.ledger.pbft.replica.state import ReplicaState


def recover(state: ReplicaState, found: Recovered) -> None:
    """Rebuild `state`: the snapshot, the blocks above it, then the journal's votes.

    Raises:
        JournalCorrupt: something on disk contradicts its certificate; this disk must not be voted from.
    """
    try:
        if found.snapshot is not None:
            transfer.adopt(state, found.snapshot)
            # The disk is trusted no more than a peer: what it certifies is verified again.
            memberships = follow_handovers(
                state.genesis.membership, found.snapshot.handovers, state.chain, state.verifier
            )
            certificate = found.snapshot.certificate
            certificate.verify(memberships[certificate.body.epoch], state.chain, state.verifier)
    except (SnapshotMismatch, InvalidCertificate, IndexError) as error:
        raise JournalCorrupt(f"the stored snapshot is damaged: {error}; rejoin as a new incarnation") from error
    own = {r.vote.body.height: r.vote for r in found.records if isinstance(r, CheckpointTaken)}
    for height, vote in own.items():
        if height > state.low and vote.body.epoch == state.epoch:
            state.checkpoint_votes.setdefault(height, {})[state.name] = vote
    state.kept_chunks = dict(found.chunks)
    _replay_blocks(state, found)
    for record in found.records:
        _apply(state, record)
    state.oldest_block = found.oldest
    if state.new_view is not None:
        view_change.begin_after(state, state.new_view)
    state.accepted = max([state.accepted, state.low, *(h for h, s in state.slots.items() if s.accepted)])
    times = [slot.header.time for slot in state.slots.values() if slot.header is not None]
    state.last_time = max([state.last_time, state.execution.time, *times])


def _replay_blocks(state: ReplicaState, found: Recovered) -> None:
    for block in found.blocks:
        header = block.certificate.header
        if header.height != state.executed + 1 or (state.epoch_end is not None and state.executed >= state.epoch_end):
            break
        try:
            block.verify(state.membership, state.chain, state.verifier)
        except InvalidCertificate as error:
            raise JournalCorrupt(f"stored block {header.height} is damaged: {error}") from error
        ordering.execute(state, block, stored=True)
        if state.executed % state.genesis.parameters.checkpoint_interval == 0:
            _retake_checkpoint(state)


def _retake_checkpoint(state: ReplicaState) -> None:
    """Take again a checkpoint that is not stable yet; a vote that is on record must come out the same."""
    height = state.executed
    recorded = state.checkpoint_votes.get(height, {}).get(state.name)
    checkpoints.take_checkpoint(state)
    if recorded is not None and recorded.body != state.own_checkpoints[height].body:
        raise JournalCorrupt(f"replaying the blocks up to height {height} does not give the state that was signed")


def _apply(state: ReplicaState, record: JournalRecord) -> None:
    if isinstance(record, LeftView):
        message = record.view_change
        if message.epoch == state.epoch:
            state.view, state.changing, state.new_view, state.slots = message.view, True, None, {}
            state.view_changes[state.name] = message
    elif isinstance(record, EnteredView):
        if record.new_view.epoch == state.epoch:
            state.view, state.changing, state.new_view = record.new_view.view, False, record.new_view
            state.slots = {}
    elif isinstance(record, Accepted):
        _apply_accepted(state, record)
    elif isinstance(record, Prepared):
        header = record.certificate.header
        if header.epoch == state.epoch and header.height > state.low:
            state.prepared[header.height] = record.certificate
            slot = state.slots.get(header.height)
            if record.commit is not None and slot is not None and record.commit.view == state.view:
                slot.prepared = True
                slot.commits[state.name] = record.commit
    elif isinstance(record, BatchKept) and record.height > state.low:
        root = transactions_root(record.transactions)
        state.batches[root] = (max(record.height, state.batches.get(root, (0, ()))[0]), record.transactions)


def _apply_accepted(state: ReplicaState, record: Accepted) -> None:
    proposal = record.pre_prepare
    header = proposal.header
    if header.epoch != state.epoch or header.height <= state.low:
        return
    known = state.batches.get(header.transactions, (0, ()))
    state.batches[header.transactions] = (max(header.height, known[0]), proposal.transactions)
    if proposal.view != state.view or state.changing:
        return
    slot = state.slot(header.height)
    slot.header, slot.digest, slot.leader = header, header.digest(), proposal.signatures
    slot.transactions, slot.accepted = proposal.transactions, True
    try:
        slot.decoded = ordering.decode_batch(state, proposal.transactions)
    except ordering.Unacceptable as error:
        raise JournalCorrupt(f"the journal's batch at height {header.height} is damaged: {error}") from error
    if record.prepare is not None:
        slot.prepares[state.name] = record.prepare
