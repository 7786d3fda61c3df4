"""Liars that run no replica's rules: they hold their keys, share all that any of them hears, and say what suits them.

A plotter's replica inside is only its cover: it keeps up with the others, and is let speak while that serves. All else
is composed here, of what was heard and of what the plotters can sign: proposals, votes for anything, view changes with
the prepared certificates that they choose, new-views that leave certificates out or take the lowest view, blocks and
checkpoints that too few have signed, statuses, and old messages at new times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointCertificate,
    CommitCertificate,
    Vote,
)
from medward.ledger.execution import transactions_root
from medward.ledger.membership import Membership
from medward.ledger.pbft.effects import Effect, Send
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
    Proposal,
    Request,
    StableProof,
    Status,
    ViewChange,
)
from medward.ledger.pbft.view_change import highest_stable, reproposed_headers
from medward.ledger.signatures import Domain, Kind, Signatures
from tests.sim.behaviours import Behaviour

if TYPE_CHECKING:
    from tests.sim.world import SimNode, World

Place = tuple[int, int, int]  # epoch, view, height


@dataclass
class Plot:
    """What the plotters of one world know together."""

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


def sign(world: World, node: SimNode, kind: Kind, place: Place, content: bytes) -> Signatures:
    return node.signer.sign(Domain(world.genesis.chain, kind, *place), content)


class Plotter(Behaviour):
    """See the module."""

    def __init__(self) -> None:
        self.deaf_to: frozenset[str] = frozenset()

    def outgoing(self, world: World, node: SimNode, effects: list[Effect]) -> list[Effect]:
        self._join(world, node)
        return super().outgoing(world, node, effects)

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[Effect]:
        return [] if to in self.deaf_to else [Send(to, message)]

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        self._join(world, node)
        plot = Plot.of(world)
        if source in plot.liars:
            return False
        plot.hear(source, message)
        if isinstance(message, PrePrepare) and world.random.random() < 0.3:
            Move(world, plot).vote(message.header, message.view, [source])
        return True

    def _join(self, world: World, node: SimNode) -> None:
        plot = Plot.of(world)
        plot.liars[node.name] = node
        if not plot.running:
            plot.running = True
            world.at(world.now + 10, lambda: _run(world, plot))


def _run(world: World, plot: Plot) -> None:
    move = Move(world, plot)
    if move.membership.epoch == move.epoch:
        world.random.choice(MOVES)(move)
    # They never stop, but they become slow: a run must end.
    pause = (10, 80) if world.now < 6_000 else (100, 600)
    world.at(world.now + world.random.randint(*pause), lambda: _run(world, plot))


class Move:
    """One thing that the plotters do now."""

    def __init__(self, world: World, plot: Plot) -> None:
        self.world, self.plot, self.random = world, plot, world.random
        self.membership = world.membership()
        self.epoch = max((status.epoch for status in plot.statuses.values()), default=0)
        here = [status for status in plot.statuses.values() if status.epoch == self.epoch]
        self.views = sorted({status.view for status in here}) or [0]
        self.executed = max((status.executed for status in here), default=0)
        self.honest = sorted(name for name in world.nodes if name not in plot.liars)

    def some(self) -> list[str]:
        return [name for name in self.honest if self.random.random() < 0.6]

    def say(self, node: SimNode, to: Sequence[str], message: Message) -> None:
        for name in to:
            self.world.send(node, name, message)

    # Moods: whom the replicas inside talk to.

    def turn(self) -> None:
        for node in self.plot.liars.values():
            quiet = self.random.random() < 0.5
            node.behaviour.deaf_to = frozenset(self.some() if quiet else ())  # type: ignore[union-attr]

    # The normal case.

    def propose(self) -> None:
        """Two proposals for one height, each to some, with every plotter's votes for the one that each was shown."""
        view = self.random.choice(self.views)
        leader = self.plot.liars.get(self.membership.leader(view))
        if leader is None:
            return
        height = self.executed + self.random.randint(1, 2)
        some = self.some()
        for to in (some, [name for name in self.honest if name not in some]):
            batch = self.random.choice(list(self.plot.batches.values()))
            time = self.world.clock(leader) + self.random.choice([0, 1, -500, 3_600_000])
            root = transactions_root(batch)
            header = BlockHeader(self.world.genesis.chain, self.epoch, height, max(0, time), root, len(batch))
            signed = sign(self.world, leader, "pre-prepare", (self.epoch, view, height), header.digest())
            proposal = PrePrepare(view, header, batch, leader.name, signed)
            self.plot.hear(leader.name, proposal)
            self.say(leader, to, proposal)
            self.vote(header, view, to)

    def vote(self, header: BlockHeader, view: int, to: Sequence[str]) -> None:
        place, content = (header.epoch, view, header.height), header.digest()
        for node in self.plot.liars.values():
            for kind, form in (("prepare", Prepare), ("commit", Commit)):
                self.say(node, to, form(*place, content, node.name, sign(self.world, node, kind, place, content)))

    def vote_for_anything(self) -> None:
        known = [p for p in self.plot.proposals if p[0] == self.epoch and p[2] > self.executed - 2]
        if not known:
            return
        place = self.random.choice(known)
        content = self.random.choice(list(self.plot.proposals[place]))
        view = self.random.choice([place[1], *self.views])
        self.vote(self.plot.headers[content], view, self.some())

    # View changes.

    def ask_for_a_view(self) -> None:
        view = max(self.views) + self.random.choice([0, 1, 1, 1, 2])
        for node in self.plot.liars.values():
            changed = self.view_change(node, max(1, view))
            self.plot.view_changes[self.epoch, changed.view][f"{node.name}"] = changed
            self.say(node, self.some(), changed)

    def view_change(self, node: SimNode, view: int) -> ViewChange:
        plot, random = self.plot, self.random
        plot.assemble(self.world, self.membership)
        stable = plot.stable if plot.stable is None or plot.stable.body.epoch <= self.epoch else None
        low = 0 if stable is None else stable.body.height
        choice = random.choice(["none", "lowest", "highest", "any", "false"])
        chosen: list[PreparedCertificate] = []
        for (epoch, height), by_view in sorted(plot.certificates.items()):
            before = {at: prepared for at, prepared in by_view.items() if at < view}
            if epoch != self.epoch or not low < height <= low + 16 or not before or choice == "none":
                continue
            at = {"lowest": min(before), "highest": max(before)}.get(choice, random.choice(sorted(before)))
            prepared = before[at]
            chosen.append(self.false_certificate(prepared, view) if choice == "false" else prepared)
        unsigned = ViewChange(self.epoch, view, stable, tuple(chosen), node.name, ())
        signed = sign(self.world, node, "view-change", (self.epoch, view, low), unsigned.content())
        return msgspec.structs.replace(unsigned, signatures=signed)

    def false_certificate(self, prepared: PreparedCertificate, before: int) -> PreparedCertificate:
        """A header that nobody prepared, with as much of a certificate as the plotters can sign."""
        header = msgspec.structs.replace(prepared.header, time=prepared.header.time + self.random.randint(1, 9))
        ours = sorted(set(self.plot.liars) & set(self.membership.names))
        # A view that a plotter led, or would lead, and one not before the view that is asked for.
        led = [view for view in range(before + 4) if self.membership.leader(view) in ours]
        view = self.random.choice(led) if led else prepared.view
        place = (header.epoch, view, header.height)
        leader = self.membership.leader(view)
        voters = self.random.choice([ours, [*ours, leader], ours * 3])
        signers = {name: self.plot.liars[name] for name in ours}
        content = header.digest()
        votes = tuple(
            Vote(name, sign(self.world, signers[name], "prepare", place, content)) for name in voters if name in signers
        )
        known = self.plot.votes[Prepare, place, content]
        votes += tuple(Vote(name, signed) for name, signed in sorted(known.items()) if name not in signers)
        by_leader = (
            sign(self.world, signers.get(leader, signers[ours[0]]), "pre-prepare", place, content) if ours else ()
        )
        return PreparedCertificate(view, header, by_leader, votes)

    def begin_a_view(self) -> None:
        """A new-view of a view that a plotter leads, from what the honest asked for and what the plotters make up."""
        views = [v for v in range(max(self.views) + 3) if self.membership.leader(v) in self.plot.liars and v]
        if not views:
            return
        view = self.random.choice(views[-2:])
        leader = self.plot.liars[self.membership.leader(view)]
        asked = dict(self.plot.view_changes[self.epoch, view])
        for node in self.plot.liars.values():
            asked[node.name] = self.view_change(node, view)
        names = sorted(asked)
        self.random.shuffle(names)
        quorum = self.membership.quorum
        chosen = tuple(asked[name] for name in names[: self.random.choice([quorum, quorum, quorum, quorum - 1])])
        if len(chosen) < quorum and self.random.random() < 0.5:
            chosen = (chosen * quorum)[:quorum]
        right = reproposed_headers(self.world.genesis.chain, self.epoch, chosen)
        for headers in self.proposals_of(chosen, right):
            proposals = tuple(
                Proposal(h, sign(self.world, leader, "pre-prepare", (self.epoch, view, h.height), h.digest()))
                for h in headers
            )
            unsigned = NewView(self.epoch, view, chosen, proposals, leader.name, ())
            signed = sign(self.world, leader, "new-view", (self.epoch, view, 0), unsigned.content())
            message = msgspec.structs.replace(unsigned, signatures=signed)
            self.plot.hear(leader.name, message)
            self.say(leader, self.some(), message)

    def proposals_of(self, chosen: tuple[ViewChange, ...], right: list[BlockHeader]) -> list[list[BlockHeader]]:
        """What to propose: what follows from the view changes, or one or two things that do not."""
        chain = self.world.genesis.chain
        certificate = highest_stable(chosen)
        low = 0 if certificate is None else certificate.body.height
        lowest: dict[int, PreparedCertificate] = {}
        for prepared in (p for view_change in chosen for p in view_change.prepared):
            known = lowest.get(prepared.header.height)
            if prepared.header.height > low and (known is None or prepared.view < known.view):
                lowest[prepared.header.height] = prepared
        wrong = [
            right[:-1],
            [],
            [BlockHeader.null(chain, self.epoch, header.height) for header in right],
            [lowest[h.height].header if h.height in lowest else h for h in right],
            [*right, BlockHeader.null(chain, self.epoch, low + len(right) + 1)],
        ]
        return self.random.choice(
            [[right], [right], [self.random.choice(wrong)], self.random.sample([right, *wrong], 2)]
        )

    # Checkpoints, blocks, statuses, and what is old.

    def sign_a_checkpoint(self) -> None:
        if not self.plot.checkpoints:
            return
        heard = self.random.choice(self.plot.checkpoints).body
        for node in self.plot.liars.values():
            body = self.random.choice([heard, msgspec.structs.replace(heard, history=self.random.randbytes(32))])
            signed = sign(self.world, node, "checkpoint", (body.epoch, 0, body.height), body.digest())
            self.say(node, self.some(), CheckpointVote(body, node.name, signed))
        false = msgspec.structs.replace(heard, history=bytes(32))
        votes = tuple(
            Vote(n.name, sign(self.world, n, "checkpoint", (false.epoch, 0, false.height), false.digest()))
            for n in self.plot.liars.values()
        )
        self.say(node, self.some(), StableProof(CheckpointCertificate(false, votes)))

    def certify_a_block(self) -> None:
        """A block with the commits that there are, in whatever view, and the plotters' own."""
        known = [p for p in self.plot.proposals if p[0] == self.epoch and p[2] > self.executed - 2]
        if not known:
            return
        place = self.random.choice(known)
        content, proposal = self.random.choice(list(self.plot.proposals[place].items()))
        votes = dict(self.plot.votes[Commit, place, content])
        for view in self.views:
            for name, signed in self.plot.votes[Commit, (place[0], view, place[2]), content].items():
                votes.setdefault(name, signed)
        for node in self.plot.liars.values():
            votes[node.name] = sign(self.world, node, "commit", place, content)
        chosen = tuple(Vote(name, votes[name]) for name in sorted(votes))
        certificate = CommitCertificate(proposal.header, place[1], chosen)
        self.say(node, self.some(), BlockAnswer(CertifiedBlock(certificate, proposal.transactions)))

    def tell_a_status(self) -> None:
        for node in self.plot.liars.values():
            status = Status(
                self.epoch, self.random.choice(self.views), self.random.random() < 0.5,
                self.random.choice([0, self.executed, self.executed + 50]),
                self.random.choice([0, self.executed, self.executed + 50]), 1, self.random.random() < 0.3,
            )  # fmt: skip
            self.say(node, self.some(), status)

    def remind_of_votes(self) -> None:
        """Answer who asks for its own votes with old ones, as if they were new, or with none."""
        target = self.random.choice(self.honest)
        votes: list[Prepare | Commit] = []
        for (form, place, content), by in list(self.plot.votes.items())[-50:]:
            if target in by:
                votes.append(form(*place, content, target, by[target]))
        node = self.random.choice(list(self.plot.liars.values()))
        self.say(node, [target], Echo(tuple(votes) if self.random.random() < 0.5 else ()))

    def repeat_what_is_old(self) -> None:
        if self.plot.heard:
            node = self.random.choice(list(self.plot.liars.values()))
            self.say(node, self.some(), self.random.choice(self.plot.heard))


MOVES = (
    Move.turn,
    Move.propose,
    Move.propose,
    Move.vote_for_anything,
    Move.vote_for_anything,
    Move.ask_for_a_view,
    Move.ask_for_a_view,
    Move.begin_a_view,
    Move.begin_a_view,
    Move.begin_a_view,
    Move.sign_a_checkpoint,
    Move.certify_a_block,
    Move.tell_a_status,
    Move.remind_of_votes,
    Move.repeat_what_is_old,
)
