"""The normal case: propose, pre-prepare, prepare, commit, execute.

Handlers only note what came; the `advance_*` rules, run after every event, draw the consequences. See spec/ledger.md,
"Normal case", whose transitions N1 to N6 are named below; OSDI'99, 4.2.
"""

from typing import TypeVar

from medward.ledger.certificates import BlockHeader, CertifiedBlock, CommitCertificate, Vote
from medward.ledger.errors import LedgerError, NotCanonical
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import Accepted, Append, Broadcast, Prepared, Reply, StoreBlock
from medward.ledger.pbft.messages import Commit, Prepare, PreparedCertificate, PrePrepare
from medward.ledger.pbft.replica import checkpoints, requests
from medward.ledger.pbft.replica.state import PendingRequest, ReplicaState, Slot
from medward.ledger.signatures import Domain, SignatureKind
from medward.ledger.transactions import decode_transaction, proved, together
from medward.ledger.types import Transaction

AnyVote = TypeVar("AnyVote", Prepare, Commit)

_LOOK_AGAIN = 10
"""Milliseconds after which a proposal that is ahead of the clock is looked at again, at the earliest."""


class Unacceptable(LedgerError):
    """A proposal that no correct leader makes."""


def on_pre_prepare(state: ReplicaState, message: PrePrepare) -> None:
    """Note the leader's proposal (N2); two different ones for one height are evidence."""
    header = message.header
    slot = state.slot(header.height)
    content = header.digest()
    if message.sender != state.membership.leader(message.view) or slot.digest == content:
        return
    if header.chain != state.chain or header.epoch != state.epoch:
        return
    if not state.signed_by(message.sender, message.domain(), content, message.signatures):
        return
    if slot.header is not None:
        first = PrePrepare(message.view, slot.header, (), message.sender, slot.leader)
        second = PrePrepare(message.view, header, (), message.sender, message.signatures)
        state.record_evidence(message.sender, "pre-prepare", header.height, first, second)
        return
    if transactions_root(message.transactions) != header.transactions or len(message.transactions) != header.count:
        return
    slot.header, slot.digest, slot.leader = header, content, message.signatures
    slot.transactions = message.transactions


def on_prepare(state: ReplicaState, message: Prepare) -> None:
    """Note a backup's prepare (N3)."""
    slot = state.slot(message.height)
    if message.sender != state.membership.leader(message.view):
        _note_vote(state, message, slot.prepares, slot.late_prepares, slot.prepared and slot.digest, "prepare")


def on_commit(state: ReplicaState, message: Commit) -> None:
    """Note a commit (N4)."""
    slot = state.slot(message.height)
    _note_vote(state, message, slot.commits, slot.late_commits, slot.decided and slot.digest, "commit")


def _note_vote(
    state: ReplicaState,
    message: AnyVote,
    votes: dict[str, AnyVote],
    late: dict[str, AnyVote],
    settled: bytes | bool,
    kind: SignatureKind,
) -> None:
    """Note a vote; one that agrees with what is `settled` already decides nothing more, and is not verified."""
    sender = message.sender
    first = votes.get(sender) or late.get(sender)
    if first is not None and first.digest == message.digest:
        return
    if first is None and message.digest == settled:
        late[sender] = message
        return
    if not _vote_signed(state, message, kind):
        return
    if first is None:
        votes[sender] = message
    elif sender in votes or _vote_signed(state, first, kind):
        state.record_evidence(sender, kind, message.height, first, message)


def _vote_signed(state: ReplicaState, message: Prepare | Commit, kind: SignatureKind) -> bool:
    domain = Domain(state.chain, kind, state.epoch, message.view, message.height)
    return state.signed_by(message.sender, domain, message.digest, message.signatures)


def advance_proposals(state: ReplicaState) -> bool:
    """Accept the leader's proposals in the order of their heights (N2); return False where one is bad.

    One that is not timely is not bad: it stays where it is and is looked at again with every step.
    """
    while not state.changing and state.voting:
        height = state.accepted + 1
        slot = state.slots.get(height)
        if slot is None or slot.header is None or slot.accepted or height > state.last_proposable:
            break
        if not _timely(state, slot.header):
            break
        try:
            _check_size(state, slot.header, slot.transactions or ())
            decoded = decode_batch(state, slot.transactions or ())
        except Unacceptable:
            return False
        slot.decoded = decoded
        state.accepted, state.last_time = height, max(slot.header.time, state.last_time)
        accept(state, height, slot)
    return True


def _timely(state: ReplicaState, header: BlockHeader) -> bool:
    """Return whether the time that a block with this header would get is near this replica's clock (N2).

    Time that does not move is never too far ahead, or a ledger whose time is ahead of all clocks would stand still; but
    it comes to be too far behind, or a leader could keep it where it is. How far behind is allowed grows with the
    time-out: where messages take longer than the drift allows, honest proposals come to be voted for all the same.
    """
    time, drift = max(header.time, state.last_time), state.genesis.parameters.clock_drift
    late = drift + state.timeout() - state.parameters.request_timeout
    return time >= state.clock - late and (time <= state.clock + drift or time == state.last_time)


