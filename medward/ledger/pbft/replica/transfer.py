"""State transfer: a snapshot in chunks, each verified against a certificate before it is kept.

The certificate signs the digest of the list of chunk digests, so the list is checked first and every chunk when it
comes; a lying peer costs one time-out and is not asked again in this turn. Chunks are kept on disk as they come, so a
restart goes on where it was. See spec/ledger.md, "State transfer" (T4 to T6).
"""

import hashlib

from medward.ledger.certificates import follow_handovers, snapshot_digests
from medward.ledger.encoding import decode, digest
from medward.ledger.errors import InvalidCertificate, NotCanonical, SnapshotMismatch
from medward.ledger.pbft.effects import Compact, Halted, SaveChunk, Send, SendChunk, StoreSnapshot
from medward.ledger.pbft.messages import ChunkAnswer, FetchChunk, FetchManifest, Manifest
from medward.ledger.pbft.replica import requests
from medward.ledger.pbft.replica.checkpoints import SnapshotForm, live_records
from medward.ledger.pbft.replica.state import ReplicaState, SnapshotTransfer

PARALLEL = 4
"""Chunks asked for at once."""


def begin(state: ReplicaState, peer: str) -> None:
    """Ask a peer for its latest stable snapshot's manifest (T4)."""
    state.effects.append(Send(peer, FetchManifest(state.epoch)))


def on_fetch_manifest(state: ReplicaState, peer: str, message: FetchManifest) -> None:
    """Send the manifest of the stable snapshot, with the way from the asker's epoch to its own."""
    if state.stable is not None and state.stable_chunks:
        handovers = tuple(h for h in state.handovers if h.certificate.body.epoch >= message.epoch)
        state.effects.append(Send(peer, Manifest(handovers, state.stable, state.stable_chunks)))


def on_manifest(state: ReplicaState, peer: str, message: Manifest) -> None:
    """Check a manifest from end to end and start on its chunks (T4)."""
    certificate = message.certificate
    if certificate.body.height <= state.executed or certificate.body.snapshot != digest(message.chunks):
        return
    if state.transfer is not None and certificate.body.height <= state.transfer.manifest.certificate.body.height:
        if peer not in state.transfer.peers and certificate.body == state.transfer.manifest.certificate.body:
            state.transfer.peers.append(peer)
        return
    try:
        known = follow_handovers(state.membership, message.handovers, state.chain, state.verifier)
        epoch = certificate.body.epoch - state.epoch
        if not 0 <= epoch < len(known):
            return
        certificate.verify(known[epoch], state.chain, state.verifier)
    except InvalidCertificate:
        return
    chunks = {i: state.kept_chunks[d] for i, d in enumerate(message.chunks) if d in state.kept_chunks}
    state.transfer = SnapshotTransfer(message, known, chunks, {}, [peer])
    ask(state)
    _finish_if_complete(state)


def ask(state: ReplicaState) -> None:
    """Ask for the next missing chunks, each of the next peer in turn; ask again for what did not come (T5)."""
    transfer = state.transfer
    if transfer is None:
        return
    height = transfer.manifest.certificate.body.height
    overdue = [i for i, since in transfer.asked.items() if state.now - since >= state.parameters.fetch_timeout]
    for index in overdue:
        del transfer.asked[index]
    if overdue:
        holders = [name for name, status in state.peers.items() if status.stable == height]
        transfer.peers += [name for name in sorted(holders) if name not in transfer.peers]
        if not holders and len(transfer.chunks) < len(transfer.manifest.chunks):
            # Nobody holds this snapshot any more: start again with a newer one; equal chunks are kept.
            state.transfer, state.fetching_since = None, None
            return
    missing = (i for i in range(len(transfer.manifest.chunks)) if i not in transfer.chunks and i not in transfer.asked)
    for index in missing:
        if len(transfer.asked) >= PARALLEL:
            break
        transfer.turn += 1
        transfer.asked[index] = state.now
        peer = transfer.peers[transfer.turn % len(transfer.peers)]
        state.effects.append(Send(peer, FetchChunk(height, index)))


