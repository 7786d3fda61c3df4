"""Certificates that a light client or an auditor checks alone: of blocks, checkpoints, and the way between epochs.

See spec/ledger.md, "Certificates".
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from medward.ledger.encoding import Count, Hash, Name, Structure, content_identifier, digest, encode
from medward.ledger.errors import InvalidCertificate
from medward.ledger.execution import StateSummary, transactions_root
from medward.ledger.membership import MAX_MEMBERS, Membership
from medward.ledger.merkle import MerkleProof, verify_proof
from medward.ledger.signatures import Domain, Signatures, Verifier


class BlockHeader(Structure, frozen=True):
    """What the members vote on.

    Args:
        chain: the chain id.
        epoch: the membership epoch that orders this height.
        height: the sequence number.
        time: proposed time in milliseconds; 0 in a null block, which takes the time of the block before.
        transactions: the Merkle root of the encoded transactions.
        count: how many there are.
    """

    chain: Hash
    epoch: Count
    height: Count
    time: Count
    transactions: Hash
    count: Count

    def digest(self) -> bytes:
        """Return the digest that votes name."""
        return digest(self)

    @property
    def cid(self) -> str:
        """The header's content identifier."""
        return content_identifier(encode(self))

    @staticmethod
    def null(chain: bytes, epoch: int, height: int) -> "BlockHeader":
        """Return the header that fills a gap after a view change."""
        return BlockHeader(chain, epoch, height, 0, bytes(32), 0)


class Vote(Structure, frozen=True):
    """One member's signature in a certificate."""

    member: Name
    signatures: Signatures


Votes = Annotated[tuple[Vote, ...], msgspec.Meta(max_length=MAX_MEMBERS)]


class CommitCertificate(Structure, frozen=True):
    """A header with the commit votes of a quorum, all of one view: this block and no other has this height."""

    header: BlockHeader
    view: Count
    votes: Votes

    def verify(self, membership: Membership, chain: bytes, verifier: Verifier) -> None:
        """Check the certificate against the members of its epoch.

        Raises:
            InvalidCertificate: it does not prove its header.
        """
        header = self.header
        if header.chain != chain or header.epoch != membership.epoch or header.height < membership.first_height:
            raise InvalidCertificate(f"the certificate for height {header.height} is of another chain or epoch")
        domain = Domain(chain, "commit", header.epoch, self.view, header.height)
        verify_votes(self.votes, membership, domain, header.digest(), needed=membership.quorum, verifier=verifier)


class CertifiedBlock(Structure, frozen=True):
    """A block that proves itself: the certificate and the encoded transactions it names."""

    certificate: CommitCertificate
    transactions: tuple[bytes, ...]

    def verify(self, membership: Membership, chain: bytes, verifier: Verifier) -> None:
        """Check the certificate, and that these are the transactions it names.

        Raises:
            InvalidCertificate: either is not so.
        """
        header = self.certificate.header
        if len(self.transactions) != header.count or transactions_root(self.transactions) != header.transactions:
            raise InvalidCertificate(f"the transactions of height {header.height} are not those that its header names")
        self.certificate.verify(membership, chain, verifier)


class CheckpointBody(Structure, frozen=True):
    """What a checkpoint says; members sign its digest.

    Args:
        epoch: the epoch that ordered the height.
        height: a multiple of the checkpoint interval.
        state: the state after it.
        history: SHA-256(history before || header digest), over all heights.
        membership: the digest of the members that order the next height.
        snapshot: the digest of the list of SHA-256 digests of the snapshot's chunks.
    """

    chain: Hash
    epoch: Count
    height: Count
    state: StateSummary
    history: Hash
    membership: Hash
    snapshot: Hash

    def digest(self) -> bytes:
        """Return the digest that members sign."""
        return digest(self)


