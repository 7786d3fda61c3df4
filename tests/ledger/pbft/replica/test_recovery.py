"""What a replica finds on its own disk is believed no more than a peer (J1 to J4)."""

import msgspec
import pytest

from medward.ledger.bank import Bank, Deposit
from medward.ledger.errors import JournalCorrupt
from medward.ledger.pbft.effects import (
    Accepted,
    CheckpointTaken,
    Prepared,
    Recovered,
)
from medward.ledger.pbft.messages import (
    Echo,
    Prepare,
)
from medward.ledger.pbft.replica.machine import Replica
from tests.ledger.simulator.desk import CLOCK, at_checkpoint, checkpoint_vote, records
from tests.ledger.simulator.world import SIM_TIMERS, World


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


def test_replica_that_voted_before_a_crash_gives_no_other_vote_after_it(desk):
    header, other = desk.header(), desk.header(time=CLOCK + 1)
    written = records(desk.hear("h00", desk.propose(header)), Accepted)
    desk.replica = start_from(desk.world, Recovered(tuple(written), None, (), {}, 0))
    for name in ("h00", "h01", "h03"):
        desk.hear(name, Echo(()))
    assert not records(desk.hear("h00", desk.propose(other)), Accepted)
    # With the vote that it gave, and one more, the header is prepared.
    assert records(desk.hear("h03", desk.vote(Prepare, "h03", header)), Prepared)


def test_batch_in_the_journal_that_its_clients_did_not_sign_is_damage(desk):
    forged = desk.forged_order()
    record = Accepted(desk.propose(desk.header(1, (forged,)), (forged,)), None)
    with pytest.raises(JournalCorrupt, match="batch at height 1 is damaged"):
        start_from(desk.world, Recovered((record,), None, (), {}, 0))


def test_blocks_after_a_gap_are_not_replayed(desk):
    blocks = tuple(desk.certified(desk.header(height)) for height in (1, 2, 4))
    assert start_from(desk.world, Recovered((), None, blocks, {}, 1)).height == 2
