import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from medward.ledger.certificates import (
    BlockHeader,
    CertifiedAnswer,
    CertifiedBlock,
    CheckpointBody,
    CheckpointCertificate,
    CommitCertificate,
    Handover,
    Vote,
    follow_handovers,
)
from medward.ledger.errors import InvalidCertificate, InvalidProof
from medward.ledger.execution import StateSummary, transactions_root
from medward.ledger.membership import ChainParameters, Genesis, Membership, next_membership, quorum, tolerated_faults
from medward.ledger.merkle import MerkleMap
from medward.ledger.signatures import Domain, MemberSigner, MemberVerifier
from medward.ledger.snapshots import MapSnapshot
from medward.ledger.types import Member, MemberUpdate

SIGNERS = {f"h{i}": MemberSigner(Ed25519PrivateKey.generate()) for i in range(4)}
SIGNERS["h3"] = MemberSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
GENESIS = Genesis(
    "test",
    0,
    ChainParameters(),
    tuple(Member(name, 0, signer.public_keys, b"", "") for name, signer in SIGNERS.items()),
)
CHAIN, MEMBERS = GENESIS.chain, GENESIS.membership
TRANSACTIONS = (b"one", b"two", b"three")
HEADER = BlockHeader(CHAIN, 0, 5, 9, transactions_root(TRANSACTIONS), 3)


def commit(name, header=HEADER, view=2, kind="commit"):
    domain = Domain(CHAIN, kind, header.epoch, view, header.height)
    return Vote(name, SIGNERS[name].sign(domain, header.digest()))


def certify(names, **changes):
    return CommitCertificate(HEADER, 2, tuple(commit(name, **changes) for name in names))


def check(certificate):
    certificate.verify(MEMBERS, CHAIN, MemberVerifier())


@pytest.mark.parametrize("members", range(1, 65))
def test_quorums_share_a_correct_member_and_the_correct_ones_are_a_quorum(members):
    assert 2 * quorum(members) - members > tolerated_faults(members)
    assert quorum(members) <= members - tolerated_faults(members)


def test_a_block_is_verified_from_its_certificate_alone():
    CertifiedBlock(certify(["h0", "h1", "h3"]), TRANSACTIONS).verify(MEMBERS, CHAIN, MemberVerifier())


@pytest.mark.parametrize("transactions", [(), (b"one", b"two"), (b"two", b"one", b"three"), (*TRANSACTIONS, b"x")])
def test_other_transactions_than_those_voted_for_are_refused(transactions):
    with pytest.raises(InvalidCertificate):
        CertifiedBlock(certify(["h0", "h1", "h3"]), transactions).verify(MEMBERS, CHAIN, MemberVerifier())


@pytest.mark.parametrize(
    "certificate",
    [
        certify(["h0", "h1"]),
        certify(["h0", "h1", "h1"]),
        certify(["h0", "h1", "h2", "h2"]),
        certify(["h0", "h1", "h2"], kind="prepare"),
        certify(["h0", "h1", "h2"], view=3),
        certify(["h0", "h1", "h2"], header=msgspec.structs.replace(HEADER, time=10)),
        msgspec.structs.replace(certify(["h0", "h1", "h2"]), header=msgspec.structs.replace(HEADER, epoch=1)),
        msgspec.structs.replace(certify(["h0", "h1", "h2"]), header=msgspec.structs.replace(HEADER, chain=bytes(32))),
    ],
    ids=[
        "too few",
        "one twice",
        "one more than once",
        "prepares",
        "another view",
        "another header",
        "another epoch",
        "another chain",
    ],
)
def test_a_certificate_that_proves_less_is_refused(certificate):
    with pytest.raises(InvalidCertificate):
        check(certificate)


@pytest.mark.parametrize("changes", [{"chain": bytes(32)}, {"epoch": 1}, {"height": 0}])
def test_members_prove_nothing_of_another_chain_epoch_or_time(changes):
    """The same members, with the same keys, may vote elsewhere: what they sign there is not believed here."""
    header = msgspec.structs.replace(HEADER, **changes)
    votes = tuple(commit(name, header) for name in ("h0", "h1", "h2"))
    with pytest.raises(InvalidCertificate, match="another chain or epoch"):
        check(CommitCertificate(header, 2, votes))