def _compare_clock(state: ReplicaState, header: BlockHeader) -> None:
    """Note how far this replica's clock is off, where the others decide a proposal whose time it finds wrong."""
    slot = state.slots.get(header.height)
    if slot is None or slot.header != header or not header.count:
        return  # It was fetched, so it may be old.
    right = slot.accepted or _timely(state, header)
    state.clock_off = 0 if right else state.clock - max(header.time, state.last_time)


def early_deadline(state: ReplicaState) -> int | None:
    """Return when a proposal that is ahead of this replica's clock is looked at again, None where none is."""
    slot = state.slots.get(state.accepted + 1)
    if slot is None or slot.header is None or slot.accepted:
        return None
    early = slot.header.time - state.genesis.parameters.clock_drift - state.clock
    # A clock that stands still must not make the replica look again with every millisecond.
    return state.now + max(early, _LOOK_AGAIN) if early > 0 else None


def accept(state: ReplicaState, height: int, slot: Slot) -> None:
    """Vote for the header of a slot whose transactions are here: durable first, then sent."""
    assert slot.header is not None
    assert slot.transactions is not None
    slot.accepted = True
    known = state.batches.get(slot.header.transactions, (0, ()))
    state.batches[slot.header.transactions] = (max(height, known[0]), slot.transactions)
    for transaction in slot.decoded or ():
        state.unproposed.pop((transaction.client, transaction.nonce), None)
    leader = state.membership.leader(state.view)
    proposal = PrePrepare(state.view, slot.header, slot.transactions, leader, slot.leader)
    prepare = None
    if leader != state.name:
        domain = Domain(state.chain, "prepare", state.epoch, state.view, height)
        signatures = state.sign(domain, slot.digest)
        prepare = Prepare(state.epoch, state.view, height, slot.digest, state.name, signatures)
        slot.prepares[state.name] = prepare
    state.effects.append(Append(Accepted(proposal, prepare)))
    if prepare is not None:
        state.effects.append(Broadcast(prepare))


def _check_size(state: ReplicaState, header: BlockHeader, transactions: tuple[bytes, ...]) -> None:
    """Check the size that the leader chose (N2)."""
    limits = state.genesis.parameters
    if header.count > limits.max_batch or sum(map(len, transactions)) > limits.max_batch_bytes:
        raise Unacceptable(f"the batch at height {header.height} is over the limit")


def decode_batch(state: ReplicaState, transactions: tuple[bytes, ...]) -> tuple[Transaction, ...]:
    """Decode a proposed batch and check every client's signature.

    Raises:
        Unacceptable: one does not decode or verify, or stands in the batch twice.
    """
    known = [state.verified.get(encoded) for encoded in transactions]
    try:
        decoded = tuple(
            decode_transaction(encoded) if transaction is None else transaction
            for encoded, transaction in zip(transactions, known, strict=True)
        )
    except NotCanonical as error:
        raise Unacceptable(str(error)) from error
    if len({(transaction.client, transaction.nonce) for transaction in decoded}) < len(decoded):
        raise Unacceptable("a transaction stands twice in one batch")
    unknown = (transaction for transaction, seen in zip(decoded, known, strict=True) if seen is None)
    for run in together(unknown):
        if not all(proved(state.chain, state.verifier, run)):
            raise Unacceptable(f"a transaction of {run[0].client.hex()[:16]} is not signed by it")
    return decoded


def advance_votes(state: ReplicaState) -> None:
    """Draw prepared (N3) and committed (N4) from the votes that are here."""
    quorum = state.membership.quorum
    undecided = [height for height, slot in state.slots.items() if not (slot.prepared and slot.decided)]
    for height in sorted(undecided):
        slot = state.slots[height]
        if slot.header is None:
            continue
        if slot.accepted and not slot.prepared and state.voting:
            matching = [prepare for prepare in slot.prepares.values() if prepare.digest == slot.digest]
            if len(matching) >= quorum - 1:
                _commit(state, height, slot, matching)
        if not slot.decided and slot.transactions is not None:
            commits = [commit for commit in slot.commits.values() if commit.digest == slot.digest]
            if len(commits) >= quorum:
                votes = tuple(Vote(commit.sender, commit.signatures) for commit in commits)
                ordered = tuple(sorted(votes, key=lambda vote: vote.member))
                certificate = CommitCertificate(slot.header, state.view, ordered)
                slot.decided = True
                if height > state.executed:
                    state.decided[height] = CertifiedBlock(certificate, slot.transactions)


