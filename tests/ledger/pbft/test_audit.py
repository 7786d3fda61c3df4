"""An auditor believes nothing but the genesis: each block and each proof of equivocation is verified from there."""

import pytest
from msgspec.structs import replace

from medward.ledger.bank import Bank
from medward.ledger.certificates import CheckpointBody, CheckpointCertificate, Handover, Vote
from medward.ledger.errors import InvalidCertificate, InvalidSignature, NotCanonical
from medward.ledger.execution import StateSummary
from medward.ledger.membership import Membership
from medward.ledger.pbft.audit import audit_chain, verify_evidence
from medward.ledger.pbft.messages import Commit, Evidence, Prepare, Status, encode_message
from medward.ledger.signatures import Domain
from tests.ledger.simulator.desk import CLOCK, NAMES, Desk, checkpoint_vote

END = 4


@pytest.fixture(scope="module")
def desk():
    return Desk()


def block(desk, height, transactions=(), **options):
    return desk.certified(desk.header(height, transactions), transactions, **options)


def audited(desk, blocks, handovers=()):
    return audit_chain(desk.world.genesis, Bank(), handovers, blocks, desk.world.verifier)


def test_blocks_from_the_genesis_on_give_the_state_that_they_order(desk):
    blocks = [block(desk, 1, (desk.order(amount=7),)), block(desk, 2), block(desk, 3, (desk.order(nonce=2, amount=1),))]
    summary = audited(desk, blocks)
    assert summary.height == 3
    again = audited(desk, [blocks[0], block(desk, 2, (desk.order(nonce=2, amount=1),))])
    assert again.app_hash == summary.app_hash
    assert audited(desk, blocks[:1]).app_hash != summary.app_hash
    assert audited(desk, []).height == 0


@pytest.mark.parametrize("heights", [(2,), (1, 3), (1, 1), (1, 2, 1), (0,)])
def test_missing_or_repeated_height_is_named(desk, heights):
    missing = next(number for number, height in enumerate(heights, 1) if number != height)
    with pytest.raises(InvalidCertificate, match=f"height {missing} is missing"):
        audited(desk, (block(desk, height) for height in heights))


def test_block_that_too_few_or_another_chain_signed_is_refused(desk):
    with pytest.raises(InvalidCertificate, match="2 votes do not make a quorum of 3"):
        audited(desk, [block(desk, 1, voters=("h00", "h01"))])
    with pytest.raises(InvalidCertificate):
        audited(desk, [desk.certified(desk.header(1, chain=bytes(32)))])


def test_block_with_other_transactions_than_were_certified_is_refused(desk):
    good = block(desk, 1, (desk.order(),))
    for other in ((), (desk.order(amount=2),), good.transactions * 2):
        with pytest.raises(InvalidCertificate):
            audited(desk, [replace(good, transactions=other)])


def test_transaction_that_its_client_did_not_sign_is_refused_although_a_quorum_certified_it(desk):
    with pytest.raises(InvalidSignature):
        audited(desk, [block(desk, 1, (desk.forged_order(),))])
    with pytest.raises(NotCanonical):
        audited(desk, [block(desk, 1, (b"no transaction",))])


def handover(desk):
    """From h00 to h03 to h00 to h02, after the block of height 4."""
    genesis = desk.world.genesis.membership
    following = Membership(1, END + 1, genesis.members[:3])
    summary = StateSummary(END, CLOCK, bytes(32), bytes(32))
    body = CheckpointBody(desk.chain, 0, END, summary, bytes(32), following.digest(), bytes(32))
    return Handover(desk.checkpoint(body, NAMES[:3]), following)


def later_block(desk, height, voters):
    """A block that members of epoch 1 certified."""
    header = desk.header(height, epoch=1)
    votes = [Vote(name, desk.sign(name, "commit", 0, height, header.digest(), epoch=1)) for name in voters]
    made = block(desk, height)
    return replace(made, certificate=replace(made.certificate, header=header, votes=tuple(votes)))


def test_each_epoch_s_blocks_are_of_its_own_members_and_heights_alone(desk):
    first, step = [block(desk, height) for height in range(1, END + 1)], handover(desk)
    present = NAMES[:3]
    assert audited(desk, [*first, later_block(desk, END + 1, present)], (step,)).height == END + 1
    # Of members whose time is over, and of members that nobody handed over to.
    for blocks, handovers in (
        ([*first, block(desk, END + 1)], (step,)),
        ([*first, later_block(desk, END + 1, present)], ()),
    ):
        with pytest.raises(InvalidCertificate, match="was not ordered by the members of its epoch"):
            audited(desk, blocks, handovers)
    # One who left votes, and members rewrite what was before their time.
    for blocks in ([*first, later_block(desk, END + 1, NAMES[1:])], [*first[:2], later_block(desk, 3, present)]):
        with pytest.raises(InvalidCertificate):
            audited(desk, blocks, (step,))


