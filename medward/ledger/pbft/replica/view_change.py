"""The view change: leaving a leader who does not deliver, without losing anything that may have been decided.

See spec/ledger.md, "View change" (transitions V1 to V6); OSDI'99, 4.4 and 4.5.2.
"""

from collections.abc import Iterable, Sequence

import msgspec

from medward.ledger.certificates import BlockHeader, CheckpointCertificate, verify_votes
from medward.ledger.errors import InvalidCertificate
from medward.ledger.membership import Membership
from medward.ledger.pbft.effects import Append, Broadcast, EnteredView, LeftView
from medward.ledger.pbft.messages import FetchBatch, NewView, PreparedCertificate, Proposal, ViewChange
from medward.ledger.pbft.replica import checkpoints, ordering, requests
from medward.ledger.pbft.replica.state import ReplicaState, Slot
from medward.ledger.signatures import Domain, Signatures, Verifier

#: How many request time-outs a member is left alone in a later view before the others follow it (V7).
COMPANY = 10


def leave_view(state: ReplicaState, target: int) -> None:
    """Stop voting below view `target` and say so, with the stable checkpoint and all prepared certificates (V1)."""
    if not state.voting or target <= state.view:
        return
    state.view, state.changing, state.new_view = target, True, None
    state.slots, state.new_view_deadline = {}, None
    state.company_asked_since, state.view_since = None, state.now
    prepared = tuple(state.prepared[height] for height in sorted(state.prepared))
    unsigned = ViewChange(state.epoch, target, state.stable, prepared, state.name, ())
    domain = Domain(state.chain, "view-change", state.epoch, target, state.low)
    message = ViewChange(
        state.epoch, target, state.stable, prepared, state.name, state.sign(domain, unsigned.content())
    )
    state.view_changes[state.name] = message
    state.effects += [Append(LeftView(message)), Broadcast(message)]


def on_view_change(state: ReplicaState, message: ViewChange) -> None:
    """Keep another's view change if it is valid and the newest of its sender (V2)."""
    if message.epoch != state.epoch or message.view < state.view or (message.view == state.view and not state.changing):
        return
    known = state.view_changes.get(message.sender)
    if known is not None and known.view >= message.view:
        return
    if _proofs(state).valid_view_change(message):
        state.view_changes[message.sender] = message


def advance_view_change(state: ReplicaState) -> None:
    """Join others (V2), start the clock of the new leader (V3), or be that leader (V4)."""
    if not state.voting:
        return
    beyond = sorted(vc.view for vc in state.view_changes.values() if vc.view > state.view)
    if len(beyond) >= state.membership.faults + 1:
        # The highest view that f+1 have asked for or passed: at least one of them is correct and has waited.
        leave_view(state, beyond[-(state.membership.faults + 1)])
    if not state.changing:
        return
    # Those that have gone on to a later view count for the clock: a liar may have shown its view change to them alone,
    # and they wait there until the others come after.
    gone = sum(vc.view >= state.view for vc in state.view_changes.values())
    if gone >= state.membership.quorum and state.new_view_deadline is None:
        state.new_view_deadline = state.now + state.timeout()
    present = [vc for _, vc in sorted(state.view_changes.items()) if vc.view == state.view]
    if len(present) >= state.membership.quorum and state.membership.leader(state.view) == state.name:
        _begin_view(state, present[: state.membership.quorum])


def keep_company(state: ReplicaState) -> None:
    """Follow a member that has been alone in a later view for long (V7): it cannot come back, and does not vote."""
    alone = any(vc.view > state.view for vc in state.view_changes.values())
    if not alone or state.changing:
        state.company_asked_since = None
        return
    if state.company_asked_since is None:
        state.company_asked_since = state.now
    deadline = company_deadline(state)
    if deadline is not None and state.now >= deadline:
        # Never further than the next view, whatever the member says: a liar must not use up the views.
        leave_view(state, state.view + 1)


def company_deadline(state: ReplicaState) -> int | None:
    """Return when this replica follows a lone member: rarely, so that a liar costs little."""
    if state.company_asked_since is None:
        return None
    return max(state.company_asked_since, state.view_since) + COMPANY * state.parameters.request_timeout


