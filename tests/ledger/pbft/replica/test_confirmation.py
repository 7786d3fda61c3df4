"""A replica that has just started learns whether its disk has forgotten a vote (J5)."""

import pytest

from medward.ledger.bank import Bank
from medward.ledger.pbft.effects import (
    Accepted,
)
from medward.ledger.pbft.messages import (
    Commit,
    Echo,
    Prepare,
)
from medward.ledger.pbft.replica.confirmation import echo, on_echo
from medward.ledger.pbft.replica.machine import Replica
from tests.ledger.simulator.desk import at_checkpoint, checkpoint_vote, other_kind, records
from tests.ledger.simulator.world import SIM_TIMERS


def restarted(desk):
    world = desk.world
    return Replica("h02", world.genesis, world.nodes["h02"].signer, world.verifier, Bank(), parameters=SIM_TIMERS)


def test_restarted_replica_votes_after_q_minus_1_have_answered_and_not_before(desk):
    desk.replica = restarted(desk)
    desk.hear("h03", Echo(()), Echo(()))
    assert not records(desk.hear("h00", desk.propose(desk.header())), Accepted)
    assert len(records(desk.hear("h01", Echo(())), Accepted)) == 1


def test_replica_that_is_shown_a_vote_it_does_not_know_halts(desk):
    desk.replica = restarted(desk)
    desk.hear("h01", Echo((desk.vote(Commit, "h02", desk.header()),)))
    assert desk.replica.halted is not None


def test_vote_that_the_replica_never_signed_halts_nobody(desk):
    desk.replica = restarted(desk)
    desk.hear("h03", Echo((other_kind(desk, desk.vote(Commit, "h02", desk.header())),)))
    desk.hear("h01", Echo((desk.vote(Commit, "h03", desk.header()),)))
    assert desk.replica.halted is None


@pytest.mark.parametrize("form", [Prepare, Commit])
def test_peer_is_reminded_of_the_votes_that_are_held_of_it_and_of_no_others(desk, form):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    for name in ("h01", "h03"):
        desk.hear(name, desk.vote(form, name, header))
    state = desk.replica._state
    assert echo(state, "h03").votes == (desk.vote(form, "h03", header),)
    assert echo(state, "h00").votes == ()
    assert {vote.sender for vote in echo(state, "h02").votes} == {"h02"}


def test_stranger_and_the_replica_itself_confirm_nothing(desk):
    desk.replica = restarted(desk)
    state = desk.replica._state
    for peer in ("stranger", "h02", "stranger"):
        on_echo(state, peer, Echo(()))
    assert not state.confirmed_by
    assert not state.voting


def test_confirmed_replica_is_not_halted_by_a_late_echo(desk):
    desk.replica = restarted(desk)
    for name in ("h00", "h01", "h03"):
        desk.hear(name, Echo(()))
    desk.hear("h03", Echo((desk.vote(Prepare, "h02", desk.header(3)),)))
    assert desk.replica.halted is None


@pytest.mark.parametrize("vote", ["prepare", "commit", "checkpoint", "view-change", "later epoch"])
def test_every_kind_of_forgotten_vote_halts_and_the_text_says_what_to_do(desk, vote):
    body = at_checkpoint(desk)
    forgotten = {
        "prepare": desk.vote(Prepare, "h02", desk.header()),
        "commit": desk.vote(Commit, "h02", desk.header()),
        "checkpoint": checkpoint_vote(desk, "h02", body),
        "view-change": desk.view_change("h02"),
        "later epoch": desk.view_change("h02", epoch=1),
    }[vote]
    desk.replica = restarted(desk)
    desk.hear("h03", Echo((forgotten,)))
    assert "rejoin as a new incarnation" in desk.replica.halted
    assert not desk.replica._state.voting
