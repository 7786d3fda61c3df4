"""The ledgers of several homes, verified block by block and replayed once.

What proves a block is its certificate, whoever keeps it: for each height the first home whose block verifies gives it,
and the others' are compared with it by the digests of their headers. See spec/ledger.md, "Certificates".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from medward.audit.findings import AuditResult, Finding
from medward.federation.records import decode_record
from medward.ledger.certificates import (
    CertifiedBlock,
    CheckpointBody,
    CheckpointCertificate,
    follow_handovers,
    snapshot_digests,
)
from medward.ledger.encoding import decode_form, digest, encode
from medward.ledger.errors import InvalidCertificate, InvalidSignature, LedgerError, NotCanonical
from medward.ledger.execution import Executed, Execution
from medward.ledger.membership import Genesis, Membership, next_membership
from medward.ledger.pbft.audit import verify_evidence
from medward.ledger.pbft.reading import AlteredBlock, JournalContent
from medward.ledger.pbft.replica.checkpoints import extend_history
from medward.ledger.signatures import MemberVerifier
from medward.ledger.transactions import decode_transaction, verify_transaction
from medward.ledger.types import Application, MemberUpdate, Transaction, TxResult

#: Takes a transaction of a block and what became of it, in order.
Take = Callable[[Executed, Transaction, TxResult], None]
#: Returns the record that a payload holds, None where it holds none.
Decode = Callable[[bytes], object | None]


@dataclass(frozen=True)
class Replayed:
    """What a replay led to.

    Args:
        height: the last height that was applied.
        memberships: the members of every epoch.
        signed: member -> under how many blocks its valid signature stands; empty where no member's own key signs them.
    """

    height: int
    memberships: Sequence[Membership]
    signed: Mapping[str, int] = field(default_factory=dict)


def kind_and_author(encoded: bytes, memberships: Sequence[Membership], decode: Decode) -> str:
    """Return what a transaction is and whose, in commas, as far as it decodes."""
    try:
        transaction = decode_transaction(encoded)
    except NotCanonical:
        return ""
    record = decode(transaction.payload)
    kind = "an unknown record" if record is None else f"the record {type(record).__name__}"
    authors = (m.name for known in memberships for m in known.members if m.keys[0].data == transaction.client)
    return f", {kind} of {next(authors, 'a stranger')},"


class LedgerAudit:
    """An audit of the ledgers of one federation.

    Args:
        genesis: what the members agreed on before the first block.
        journals: what each home's journal holds.
        found: takes what is found.
        decode: returns the record that a payload holds.
    """

    def __init__(
        self,
        genesis: Genesis,
        journals: Mapping[str, JournalContent],
        found: AuditResult,
        decode: Decode = decode_record,
    ) -> None:
        self._genesis, self._journals, self._findings, self._decode = genesis, journals, found, decode
        self._chain = genesis.chain
        self._verifier = MemberVerifier()
        self._memberships: list[Membership] = [genesis.membership]
        self._checkpoints: dict[int, list[tuple[str, CheckpointBody]]] = {}
        self._blocks: dict[int, CertifiedBlock] = {}
        self._signed: dict[str, set[int]] = {}

    def run(self, application: Application, take: Take) -> Replayed:
        """Verify everything and replay it.

        Args:
            application: in its genesis state.
            take: takes every transaction in order.
        """
        for home, journal in self._journals.items():
            for damage in journal.damage:
                self._problem(damage.what, home, damage.height)
        self._follow_epochs()
        for home in self._journals:
            self._verify_snapshot(home)
        self._verify_blocks()
        self._tell_altered()
        replayed = self._replay(application, take)
        self._verify_evidence()
        return replayed

    def _problem(self, what: str, home: str | None = None, height: int | None = None) -> None:
        self._findings.problems.append(Finding(what, home, height))

    def _follow_epochs(self) -> None:
        """Find the members of every epoch; all homes' proofs of them must agree."""
        for home, journal in self._journals.items():
            if journal.snapshot is None:
                continue
            handovers = journal.snapshot.handovers
            try:
                memberships = follow_handovers(self._genesis.membership, handovers, self._chain, self._verifier)
            except InvalidCertificate as error:
                self._problem(f"its handovers do not prove the epochs: {error}", home)
                continue
            for handover in handovers:
                self._note_checkpoint(home, handover.certificate)
            if len(memberships) > len(self._memberships):
                self._memberships = memberships

    def _note_checkpoint(self, home: str, certificate: CheckpointCertificate) -> None:
        self._checkpoints.setdefault(certificate.body.height, []).append((home, certificate.body))

    def _verify_snapshot(self, home: str) -> None:
        snapshot = self._journals[home].snapshot
        if snapshot is None:
            return
        body = snapshot.certificate.body
        try:
            if body.epoch >= len(self._memberships):
                raise InvalidCertificate(f"it is of epoch {body.epoch}, which no handover proves")
            snapshot.certificate.verify(self._memberships[body.epoch], self._chain, self._verifier)
        except InvalidCertificate as error:
            self._problem(f"the certificate of its snapshot is not valid: {error}", home, body.height)
            return
        if digest(snapshot_digests(snapshot.data, self._genesis.parameters.chunk_bytes)) != body.snapshot:
            self._problem("its snapshot is not the one that was certified", home, body.height)
        self._findings.count("checkpoints")
        self._note_checkpoint(home, snapshot.certificate)

    def _verify_blocks(self) -> None:
        for height in sorted({height for journal in self._journals.values() for height in journal.blocks}):
            by: str | None = None
            for home, journal in self._journals.items():
                block = journal.blocks.get(height)
                if block is None or not self._verify(home, height, block):
                    continue
                known = self._blocks.setdefault(height, block)
                by = by or home
                if known.certificate.header.digest() != block.certificate.header.digest():
                    what = f"two different blocks are certified, one here and one in {by}: more members lied than may"
                    self._problem(what, home, height)
        self._findings.count("blocks", len(self._blocks))

    def _verify(self, home: str, height: int, block: CertifiedBlock | AlteredBlock) -> bool:
        """Verify a block; of an altered one, whose transactions are told elsewhere, the certificate alone."""
        epoch = block.certificate.header.epoch
        following = self._memberships[epoch + 1] if epoch + 1 < len(self._memberships) else None
        proof = block if isinstance(block, CertifiedBlock) else block.certificate
        try:
            if epoch >= len(self._memberships) or (following is not None and height >= following.first_height):
                raise InvalidCertificate(f"its epoch {epoch} does not order it")
            proof.verify(self._memberships[epoch], self._chain, self._verifier)
        except InvalidCertificate as error:
            self._problem(f"the certificate of the block is not valid: {error}", home, height)
            return False
        self._findings.count("certificates")
        for vote in block.certificate.votes:
            self._signed.setdefault(vote.member, set()).add(height)
        return True

    def _tell_altered(self) -> None:
        """Tell of every block whose transactions were altered which of them it is, as far as anything shows it."""
        for home, journal in self._journals.items():
            for height, block in journal.altered.items():
                # A header that nobody signed names no transactions; then the certificate is what was altered.
                if self._verify(home, height, block):
                    for what in self._alterations(block, self._blocks.get(height)):
                        self._problem(what, home, height)

    def _alterations(self, block: AlteredBlock, whole: CertifiedBlock | None) -> Sequence[str]:
        """Say which transactions of a block are not what was ordered.

        Args:
            block: the block as a home has it.
            whole: the same block of another home, None where no home has it whole.
        """
        count = block.certificate.header.count
        if block.transactions is None:
            return [f"its {count} transactions are missing here"]
        places: Sequence[int] = ()
        if whole is not None:
            places = differing(whole.transactions, block.transactions)
            named = whole.transactions
        else:
            try:
                named = decode_form(block.transactions, tuple[bytes, ...])
                places = [place for place, one in enumerate(named) if not self._is_signed(one)]
            except NotCanonical:
                pass
        if not places:
            return [f"its {count} transactions are not those that its header names"]
        kinds = [kind_and_author(named[place], self._memberships, self._decode) for place in places]
        return [
            f"transaction {place + 1} of {count}{kind} was altered" for place, kind in zip(places, kinds, strict=True)
        ]

    def _is_signed(self, encoded: bytes) -> bool:
        try:
            verify_transaction(self._chain, self._verifier, decode_transaction(encoded))
        except LedgerError:
            return False
        return True

    def _replay(self, application: Application, take: Take) -> Replayed:
        parameters = self._genesis.parameters
        execution = Execution(application, self._genesis.time)
        history, membership = bytes(32), self._genesis.membership
        updates: tuple[MemberUpdate, ...] = ()
        end: int | None = None
        for height in range(1, max(self._blocks, default=0) + 1):
            block = self._blocks.get(height)
            if block is None:
                self._problem("no home has this block whole, so nothing from here on can be replayed", height=height)
                break
            header = block.certificate.header
            transactions = self._transactions(height, block)
            if transactions is None:
                break
            executed = execution.execute(header.time, transactions, header.epoch)
            for transaction, result in zip(transactions, executed.results, strict=True):
                take(executed, transaction, result)
            history = extend_history(history, header)
            if executed.member_updates:
                updates += executed.member_updates
                interval = parameters.checkpoint_interval
                end = end or -(-(height + parameters.in_flight) // interval) * interval
            if height == end:
                membership, updates, end = next_membership(membership, updates, height + 1), (), None
                self._compare_members(membership)
            for home, body in self._checkpoints.get(height, ()):
                told = (body.state, body.history, body.membership)
                if told != (execution.summary, history, membership.digest()):
                    what = "the certified state is not the one that the blocks lead to: more members lied than may"
                    self._problem(what, home, height)
        last = execution.height
        for height in (height for height in self._checkpoints if height > last):
            self._problem("a checkpoint is certified here, and the blocks up to it are in no home", height=height)
        return Replayed(last, self._memberships, {name: len(at) for name, at in sorted(self._signed.items())})

    def _transactions(self, height: int, block: CertifiedBlock) -> list[Transaction] | None:
        transactions = []
        try:
            for encoded in block.transactions:
                transaction = decode_transaction(encoded)
                transactions.append(transaction)
                verify_transaction(self._chain, self._verifier, transaction)
        except InvalidSignature as error:
            self._problem(f"a quorum ordered what its author did not sign: {error}", height=height)
        except (NotCanonical, LedgerError) as error:
            self._problem(
                f"a transaction does not decode, and nothing from here on can be replayed: {error}", None, height
            )
            return None
        self._findings.count("transactions", len(transactions))
        return transactions

    def _compare_members(self, membership: Membership) -> None:
        known = self._memberships
        if membership.epoch < len(known) and known[membership.epoch].digest() != membership.digest():
            what = f"the members of epoch {membership.epoch} are not those that were ordered"
            self._problem(what, height=membership.first_height)

    def _verify_evidence(self) -> None:
        told: set[tuple[str, bytes, bytes]] = set()
        for home, journal in self._journals.items():
            for evidence in journal.evidence:
                try:
                    verify_evidence(evidence, self._memberships, self._chain, self._verifier)
                except LedgerError as error:
                    self._problem(f"a stored proof of equivocation proves nothing: {error}", home)
                    continue
                key = (evidence.member, evidence.first, evidence.second)
                if key not in told:
                    told.add(key)
                    what = f"{evidence.member} signed two different things where one is allowed, as both show"
                    self._findings.remarks.append(Finding(what, home, guilty=(evidence.member,)))
        self._findings.count("equivocations", len(told))


def differing(whole: Sequence[bytes], stored: bytes) -> Sequence[int]:
    """Return which of a block's transactions are others in a stored copy; the first of them where its form is gone.

    Args:
        whole: the transactions that were ordered.
        stored: an altered encoding of all of them.
    """
    try:
        found = decode_form(stored, tuple[bytes, ...])
    except NotCanonical:
        found = ()
    if len(found) == len(whole):
        return [place for place, (one, other) in enumerate(zip(whole, found, strict=True)) if one != other]
    encoded = encode(list(whole))
    same = next((at for at, (one, other) in enumerate(zip(encoded, stored, strict=False)) if one != other), len(stored))
    ends = accumulate(len(encode(one)) for one in whole)
    head = len(encoded) - sum(len(encode(one)) for one in whole)
    return [next((place for place, end in enumerate(ends) if same < head + end), len(whole) - 1)]
