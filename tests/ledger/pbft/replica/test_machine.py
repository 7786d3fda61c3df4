"""A replica as a whole: what it does with whatever comes, when it wants to be woken, and whom it talks to."""

import msgspec
import pytest

from medward.ledger.bank import Bank
from medward.ledger.membership import Membership
from medward.ledger.merkle import verify_proof
from medward.ledger.pbft.effects import Accepted, Asked, Damaged, Halted, LeftView, Received, Recovered, Submitted, Tick
from medward.ledger.pbft.messages import (
    BlockAnswer,
    CheckpointVote,
    Commit,
    Echo,
    FetchBlocks,
    FetchManifest,
    Prepare,
    Status,
)
from medward.ledger.pbft.replica.machine import Replica
from medward.ledger.signatures import MemberVerifier
from tests.ledger.simulator.desk import CLOCK, NAMES, at_checkpoint, checkpoint_vote, records
from tests.ledger.simulator.world import SIM_CHAIN, SIM_TIMERS


def test_halted_replica_does_nothing_whatever_comes(desk):
    desk.hear("h01", BlockAnswer(desk.certified(desk.header(1))))
    replica, now = desk.replica, desk.world.now
    replica._state.halted = "its state is not the certified one"
    events = (
        Received("h00", desk.propose(desk.header(2))),
        Received("h03", Status(0, 0, False, 0, 0, 0, False, 0)),
        Received("h03", FetchBlocks(1, 1)),
        Submitted((desk.order(),)),
        Asked(bytes(32), range(1, 2)),
        Damaged(1),
        Tick(),
    )
    for event in events:
        assert replica.step(event, now + 10_000, CLOCK) == []
    assert replica.height == 1


def test_replica_whose_state_is_another_than_was_certified_says_so_once(desk):
    body = msgspec.structs.replace(at_checkpoint(desk), history=b"other" + bytes(27))
    effects = [e for name in ("h00", "h01", "h03") for e in desk.hear(name, checkpoint_vote(desk, name, body))]
    assert [isinstance(effect, Halted) for effect in effects].count(True) == 1
    assert desk.replica.halted is not None
    assert not desk.hear("h00", desk.propose(desk.header(5)))


def test_time_of_the_replica_never_goes_back(desk):
    later = desk.world.now + 50
    desk.replica.step(Tick(), later, CLOCK)
    desk.replica.step(Tick(), later - 1000, CLOCK)
    assert desk.replica._state.now == later
    assert desk.replica.next_deadline() > later


def test_votes_for_a_view_that_has_not_come_are_kept_and_no_more_than_so_many(desk):
    state, limit = desk.replica._state, SIM_TIMERS.future_per_peer
    for number in range(3 * limit):
        assert desk.hear("h03", desk.vote(Prepare, "h03", desk.header(1 + number % 4), view=1 + number)) == []
    assert len(state.future["h03"]) == limit
    # Proposals are long: of those no more than a correct leader has under way.
    for number in range(3 * limit):
        desk.hear("h01", desk.propose(desk.header(1 + number % 4), view=1 + 4 * number, leader="h01"))
    assert len(state.future["h01"]) == SIM_CHAIN.in_flight
    # Another peer's place is its own.
    desk.hear("h00", desk.vote(Commit, "h00", desk.header(), view=2))
    assert len(state.future["h00"]) == 1


def test_votes_that_came_before_their_view_count_in_it(desk):
    header = desk.header()
    for name in ("h00", "h03"):
        desk.hear(name, desk.vote(Prepare, name, header, view=1))
        desk.hear(name, desk.vote(Commit, name, header, view=1))
    desk.hear("h01", desk.propose(header, view=1, leader="h01"))
    assert desk.replica.height == 0
    changes = [desk.view_change(name) for name in NAMES[:3]]
    desk.hear("h01", desk.new_view(changes))
    assert desk.replica.view == (0, 1, False)
    # The two that came early and its own vote are a quorum.
    assert desk.replica.height == 1


@pytest.mark.parametrize("form", [Prepare, Commit])
def test_vote_or_proposal_over_another_member_s_channel_is_not_even_kept(desk, form):
    assert desk.hear("h01", desk.vote(form, "h03", desk.header(), view=3)) == []
    assert desk.hear("h03", desk.propose(desk.header())) == []
    body = at_checkpoint(desk)
    assert desk.hear("h01", checkpoint_vote(desk, "h03", body)) == []
    assert desk.replica._state.future == {}
    assert isinstance(checkpoint_vote(desk, "h03", body), CheckpointVote)
    assert "h03" not in desk.replica._state.checkpoint_votes[4]