def on_fetch_chunk(state: ReplicaState, peer: str, message: FetchChunk) -> None:
    """Send one chunk of the stable snapshot."""
    if state.stable is not None and message.height == state.low and message.index < len(state.stable_chunks):
        state.effects.append(SendChunk(peer, message.height, message.index))


def on_chunk(state: ReplicaState, message: ChunkAnswer) -> None:
    """Keep a chunk that has the digest the certificate names, and restore once all are here (T5, T6)."""
    transfer = state.transfer
    if transfer is None or message.height != transfer.manifest.certificate.body.height:
        return
    digests = transfer.manifest.chunks
    if message.index >= len(digests) or message.index in transfer.chunks:
        return
    content = hashlib.sha256(message.data).digest()
    if content != digests[message.index]:
        return
    transfer.chunks[message.index] = message.data
    transfer.asked.pop(message.index, None)
    state.kept_chunks[content] = message.data
    state.effects.append(SaveChunk(content, message.data))
    ask(state)
    _finish_if_complete(state)


def _finish_if_complete(state: ReplicaState) -> None:
    transfer = state.transfer
    if transfer is None or len(transfer.chunks) < len(transfer.manifest.chunks):
        return
    state.transfer, state.fetching_since, state.kept_chunks = None, None, {}
    manifest = transfer.manifest
    data = b"".join(transfer.chunks[i] for i in range(len(manifest.chunks)))
    before = state.epoch
    handovers = [*state.handovers, *manifest.handovers]
    snapshot = StoreSnapshot(manifest.certificate, tuple(handovers), data)
    try:
        adopt(state, snapshot)
    except SnapshotMismatch as error:
        # Only a quorum with more than f liars can certify a snapshot that does not restore.
        state.halted = f"the certified snapshot does not restore: {error}"
        state.effects.append(Halted(state.halted))
        return
    if state.epoch != before:
        state.view, state.changing, state.new_view, state.attempts = 0, False, None, 0
        state.slots, state.prepared, state.batches, state.view_changes = {}, {}, {}, {}
        state.checkpoint_votes, state.future, state.peers = {}, {}, {}
        state.accepted = state.executed
    for key in [key for key in state.pending if state.execution.applied(*key)]:
        requests.forget(state, state.pending[key].transaction)
    requests.restart_clocks(state)
    state.effects += [snapshot, Compact(live_records(state))]


def adopt(state: ReplicaState, stored: StoreSnapshot) -> None:
    """Take over a snapshot whose certificate is verified (T6).

    Raises:
        SnapshotMismatch: it is not the one that the certificate names.
    """
    body = stored.certificate.body
    chunks = snapshot_digests(stored.data, state.genesis.parameters.chunk_bytes)
    if digest(chunks) != body.snapshot:
        raise SnapshotMismatch(f"the snapshot at height {body.height} is not the one that its certificate names")
    try:
        form = decode(stored.data, SnapshotForm)
    except NotCanonical as error:
        raise SnapshotMismatch(f"the snapshot at height {body.height} does not decode: {error}") from error
    state.execution.restore(form.execution, body.state.digest())
    height = body.height
    state.history, state.memberships = form.history, list(form.memberships)
    state.updates, state.epoch_end = form.updates, form.epoch_end
    state.handovers = list(stored.handovers)
    state.stable, state.stable_snapshot, state.stable_chunks = stored.certificate, state.execution.snapshot(), chunks
    state.oldest_block = 0
    state.last_time = max(state.last_time, state.execution.time)
    state.accepted = max(state.accepted, height)
    for table in (state.slots, state.prepared, state.own_checkpoints, state.checkpoint_votes, state.decided):
        for old in [old for old in table if old <= height]:
            del table[old]
    state.batches = {root: known for root, known in state.batches.items() if known[0] > height}
    if state.ahead is not None and state.ahead.body.height <= height:
        state.ahead = None
