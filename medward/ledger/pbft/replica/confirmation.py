"""A replica that has just started learns from the others whether its disk has forgotten a vote.

See spec/ledger.md, J5.
"""

from medward.ledger.pbft.effects import Halted
from medward.ledger.pbft.messages import CheckpointVote, Commit, Echo, Prepare, ViewChange
from medward.ledger.pbft.replica.state import ReplicaState
from medward.ledger.signatures import Domain, SignatureKind


def echo(state: ReplicaState, peer: str) -> Echo:
    """Return the newest votes that this replica holds of `peer`."""
    votes: list[Prepare | Commit | CheckpointVote | ViewChange] = []
    for _, slot in sorted(state.slots.items()):
        # The peer checks its own signature, so a vote that was not verified here serves as well.
        for held in (slot.prepares, slot.late_prepares, slot.commits, slot.late_commits):
            if peer in held:
                votes.append(held[peer])
    votes += [by[peer] for _, by in sorted(state.checkpoint_votes.items()) if peer in by]
    if peer in state.view_changes:
        votes.append(state.view_changes[peer])
    return Echo(tuple(votes))


def on_echo(state: ReplicaState, peer: str, message: Echo) -> None:
    """Halt where a peer shows a vote of this replica's own key that its journal should hold and does not (J5)."""
    if state.confirmed:
        return
    for vote in message.votes:
        if _signed_here(state, vote) and _forgotten(state, vote):
            state.halted = (
                f"{peer} holds a vote that this replica signed and its journal does not know, so its disk was rolled "
                "back; empty the ledger folder and rejoin as a new incarnation"
            )
            state.effects.append(Halted(state.halted))
            return
    if state.membership.member(peer) is not None and peer != state.name:
        state.confirmed_by.add(peer)
    state.confirmed = len(state.confirmed_by) >= state.membership.quorum - 1


def _signed_here(state: ReplicaState, vote: Prepare | Commit | CheckpointVote | ViewChange) -> bool:
    if vote.sender != state.name:
        return False
    if isinstance(vote, CheckpointVote):
        domain = Domain(state.chain, "checkpoint", vote.body.epoch, 0, vote.body.height)
        content = vote.body.digest()
    elif isinstance(vote, ViewChange):
        domain = Domain(state.chain, "view-change", vote.epoch, vote.view, vote.stable_height)
        content = vote.content()
    else:
        kind: SignatureKind = "prepare" if isinstance(vote, Prepare) else "commit"
        domain, content = Domain(state.chain, kind, vote.epoch, vote.view, vote.height), vote.digest
    return state.verifier.valid(state.signer.public_keys, domain, content, vote.signatures)


def _forgotten(state: ReplicaState, vote: Prepare | Commit | CheckpointVote | ViewChange) -> bool:
    """Return whether a replica that had made this vote, and forgotten nothing, would know it."""
    epoch = vote.body.epoch if isinstance(vote, CheckpointVote) else vote.epoch
    if epoch != state.epoch:
        return epoch > state.epoch
    if isinstance(vote, CheckpointVote):
        return vote.body.height > state.executed
    if isinstance(vote, ViewChange):
        return vote.view > state.view
    if vote.height <= state.low or vote.view < state.view:
        return False
    slot = state.slots.get(vote.height)
    if vote.view > state.view or state.changing or slot is None:
        return True
    own = slot.prepares if isinstance(vote, Prepare) else slot.commits
    known = own.get(state.name)
    return known is None or known.digest != vote.digest
