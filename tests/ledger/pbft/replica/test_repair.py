"""A block that the disk lost is asked of one peer after the other, and taken with its certificate alone (T7)."""

import msgspec
import pytest

from medward.ledger.pbft.effects import Damaged, MendBlock, StoreBlock, Tick
from medward.ledger.pbft.messages import BlockAnswer, FetchBlocks, Status
from medward.ledger.pbft.replica import repair
from tests.ledger.simulator.desk import CLOCK, sent


def happen(desk, event, later=0):
    desk.world.now += later
    return desk.replica.step(event, desk.world.now, CLOCK)


def asked(effects):
    return [
        (effect.peer, effect.message) for effect in effects if isinstance(getattr(effect, "message", None), FetchBlocks)
    ]


@pytest.fixture
def aged(desk):
    """A replica that executed two blocks, whose peers hold both."""
    orders = [(desk.order(nonce=1),), (desk.order(nonce=2),)]
    desk.blocks = [desk.certified(desk.header(height, order), order) for height, order in enumerate(orders, 1)]
    for block in desk.blocks:
        desk.hear("h03", BlockAnswer(block))
    assert desk.replica.height == 2
    for name in ("h00", "h01", "h03"):
        desk.hear(name, Status(0, 0, False, 0, 2, 1, False, CLOCK))
    return desk


def test_each_peer_in_turn_is_asked_until_one_answers(aged):
    first = asked(happen(aged, Damaged(1)))
    assert len(first) == 1
    peers = [first[0][0]]
    assert asked(happen(aged, Tick(), later=1)) == []  # it has time to answer
    while len(peers) < 6:
        peers += [peer for peer, message in asked(happen(aged, Tick(), later=1000)) if message == FetchBlocks(1, 1)]
    assert peers[:3] == peers[3:]
    assert set(peers) == {"h00", "h01", "h03"}
    effects = aged.hear("h00", BlockAnswer(aged.blocks[0]))
    assert [effect for effect in effects if isinstance(effect, MendBlock)] == [MendBlock(aged.blocks[0])]
    assert asked(happen(aged, Tick(), later=10_000)) == []


def test_who_does_not_hold_it_is_not_asked(aged):
    aged.hear("h00", Status(0, 0, False, 0, 2, 2, False, CLOCK))
    aged.hear("h01", Status(0, 0, False, 0, 2, 0, False, CLOCK))
    for later in (0, 10_000, 10_000):
        assert {peer for peer, _ in asked(happen(aged, Damaged(1) if not later else Tick(), later))} == {"h03"}


def test_block_without_a_quorum_of_that_height_mends_nothing(aged):
    happen(aged, Damaged(1))
    good = aged.blocks[0]
    forged = [
        msgspec.structs.replace(good, transactions=aged.blocks[1].transactions),
        msgspec.structs.replace(good, transactions=()),
        aged.certified(aged.header(1, good.transactions), good.transactions, voters=("h00", "h03")),
        aged.certified(aged.header(1, good.transactions, epoch=1), good.transactions),
        aged.certified(aged.header(1, good.transactions, chain=bytes(32)), good.transactions),
        aged.blocks[1],
    ]
    for block in forged:
        assert [e for e in aged.hear("h00", BlockAnswer(block)) if isinstance(e, MendBlock | StoreBlock)] == []
    assert any(isinstance(effect, MendBlock) for effect in aged.hear("h00", BlockAnswer(good)))


def test_block_that_nobody_misses_is_written_once(aged):
    assert [e for e in aged.hear("h00", BlockAnswer(aged.blocks[0])) if isinstance(e, MendBlock | StoreBlock)] == []


def test_height_that_was_not_executed_is_no_damage(aged):
    for height in (0, 3):
        assert asked(happen(aged, Damaged(height))) == []


def test_of_many_damaged_blocks_so_many_are_asked_for_at_a_time(aged, monkeypatch):
    monkeypatch.setattr(repair, "MOST", 1)
    assert sent(happen(aged, Damaged(2)), FetchBlocks) == [FetchBlocks(2, 2)]
    assert sent(happen(aged, Damaged(1)), FetchBlocks) == []
    aged.hear("h03", BlockAnswer(aged.blocks[1]))
    assert sent(happen(aged, Tick(), later=1000), FetchBlocks) == [FetchBlocks(1, 1)]


def test_block_of_an_earlier_epoch_is_proved_by_the_members_of_its_time_alone(aged):
    memberships = aged.replica._state.memberships
    [now] = memberships
    memberships.append(msgspec.structs.replace(now, epoch=1, first_height=2))
    happen(aged, Damaged(1))
    happen(aged, Damaged(2))
    # Who voted before may have left since: their signatures prove nothing of a height that others ordered.
    assert [e for e in aged.hear("h00", BlockAnswer(aged.blocks[1])) if isinstance(e, MendBlock)] == []
    assert [e for e in aged.hear("h00", BlockAnswer(aged.blocks[0])) if isinstance(e, MendBlock)] != []
