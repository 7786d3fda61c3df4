"""Each check of proposals, votes and requests, met by the one message that only it stops."""

from medward.ledger.bank import Bank
from medward.ledger.pbft.effects import (
    Accepted,
    LeftView,
    Prepared,
    Received,
    StoreEvidence,
)
from medward.ledger.pbft.messages import (
    BlockAnswer,
    Commit,
    Prepare,
)
from medward.ledger.pbft.replica.machine import Replica
from tests.ledger.simulator.desk import CLOCK, other_kind, records
from tests.ledger.simulator.world import SIM_TIMERS

# N2: what is voted for.


def test_proposal_of_the_leader_is_voted_for(desk):
    transactions = (desk.order(),)
    effects = desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    assert len(records(effects, Accepted)) == 1


def test_proposal_of_who_does_not_lead_is_not(desk):
    assert not records(desk.hear("h01", desk.propose(desk.header(), leader="h01")), Accepted)


def test_proposal_that_its_leader_did_not_sign_is_not(desk):
    assert not records(desk.hear("h00", other_kind(desk, desk.propose(desk.header()))), Accepted)


def test_proposal_of_another_chain_is_not(desk):
    assert not records(desk.hear("h00", desk.propose(desk.header(chain=bytes(32)))), Accepted)


def test_proposal_with_other_transactions_than_its_header_names_is_not(desk):
    proposal = desk.propose(desk.header(1, (desk.order(amount=1),)), (desk.order(amount=2),))
    assert not records(desk.hear("h00", proposal), Accepted)


def test_batch_over_the_limit_makes_the_replica_leave(desk):
    transactions = tuple(desk.order(nonce=nonce) for nonce in range(1, 10))
    effects = desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    assert not records(effects, Accepted)
    assert len(records(effects, LeftView)) == 1


def test_batch_over_the_limit_in_bytes_makes_the_replica_leave(desk):
    transactions = tuple(bytes(200_000) + bytes([place]) for place in range(6))
    assert len(records(desk.hear("h00", desk.propose(desk.header(1, transactions), transactions)), LeftView)) == 1


def test_transaction_twice_in_a_batch_makes_the_replica_leave(desk):
    transactions = (desk.order(amount=1), desk.order(amount=2))
    effects = desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    assert not records(effects, Accepted)
    assert len(records(effects, LeftView)) == 1


def test_transaction_that_its_client_did_not_sign_makes_the_replica_leave(desk):
    forged = desk.forged_order()
    effects = desk.hear("h00", desk.propose(desk.header(1, (forged,)), (forged,)))
    assert not records(effects, Accepted)
    assert len(records(effects, LeftView)) == 1


def test_heights_beyond_the_window_are_not_voted_for(desk):
    effects = desk.hear("h00", *(desk.propose(desk.header(height)) for height in range(1, 9)))
    assert [record.pre_prepare.header.height for record in records(effects, Accepted)] == [1, 2, 3, 4]


def test_height_that_was_executed_is_not_voted_for(desk):
    desk.hear("h03", BlockAnswer(desk.certified(desk.header())))
    assert desk.replica.height == 1
    assert not records(desk.hear("h00", desk.propose(desk.header())), Accepted)
    assert len(records(desk.hear("h00", desk.propose(desk.header(2))), Accepted)) == 1


def test_old_key_of_a_member_votes_for_nothing(desk):
    world = desk.world
    stranger = world.secrets.signer("h02/another")
    replica = Replica("h02", world.genesis, stranger, world.verifier, Bank(), parameters=SIM_TIMERS, confirm=False)
    effects = replica.step(Received("h00", desk.propose(desk.header())), world.now, CLOCK)
    assert not records(effects, Accepted)


# N3, N4, N6: votes.


def test_q_minus_1_prepares_of_others_than_the_leader_make_a_prepared_certificate(desk):
    header = desk.header()
    assert not records(desk.hear("h00", desk.propose(header)), Prepared)
    assert not records(desk.hear("h00", desk.vote(Prepare, "h00", header)), Prepared)
    (prepared,) = records(desk.hear("h03", desk.vote(Prepare, "h03", header)), Prepared)
    assert [vote.member for vote in prepared.certificate.votes] == ["h02", "h03"]


def test_q_commits_make_a_block(desk):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    desk.hear("h03", desk.vote(Prepare, "h03", header))
    desk.hear("h03", desk.vote(Commit, "h03", header))
    assert desk.replica.height == 0
    desk.hear("h01", desk.vote(Commit, "h01", header))
    assert desk.replica.height == 1


def test_prepare_that_its_sender_did_not_sign_counts_for_nothing(desk):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    assert not records(desk.hear("h03", other_kind(desk, desk.vote(Prepare, "h03", header))), Prepared)


def test_prepare_over_another_member_s_channel_counts_for_nothing(desk):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    assert not records(desk.hear("h03", desk.vote(Prepare, "h01", header)), Prepared)


def test_second_prepare_of_a_member_counts_for_nothing_and_is_evidence(desk):
    header, other = desk.header(), desk.header(time=CLOCK + 1)
    desk.hear("h00", desk.propose(header))
    desk.hear("h03", desk.vote(Prepare, "h03", other))
    effects = desk.hear("h03", desk.vote(Prepare, "h03", header))
    assert not records(effects, Prepared)
    assert any(isinstance(effect, StoreEvidence) for effect in effects)


def test_second_proposal_for_a_height_gets_no_vote_and_is_evidence(desk):
    header, other = desk.header(), desk.header(time=CLOCK + 1)
    desk.hear("h00", desk.propose(header))
    effects = desk.hear("h00", desk.propose(other))
    assert any(isinstance(effect, StoreEvidence) for effect in effects)
    effects = desk.hear("h03", desk.vote(Prepare, "h03", other)) + desk.hear("h01", desk.vote(Prepare, "h01", other))
    assert not records(effects, Prepared)
