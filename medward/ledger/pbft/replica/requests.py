"""Requests that wait to be executed: checks, limits, and the clock that a leader is held to.

See spec/ledger.md, "Requests"; OSDI'99, 4.1 and 4.5.2.
"""

from collections.abc import Iterable, Iterator
from enum import Enum, auto

from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.effects import Asked, Broadcast, Refuse, Reply, Send, Submitted
from medward.ledger.pbft.messages import MAX_BATCH, Request
from medward.ledger.pbft.replica.state import PendingRequest, ReplicaState
from medward.ledger.transactions import decode_transaction, proved, together
from medward.ledger.types import Transaction, TxResult

BUSY = TxResult(2**32 + 2, b"")
MALFORMED = TxResult(2**32 + 3, b"")
_REQUEST_BYTES = 2**20


class Fate(Enum):
    """What becomes of a request that comes in."""

    WAITS = auto()
    PASSED_OVER = auto()
    MALFORMED = auto()


def on_submitted(state: ReplicaState, event: Submitted) -> None:
    """Take requests from clients of this node, and pass them on to the leader, again if the client asks again."""
    admitted = _admit_all(state, event.transactions, event.decoded, from_client=True)
    waiting = [encoded for encoded, fate in admitted if fate is Fate.WAITS]
    if state.changing:
        # On its way to a view that the others may not come to, it does not know who leads them.
        state.effects += [Broadcast(request) for request in as_requests(waiting)]
    elif not state.leading:
        leader = state.membership.leader(state.view)
        state.effects += [Send(leader, request) for request in as_requests(waiting)]


def on_asked(state: ReplicaState, event: Asked) -> None:
    """Answer once more what was applied before this client asked here; the rest is answered as it is applied."""
    for nonce in event.nonces:
        receipt = state.execution.reply(event.client, nonce)
        if receipt is not None:
            state.effects.append(Reply(event.client, nonce, receipt))


def on_request(state: ReplicaState, transactions: tuple[bytes, ...]) -> None:
    """Take requests that another replica passed on, up to the first that no correct one passes on."""
    for _, fate in _admit_all(state, transactions, (), from_client=False):
        if fate is Fate.MALFORMED:
            return


def as_requests(transactions: Iterable[bytes]) -> list[Request]:
    """Put encoded transactions into as few messages as the limits of a frame and a batch allow."""
    requests: list[Request] = []
    gathered: list[bytes] = []
    size = 0
    for encoded in transactions:
        if gathered and (size + len(encoded) > _REQUEST_BYTES or len(gathered) >= MAX_BATCH):
            requests.append(Request(tuple(gathered)))
            gathered, size = [], 0
        gathered.append(encoded)
        size += len(encoded)
    return [*requests, Request(tuple(gathered))] if gathered else requests


def forget(state: ReplicaState, transaction: Transaction) -> None:
    """Drop a request that was executed or can never be."""
    key = (transaction.client, transaction.nonce)
    waited = state.pending.pop(key, None)
    if waited is not None:
        state.verified.pop(waited.encoded, None)
        left = state.pending_of[transaction.client] - 1
        if left:
            state.pending_of[transaction.client] = left
        else:
            del state.pending_of[transaction.client]
    state.unproposed.pop(key, None)


def restart_clocks(state: ReplicaState) -> None:
    """Give the leader of a view that just began the whole time-out, and pass it every waiting request."""
    for pending in state.pending.values():
        pending.since, pending.spread = state.now, False
    state.epoch_end_since = state.now
    proposed = {
        (transaction.client, transaction.nonce)
        for slot in state.slots.values()
        for transaction in slot.decoded or ()
        if not slot.decided
    }
    state.unproposed = dict.fromkeys(key for key in state.pending if key not in proposed)
    if not state.leading and state.voting:
        leader = state.membership.leader(state.view)
        waiting = as_requests(pending.encoded for pending in state.pending.values())
        state.effects += [Send(leader, request) for request in waiting]


def oldest_wait(state: ReplicaState) -> int | None:
    """Return since when the oldest thing that the leader owes has been waiting, or None where it owes nothing."""
    since = next((pending.since for pending in state.pending.values()), None)
    if state.epoch_end is not None and state.executed < state.epoch_end:
        since = state.epoch_end_since if since is None else min(since, state.epoch_end_since)
    return since


