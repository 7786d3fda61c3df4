"""Everything that the plotters of one world heard together, and the certificates that it is enough for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medward.ledger.certificates import (
    BlockHeader,
    CheckpointCertificate,
    Vote,
)
from medward.ledger.execution import transactions_root
from medward.ledger.membership import Membership
from medward.ledger.pbft.messages import (
    BatchAnswer,
    BlockAnswer,
    CheckpointVote,
    Commit,
    Echo,
    Manifest,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Request,
    StableProof,
    Status,
    ViewChange,
)
from medward.ledger.signatures import Domain, SignatureKind, Signatures

if TYPE_CHECKING:
    from tests.ledger.simulator.world import SimNode, World

Place = tuple[int, int, int]  # epoch, view, height


@dataclass
class Plot:
    """What the plotters know."""

    liars: dict[str, SimNode] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    proposals: dict[Place, dict[bytes, PrePrepare]] = field(default_factory=lambda: defaultdict(dict))
    votes: dict[tuple[type, Place, bytes], dict[str, Signatures]] = field(default_factory=lambda: defaultdict(dict))
    headers: dict[bytes, BlockHeader] = field(default_factory=dict)
    batches: dict[bytes, tuple[bytes, ...]] = field(default_factory=lambda: {bytes(32): ()})
    view_changes: dict[tuple[int, int], dict[str, ViewChange]] = field(default_factory=lambda: defaultdict(dict))
    certificates: dict[tuple[int, int], dict[int, PreparedCertificate]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    stable: CheckpointCertificate | None = None
    checkpoints: list[CheckpointVote] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    running: bool = False

    @staticmethod
    def of(world: World) -> Plot:
        plot = getattr(world, "plot", None)
        if plot is None:
            plot = world.plot = Plot()  # type: ignore[attr-defined]
        return plot

    # What was heard.

    def hear(self, source: str, message: Message) -> None:
        if isinstance(message, PrePrepare):
            self._note_proposal(message)
        elif isinstance(message, Prepare | Commit):
            place = (message.epoch, message.view, message.height)
            self.votes[type(message), place, message.digest][message.sender] = message.signatures
        elif isinstance(message, ViewChange):
            self.view_changes[message.epoch, message.view][message.sender] = message
            for prepared in message.prepared:
                self._keep(prepared)
            self._note_stable(message.stable)
        elif isinstance(message, NewView):
            for proposal in message.proposals:
                header = proposal.header
                self.headers[header.digest()] = header
                batch = self.batches.get(header.transactions, ())
                self._note_proposal(PrePrepare(message.view, header, batch, message.sender, proposal.signatures))
            for view_change in message.view_changes:
                self.hear(view_change.sender, view_change)
        elif isinstance(message, StableProof):
            self._note_stable(message.certificate)
        elif isinstance(message, Status):
            self.statuses[source] = message
        elif isinstance(message, CheckpointVote):
            self.checkpoints = [*self.checkpoints[-20:], message]
        elif isinstance(message, Request):
            self.batches[transactions_root(message.transactions[:4])] = message.transactions[:4]
        if isinstance(message, NewView | StableProof | BlockAnswer | BatchAnswer | Manifest | Echo):
            self.heard = [*self.heard[-100:], message]

    def _note_proposal(self, message: PrePrepare) -> None:
        header = message.header
        self.headers[header.digest()] = header
        self.batches[header.transactions] = message.transactions
        self.proposals[header.epoch, message.view, header.height][header.digest()] = message

    def _note_stable(self, certificate: CheckpointCertificate | None) -> None:
        known = -1 if self.stable is None else self.stable.body.height
        if certificate is not None and certificate.body.height > known:
            self.stable = certificate

    def _keep(self, prepared: PreparedCertificate) -> None:
        header = prepared.header
        self.certificates[header.epoch, header.height].setdefault(prepared.view, prepared)

    # What is made of it.

    def assemble(self, world: World, membership: Membership) -> None:
        """Make every prepared certificate that the prepares which were heard, and the plotters' own, are enough for."""
        for place, proposals in self.proposals.items():
            epoch, view, height = place
            if epoch != membership.epoch or view in self.certificates[epoch, height]:
                continue
            leader = membership.leader(view)
            for content, proposal in proposals.items():
                votes = dict(self.votes[Prepare, place, content])
                for liar in self.liars.values():
                    votes[liar.name] = sign(world, liar, "prepare", place, content)
                votes.pop(leader, None)
                voters = [name for name in sorted(votes) if membership.member(name) is not None]
                if len(voters) >= membership.quorum - 1:
                    chosen = tuple(Vote(name, votes[name]) for name in voters[: membership.quorum - 1])
                    self._keep(PreparedCertificate(view, proposal.header, proposal.signatures, chosen))


def sign(world: World, node: SimNode, kind: SignatureKind, place: Place, content: bytes) -> Signatures:
    return node.signer.sign(Domain(world.genesis.chain, kind, *place), content)
