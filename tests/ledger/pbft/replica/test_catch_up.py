"""What a replica asks of peers that are ahead, what it sends to those behind, and what it believes (T1 to T3)."""

import msgspec

from medward.ledger.pbft.effects import (
    Send,
    SendBlocks,
)
from medward.ledger.pbft.messages import (
    BatchAnswer,
    BlockAnswer,
    FetchBatch,
    FetchBlocks,
    FetchManifest,
    Prepare,
    StableProof,
    Status,
)
from tests.ledger.simulator.desk import CLOCK, Desk, at_checkpoint, sent
from tests.ledger.simulator.world import SIM_TIMERS


def test_block_that_too_few_signed_is_not_executed(desk):
    desk.hear("h03", BlockAnswer(desk.certified(desk.header(), voters=("h01", "h03"))))
    assert desk.replica.height == 0


def status(**fields):
    return msgspec.structs.replace(Status(0, 0, False, 0, 0, 0, False, CLOCK), **fields)


def asked(effects):
    return [(e.peer, e.message) for e in effects if isinstance(e, Send) and isinstance(e.message, FetchBlocks)]


def executed(desk, heights=4):
    """Have the replica execute so many blocks."""
    for height in range(1, heights + 1):
        desk.hear("h03", BlockAnswer(desk.certified(desk.header(height))))
    assert desk.replica.height == heights


def blocks_sent(effects):
    return [(e.peer, e.first, e.last) for e in effects if isinstance(e, SendBlocks)]


def test_replica_that_falls_behind_asks_one_peer_for_a_bounded_number_of_blocks(desk):
    effects = desk.hear("h03", status(executed=9, oldest=1))
    assert asked(effects) == [("h03", FetchBlocks(1, SIM_TIMERS.fetch_blocks))]
    assert asked(desk.hear("h01", status(executed=9, oldest=1))) == []  # h03 has time to answer
    desk.world.now += SIM_TIMERS.fetch_timeout
    assert asked(desk.hear("h01", status(executed=9, oldest=1))) != []


def test_peer_that_is_a_little_ahead_is_not_asked(desk):
    assert asked(desk.hear("h03", status(executed=4, oldest=1))) == []


def test_large_gap_and_blocks_that_nobody_has_any_more_are_filled_by_a_snapshot(desk):
    far = status(stable=SIM_TIMERS.transfer_gap + 1, executed=SIM_TIMERS.transfer_gap + 1, oldest=1)
    assert sent(desk.hear("h03", far), FetchManifest) == [FetchManifest(0)]
    other = Desk()
    assert sent(other.hear("h03", status(stable=4, executed=6, oldest=5)), FetchManifest) == [FetchManifest(0)]


def test_peer_that_boasts_does_not_keep_the_replica_from_the_others(desk):
    desk.hear("h03", status(stable=2**62, executed=2**62, oldest=1))
    asked_peers = set()
    for _ in range(4):
        desk.world.now += SIM_TIMERS.fetch_timeout
        effects = desk.hear("h01", status(executed=9, oldest=1))
        asked_peers |= {e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, FetchBlocks)}
    assert "h01" in asked_peers


def test_blocks_are_sent_as_far_as_they_are_here_and_a_limited_number_at_once(desk):
    executed(desk, 8)
    desk.replica._state.oldest_block = 1
    most = SIM_TIMERS.fetch_blocks
    assert blocks_sent(desk.hear("h03", FetchBlocks(1, 2**62))) == [("h03", 1, most)]
    assert blocks_sent(desk.hear("h03", FetchBlocks(7, 7))) == [("h03", 7, 7)]
    for first, last in ((9, 12), (2**62, 2**62), (5, 4), (0, 3)):
        assert blocks_sent(desk.hear("h03", FetchBlocks(first, last))) == []
    desk.replica._state.oldest_block = 0  # a snapshot was taken over: there are none
    assert blocks_sent(desk.hear("h03", FetchBlocks(1, 3))) == []


def test_block_of_a_far_height_or_another_epoch_takes_no_memory(desk):
    for header in (desk.header(2 * SIM_TIMERS.fetch_blocks + 1), desk.header(2, epoch=1)):
        desk.hear("h03", BlockAnswer(desk.certified(header)))
    assert not desk.replica._state.decided
    desk.hear("h03", BlockAnswer(desk.certified(desk.header(2))))
    assert list(desk.replica._state.decided) == [2]


def test_batch_is_taken_only_where_it_is_missed_and_only_with_the_right_root(desk):
    order = desk.order()
    header = desk.header(1, (order,))
    desk.hear("h03", BatchAnswer(1, (order,)))
    assert not desk.replica._state.batches
    changes = [desk.view_change(name, 1, [desk.prepared(header)]) for name in ("h00", "h01", "h03")]
    desk.hear("h01", desk.new_view(changes))  # proposes a header again whose batch never came here
    for transactions in ((), (desk.order(amount=2),), (order, order)):
        desk.hear("h03", BatchAnswer(1, transactions))
        assert not desk.replica._state.batches
    desk.hear("h03", BatchAnswer(1, (order,)))
    assert sent(desk.hear("h01", FetchBatch(1, header.transactions)), BatchAnswer) == [BatchAnswer(1, (order,))]
    assert sent(desk.hear("h01", FetchBatch(1, bytes(32))), BatchAnswer) == []


def test_peer_without_progress_is_told_this_replica_s_votes_and_others_are_not(desk):
    desk.hear("h00", desk.propose(desk.header()))
    assert sent(desk.hear("h03", status(view=1)), Prepare) == []
    assert sent(desk.hear("h03", status()), Prepare) == []
    [own] = sent(desk.hear("h03", status()), Prepare)
    assert own.sender == "h02"


def test_peer_below_the_stable_checkpoint_gets_its_proof(desk):
    body = at_checkpoint(desk)
    certificate = desk.checkpoint(body, ("h00", "h01", "h03"))
    desk.hear("h03", StableProof(certificate))
    assert sent(desk.hear("h03", status()), StableProof) == [StableProof(certificate)]
    assert sent(desk.hear("h03", status(stable=4)), StableProof) == []
    assert sent(desk.hear("h03", status(epoch=1)), StableProof) == []
