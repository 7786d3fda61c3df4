"""Each check of checkpoints, epochs, fetched state and the own disk, met by the one message that only it stops."""

import msgspec
import pytest

from medward.ledger.bank import Bank, ChangeMembers, Deposit
from medward.ledger.certificates import (
    CheckpointBody,
)
from medward.ledger.encoding import digest, encode
from medward.ledger.errors import JournalCorrupt
from medward.ledger.execution import StateSummary
from medward.ledger.pbft.effects import (
    Accepted,
    CheckpointTaken,
    Recovered,
    SaveChunk,
    StoreEvidence,
)
from medward.ledger.pbft.messages import (
    BlockAnswer,
    ChunkAnswer,
    Commit,
    Echo,
    FetchChunk,
    Manifest,
    StableProof,
)
from medward.ledger.pbft.replica.machine import Replica
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import MemberUpdate
from tests.ledger.simulator.desk import at_checkpoint, checkpoint_vote, other_kind, records, sent
from tests.ledger.simulator.world import SIM_TIMERS, World

# J5.


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


def test_block_that_too_few_signed_is_not_executed(desk):
    desk.hear("h03", BlockAnswer(desk.certified(desk.header(), voters=("h01", "h03"))))
    assert desk.replica.height == 0


def manifest(desk, voters, chunks=(bytes(32),), named=None):
    summary = StateSummary(8, 0, bytes(32), bytes(32))
    members = desk.world.genesis.membership.digest()
    body = CheckpointBody(desk.chain, 0, 8, summary, bytes(32), members, digest(named or chunks))
    return Manifest((), desk.checkpoint(body, voters), tuple(chunks))


def test_manifest_that_too_few_signed_is_not_fetched(desk):
    assert not sent(desk.hear("h03", manifest(desk, ("h01", "h03"))), FetchChunk)
    assert sent(desk.hear("h03", manifest(desk, ("h00", "h01", "h03"))), FetchChunk)


def test_manifest_of_other_chunks_than_its_certificate_names_is_not_fetched(desk):
    forged = manifest(desk, ("h00", "h01", "h03"), (bytes(32),), (b"x" * 32,))
    assert not sent(desk.hear("h03", forged), FetchChunk)


def test_chunk_that_is_not_the_one_named_is_not_kept(desk):
    desk.hear("h03", manifest(desk, ("h00", "h01", "h03")))
    effects = desk.hear("h03", ChunkAnswer(8, 0, b"spoiled"))
    assert not any(isinstance(effect, SaveChunk) for effect in effects)
    assert desk.replica.halted is None


# J4: what a replica finds on its own disk is believed no more than a peer.


def start_from(world, found):
    node = world.nodes["h02"]
    return Replica("h02", world.genesis, node.signer, world.verifier, Bank(), parameters=SIM_TIMERS, found=found)


@pytest.fixture(scope="module")
def disk():
    """A world, and what a replica in it finds on its disk: a snapshot and at least a block after it."""
    world = World(1, 4)
    client = world.add_client("client", [Deposit("a", 1) for _ in range(14)])
    world.issue(client)
    world.run(60_000, world.all_answered)
    found = world.nodes["h02"].disk.recover()
    assert found.snapshot is not None
    assert found.blocks
    return world, found


def test_what_is_on_the_disk_is_taken_up_again(disk):
    world, found = disk
    governor = world.governor.public_keys[0].data
    node = world.nodes["h02"]
    again = Replica(
        "h02", world.genesis, node.signer, world.verifier, Bank(governor), parameters=SIM_TIMERS, found=found
    )
    assert again.height == found.blocks[-1].certificate.header.height


def test_stored_snapshot_that_too_few_signed_is_refused(disk):
    world, found = disk
    certificate = found.snapshot.certificate
    fewer = msgspec.structs.replace(certificate, votes=certificate.votes[:2])
    snapshot = msgspec.structs.replace(found.snapshot, certificate=fewer)
    with pytest.raises(JournalCorrupt, match="snapshot"):
        start_from(world, msgspec.structs.replace(found, snapshot=snapshot))


def test_stored_block_that_too_few_signed_is_refused(disk):
    world, found = disk
    first, *others = found.blocks
    certificate = msgspec.structs.replace(first.certificate, votes=first.certificate.votes[:2])
    blocks = (msgspec.structs.replace(first, certificate=certificate), *others)
    with pytest.raises(JournalCorrupt, match="block"):
        start_from(world, msgspec.structs.replace(found, blocks=blocks))


def test_state_that_does_not_give_the_checkpoint_that_was_signed_is_refused(desk):
    body = at_checkpoint(desk)
    blocks = tuple(desk.certified(desk.header(height)) for height in range(1, 5))
    for signed in (body, msgspec.structs.replace(body, history=bytes(32))):
        vote = checkpoint_vote(desk, "h02", signed)
        found = Recovered((CheckpointTaken(vote),), None, blocks, {}, 1)
        if signed == body:
            assert start_from(desk.world, found).height == 4
        else:
            with pytest.raises(JournalCorrupt, match="height 4"):
                start_from(desk.world, found)
