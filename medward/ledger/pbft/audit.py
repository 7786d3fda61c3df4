"""An auditor's checks with nothing but the genesis: blocks, checkpoints, evidence.

See spec/ledger.md, "Certificates" and N6.
"""

from collections.abc import Iterable, Sequence

import msgspec

from medward.ledger.certificates import CertifiedBlock, Handover, follow_handovers
from medward.ledger.errors import InvalidCertificate, NotCanonical
from medward.ledger.execution import Execution, StateSummary
from medward.ledger.membership import Genesis, Membership
from medward.ledger.pbft.messages import (
    CheckpointVote,
    Commit,
    Evidence,
    Message,
    Prepare,
    PrePrepare,
    decode_message,
)
from medward.ledger.signatures import Domain, SignatureKind, Signatures, Verifier
from medward.ledger.transactions import decode_transaction, verify_transaction
from medward.ledger.types import Application


class _Claim(msgspec.Struct, frozen=True):
    domain: Domain
    content: bytes
    sender: str
    signatures: Signatures


def verify_evidence(evidence: Evidence, memberships: Sequence[Membership], chain: bytes, verifier: Verifier) -> None:
    """Check that the named member signed two different things where a correct one signs at most one.

    Args:
        evidence: the two messages.
        memberships: of every epoch, from `follow_handovers`.

    Raises:
        InvalidCertificate: the messages do not prove it.
    """
    try:
        first, second = (_claim(decode_message(data), chain) for data in (evidence.first, evidence.second))
    except NotCanonical as error:
        raise InvalidCertificate(f"the evidence against {evidence.member} does not decode: {error}") from error
    if first.domain != second.domain or first.content == second.content:
        raise InvalidCertificate(f"the evidence against {evidence.member} shows no contradiction")
    if first.domain.epoch >= len(memberships):
        raise InvalidCertificate(f"the evidence against {evidence.member} is of an epoch that is not proved")
    member = memberships[first.domain.epoch].member(evidence.member)
    for claim in (first, second):
        signed = member is not None and verifier.valid(member.keys, claim.domain, claim.content, claim.signatures)
        if claim.sender != evidence.member or not signed:
            raise InvalidCertificate(f"the evidence against {evidence.member} is not signed by it")


def _claim(message: Message, chain: bytes) -> _Claim:
    if isinstance(message, PrePrepare):
        if message.header.chain != chain:
            raise InvalidCertificate(f"the evidence against {message.sender} is of another chain")
        return _Claim(message.domain(), message.header.digest(), message.sender, message.signatures)
    if isinstance(message, Prepare | Commit):
        kind: SignatureKind = "prepare" if isinstance(message, Prepare) else "commit"
        domain = Domain(chain, kind, message.epoch, message.view, message.height)
        return _Claim(domain, message.digest, message.sender, message.signatures)
    if isinstance(message, CheckpointVote):
        domain = Domain(chain, "checkpoint", message.body.epoch, 0, message.body.height)
        return _Claim(domain, message.body.digest(), message.sender, message.signatures)
    raise InvalidCertificate("evidence consists of pre-prepares, prepares, commits or checkpoints")


def audit_chain(
    genesis: Genesis,
    application: Application,
    handovers: Sequence[Handover],
    blocks: Iterable[CertifiedBlock],
    verifier: Verifier,
) -> StateSummary:
    """Verify every block from height 1 on and apply it; return the state that follows.

    Args:
        application: in its genesis state.
        handovers: from the genesis to the last block's epoch.
        blocks: in ascending height from 1.

    Raises:
        InvalidCertificate: a block is missing, or not certified by the members of its time.
        InvalidSignature: a block holds a transaction that its client did not sign.
        NotCanonical: it holds one that is none.
    """
    memberships = follow_handovers(genesis.membership, handovers, genesis.chain, verifier)
    execution = Execution(application, genesis.time)
    for block in blocks:
        header = block.certificate.header
        if header.height != execution.height + 1:
            raise InvalidCertificate(f"height {execution.height + 1} is missing")
        following = memberships[header.epoch + 1] if header.epoch + 1 < len(memberships) else None
        if header.epoch >= len(memberships) or (following is not None and header.height >= following.first_height):
            raise InvalidCertificate(f"height {header.height} was not ordered by the members of its epoch")
        block.verify(memberships[header.epoch], genesis.chain, verifier)
        transactions = [decode_transaction(encoded) for encoded in block.transactions]
        for transaction in transactions:
            verify_transaction(genesis.chain, verifier, transaction)
        execution.execute(header.time, transactions, header.epoch)
    return execution.summary
