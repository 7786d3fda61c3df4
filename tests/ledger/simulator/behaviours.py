"""Liars by name, after Twins (Bano and others, 2020) and the catalogue of what PBFT promises to survive.

A liar runs a real replica and its own key, and changes what that replica says or hears.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from medward.ledger.certificates import BlockHeader, CheckpointCertificate, Vote
from medward.ledger.pbft.effects import Broadcast, Received, ReplicaEffect, Send, SendChunk
from medward.ledger.pbft.messages import (
    BlockAnswer,
    CheckpointVote,
    ChunkAnswer,
    Commit,
    FetchChunk,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
)
from medward.ledger.signatures import Domain, SignatureKind

if TYPE_CHECKING:
    from tests.ledger.simulator.world import SimNode, World


class Behaviour:
    """An honest liar: changes nothing."""

    def outgoing(self, world: World, node: SimNode, effects: list[ReplicaEffect]) -> list[ReplicaEffect]:
        changed: list[ReplicaEffect] = []
        for effect in effects:
            if isinstance(effect, Broadcast):
                for to in sorted(world.nodes):
                    if to != node.name:
                        changed += self.message(world, node, to, effect.message)
            elif isinstance(effect, Send):
                changed += self.message(world, node, effect.peer, effect.message)
            else:
                changed.append(effect)
        return changed

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        return [Send(to, message)]

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        """Look at a message; return whether the replica inside gets it."""
        return True


def _other_half(world: World, to: str) -> bool:
    return sorted(world.nodes).index(to) % 2 == 1


def _vote(
    world: World, node: SimNode, kind: SignatureKind, like: Prepare | Commit | PrePrepare, digest: bytes
) -> Message:
    epoch = like.header.epoch if isinstance(like, PrePrepare) else like.epoch
    height = like.header.height if isinstance(like, PrePrepare) else like.height
    domain = Domain(world.genesis.chain, kind, epoch, like.view, height)
    form = Prepare if kind == "prepare" else Commit
    return form(epoch, like.view, height, digest, node.name, node.signer.sign(domain, digest))


class EquivocatingLeader(Behaviour):
    """As leader, proposes one block to one half and another to the other half, and commits to both."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if isinstance(message, PrePrepare) and _other_half(world, to):
            message = other_proposal(world, node, message)
            return [Send(to, message), Send(to, _vote(world, node, "commit", message, message.header.digest()))]
        return [Send(to, message)]


def other_proposal(world: World, node: SimNode, message: PrePrepare) -> PrePrepare:
    header = message.header
    changed = BlockHeader(header.chain, header.epoch, header.height, header.time + 1, header.transactions, header.count)
    domain = Domain(header.chain, "pre-prepare", header.epoch, message.view, header.height)
    signatures = node.signer.sign(domain, changed.digest())
    return PrePrepare(message.view, changed, message.transactions, node.name, signatures)


class DoubleVoter(Behaviour):
    """Prepares and commits whatever anybody names, to the one who named it."""

    def __init__(self) -> None:
        self.answered: set[tuple[object, ...]] = set()

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        if isinstance(message, PrePrepare | Prepare | Commit) and message.sender == source:
            if (source, message) in self.answered:
                return True
            self.answered.add((source, message))
            digest = message.header.digest() if isinstance(message, PrePrepare) else message.digest
            world.send(node, source, _vote(world, node, "prepare", message, digest))
            world.send(node, source, _vote(world, node, "commit", message, digest))
        return True


class Colluder(EquivocatingLeader, DoubleVoter):
    """Equivocates as leader and tells everyone what that one wants to hear: f+1 of these break any protocol."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        # The votes of the replica inside would go to both halves and give the lie away.
        if isinstance(message, Prepare | Commit):
            return []
        return super().message(world, node, to, message)


class Amnesiac(Behaviour):
    """Loses its journal at every restart and goes on with the same key."""

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        if world.random.random() < 0.01:
            world.crash(node)
            node.disk.roll_back(world.random)
            world.at(world.now + 50, lambda: world.restart(node))
        return True


class Silent(Behaviour):
    """Says nothing at all."""

    def outgoing(self, world: World, node: SimNode, effects: list[ReplicaEffect]) -> list[ReplicaEffect]:
        return []


class SlowLeader(Behaviour):
    """Holds every proposal back until just before the others lose patience."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if isinstance(message, PrePrepare):
            delay = world.timers.request_timeout - 60
            world.at(world.now + delay, lambda: world.send(node, to, message))
            return []
        return [Send(to, message)]


class ForgedNewView(Behaviour):
    """As new leader, forgets what was prepared, or puts its own null blocks in its place."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if not isinstance(message, NewView):
            return [Send(to, message)]
        view_changes = message.view_changes
        if _other_half(world, to):
            stripped = [msgspec.structs.replace(vc, prepared=()) for vc in view_changes]
            return [Send(to, self._sign(world, node, message, tuple(stripped), ()))]
        return [Send(to, self._sign(world, node, message, view_changes, message.proposals[:-1]))]

    def _sign(self, world: World, node: SimNode, message: NewView, view_changes: tuple[ViewChange, ...],
              proposals: tuple) -> NewView:  # fmt: skip
        changed = NewView(message.epoch, message.view, view_changes, proposals, node.name, message.signatures)
        domain = Domain(world.genesis.chain, "new-view", message.epoch, message.view, 0)
        return msgspec.structs.replace(changed, signatures=node.signer.sign(domain, changed.content()))


class Forgetful(Behaviour):
    """Claims in its view changes to have prepared nothing."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if isinstance(message, ViewChange):
            changed = msgspec.structs.replace(message, prepared=())
            domain = Domain(world.genesis.chain, "view-change", message.epoch, message.view, message.stable_height)
            message = msgspec.structs.replace(changed, signatures=node.signer.sign(domain, changed.content()))
        return [Send(to, message)]


