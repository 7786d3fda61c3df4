"""Each check that a replica makes of what others send, met by the one message that only it stops.

The replica under test is h02 of four: a backup in the views 0 and 1, which h00 and h01 lead. Everything is signed by
the key it should be signed by, but for what the test says.
"""

import msgspec
import pytest

from medward.ledger.bank import Bank, ChangeMembers, Deposit
from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointBody,
    CheckpointCertificate,
    CommitCertificate,
    Vote,
)
from medward.ledger.encoding import digest, encode
from medward.ledger.errors import JournalCorrupt
from medward.ledger.execution import StateSummary, transactions_root
from medward.ledger.pbft.effects import (
    Accepted,
    Append,
    CheckpointTaken,
    LeftView,
    Prepared,
    Received,
    Recovered,
    Refuse,
    SaveChunk,
    Send,
    StoreBlock,
    StoreEvidence,
    Submitted,
    Tick,
)
from medward.ledger.pbft.messages import (
    BatchAnswer,
    BlockAnswer,
    CheckpointVote,
    ChunkAnswer,
    Commit,
    Echo,
    FetchBatch,
    FetchChunk,
    Manifest,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Request,
    StableProof,
    ViewChange,
)
from medward.ledger.pbft.replica import Replica
from medward.ledger.pbft.view_change import Proofs, reproposed_headers
from medward.ledger.signatures import Domain
from medward.ledger.transactions import decode_transaction, encode_transaction, sign_transaction
from medward.ledger.types import MemberUpdate
from tests.sim.world import GENESIS_TIME, SIM_TIMERS, World

NAMES = ("h00", "h01", "h02", "h03")
CLOCK = GENESIS_TIME + 5_000


class Desk:
    """Composes messages in any member's name, and hands them to the replica under test."""

    def __init__(self):
        self.world = World(1, 4)
        self.world.run(1_000)  # until all know that their journals are complete
        self.chain = self.world.genesis.chain
        self.replica = self.world.nodes["h02"].replica

    # What happens.

    def hear(self, peer, *messages):
        """Let the replica hear messages over the channel of `peer`; return what it wrote, and what it sent."""
        return [e for m in messages for e in self.replica.step(Received(peer, m), self.world.now, CLOCK)]

    # What is said.

    def sign(self, name, kind, view, height, content, epoch=0, chain=None):
        domain = Domain(chain or self.chain, kind, epoch, view, height)
        return self.world.nodes[name].signer.sign(domain, content)

    def header(self, height=1, transactions=(), time=CLOCK, chain=None, epoch=0):
        root = transactions_root(transactions)
        return BlockHeader(chain or self.chain, epoch, height, time, root, len(transactions))

    def propose(self, header, transactions=(), view=0, leader=None):
        leader = leader or NAMES[view % 4]
        signed = self.sign(leader, "pre-prepare", view, header.height, header.digest(), header.epoch, header.chain)
        return PrePrepare(view, header, tuple(transactions), leader, signed)

    def vote(self, form, name, header, view=0):
        kind = "prepare" if form is Prepare else "commit"
        signed = self.sign(name, kind, view, header.height, header.digest())
        return form(0, view, header.height, header.digest(), name, signed)

    def prepared(self, header, view=0, voters=("h02", "h03"), leader=None):
        leader = leader or NAMES[view % 4]
        content, height = header.digest(), header.height
        signed = self.sign(leader, "pre-prepare", view, height, content, header.epoch, header.chain)
        votes = [Vote(name, self.sign(name, "prepare", view, height, content, header.epoch)) for name in voters]
        return PreparedCertificate(view, header, signed, tuple(votes))

    def view_change(self, name, view=1, prepared=(), stable=None, epoch=0):
        unsigned = ViewChange(epoch, view, stable, tuple(prepared), name, ())
        signed = self.sign(name, "view-change", view, unsigned.stable_height, unsigned.content(), epoch)
        return msgspec.structs.replace(unsigned, signatures=signed)

    def new_view(self, view_changes, view=1, headers=None, leader=None, proposer=None):
        leader = leader or NAMES[view % 4]
        if headers is None:
            headers = reproposed_headers(self.chain, 0, view_changes)
        proposals = [
            Proposal(h, self.sign(proposer or leader, "pre-prepare", view, h.height, h.digest(), h.epoch, h.chain))
            for h in headers
        ]
        unsigned = NewView(0, view, tuple(view_changes), tuple(proposals), leader, ())
        return msgspec.structs.replace(unsigned, signatures=self.sign(leader, "new-view", view, 0, unsigned.content()))

    def certified(self, header, transactions=(), voters=("h00", "h01", "h03")):
        content = header.digest()
        votes = [Vote(name, self.sign(name, "commit", 0, header.height, content)) for name in voters]
        return CertifiedBlock(CommitCertificate(header, 0, tuple(votes)), tuple(transactions))

    def checkpoint(self, body, voters):
        votes = [Vote(name, self.sign(name, "checkpoint", 0, body.height, body.digest())) for name in voters]
        return CheckpointCertificate(body, tuple(votes))

    def order(self, client="client", nonce=1, amount=1):
        signer = self.world.secrets.signer(client)
        return encode_transaction(sign_transaction(self.chain, signer, nonce, encode(Deposit("a", amount))))

    def forged_order(self):
        good, other = (decode_transaction(self.order(amount=amount)) for amount in (1, 2))
        return encode_transaction(msgspec.structs.replace(other, signatures=good.signatures))

    def proofs(self):
        return Proofs([self.world.genesis.membership], self.chain, self.world.verifier, 16)


