"""A snapshot from peers: nothing of it is kept that a certificate does not name (T4 to T6)."""

import hashlib

import msgspec

from medward.ledger.certificates import (
    CheckpointBody,
)
from medward.ledger.encoding import digest
from medward.ledger.execution import StateSummary
from medward.ledger.pbft.effects import (
    SaveChunk,
    Send,
    SendChunk,
)
from medward.ledger.pbft.messages import (
    ChunkAnswer,
    FetchChunk,
    FetchManifest,
    Manifest,
    StableProof,
    Status,
)
from medward.ledger.pbft.replica.transfer import PARALLEL
from tests.ledger.simulator.desk import CLOCK, Desk, at_checkpoint, sent
from tests.ledger.simulator.world import SIM_TIMERS


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


CHUNKS = tuple(bytes([number]) * 40 for number in range(6))
DIGESTS = tuple(hashlib.sha256(chunk).digest() for chunk in CHUNKS)
QUORUM = ("h00", "h01", "h03")


def fetched(effects):
    return [(e.peer, e.message.index) for e in effects if isinstance(e, Send) and isinstance(e.message, FetchChunk)]


def kept(effects):
    return [e for e in effects if isinstance(e, SaveChunk)]


def test_a_few_chunks_are_asked_for_at_once_and_the_next_when_one_has_come(desk):
    effects = desk.hear("h03", manifest(desk, QUORUM, DIGESTS))
    assert fetched(effects) == [("h03", index) for index in range(PARALLEL)]
    effects = desk.hear("h03", ChunkAnswer(8, 2, CHUNKS[2]))
    assert fetched(effects) == [("h03", PARALLEL)]
    assert len(kept(effects)) == 1


def test_chunk_of_another_height_or_place_or_a_second_time_is_not_kept(desk):
    desk.hear("h03", manifest(desk, QUORUM, DIGESTS))
    for height, index, data in ((4, 0, CHUNKS[0]), (8, 6, CHUNKS[0]), (8, 2**62, CHUNKS[0]), (8, 1, CHUNKS[0])):
        assert kept(desk.hear("h03", ChunkAnswer(height, index, data))) == []
    assert len(kept(desk.hear("h03", ChunkAnswer(8, 0, CHUNKS[0])))) == 1
    assert kept(desk.hear("h03", ChunkAnswer(8, 0, CHUNKS[0]))) == []


def test_chunk_that_does_not_come_is_asked_of_another_who_has_the_snapshot(desk):
    desk.hear("h03", manifest(desk, QUORUM, DIGESTS))
    desk.hear("h01", Status(0, 0, False, 8, 8, 1, False, CLOCK))
    desk.world.now += SIM_TIMERS.fetch_timeout
    effects = desk.hear("h01", Status(0, 0, False, 8, 8, 1, False, CLOCK))
    assert {peer for peer, _ in fetched(effects)} == {"h01", "h03"}
    assert sorted(index for _, index in fetched(effects)) == list(range(PARALLEL))


def test_snapshot_that_nobody_holds_any_more_is_given_up_and_its_chunks_serve_the_next(desk):
    desk.hear("h03", manifest(desk, QUORUM, DIGESTS))
    desk.hear("h03", ChunkAnswer(8, 0, CHUNKS[0]))
    desk.world.now += SIM_TIMERS.fetch_timeout
    desk.hear("h03", Status(0, 0, False, 12, 12, 1, False, CLOCK))
    assert desk.replica._state.transfer is None
    effects = desk.hear("h03", manifest(desk, QUORUM, (DIGESTS[5], DIGESTS[0])))
    assert [index for _, index in fetched(effects)] == [0]


def test_manifest_of_what_is_executed_or_of_a_strange_epoch_is_passed_over(desk):
    at_checkpoint(desk)
    good = manifest(desk, QUORUM, DIGESTS)
    body = msgspec.structs.replace(good.certificate.body, epoch=1)
    later = msgspec.structs.replace(good, certificate=desk.checkpoint(body, QUORUM))
    summary = StateSummary(4, 0, bytes(32), bytes(32))
    body = msgspec.structs.replace(good.certificate.body, height=4, state=summary)
    earlier = msgspec.structs.replace(good, certificate=desk.checkpoint(body, QUORUM))
    for one in (later, earlier):
        assert fetched(desk.hear("h03", one)) == []


def test_certified_snapshot_that_does_not_restore_halts_the_replica(desk):
    desk.hear("h03", manifest(desk, QUORUM, DIGESTS[:1]))
    desk.hear("h03", ChunkAnswer(8, 0, CHUNKS[0]))
    assert "does not restore" in desk.replica.halted
    assert desk.replica.height == 0


def test_snapshot_is_served_as_far_as_it_goes_and_others_begin_to_fetch_it(desk):
    body = at_checkpoint(desk)
    desk.hear("h03", StableProof(desk.checkpoint(body, QUORUM)))
    [served] = sent(desk.hear("h03", FetchManifest(0)), Manifest)
    count = len(served.chunks)
    effects = [desk.hear("h03", FetchChunk(height, index)) for height, index in ((4, 0), (4, count), (8, 0))]
    assert [[(e.height, e.index) for e in some if isinstance(e, SendChunk)] for some in effects] == [[(4, 0)], [], []]
    other = Desk()
    assert other.chain == desk.chain
    assert sent(other.hear("h03", FetchManifest(0)), Manifest) == []
    assert fetched(other.hear("h03", served)) != []