class Restless(Behaviour):
    """Asks for view after view, whatever happens."""

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        if isinstance(message, Status) and node.replica is not None:
            epoch, view, _ = node.replica.view
            stable = node.replica.stable
            changed = ViewChange(epoch, view + world.random.randint(1, 5), stable, (), node.name, ())
            domain = Domain(world.genesis.chain, "view-change", epoch, changed.view, changed.stable_height)
            signed = msgspec.structs.replace(changed, signatures=node.signer.sign(domain, changed.content()))
            world.send(node, source, signed)
        return True


class WrongCheckpoint(Behaviour):
    """Signs checkpoints of states that nobody has, a different one for each half."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if isinstance(message, CheckpointVote):
            body = msgspec.structs.replace(message.body, history=bytes([_other_half(world, to)]) * 32)
            domain = Domain(world.genesis.chain, "checkpoint", body.epoch, 0, body.height)
            message = CheckpointVote(body, node.name, node.signer.sign(domain, body.digest()))
        return [Send(to, message)]


class Replayer(Behaviour):
    """Repeats old messages of its own and of others, and its votes under other views and heights."""

    def __init__(self) -> None:
        self.seen: list[Message] = []

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        if world.nodes[source].behaviour is not None:
            return True  # Two of these would answer each other for ever.
        if len(self.seen) < 200:
            self.seen.append(message)
        targets = sorted(name for name in world.nodes if name != node.name)
        old = world.random.choice(self.seen)
        if isinstance(old, Prepare | Commit):
            old = msgspec.structs.replace(old, view=old.view + world.random.randint(0, 1), sender=node.name)
        world.send(node, world.random.choice(targets), old)
        return True


class LyingServer(Behaviour):
    """Answers fetches with other blocks, other chunks and a status far ahead of the truth."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if isinstance(message, Status):
            message = msgspec.structs.replace(message, executed=message.executed + 1000, stable=message.stable + 1000)
        if isinstance(message, BlockAnswer):
            certificate = message.block.certificate
            header = msgspec.structs.replace(certificate.header, time=certificate.header.time + 7)
            forged = msgspec.structs.replace(certificate, header=header)
            message = BlockAnswer(msgspec.structs.replace(message.block, certificate=forged))
        return [Send(to, message)]

    def outgoing(self, world: World, node: SimNode, effects: list[ReplicaEffect]) -> list[ReplicaEffect]:
        spoiled: list[ReplicaEffect] = []
        for effect in super().outgoing(world, node, effects):
            if isinstance(effect, SendChunk):
                spoiled.append(Send(effect.peer, ChunkAnswer(effect.height, effect.index, b"spoiled")))
            else:
                spoiled.append(effect)
        return spoiled


class Mutator(Behaviour):
    """Changes signed content at random without being able to sign it again for others."""

    def message(self, world: World, node: SimNode, to: str, message: Message) -> list[ReplicaEffect]:
        if world.random.random() < 0.3:
            if isinstance(message, Prepare | Commit):
                message = msgspec.structs.replace(message, digest=world.random.randbytes(32))
            elif isinstance(message, PrePrepare):
                message = msgspec.structs.replace(message, transactions=(*message.transactions, b"\x00"))
            elif isinstance(message, ViewChange) and message.stable is not None:
                votes = (Vote(node.name, node.signer.sign(Domain(b"x" * 32, "commit", 0, 0, 0), bytes(32))),)
                forged = CheckpointCertificate(message.stable.body, votes)
                message = msgspec.structs.replace(message, stable=forged)
            elif isinstance(message, FetchChunk):
                message = FetchChunk(message.height, 2**40)
        return [Send(to, message)]


class Twin(Behaviour):
    """Two replicas with one identity: one talks to one half of the others, the second to the other half."""

    def __init__(self) -> None:
        self.second: object | None = None

    def outgoing(self, world: World, node: SimNode, effects: list[ReplicaEffect]) -> list[ReplicaEffect]:
        return [e for e in super().outgoing(world, node, effects) if not self._for_second(world, e)]

    def incoming(self, world: World, node: SimNode, source: str, message: Message) -> bool:
        from medward.ledger.pbft.effects import Recovered  # noqa: PLC0415

        if self.second is None:
            self.second = world.replica_for(node, Recovered())
        effects = self.second.step(Received(source, message), world.now, world.clock(node) + 150)  # type: ignore[attr-defined]
        for effect in super().outgoing(world, node, effects):
            if isinstance(effect, Send) and self._for_second(world, effect):
                world.send(node, effect.peer, effect.message)
        return True

    def _for_second(self, world: World, effect: ReplicaEffect) -> bool:
        return isinstance(effect, Send) and effect.peer in world.nodes and _other_half(world, effect.peer)


BEHAVIOURS: dict[str, Callable[[], Behaviour]] = {
    "equivocating leader": EquivocatingLeader,
    "double voter": DoubleVoter,
    "colluder": Colluder,
    "amnesiac": Amnesiac,
    "silent": Silent,
    "slow leader": SlowLeader,
    "forged new-view": ForgedNewView,
    "forgetful": Forgetful,
    "restless": Restless,
    "wrong checkpoint": WrongCheckpoint,
    "replayer": Replayer,
    "lying server": LyingServer,
    "mutator": Mutator,
    "twin": Twin,
}
