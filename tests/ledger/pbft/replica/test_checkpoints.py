"""Each check of checkpoints, epochs, fetched state and the own disk, met by the one message that only it stops."""

import msgspec

from medward.ledger.bank import ChangeMembers
from medward.ledger.encoding import encode
from medward.ledger.pbft.effects import (
    Accepted,
    StoreEvidence,
)
from medward.ledger.pbft.messages import (
    BlockAnswer,
    StableProof,
)
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import MemberUpdate
from tests.ledger.simulator.desk import at_checkpoint, checkpoint_vote, other_kind, records

# M1: the end of an epoch.


def change_of_members(desk):
    """The governor's order that h03 leaves."""
    order = encode(ChangeMembers((MemberUpdate("h03", None),)))
    return (encode_transaction(sign_transaction(desk.chain, desk.world.governor, 1, order)),)


def execute(desk, *heights, change=None):
    for height in heights:
        transactions = change_of_members(desk) if height == change else ()
        desk.hear("h03", BlockAnswer(desk.certified(desk.header(height, transactions), transactions)))
    assert desk.replica.height == heights[-1]


def test_epoch_does_not_end_below_a_height_that_was_voted_for(desk):
    execute(desk, 1, 2)
    effects = desk.hear("h00", *(desk.propose(desk.header(height)) for height in (3, 4, 5, 6)))
    assert len(records(effects, Accepted)) == 4
    execute(desk, 3, 4, change=3)
    body = desk.replica._state.own_checkpoints[4].body
    desk.hear("h03", StableProof(desk.checkpoint(body, ("h00", "h01", "h03"))))
    assert desk.replica.stable is not None
    assert desk.replica.view == (0, 0, False)


def test_heights_beyond_the_end_of_an_epoch_are_not_voted_for_in_it(desk):
    execute(desk, 1, 2, 3, 4, 5, 6, change=1)
    effects = desk.hear("h00", *(desk.propose(desk.header(height)) for height in (7, 8, 9, 10)))
    assert [record.pre_prepare.header.height for record in records(effects, Accepted)] == [7, 8]


# C1 to C3, and what is fetched.


def test_q_checkpoints_are_stable_and_fewer_are_not(desk):
    body = at_checkpoint(desk)
    desk.hear("h01", checkpoint_vote(desk, "h01", body))
    desk.hear("h03", other_kind(desk, checkpoint_vote(desk, "h03", body)))
    desk.hear("h03", checkpoint_vote(desk, "h00", body))
    assert desk.replica.stable is None
    desk.hear("h00", checkpoint_vote(desk, "h00", body))
    assert desk.replica.stable is not None


def test_second_checkpoint_of_a_member_counts_for_nothing_and_is_evidence(desk):
    body = at_checkpoint(desk)
    desk.hear("h01", checkpoint_vote(desk, "h01", body))
    desk.hear("h03", checkpoint_vote(desk, "h03", msgspec.structs.replace(body, history=bytes(32))))
    effects = desk.hear("h03", checkpoint_vote(desk, "h03", body))
    assert any(isinstance(effect, StoreEvidence) for effect in effects)
    assert desk.replica.stable is None


def test_certificate_of_a_checkpoint_that_too_few_signed_is_not_believed(desk):
    body = at_checkpoint(desk)
    desk.hear("h03", StableProof(desk.checkpoint(body, ("h01", "h03"))))
    assert desk.replica.stable is None
    desk.hear("h03", StableProof(desk.checkpoint(body, ("h00", "h01", "h03"))))
    assert desk.replica.stable is not None


def test_replica_whose_state_is_not_the_certified_one_halts(desk):
    body = at_checkpoint(desk)
    other = msgspec.structs.replace(body, history=bytes(32))
    desk.hear("h03", StableProof(desk.checkpoint(other, ("h00", "h01", "h03"))))
    assert desk.replica.halted is not None