@pytest.fixture
def desk():
    return Desk()


def records(effects, form):
    return [e.record for e in effects if isinstance(e, Append) and isinstance(e.record, form)]


def sent(effects, form):
    return [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, form)]


def other_kind(desk, vote):
    """The same vote with a signature of its own sender under something else."""
    return msgspec.structs.replace(vote, signatures=desk.sign(vote.sender, "transaction", 0, 0, bytes(32)))


# N2: what is voted for.


def test_proposal_of_the_leader_is_voted_for(desk):
    transactions = (desk.order(),)
    effects = desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    assert len(records(effects, Accepted)) == 1


def test_proposal_of_who_does_not_lead_is_not(desk):
    assert not records(desk.hear("h01", desk.propose(desk.header(), leader="h01")), Accepted)


def test_proposal_that_its_leader_did_not_sign_is_not(desk):
    assert not records(desk.hear("h00", other_kind(desk, desk.propose(desk.header()))), Accepted)


def test_proposal_of_another_chain_is_not(desk):
    assert not records(desk.hear("h00", desk.propose(desk.header(chain=bytes(32)))), Accepted)


def test_proposal_with_other_transactions_than_its_header_names_is_not(desk):
    proposal = desk.propose(desk.header(1, (desk.order(amount=1),)), (desk.order(amount=2),))
    assert not records(desk.hear("h00", proposal), Accepted)


def test_batch_over_the_limit_makes_the_replica_leave(desk):
    transactions = tuple(desk.order(nonce=nonce) for nonce in range(1, 10))
    effects = desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    assert not records(effects, Accepted)
    assert len(records(effects, LeftView)) == 1


def test_batch_over_the_limit_in_bytes_makes_the_replica_leave(desk):
    transactions = tuple(bytes(200_000) + bytes([place]) for place in range(6))
    assert len(records(desk.hear("h00", desk.propose(desk.header(1, transactions), transactions)), LeftView)) == 1


def test_transaction_twice_in_a_batch_makes_the_replica_leave(desk):
    transactions = (desk.order(amount=1), desk.order(amount=2))
    effects = desk.hear("h00", desk.propose(desk.header(1, transactions), transactions))
    assert not records(effects, Accepted)
    assert len(records(effects, LeftView)) == 1


def test_transaction_that_its_client_did_not_sign_makes_the_replica_leave(desk):
    forged = desk.forged_order()
    effects = desk.hear("h00", desk.propose(desk.header(1, (forged,)), (forged,)))
    assert not records(effects, Accepted)
    assert len(records(effects, LeftView)) == 1


def test_heights_beyond_the_window_are_not_voted_for(desk):
    effects = desk.hear("h00", *(desk.propose(desk.header(height)) for height in range(1, 9)))
    assert [record.pre_prepare.header.height for record in records(effects, Accepted)] == [1, 2, 3, 4]


def test_height_that_was_executed_is_not_voted_for(desk):
    desk.hear("h03", BlockAnswer(desk.certified(desk.header())))
    assert desk.replica.height == 1
    assert not records(desk.hear("h00", desk.propose(desk.header())), Accepted)
    assert len(records(desk.hear("h00", desk.propose(desk.header(2))), Accepted)) == 1


def test_old_key_of_a_member_votes_for_nothing(desk):
    world = desk.world
    stranger = world.secrets.signer("h02/another")
    replica = Replica("h02", world.genesis, stranger, world.verifier, Bank(), parameters=SIM_TIMERS, confirm=False)
    effects = replica.step(Received("h00", desk.propose(desk.header())), world.now, CLOCK)
    assert not records(effects, Accepted)


