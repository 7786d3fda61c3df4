"""A ledger whose blocks a test orders: it holds everybody's keys, and signs what a quorum would have signed."""

import hashlib
import math
from collections.abc import Sequence

from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointBody,
    CheckpointCertificate,
    CommitCertificate,
    Vote,
    snapshot_digests,
)
from medward.ledger.encoding import digest, encode
from medward.ledger.execution import Executed, Execution, transactions_root
from medward.ledger.membership import Genesis
from medward.ledger.pbft.effects import Append, BatchKept, SaveChunk, StoreBlock, StoreEvidence, StoreSnapshot
from medward.ledger.pbft.messages import Evidence, Prepare, encode_message
from medward.ledger.pbft.replica.checkpoints import SnapshotForm, extend_history
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from medward.ledger.signatures import Domain, MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Application
from medward.node.home.folder import Home


class CertifiedLedger:
    """Certified blocks of one record each.

    Args:
        genesis: of the federation.
        application: that its members run.
        signers: of all members, by name.

    Attributes:
        time: of the next block, in seconds.
        blocks: header, transaction and what became of it.
    """

    def __init__(self, genesis: Genesis, application: Application, signers: dict[str, MemberSigner]) -> None:
        self.time = genesis.time / 1000
        self.blocks: list[tuple[BlockHeader, bytes, Executed]] = []
        self.snapshot: StoreSnapshot | None = None
        self.application = application
        self._genesis, self._signers = genesis, signers
        self._execution = Execution(application, genesis.time)
        self._history = bytes(32)
        self._nonces = dict.fromkeys(signers, 0)

    def order(self, author: str, payload: bytes) -> Executed:
        """Order a payload in a block of its own."""
        self._nonces[author] += 1
        chain, height = self._genesis.chain, len(self.blocks) + 1
        signed = sign_transaction(chain, self._signers[author], self._nonces[author], payload)
        encoded = encode_transaction(signed)
        root = transactions_root((encoded,))
        header = BlockHeader(chain, 0, height, math.ceil(self.time * 1000), root, 1)
        executed = self._execution.execute(header.time, [signed], header.epoch)
        self._history = extend_history(self._history, header)
        self.blocks.append((header, encoded, executed))
        if height % self._genesis.parameters.checkpoint_interval == 0:
            self.snapshot = self._checkpoint(height)
        return executed

    def write(self, home: Home, without: str, *, with_evidence: bool = False) -> None:
        """Write what a replica keeps; the votes are those of all members but one.

        Args:
            home: of the replica.
            without: the member that did not vote.
            with_evidence: whether a member contradicted itself, and a batch and a part were being received.
        """
        votes = [name for name in self._signers if name != without]
        with ReplicaJournal.create(home.ledger / "journal", digest([self._genesis.chain, without])) as journal:
            journal.write([StoreBlock(self._certified(*block, votes), block[2]) for block in self.blocks])
            if self.snapshot is not None:
                journal.write([self.snapshot])
            if with_evidence:
                journal.write([StoreEvidence(self._evidence(list(self._signers)[-1]))])
                journal.write([Append(BatchKept(len(self.blocks) + 1, (b"a batch",)))])
                journal.write([SaveChunk(hashlib.sha256(b"a part").digest(), b"a part")])
            journal.sync()

    def _certified(self, header: BlockHeader, encoded: bytes, _: Executed, votes: Sequence[str]) -> CertifiedBlock:
        domain = Domain(header.chain, "commit", 0, 0, header.height)
        return CertifiedBlock(CommitCertificate(header, 0, self._votes(domain, header.digest(), votes)), (encoded,))

    def _votes(self, domain: Domain, content: bytes, names: Sequence[str]) -> tuple[Vote, ...]:
        return tuple(Vote(name, self._signers[name].sign(domain, content)) for name in names)

    def _checkpoint(self, height: int) -> StoreSnapshot:
        members = self._genesis.membership
        form = SnapshotForm(self._execution.snapshot().encode(), self._history, (members,), (), None)
        data, chain = encode(form), self._genesis.chain
        chunks = digest(snapshot_digests(data, self._genesis.parameters.chunk_bytes))
        body = CheckpointBody(chain, 0, height, self._execution.summary, self._history, members.digest(), chunks)
        quorum = list(self._signers)[:3]
        votes = self._votes(Domain(chain, "checkpoint", 0, 0, height), body.digest(), quorum)
        return StoreSnapshot(CheckpointCertificate(body, votes), (), data)

    def _evidence(self, name: str) -> Evidence:
        """Return two prepares for one place, as only a liar signs them."""
        domain = Domain(self._genesis.chain, "prepare", 0, 7, 3)
        signed = [
            Prepare(0, 7, 3, content, name, self._signers[name].sign(domain, content))
            for content in (bytes(32), b"\x01" * 32)
        ]
        first, second = (encode_message(message) for message in signed)
        return Evidence(name, first, second)
