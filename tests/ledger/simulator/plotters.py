"""Liars that run no replica's rules: they hold their keys, share all that any of them hears, and say what suits them.

A plotter's replica inside is only its cover: it keeps up with the others, and is let speak while that serves. All else
is composed here, of what was heard and of what the plotters can sign: proposals, votes for anything, view changes with
the prepared certificates that they choose, new-views that leave certificates out or take the lowest view, blocks and
checkpoints that too few have signed, statuses, and old messages at new times.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from medward.ledger.pbft.effects import ReplicaEffect, Send
from medward.ledger.pbft.messages import (
    BlockAnswer,
    CheckpointVote,
    Commit,
    Echo,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    StableProof,
    Status,
    ViewChange,
)
from medward.ledger.pbft.replica.view_change import highest_stable, reproposed_headers
from tests.ledger.simulator.behaviours import Behaviour
from tests.ledger.simulator.plot import Plot, sign

if TYPE_CHECKING:
    from tests.ledger.simulator.world import SimNode, World


class Plotter(Behaviour):
    """See the module."""

    def __init__(self) -> None:
        self.deaf_to: frozenset[str] = frozenset()

    def outgoing(self, world: World, node: SimNode, effects: list[ReplicaEffect]) -> list[ReplicaEffect]:
        self._join(world, node)
        return super().outgoing(world, node, effects)

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        # New-views are the plotters' own; the replica inside would always send the right one first.
        hidden = isinstance(message, NewView) and world.now < 6_000
        return [] if hidden or to in self.deaf_to else [Send(to, message)]

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        self._join(world, node)
        plot = Plot.of(world)
        if source in plot.liars:
            return False
        plot.hear(source, message)
        if isinstance(message, PrePrepare) and world.random.random() < 0.3:
            Move(world, plot).vote(message.header, message.view, [source])
        if isinstance(message, ViewChange):
            Move(world, plot).begin_a_view()
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
        choice = random.choice(["none", "lowest", "highest", "any", "false", "false"])
        chosen: list[PreparedCertificate] = []
        for height in range(low + 1, low + 17) if choice != "none" else ():
            by_view = plot.certificates.get((self.epoch, height), {})
            before = {at: prepared for at, prepared in by_view.items() if at < view}
            false = self.false_certificate(height, view) if choice == "false" else None
            if false is not None:
                chosen.append(false)
            elif before:
                at = {"lowest": min(before), "highest": max(before)}.get(choice, random.choice(sorted(before)))
                chosen.append(before[at])
        unsigned = ViewChange(self.epoch, view, stable, tuple(chosen), node.name, ())
        signed = sign(self.world, node, "view-change", (self.epoch, view, low), unsigned.content())
        return msgspec.structs.replace(unsigned, signatures=signed)

    def false_certificate(self, height: int, before: int) -> PreparedCertificate | None:
        """As much of a certificate as there are signatures for: of a header that too few prepared, or nobody did."""
        proposals = [
            (place[1], proposal.header, proposal.signatures)
            for place, by in self.plot.proposals.items()
            if (place[0], place[2]) == (self.epoch, height)
            for proposal in by.values()
        ]
        ours = {name: node for name, node in self.plot.liars.items() if self.membership.member(name) is not None}
        # A view that a plotter led, or would lead, and one not before the view that is asked for.
        led = [view for view in range(before + 4) if self.membership.leader(view) in ours]
        if not proposals or not led:
            return None
        view, header, signed = self.random.choice(proposals)
        if self.random.random() < 0.5:
            view = self.random.choice(led)
            leader = ours[self.membership.leader(view)]
            if self.random.random() < 0.5:
                header = msgspec.structs.replace(header, time=header.time + self.random.randint(1, 9))
            signed = sign(self.world, leader, "pre-prepare", (self.epoch, view, height), header.digest())
        place, content = (self.epoch, view, height), header.digest()
        votes = dict(self.plot.votes[Prepare, place, content])
        votes.update({name: sign(self.world, node, "prepare", place, content) for name, node in ours.items()})
        made = [Vote(name, votes[name]) for name in sorted(votes)]
        return PreparedCertificate(view, header, signed, tuple(made * self.random.choice([1, 1, 2])))

    def begin_a_view(self) -> None:
        """A new-view of a view that a plotter leads, from what the honest asked for and what the plotters make up."""
        enough = self.membership.quorum - len(self.plot.liars)
        views = [
            view
            for (epoch, view), by in self.plot.view_changes.items()
            if epoch == self.epoch and self.membership.leader(view) in self.plot.liars and len(by) >= enough
        ]
        if not views:
            return
        view = max(views)
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
                self.random.choice([0, self.executed, self.executed + 50]), 1,
                self.random.random() < 0.3, self.random.randrange(2**40),
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