def test_handover_to_other_members_than_were_certified_is_refused(desk):
    step = handover(desk)
    for members in (
        replace(step.membership, members=step.membership.members[:2]),
        replace(step.membership, epoch=2),
        replace(step.membership, first_height=END),
    ):
        with pytest.raises(InvalidCertificate):
            audited(desk, [block(desk, 1)], (replace(step, membership=members),))
    fewer = CheckpointCertificate(step.certificate.body, step.certificate.votes[:2])
    with pytest.raises(InvalidCertificate):
        audited(desk, [block(desk, 1)], (replace(step, certificate=fewer),))


# Evidence.


def evidence(*messages, member="h03"):
    return Evidence(member, *(encode_message(message) for message in messages))


def proved(desk, shown, memberships=None):
    verify_evidence(shown, memberships or [desk.world.genesis.membership], desk.chain, desk.world.verifier)


def two_headers(desk):
    return desk.header(2), desk.header(2, time=CLOCK + 1)


def test_two_things_signed_where_one_is_allowed_prove_it(desk):
    one, other = two_headers(desk)
    for form in (Prepare, Commit):
        proved(desk, evidence(*(desk.vote(form, "h03", header) for header in (one, other))))
    proved(desk, evidence(*(desk.propose(header, leader="h03") for header in (one, other))))
    bodies = [replace(handover(desk).certificate.body, history=bytes([number]) * 32) for number in range(2)]
    proved(desk, evidence(*(checkpoint_vote(desk, "h03", body) for body in bodies)))


def test_what_a_correct_member_may_sign_proves_nothing_against_it(desk):
    one, other = two_headers(desk)
    vote = desk.vote(Prepare, "h03", one)
    for pair in (
        (vote, vote),
        (vote, desk.vote(Commit, "h03", other)),
        (vote, desk.vote(Prepare, "h03", other, view=1)),
        (vote, desk.vote(Prepare, "h03", desk.header(3))),
    ):
        with pytest.raises(InvalidCertificate, match="evidence against h03 shows no contradiction"):
            proved(desk, evidence(*pair))


def test_nobody_is_accused_of_what_another_signed_or_nobody_did(desk):
    one, other = two_headers(desk)
    votes = [desk.vote(Prepare, "h03", header) for header in (one, other)]
    unsigned = replace(votes[1], signatures=votes[0].signatures)
    by_another = replace(desk.vote(Prepare, "h01", other), sender="h03")
    in_another_s_name = replace(votes[1], sender="h01")
    for wrong in (unsigned, by_another, in_another_s_name):
        for pair in ((votes[0], wrong), (wrong, votes[0])):
            with pytest.raises(InvalidCertificate, match="evidence against h03 is not signed by it"):
                proved(desk, evidence(*pair))
    for accused in ("h02", "stranger"):
        with pytest.raises(InvalidCertificate, match=f"evidence against {accused} is not signed by it"):
            proved(desk, evidence(*votes, member=accused))


def test_evidence_of_another_chain_or_an_epoch_that_nobody_proved_is_none(desk):
    one, other = two_headers(desk)
    foreign = [desk.header(2, time=time, chain=bytes(32)) for time in (CLOCK, CLOCK + 1)]
    with pytest.raises(InvalidCertificate, match="evidence against h03 is of another chain"):
        proved(desk, evidence(*(desk.propose(header, leader="h03") for header in foreign)))
    later = []
    for header in (one, other):
        domain = Domain(desk.chain, "prepare", 1, 0, 2)
        signed = desk.world.nodes["h03"].signer.sign(domain, header.digest())
        later.append(Prepare(1, 0, 2, header.digest(), "h03", signed))
    with pytest.raises(InvalidCertificate, match="of an epoch that is not proved"):
        proved(desk, evidence(*later))


def test_bytes_that_are_no_message_or_no_vote_are_no_evidence(desk):
    vote = encode_message(desk.vote(Prepare, "h03", desk.header(2)))
    with pytest.raises(InvalidCertificate, match="evidence against h03 does not decode"):
        proved(desk, Evidence("h03", vote, b"\xff"))
    status = Status(0, 0, False, 0, 0, 0, False, 0)
    with pytest.raises(InvalidCertificate, match="consists of pre-prepares, prepares, commits or checkpoints"):
        proved(desk, evidence(status, status))
