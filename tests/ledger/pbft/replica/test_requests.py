"""Requests that wait: whose, how many, and how they are passed on."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.bank import Bank
from medward.ledger.pbft.effects import (
    Broadcast,
    Refuse,
    Reply,
    Submitted,
    Tick,
)
from medward.ledger.pbft.messages import (
    BlockAnswer,
    Request,
    decode_message,
    encode_message,
)
from medward.ledger.pbft.replica.machine import Replica
from medward.ledger.pbft.replica.requests import MALFORMED, as_requests
from tests.ledger.simulator.desk import CLOCK, sent
from tests.ledger.simulator.world import SIM_TIMERS


def test_client_s_requests_over_the_limit_wait_nowhere(desk):
    limit = SIM_TIMERS.max_pending_per_client
    requests = tuple(desk.order(nonce=nonce) for nonce in range(1, limit + 2))
    effects = desk.replica.step(Submitted(requests), desk.world.now, CLOCK)
    (refused,) = [effect for effect in effects if isinstance(effect, Refuse)]
    assert refused.transaction == requests[-1]
    # Another client's still may.
    effects = desk.replica.step(Submitted((desk.order("another"),)), desk.world.now, CLOCK)
    assert not [effect for effect in effects if isinstance(effect, Refuse)]


def test_requests_over_the_limit_of_all_wait_nowhere(desk):
    world = desk.world
    few = msgspec.structs.replace(SIM_TIMERS, max_pending=2)
    replica = Replica("h02", world.genesis, world.nodes["h02"].signer, world.verifier, Bank(), parameters=few)
    requests = tuple(desk.order(client) for client in "abc")
    effects = replica.step(Submitted(requests), world.now, CLOCK)
    assert [effect.transaction for effect in effects if isinstance(effect, Refuse)] == [requests[-1]]


def test_request_that_its_client_did_not_sign_is_not_passed_on(desk):
    forged = desk.forged_order()
    effects = desk.replica.step(Submitted((forged,)), desk.world.now, CLOCK)
    assert not sent(effects, Request)
    assert [effect.transaction for effect in effects if isinstance(effect, Refuse)] == [forged]


def submitted(desk, *encoded):
    return desk.replica.step(Submitted(encoded), desk.world.now, CLOCK)


def test_request_that_is_no_transaction_is_refused_and_not_passed_on(desk):
    effects = submitted(desk, b"", b"\xff" * 40, desk.order())
    refused = [effect for effect in effects if isinstance(effect, Refuse)]
    assert [(one.transaction, one.result) for one in refused] == [(b"", MALFORMED), (b"\xff" * 40, MALFORMED)]
    assert sent(effects, Request) == [Request((desk.order(),))]


def test_replica_that_passes_on_what_no_client_signed_is_read_no_further(desk):
    good, later = desk.order("a"), desk.order("b")
    desk.hear("h03", Request((good, desk.forged_order(), later)))
    assert [pending.encoded for pending in desk.replica._state.pending.values()] == [good]
    desk.hear("h03", Request((b"", later)))
    assert len(desk.replica._state.pending) == 1


def test_client_that_signs_two_things_under_one_nonce_gets_the_first(desk):
    submitted(desk, desk.order(amount=1), desk.order(amount=2))
    assert [pending.encoded for pending in desk.replica._state.pending.values()] == [desk.order(amount=1)]


def test_request_that_was_applied_is_answered_again_and_waits_no_more(desk):
    order = desk.order()
    submitted(desk, order)
    desk.hear("h03", BlockAnswer(desk.certified(desk.header(1, (order,)), (order,))))
    assert not desk.replica._state.pending
    assert not desk.replica._state.pending_of
    assert not desk.replica._state.verified
    again = [effect for effect in submitted(desk, order) if isinstance(effect, Reply)]
    assert [(one.nonce, one.receipt.height, one.receipt.result.code) for one in again] == [(1, 1, 0)]
    # A replica that passes it on gets nothing for it.
    assert not [effect for effect in desk.hear("h03", Request((order,))) if isinstance(effect, Reply)]


def test_overdue_request_goes_to_all_once(desk):
    submitted(desk, desk.order())
    desk.world.now += SIM_TIMERS.request_timeout // 2
    spread = [e.message for e in desk.replica.step(Tick(), desk.world.now, CLOCK) if isinstance(e, Broadcast)]
    assert Request((desk.order(),)) in spread
    spread = [e.message for e in desk.replica.step(Tick(), desk.world.now, CLOCK) if isinstance(e, Broadcast)]
    assert Request((desk.order(),)) not in spread


@given(st.lists(st.integers(1, 300_000), max_size=30))
def test_messages_hold_every_request_once_in_order_and_are_no_longer_than_may_be(sizes):
    encoded = [bytes(size) for size in sizes]
    requests = as_requests(encoded)
    assert [one for request in requests for one in request.transactions] == encoded
    assert all(request.transactions for request in requests)
    for request in requests:
        assert decode_message(encode_message(request)) == request


def test_many_small_requests_are_no_more_in_a_message_than_a_batch_may_hold():
    assert [len(request.transactions) for request in as_requests([b"x"] * 5000)] == [4096, 904]