# N3, N4, N6: votes.


def test_q_minus_1_prepares_of_others_than_the_leader_make_a_prepared_certificate(desk):
    header = desk.header()
    assert not records(desk.hear("h00", desk.propose(header)), Prepared)
    assert not records(desk.hear("h00", desk.vote(Prepare, "h00", header)), Prepared)
    (prepared,) = records(desk.hear("h03", desk.vote(Prepare, "h03", header)), Prepared)
    assert [vote.member for vote in prepared.certificate.votes] == ["h02", "h03"]


def test_q_commits_make_a_block(desk):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    desk.hear("h03", desk.vote(Prepare, "h03", header))
    desk.hear("h03", desk.vote(Commit, "h03", header))
    assert desk.replica.height == 0
    desk.hear("h01", desk.vote(Commit, "h01", header))
    assert desk.replica.height == 1


def test_prepare_that_its_sender_did_not_sign_counts_for_nothing(desk):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    assert not records(desk.hear("h03", other_kind(desk, desk.vote(Prepare, "h03", header))), Prepared)


def test_prepare_over_another_member_s_channel_counts_for_nothing(desk):
    header = desk.header()
    desk.hear("h00", desk.propose(header))
    assert not records(desk.hear("h03", desk.vote(Prepare, "h01", header)), Prepared)


def test_second_prepare_of_a_member_counts_for_nothing_and_is_evidence(desk):
    header, other = desk.header(), desk.header(time=CLOCK + 1)
    desk.hear("h00", desk.propose(header))
    desk.hear("h03", desk.vote(Prepare, "h03", other))
    effects = desk.hear("h03", desk.vote(Prepare, "h03", header))
    assert not records(effects, Prepared)
    assert any(isinstance(effect, StoreEvidence) for effect in effects)


def test_second_proposal_for_a_height_gets_no_vote_and_is_evidence(desk):
    header, other = desk.header(), desk.header(time=CLOCK + 1)
    desk.hear("h00", desk.propose(header))
    effects = desk.hear("h00", desk.propose(other))
    assert any(isinstance(effect, StoreEvidence) for effect in effects)
    effects = desk.hear("h03", desk.vote(Prepare, "h03", other)) + desk.hear("h01", desk.vote(Prepare, "h01", other))
    assert not records(effects, Prepared)


# Requests.


def test_client_s_requests_over_the_limit_wait_nowhere(desk):
    limit = SIM_TIMERS.max_pending_per_client
    requests = tuple(desk.order(nonce=nonce) for nonce in range(1, limit + 2))
    effects = desk.replica.step(Submitted(requests), desk.world.now, CLOCK)
    (refused,) = [effect for effect in effects if isinstance(effect, Refuse)]
    assert refused.transaction == requests[-1]
    # Another client's still may.
    effects = desk.replica.step(Submitted((desk.order("another"),)), desk.world.now, CLOCK)
    assert not [effect for effect in effects if isinstance(effect, Refuse)]


def test_requests_over_the_limit_of_all_wait_nowhere(desk):
    world = desk.world
    few = msgspec.structs.replace(SIM_TIMERS, max_pending=2)
    replica = Replica("h02", world.genesis, world.nodes["h02"].signer, world.verifier, Bank(), parameters=few)
    requests = tuple(desk.order(client) for client in "abc")
    effects = replica.step(Submitted(requests), world.now, CLOCK)
    assert [effect.transaction for effect in effects if isinstance(effect, Refuse)] == [requests[-1]]


def test_request_that_its_client_did_not_sign_is_not_passed_on(desk):
    forged = desk.forged_order()
    effects = desk.replica.step(Submitted((forged,)), desk.world.now, CLOCK)
    assert not sent(effects, Request)
    assert [effect.transaction for effect in effects if isinstance(effect, Refuse)] == [forged]


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


def at_checkpoint(desk):
    """Execute up to the first checkpoint; return what the replica signed there."""
    for height in range(1, 5):
        effects = desk.hear("h03", BlockAnswer(desk.certified(desk.header(height))))
        assert any(isinstance(effect, StoreBlock) for effect in effects)
    return desk.replica._state.own_checkpoints[4].body


def checkpoint_vote(desk, name, body):
    return CheckpointVote(body, name, desk.sign(name, "checkpoint", 0, body.height, body.digest()))


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
