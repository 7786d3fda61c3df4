"""Blocks that the disk does not give back any more: asked of the others, believed by their certificates alone.

A block at or below the last stable checkpoint decides nothing any more: only peers and clients that ask for it miss it.
Votes are never mended; a replica that lost one of those must not vote. See spec/ledger.md, "Catching up" (T7).
"""

from itertools import islice

from medward.ledger.certificates import CertifiedBlock
from medward.ledger.errors import InvalidCertificate
from medward.ledger.pbft.effects import MendBlock, Send
from medward.ledger.pbft.messages import FetchBlocks
from medward.ledger.pbft.replica.state import MissedBlock, ReplicaState

#: So many are asked for at a time.
MOST = 64


def on_damaged(state: ReplicaState, height: int) -> None:
    """Begin to ask for a block that was executed here and does not read back."""
    if 0 < height <= state.executed and height not in state.damaged:
        # Where to begin among the peers is the height's, so that many blocks are not all asked of one.
        state.damaged[height] = MissedBlock(height)
        tick(state)


def tick(state: ReplicaState) -> None:
    """Ask for each damaged block: one peer, and the next one when no good answer came in time."""
    for height, missed in islice(state.damaged.items(), MOST):
        if missed.asked is not None and state.now - missed.asked < state.parameters.fetch_timeout:
            continue
        holders = sorted(name for name, peer in state.peers.items() if 0 < peer.oldest <= height <= peer.executed)
        if holders:
            missed.asked, missed.turn = state.now, missed.turn + 1
            state.effects.append(Send(holders[missed.turn % len(holders)], FetchBlocks(height, height)))


def take(state: ReplicaState, block: CertifiedBlock) -> bool:
    """Mend a damaged block, if this is it and a quorum of the members of its time signed it; return whether it is."""
    header = block.certificate.header
    if header.height not in state.damaged or header.epoch >= len(state.memberships):
        return False
    later = state.memberships[header.epoch + 1 : header.epoch + 2]
    if any(membership.first_height <= header.height for membership in later):
        return False
    try:
        block.verify(state.memberships[header.epoch], state.chain, state.verifier)
    except InvalidCertificate:
        return False
    del state.damaged[header.height]
    state.effects.append(MendBlock(block))
    return True