def _begin_view(state: ReplicaState, view_changes: Sequence[ViewChange]) -> None:
    """Prove that the view may begin, and with which proposals (V4)."""
    proposals = []
    for header in reproposed_headers(state.chain, state.epoch, view_changes):
        domain = Domain(state.chain, "pre-prepare", state.epoch, state.view, header.height)
        proposals.append(Proposal(header, state.sign(domain, header.digest())))
    unsigned = NewView(state.epoch, state.view, tuple(view_changes), tuple(proposals), state.name, ())
    domain = Domain(state.chain, "new-view", state.epoch, state.view, 0)
    signatures = state.sign(domain, unsigned.content())
    message = NewView(state.epoch, state.view, tuple(view_changes), tuple(proposals), state.name, signatures)
    state.effects.append(Broadcast(message))
    enter_view(state, message)


def on_new_view(state: ReplicaState, message: NewView) -> None:
    """Enter a view whose new-view proves itself, by recomputing what its leader had to propose (V5)."""
    if message.epoch != state.epoch or message.view < state.view or (message.view == state.view and not state.changing):
        return
    if _proofs(state).valid_new_view(message):
        enter_view(state, message)


def enter_view(state: ReplicaState, message: NewView) -> None:
    """Take up the proposals of a valid new-view (V5), then vote for those whose transactions are here (V6)."""
    state.view, state.changing, state.new_view = message.view, False, message
    state.new_view_deadline = None
    state.company_asked_since, state.view_since = None, state.now
    if requests.oldest_wait(state) is not None:
        # Where nothing waits, no time-out was too short: a liar that has company (V7) must not make the next one long.
        state.attempts += 1
    state.slots = {}
    state.effects.append(Append(EnteredView(message)))
    state.view_changes = {name: vc for name, vc in state.view_changes.items() if vc.view > message.view}
    certificate = highest_stable(message.view_changes)
    if certificate is not None:
        checkpoints.on_certificate(state, certificate)
    begin_after(state, message)
    advance_reproposed(state)
    requests.restart_clocks(state)
    fetch_missing(state)


def begin_after(state: ReplicaState, message: NewView) -> None:
    """Set where fresh proposals of the view begin: after the new-view's own, in height and in time."""
    certificate = highest_stable(message.view_changes)
    first = 0 if certificate is None else certificate.body.height
    headers = [proposal.header for proposal in message.proposals]
    state.accepted = max([state.low, first, *(header.height for header in headers)])
    state.last_time = max([state.execution.time, *(header.time for header in headers)])


def advance_reproposed(state: ReplicaState) -> None:
    """Vote for the new-view's proposals whose transactions are here (V6)."""
    if state.changing or not state.voting or state.new_view is None:
        return
    for proposal in state.new_view.proposals:
        header = proposal.header
        if not state.low < header.height <= state.high:
            continue
        slot = state.slot(header.height)
        if slot.header is None:
            slot.header, slot.digest, slot.leader = header, header.digest(), proposal.signatures
        if not slot.accepted and slot.header == header:
            _vote_again(state, header, slot)


def _vote_again(state: ReplicaState, header: BlockHeader, slot: Slot) -> None:
    transactions = () if header.count == 0 else state.batches.get(header.transactions, (0, None))[1]
    if transactions is None:
        return
    slot.transactions = transactions
    try:
        slot.decoded = ordering.decode_batch(state, transactions)
    except ordering.Unacceptable:
        return
    ordering.accept(state, header.height, slot)


def fetch_missing(state: ReplicaState) -> None:
    """Ask all for the transactions of re-proposed headers that this replica never had (V6)."""
    for height, slot in state.slots.items():
        if slot.header is not None and slot.transactions is None:
            state.effects.append(Broadcast(FetchBatch(height, slot.header.transactions)))


def highest_stable(view_changes: Iterable[ViewChange]) -> CheckpointCertificate | None:
    """Return the highest stable checkpoint among view changes: the new view starts above it."""
    best = max(view_changes, key=lambda vc: vc.stable_height, default=None)
    return None if best is None else best.stable


def reproposed_headers(chain: bytes, epoch: int, view_changes: Sequence[ViewChange]) -> list[BlockHeader]:
    """Return what a new leader must propose: for each height above the highest stable checkpoint up to the highest
    prepared one, the header prepared in the highest view, or a null header where none was prepared (OSDI'99, 4.4).
    """
    certificate = highest_stable(view_changes)
    first = 0 if certificate is None else certificate.body.height
    best: dict[int, PreparedCertificate] = {}
    for view_change in view_changes:
        for prepared in view_change.prepared:
            height = prepared.header.height
            if height > first and (height not in best or prepared.view > best[height].view):
                best[height] = prepared
    last = max(best, default=first)
    return [
        best[height].header if height in best else BlockHeader.null(chain, epoch, height)
        for height in range(first + 1, last + 1)
    ]