def test_messages_of_a_stranger_change_nothing(desk):
    before = (desk.replica.height, desk.replica.view, desk.replica.membership)
    stranger = "nobody"
    messages = (
        Status(9, 9, True, 9, 9, 9, True, 9),
        Echo(()),
        FetchManifest(1000),
        msgspec.structs.replace(desk.vote(Prepare, "h03", desk.header()), sender=stranger),
        msgspec.structs.replace(desk.propose(desk.header()), sender=stranger),
    )
    for message in messages:
        assert not records(desk.hear(stranger, message), Accepted)
    assert (desk.replica.height, desk.replica.view, desk.replica.membership) == before


def test_value_is_proved_at_a_stable_checkpoint_and_nothing_is_said_before(desk):
    assert desk.replica.query("a") is None
    body = at_checkpoint(desk)
    assert desk.replica.query("a") is None
    for name in ("h00", "h01"):
        desk.hear(name, checkpoint_vote(desk, name, body))
    answer = desk.replica.query("a")
    assert answer is not None
    assert desk.replica.stable == answer.certificate
    answer.verify(desk.world.genesis.membership, desk.chain, desk.world.verifier)
    verify_proof(body.state.app_hash, b"a", None, answer.proof)


def test_waiting_request_wakes_the_replica_half_way_and_at_its_time_out(desk):
    world, replica = desk.world, desk.replica
    replica._state.next_status = 10**9
    assert replica.next_deadline() == 10**9
    replica.step(Submitted((desk.order(),)), world.now, CLOCK)
    half, whole = world.now + SIM_TIMERS.request_timeout // 2, world.now + SIM_TIMERS.request_timeout
    assert replica.next_deadline() == half
    replica.step(Tick(), half, CLOCK)
    replica._state.next_status = 10**9
    assert replica.next_deadline() == whole
    assert not records(replica.step(Tick(), whole - 1, CLOCK), LeftView)
    assert len(records(replica.step(Tick(), whole, CLOCK), LeftView)) == 1
    assert replica.view == (0, 1, True)


def test_observer_follows_and_never_votes_or_leaves_a_view(desk):
    world = desk.world
    observer = Replica(
        "watcher", world.genesis, world.secrets.signer("watcher/0"), world.verifier, Bank(), parameters=SIM_TIMERS
    )
    desk.replica = observer
    transactions = (desk.order(),)
    desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    desk.hear("h03", BlockAnswer(desk.certified(desk.header(1, transactions), transactions)))
    assert observer.height == 1
    observer.step(Submitted((desk.order(nonce=2),)), world.now, CLOCK)
    effects = observer.step(Tick(), world.now + 100 * SIM_TIMERS.request_timeout, CLOCK)
    assert not records(effects, LeftView)
    assert observer.view == (0, 0, False)


def test_who_left_is_talked_to_until_it_knows_and_for_two_checkpoints_at_most(desk):
    state = desk.replica._state
    (first,) = state.memberships
    state.memberships = [first, Membership(1, 5, first.members[:3])]

    def called():
        return {member.name for member in desk.replica.recent_members}

    left = first.members[3]
    assert desk.replica.has_left(left)
    assert not desk.replica.has_left(first.members[0])
    # With other keys it is another one, of whom the ledger never knew.
    assert not desk.replica.has_left(msgspec.structs.replace(left, keys=world_keys(desk)))
    assert called() == set(NAMES)
    state.peers["h03"] = Status(0, 0, False, 4, 4, 4, False, 0)
    assert called() == set(NAMES)
    state.peers["h03"] = Status(1, 0, False, 4, 4, 4, False, 0)
    assert called() == set(NAMES[:3])
    del state.peers["h03"]
    for _ in range(5 + 2 * SIM_CHAIN.checkpoint_interval):
        state.execution.execute(0, [], 0)
    assert called() == set(NAMES[:3])


def world_keys(desk):
    return desk.world.secrets.signer("h03/1").public_keys


def test_parameters_that_no_ledger_can_have_are_refused_at_once(desk):
    world = desk.world
    wrong = msgspec.structs.replace(
        world.genesis, parameters=msgspec.structs.replace(SIM_CHAIN, log_window=SIM_CHAIN.checkpoint_interval - 1)
    )
    with pytest.raises(Exception, match="log_window"):
        Replica("h02", wrong, world.nodes["h02"].signer, MemberVerifier(), Bank(), parameters=SIM_TIMERS)


def test_what_recovery_finds_is_not_written_or_sent_again(desk):
    world = desk.world
    blocks = tuple(desk.certified(desk.header(height)) for height in range(1, 6))
    found = Recovered((), None, blocks, {}, 1)
    replica = Replica(
        "h02", world.genesis, world.nodes["h02"].signer, world.verifier, Bank(), parameters=SIM_TIMERS, found=found
    )
    assert (replica.height, replica.oldest_block) == (5, 1)
    assert replica._state.effects == []
    assert not replica.confirmed