def _commit(state: ReplicaState, height: int, slot: Slot, matching: list[Prepare]) -> None:
    assert slot.header is not None
    ordered = sorted(matching, key=lambda prepare: prepare.sender)[: state.membership.quorum - 1]
    votes = tuple(Vote(prepare.sender, prepare.signatures) for prepare in ordered)
    certificate = PreparedCertificate(state.view, slot.header, slot.leader, votes)
    domain = Domain(state.chain, "commit", state.epoch, state.view, height)
    signatures = state.sign(domain, slot.digest)
    commit = Commit(state.epoch, state.view, height, slot.digest, state.name, signatures)
    slot.prepared = True
    slot.commits[state.name] = commit
    state.prepared[height] = certificate
    state.effects += [Append(Prepared(certificate, commit)), Broadcast(commit)]


def advance_execution(state: ReplicaState) -> None:
    """Execute decided blocks in the order of their heights (N5)."""
    while state.executed + 1 in state.decided:
        # The next epoch's blocks wait until the old epoch's last checkpoint is stable.
        if state.epoch_end is not None and state.executed >= state.epoch_end:
            return
        block = state.decided.pop(state.executed + 1)
        _compare_clock(state, block.certificate.header)
        execute(state, block)
        if state.leading and state.executed == state.accepted:
            state.block_took = state.now - state.proposed_at
            state.gathering_since = state.now
        # What a quorum has decided needs no vote of one who fetched it, and its time is judged by what followed.
        state.accepted = max(state.accepted, state.executed)
        checkpoints.after_execution(state)
        state.attempts = 0


def execute(state: ReplicaState, block: CertifiedBlock, stored: bool = False) -> None:
    """Apply one certified block; `stored` where it comes from this replica's own disk."""
    header = block.certificate.header
    slot = state.slots.get(header.height)
    if slot is not None and slot.decoded is not None and slot.header == header:
        transactions = slot.decoded
    else:
        # A quorum, so at least one correct replica, has checked the clients' signatures.
        transactions = tuple(decode_transaction(encoded) for encoded in block.transactions)
    executed = state.execution.execute(header.time, transactions, header.epoch)
    state.history = checkpoints.extend_history(state.history, header)
    state.last_time = max(state.last_time, state.execution.time)
    checkpoints.note_updates(state, executed.member_updates)
    for transaction in transactions:
        requests.forget(state, transaction)
    if not stored:
        state.effects.append(StoreBlock(block, executed))
        state.effects += [Reply(tx.client, tx.nonce, receipt) for tx, receipt in executed.replies]
    state.oldest_block = state.oldest_block or header.height


def propose(state: ReplicaState) -> None:
    """Propose waiting requests while the window has room (N1)."""
    while state.leading and state.accepted + 1 <= state.last_proposable:
        under_way = state.accepted - state.executed
        closing = state.epoch_end is not None and not state.unproposed
        if not closing and (not state.unproposed or not _worth_proposing(state, under_way)):
            return
        _propose_one(state, state.accepted + 1)


def _worth_proposing(state: ReplicaState, under_way: int) -> bool:
    # A block costs n * n messages and two fsyncs at every replica whatever it holds. So while some are under way, and
    # for a moment while fewer requests are here than a block had lately, they gather: blocks grow with the load, and an
    # idle ledger answers at once.
    if len(state.unproposed) >= state.genesis.parameters.max_batch:
        return True
    if under_way >= state.parameters.eager_in_flight:
        return False
    enough = len(state.unproposed) * 4 >= state.usual_batch * 3
    return enough or (deadline := gather_deadline(state)) is None or state.now >= deadline


def gather_deadline(state: ReplicaState) -> int | None:
    """Return when waiting requests are proposed however few they are, None where none wait for more."""
    if not state.unproposed or not state.leading or state.gathering_since is None:
        return None
    # Half of what a block takes: answers to one block bring the requests of the next.
    return state.gathering_since + min(state.parameters.gather, state.block_took // 2)


def _propose_one(state: ReplicaState, height: int) -> None:
    limits = state.genesis.parameters
    chosen: list[PendingRequest] = []
    size = 0
    for key in state.unproposed:
        pending = state.pending[key]
        if len(chosen) >= limits.max_batch or size + len(pending.encoded) > limits.max_batch_bytes:
            break
        chosen.append(pending)
        size += len(pending.encoded)
    state.usual_batch = max(len(chosen), state.usual_batch - (state.usual_batch + 3) // 4)
    state.gathering_since = state.proposed_at = state.now
    transactions = tuple(pending.encoded for pending in chosen)
    time = max(state.clock, state.last_time)
    root = transactions_root(transactions)
    header = BlockHeader(state.chain, state.epoch, height, time, root, len(transactions))
    content = header.digest()
    domain = Domain(state.chain, "pre-prepare", state.epoch, state.view, height)
    slot = state.slot(height)
    slot.header, slot.digest, slot.leader = header, content, state.sign(domain, content)
    slot.transactions = transactions
    slot.decoded = tuple(pending.transaction for pending in chosen)
    state.accepted, state.last_time = height, time
    accept(state, height, slot)
    state.effects.append(Broadcast(PrePrepare(state.view, header, transactions, state.name, slot.leader)))