@pytest.mark.parametrize("changes", [{"chain": bytes(32)}, {"epoch": 1}, {"height": 0}, {"height": 16}])
def test_checkpoint_of_another_chain_epoch_or_height_is_refused(changes):
    body = msgspec.structs.replace(checkpoint(["h0"]).body, **changes)
    domain = Domain(CHAIN, "checkpoint", body.epoch, 0, body.height)
    votes = tuple(Vote(name, SIGNERS[name].sign(domain, body.digest())) for name in ("h0", "h1", "h2"))
    with pytest.raises(InvalidCertificate, match="another"):
        CheckpointCertificate(body, votes).verify(MEMBERS, CHAIN, MemberVerifier())


def test_a_stranger_cannot_vote():
    stranger = MemberSigner(Ed25519PrivateKey.generate())
    domain = Domain(CHAIN, "commit", 0, 2, 5)
    votes = (*certify(["h0", "h1"]).votes, Vote("h9", stranger.sign(domain, HEADER.digest())))
    with pytest.raises(InvalidCertificate, match="no member"):
        check(CommitCertificate(HEADER, 2, votes))


def test_a_hybrid_member_is_not_believed_with_half_a_signature():
    votes = list(certify(["h0", "h1", "h3"]).votes)
    assert len(votes[2].signatures) == 2
    for half in (votes[2].signatures[:1], votes[2].signatures[1:], votes[2].signatures[::-1]):
        spoiled = (*votes[:2], Vote("h3", half))
        with pytest.raises(InvalidCertificate):
            check(CommitCertificate(HEADER, 2, spoiled))


def checkpoint(names, membership=MEMBERS, following=MEMBERS, app_hash=bytes(32), height=8):
    summary = StateSummary(height, 1, app_hash, bytes(32))
    body = CheckpointBody(CHAIN, membership.epoch, height, summary, bytes(32), following.digest(), bytes(32))
    domain = Domain(CHAIN, "checkpoint", membership.epoch, 0, height)
    return CheckpointCertificate(body, tuple(Vote(n, SIGNERS[n].sign(domain, body.digest())) for n in names))


def test_a_query_is_verified_from_its_proof():
    state = MerkleMap().set(b"a", b"1").set(b"b", b"2")
    certificate = checkpoint(["h0", "h1", "h2"], app_hash=state.root)
    for path in ("a", "nothing"):
        value, key, proof = MapSnapshot(state).prove(path)
        CertifiedAnswer(key, value, proof, certificate).verify(MEMBERS, CHAIN, MemberVerifier())
        with pytest.raises(InvalidProof):
            CertifiedAnswer(key, b"forged", proof, certificate).verify(MEMBERS, CHAIN, MemberVerifier())


def test_members_of_a_later_epoch_are_proved_from_the_genesis_on():
    later = next_membership(MEMBERS, (MemberUpdate("h0", None),), 9)
    handover = Handover(checkpoint(["h1", "h2", "h3"], following=later), later)
    assert follow_handovers(MEMBERS, [handover], CHAIN, MemberVerifier())[-1].names == ("h1", "h2", "h3")
    forged = Handover(handover.certificate, Membership(1, 9, MEMBERS.members))
    with pytest.raises(InvalidCertificate):
        follow_handovers(MEMBERS, [forged], CHAIN, MemberVerifier())
    with pytest.raises(InvalidCertificate):
        follow_handovers(MEMBERS, [Handover(checkpoint(["h1"], following=later), later)], CHAIN, MemberVerifier())


def test_an_update_that_makes_no_sense_changes_nothing():
    thief = Member("h9", 0, SIGNERS["h0"].public_keys, b"", "")
    updates = (MemberUpdate("nobody", None), MemberUpdate("h9", thief), MemberUpdate("other", thief))
    assert next_membership(MEMBERS, updates, 9).members == MEMBERS.members
    everybody_leaves = tuple(MemberUpdate(name, None) for name in MEMBERS.names)
    assert next_membership(MEMBERS, everybody_leaves, 9).size == 1
