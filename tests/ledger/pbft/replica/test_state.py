"""What follows from a replica's knowledge: whether it votes and leads, how far it proposes, and what it keeps."""

from itertools import pairwise

import msgspec
import pytest

from medward.ledger.pbft.effects import StoreEvidence
from medward.ledger.pbft.messages import Commit, Prepare, decode_message
from medward.ledger.signatures import Domain
from tests.ledger.simulator.world import SIM_CHAIN, SIM_TIMERS


@pytest.fixture
def state(desk):
    return desk.replica._state


def test_only_a_confirmed_member_with_its_present_key_that_has_not_halted_votes(state):
    assert state.voting
    state.halted = "why"
    assert not state.voting
    state.halted, state.confirmed = None, False
    assert not state.voting
    state.confirmed = True
    (present,) = state.memberships
    renewed = tuple(
        msgspec.structs.replace(member, keys=present.members[0].keys) if member.name == "h02" else member
        for member in present.members
    )
    for members in (renewed, tuple(member for member in present.members if member.name != "h02")):
        state.memberships = [msgspec.structs.replace(present, members=members)]
        assert not state.voting


def test_leader_of_a_view_leads_it_alone_and_not_while_it_changes(desk, state):
    leads = {name: desk.world.nodes[name].replica._state.leading for name in desk.world.nodes}
    assert leads == {"h00": True, "h01": False, "h02": False, "h03": False}
    state.view = 2
    assert state.leading
    state.changing = True
    assert not state.leading


def test_no_height_is_proposed_beyond_the_window_the_watermark_and_the_end_of_an_epoch(state):
    assert state.executed == 0
    assert state.last_proposable == SIM_CHAIN.in_flight
    state.epoch_end = 2
    assert state.last_proposable == 2
    state.epoch_end = 100
    assert state.last_proposable == SIM_CHAIN.in_flight
    # The last stable height bounds it although blocks after it were executed.
    state.epoch_end = None
    for _ in range(SIM_CHAIN.log_window - 1):
        state.execution.execute(0, [], 0)
    assert state.last_proposable == SIM_CHAIN.log_window


def test_time_out_doubles_with_every_view_change_in_a_row_up_to_a_bound(state):
    found = []
    for state.attempts in range(SIM_TIMERS.max_doublings + 5):
        found.append(state.timeout())
    assert found[0] == SIM_TIMERS.request_timeout
    rising = found[: SIM_TIMERS.max_doublings + 1]
    assert all(later == 2 * earlier for earlier, later in pairwise(rising))
    assert set(found[SIM_TIMERS.max_doublings :]) == {rising[-1]}


def test_signature_counts_for_its_own_member_and_content_alone(desk, state):
    domain = Domain(desk.chain, "commit", 0, 0, 1)
    signed = desk.sign("h03", "commit", 0, 1, b"x" * 32)
    assert state.signed_by("h03", domain, b"x" * 32, signed)
    for name, content in (("h01", b"x" * 32), ("stranger", b"x" * 32), ("h03", b"y" * 32)):
        assert not state.signed_by(name, domain, content, signed)
    assert not state.signed_by("h03", msgspec.structs.replace(domain, view=1), b"x" * 32, signed)


def kept(state):
    return [effect.evidence for effect in state.effects if isinstance(effect, StoreEvidence)]


def test_evidence_is_kept_once_for_a_member_a_kind_and_a_height(desk, state):
    one, other = desk.vote(Prepare, "h03", desk.header()), desk.vote(Prepare, "h03", desk.header(time=1))
    for first, second in ((one, other), (other, one)):
        state.record_evidence("h03", "prepare", 1, first, second)
    (found,) = kept(state)
    assert found.member == "h03"
    assert {decode_message(found.first), decode_message(found.second)} == {one, other}
    # It does not matter which of the two came first.
    again = desk.world.nodes["h01"].replica._state
    again.effects.clear()
    again.record_evidence("h03", "prepare", 1, other, one)
    assert kept(again) == [found]
    state.record_evidence("h03", "commit", 1, desk.vote(Commit, "h03", desk.header()), one)
    state.record_evidence("h03", "prepare", 2, one, other)
    state.record_evidence("h01", "prepare", 1, one, other)
    assert len(kept(state)) == 4


def test_liar_fills_no_disk_with_proofs_against_itself(desk, state):
    state.parameters = msgspec.structs.replace(SIM_TIMERS, max_evidence=3)
    one, other = desk.vote(Prepare, "h03", desk.header()), desk.vote(Prepare, "h03", desk.header(time=1))
    for height in range(1, 50):
        state.record_evidence("h03", "prepare", height, one, other)
    assert len(kept(state)) == 3
    assert len(state.evidence) == 3
