"""Each check of view changes and new-views, met by the one message that only it stops."""

import msgspec
import pytest

from medward.ledger.certificates import (
    BlockHeader,
    CheckpointBody,
    Vote,
)
from medward.ledger.execution import StateSummary, transactions_root
from medward.ledger.pbft.effects import (
    Accepted,
    LeftView,
    Submitted,
    Tick,
)
from medward.ledger.pbft.messages import (
    BatchAnswer,
    FetchBatch,
    PreparedCertificate,
)
from medward.ledger.pbft.replica.view_change import reproposed_headers
from tests.ledger.simulator.desk import CLOCK, Desk, other_kind, records, sent
from tests.ledger.simulator.world import SIM_TIMERS

# V1 to V6: view changes and new-views.


def test_one_member_does_not_make_another_leave_and_f_plus_1_do(desk):
    assert not records(desk.hear("h03", desk.view_change("h03", 5)), LeftView)
    (left,) = records(desk.hear("h01", desk.view_change("h01", 2)), LeftView)
    assert left.view_change.view == 2


def test_view_change_over_another_member_s_channel_is_not_counted(desk):
    desk.hear("h03", desk.view_change("h03", 1))
    assert not records(desk.hear("h03", desk.view_change("h01", 1)), LeftView)


def test_replica_that_left_its_view_alone_does_not_go_on_alone(desk):
    desk.replica.step(Submitted((desk.order(),)), desk.world.now, CLOCK)
    for _ in range(100):
        desk.world.now += SIM_TIMERS.request_timeout
        desk.replica.step(Tick(), desk.world.now, CLOCK)
    assert desk.replica.view == (0, 1, True)


def test_good_view_change_proves_itself(desk):
    prepared = [desk.prepared(desk.header(1)), desk.prepared(desk.header(2), view=1)]
    assert desk.proofs().valid_view_change(desk.view_change("h03", 2, prepared))


def bad_view_changes(desk):
    header = desk.header()
    foreign = desk.header(chain=bytes(32))
    next_epoch = desk.header(epoch=1)
    body = CheckpointBody(desk.chain, 0, 4, StateSummary(4, 0, bytes(32), bytes(32)), bytes(32), bytes(32), bytes(32))
    return {
        "unsigned": other_kind(desk, desk.view_change("h03")),
        "view not before": desk.view_change("h03", 1, [desk.prepared(header, view=1)]),
        "leader twice": desk.view_change("h03", 1, [desk.prepared(header, voters=("h00", "h03"))]),
        "one prepare too few": desk.view_change("h03", 1, [desk.prepared(header, voters=("h03",))]),
        "one prepare twice": desk.view_change("h03", 1, [desk.prepared(header, voters=("h03", "h03"))]),
        "not the leader's": desk.view_change("h03", 1, [desk.prepared(header, leader="h01")]),
        "another chain": desk.view_change("h03", 1, [foreign_prepared(desk, foreign)]),
        "another epoch": desk.view_change("h03", 1, [desk.prepared(next_epoch)]),
        "two of one height": desk.view_change("h03", 2, [desk.prepared(header), desk.prepared(header, view=1)]),
        "above the window": desk.view_change("h03", 1, [desk.prepared(desk.header(17))]),
        "checkpoint by two": desk.view_change("h03", 1, (), desk.checkpoint(body, ("h00", "h03"))),
    }


def foreign_prepared(desk, header):
    """What members that have the same keys in another federation prepared there."""
    votes = [Vote(name, desk.sign(name, "prepare", 0, 1, header.digest())) for name in ("h02", "h03")]
    return PreparedCertificate(0, header, desk.sign("h00", "pre-prepare", 0, 1, header.digest()), tuple(votes))


@pytest.mark.parametrize("kind", sorted(bad_view_changes(Desk())))
def test_view_change_that_does_not_prove_itself_is_refused(desk, kind):
    assert not desk.proofs().valid_view_change(bad_view_changes(desk)[kind])


def quorum_of_view_changes(desk, view=2):
    """View changes with two headers that were prepared for height 1 in different views, and one for height 3."""
    low, high = desk.header(time=CLOCK), desk.header(time=CLOCK + 1)
    return [
        desk.view_change("h00", view, [desk.prepared(high, view=1)]),
        desk.view_change("h02", view, [desk.prepared(low), desk.prepared(desk.header(3))]),
        desk.view_change("h03", view),
    ]


def test_new_view_proposes_what_was_prepared_in_the_highest_view_and_fills_gaps(desk):
    high, third = desk.header(time=CLOCK + 1), desk.header(3)
    for changes in (quorum_of_view_changes(desk), quorum_of_view_changes(desk)[::-1]):
        assert reproposed_headers(desk.chain, 0, changes) == [high, BlockHeader.null(desk.chain, 0, 2), third]
        assert desk.proofs().valid_new_view(desk.new_view(changes, 2))


def bad_new_views(desk):
    changes = quorum_of_view_changes(desk)
    low, high, third = desk.header(time=CLOCK), desk.header(time=CLOCK + 1), desk.header(3)
    null = BlockHeader.null(desk.chain, 0, 2)
    good = desk.new_view(changes, 2)
    renamed = msgspec.structs.replace(good, sender="h03")
    return {
        "in another's name": msgspec.structs.replace(
            renamed, signatures=desk.sign("h02", "new-view", 2, 0, renamed.content())
        ),
        "unsigned": msgspec.structs.replace(good, signatures=desk.sign("h02", "new-view", 2, 0, bytes(32))),
        "who does not lead": desk.new_view(changes, 2, leader="h03"),
        "its proposals are another's": desk.new_view(changes, 2, proposer="h03"),
        "one view change too few": desk.new_view(changes[:2], 2),
        "one view change twice": desk.new_view([*changes[:2], changes[1]], 2),
        "view change of another view": desk.new_view([*changes[:2], desk.view_change("h03", 3)], 2),
        "view change that proves nothing": desk.new_view(
            [*changes[:2], desk.view_change("h03", 2, [desk.prepared(high, voters=("h03",))])], 2
        ),
        "the lowest view": desk.new_view(changes, 2, [low, null, third]),
        "nothing": desk.new_view(changes, 2, []),
        "null blocks": desk.new_view(changes, 2, [BlockHeader.null(desk.chain, 0, height) for height in (1, 2, 3)]),
        "the last left out": desk.new_view(changes, 2, [high, null]),
        "one more": desk.new_view(changes, 2, [high, null, third, desk.header(4)]),
    }


@pytest.mark.parametrize("kind", sorted(bad_new_views(Desk())))
def test_new_view_that_does_not_prove_itself_is_not_entered(desk, kind):
    desk.hear("h01", bad_new_views(desk)[kind])
    desk.hear("h03", bad_new_views(desk)[kind])
    assert desk.replica.view == (0, 0, False)


def test_batch_that_no_header_names_is_not_kept(desk):
    header = desk.header(1, (desk.order(),))
    changes = [desk.view_change(name, 1, [desk.prepared(header)]) for name in ("h00", "h01", "h03")]
    desk.hear("h01", desk.new_view(changes))
    assert desk.replica.view == (0, 1, False)
    junk = (desk.order(amount=9),)
    desk.hear("h03", BatchAnswer(1, junk))
    assert not sent(desk.hear("h03", FetchBatch(1, transactions_root(junk))), BatchAnswer)
    assert len(records(desk.hear("h03", BatchAnswer(1, (desk.order(),))), Accepted)) == 1