def spread_overdue(state: ReplicaState) -> None:
    """Pass requests that waited half the time-out to all, so that a leader who ignores this replica is found out."""
    half = state.timeout() // 2
    overdue: list[bytes] = []
    for pending in state.pending.values():
        if state.now - pending.since < half:
            break
        if not pending.spread:
            pending.spread = True
            overdue.append(pending.encoded)
    state.effects += [Broadcast(request) for request in as_requests(overdue)]


class _Run:
    """Requests under one signature, which is checked for all of them when the first of them asks."""

    def __init__(self, state: ReplicaState, transactions: list[Transaction]) -> None:
        self._state = state
        self._transactions = transactions
        self._proved: list[bool] = []

    def proved(self, place: int) -> bool:
        if not self._proved:
            self._proved = proved(self._state.chain, self._state.verifier, self._transactions)
        return self._proved[place]


def _admit_all(
    state: ReplicaState, encoded: tuple[bytes, ...], decoded: tuple[Transaction, ...], from_client: bool
) -> Iterator[tuple[bytes, Fate]]:
    """Put requests among the waiting ones as far as they may wait; yield what became of each."""
    readable: list[bytes] = []
    transactions: list[Transaction] = []
    for data, known in zip(encoded, decoded or (None,) * len(encoded), strict=True):
        try:
            transactions.append(decode_transaction(data) if known is None else known)
            readable.append(data)
        except NotCanonical as error:
            _refuse(state, from_client, data, MALFORMED, str(error))
            yield data, Fate.MALFORMED
    waiting = iter(readable)
    for group in together(transactions):
        run = _Run(state, group)
        for place, transaction in enumerate(group):
            data = next(waiting)
            yield data, _admit(state, data, transaction, run, place, from_client)


def _admit(
    state: ReplicaState, encoded: bytes, transaction: Transaction, run: _Run, place: int, from_client: bool
) -> Fate:
    """Put a request among the waiting ones, if it may wait."""
    if encoded in state.verified:
        return Fate.WAITS
    key = (transaction.client, transaction.nonce)
    if state.execution.applied(*key):
        if from_client:
            _reply_again(state, transaction, encoded)
        return Fate.PASSED_OVER
    if key in state.pending:
        return Fate.PASSED_OVER  # A client that signs two things under one nonce gets one of them.
    refusal = _refusal(state, transaction, run, place)
    if refusal is not None:
        _refuse(state, from_client, encoded, *refusal)
        return Fate.MALFORMED if refusal[0] is MALFORMED else Fate.PASSED_OVER
    state.pending[key] = PendingRequest(transaction, encoded, state.now)
    state.verified[encoded] = transaction
    state.pending_of[transaction.client] = state.pending_of.get(transaction.client, 0) + 1
    if not state.unproposed:
        state.gathering_since = state.now
    state.unproposed[key] = None
    return Fate.WAITS


def _reply_again(state: ReplicaState, transaction: Transaction, encoded: bytes) -> None:
    receipt = state.execution.reply(transaction.client, transaction.nonce)
    if receipt is not None:
        state.effects.append(Reply(transaction.client, transaction.nonce, receipt))
    else:
        _refuse(state, True, encoded, state.execution.check(transaction), "this nonce was used long ago")


def _refusal(state: ReplicaState, transaction: Transaction, run: _Run, place: int) -> tuple[TxResult, str] | None:
    """Return why a new request may not wait here, or None where it may."""
    limits, waiting = state.parameters, state.pending_of.get(transaction.client, 0)
    if len(state.pending) >= limits.max_pending or waiting >= limits.max_pending_per_client:
        return BUSY, "too many requests wait already; try again later"
    if not run.proved(place):
        return MALFORMED, f"transaction {transaction.nonce} is not signed by its client"
    verdict = state.execution.check(transaction)
    return (verdict, f"the rules refuse it with code {verdict.code}") if verdict.code else None


def _refuse(state: ReplicaState, from_client: bool, encoded: bytes, result: TxResult, reason: str) -> None:
    if from_client:
        state.effects.append(Refuse(encoded, result, reason))