class Proofs(msgspec.Struct, frozen=True):
    """Checks what view changes and new-views claim, against the members of one epoch.

    Args:
        memberships: of every epoch up to that one, the last.
        chain: the chain id.
        verifier: checks signatures.
        window: L, heights above a stable checkpoint that may be prepared.
    """

    memberships: Sequence[Membership]
    chain: bytes
    verifier: Verifier
    window: int

    @property
    def membership(self) -> Membership:
        """The epoch's members."""
        return self.memberships[-1]

    def signed(self, name: str, domain: Domain, content: bytes, signatures: Signatures) -> bool:
        """Return whether the member of that name signed `content`."""
        member = self.membership.member(name)
        return member is not None and self.verifier.valid(member.keys, domain, content, signatures)

    def valid_view_change(self, message: ViewChange) -> bool:
        """Return whether a view change proves everything that it claims."""
        low = message.stable_height
        domain = Domain(self.chain, "view-change", message.epoch, message.view, low)
        heights = [prepared.header.height for prepared in message.prepared]
        return (
            message.view >= 1
            and low >= self.membership.first_height - 1
            and heights == sorted(set(heights))
            and all(low < height <= low + self.window for height in heights)
            and self.signed(message.sender, domain, message.content(), message.signatures)
            and self._valid_stable(message.stable)
            and all(self._valid_prepared(prepared, message.view) for prepared in message.prepared)
        )

    def _valid_stable(self, certificate: CheckpointCertificate | None) -> bool:
        if certificate is None:
            return True
        epoch = certificate.body.epoch
        # A new epoch starts from the last checkpoint of the old one, which the old members signed.
        handover = certificate.body.height == self.membership.first_height - 1
        if epoch > self.membership.epoch or (epoch < self.membership.epoch and not handover):
            return False
        try:
            certificate.verify(self.memberships[epoch], self.chain, self.verifier)
        except InvalidCertificate:
            return False
        return True

    def _valid_prepared(self, prepared: PreparedCertificate, before: int) -> bool:
        header, content = prepared.header, prepared.header.digest()
        leader = self.membership.leader(prepared.view)
        if prepared.view >= before or header.chain != self.chain or header.epoch != self.membership.epoch:
            return False
        proposal = Domain(self.chain, "pre-prepare", header.epoch, prepared.view, header.height)
        if not self.signed(leader, proposal, content, prepared.leader):
            return False
        if any(vote.member == leader for vote in prepared.votes):
            return False  # The leader's pre-prepare is its vote; it has no second one.
        domain = Domain(self.chain, "prepare", header.epoch, prepared.view, header.height)
        needed = self.membership.quorum - 1
        try:
            verify_votes(prepared.votes, self.membership, domain, content, needed=needed, verifier=self.verifier)
        except InvalidCertificate:
            return False
        return True

    def valid_new_view(self, message: NewView) -> bool:
        """Return whether a new-view comes from its leader, rests on a quorum, and proposes what follows from it."""
        leader, epoch, view = self.membership.leader(message.view), message.epoch, message.view
        senders = {view_change.sender for view_change in message.view_changes}
        domain = Domain(self.chain, "new-view", epoch, view, 0)
        return (
            message.sender == leader
            and self.signed(leader, domain, message.content(), message.signatures)
            and len(senders) == len(message.view_changes) >= self.membership.quorum
            and all((vc.view, vc.epoch) == (view, epoch) for vc in message.view_changes)
            and all(self.valid_view_change(vc) for vc in message.view_changes)
            and [p.header for p in message.proposals] == reproposed_headers(self.chain, epoch, message.view_changes)
            and all(self._signed_proposal(leader, view, proposal) for proposal in message.proposals)
        )

    def _signed_proposal(self, leader: str, view: int, proposal: Proposal) -> bool:
        header = proposal.header
        domain = Domain(self.chain, "pre-prepare", header.epoch, view, header.height)
        return self.signed(leader, domain, header.digest(), proposal.signatures)


def _proofs(state: ReplicaState) -> Proofs:
    return Proofs(state.memberships, state.chain, state.verifier, state.genesis.parameters.log_window)