class CheckpointCertificate(Structure, frozen=True):
    """A checkpoint with the votes of a quorum of its epoch: this state is final."""

    body: CheckpointBody
    votes: Votes

    def verify(self, membership: Membership, chain: bytes, verifier: Verifier) -> None:
        """Check the certificate against the members of its epoch.

        Raises:
            InvalidCertificate: it does not prove its state.
        """
        body = self.body
        if body.chain != chain or body.epoch != membership.epoch or body.height < membership.first_height:
            raise InvalidCertificate(f"the checkpoint at height {body.height} is of another chain or epoch")
        if body.state.height != body.height:
            raise InvalidCertificate(f"the checkpoint at height {body.height} names the state of another height")
        domain = Domain(chain, "checkpoint", body.epoch, 0, body.height)
        verify_votes(self.votes, membership, domain, body.digest(), needed=membership.quorum, verifier=verifier)


class Handover(Structure, frozen=True):
    """The last checkpoint of an epoch and the members that vote after it."""

    certificate: CheckpointCertificate
    membership: Membership


class CertifiedAnswer(Structure, frozen=True):
    """A query's answer with its proof against a stable checkpoint.

    Args:
        key: the key in the application's map.
        value: what stands there, or None where nothing does.
        proof: from the key to the application's root.
        certificate: the checkpoint whose state has that root.
    """

    key: bytes
    value: bytes | None
    proof: MerkleProof
    certificate: CheckpointCertificate

    def verify(self, membership: Membership, chain: bytes, verifier: Verifier) -> None:
        """Check the answer.

        Raises:
            InvalidCertificate: the checkpoint does not prove its state.
            InvalidProof: the proof does not lead to that state's root.
        """
        self.certificate.verify(membership, chain, verifier)
        verify_proof(self.certificate.body.state.app_hash, self.key, self.value, self.proof)


def verify_votes(
    votes: Iterable[Vote], membership: Membership, domain: Domain, content: bytes, *, needed: int, verifier: Verifier
) -> None:
    """Check that at least `needed` different members signed `content` in `domain`, and that no vote is bad.

    Raises:
        InvalidCertificate: too few, a stranger, a member twice, or a signature that does not verify.
    """
    names = set()
    for vote in votes:
        member = membership.member(vote.member)
        if member is None:
            raise InvalidCertificate(f"{vote.member} is no member of epoch {membership.epoch} and cannot vote in it")
        if vote.member in names:
            raise InvalidCertificate(f"{vote.member} is counted twice in a certificate")
        if not verifier.valid(member.keys, domain, content, vote.signatures):
            raise InvalidCertificate(f"the {domain.kind} of {vote.member} at height {domain.height} does not verify")
        names.add(vote.member)
    if len(names) < needed:
        raise InvalidCertificate(f"{len(names)} votes do not make a quorum of {needed} at height {domain.height}")


def follow_handovers(
    genesis: Membership, handovers: Sequence[Handover], chain: bytes, verifier: Verifier
) -> list[Membership]:
    """Return the memberships of every epoch from `genesis` on, each proved by the epoch before it.

    Raises:
        InvalidCertificate: a step is missing or proves something else.
    """
    memberships = [genesis]
    for handover in handovers:
        now, following = memberships[-1], handover.membership
        handover.certificate.verify(now, chain, verifier)
        body = handover.certificate.body
        if (
            following.digest() != body.membership
            or following.epoch != now.epoch + 1
            or following.first_height != body.height + 1
        ):
            raise InvalidCertificate(f"the handover from epoch {now.epoch} names other members than its certificate")
        memberships.append(following)
    return memberships


def snapshot_digests(data: bytes, chunk_bytes: int) -> tuple[bytes, ...]:
    """Return the SHA-256 of each chunk of a snapshot, all but the last `chunk_bytes` long."""
    starts = range(0, max(len(data), 1), chunk_bytes)
    return tuple(hashlib.sha256(data[start : start + chunk_bytes]).digest() for start in starts)
