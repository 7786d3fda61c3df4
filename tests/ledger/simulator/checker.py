"""What must hold after every event, whoever lies: agreement, prefix order, validity, nothing acknowledged lost."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from medward.ledger.pbft.effects import StoreBlock
from medward.ledger.pbft.messages import (
    CheckpointVote,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from medward.ledger.types import Receipt


class Violation(Exception):
    """Something happened that the protocol promises never happens."""


@dataclass
class Checker:
    headers: dict[int, bytes] = field(default_factory=dict)
    states: dict[int, bytes] = field(default_factory=dict)
    receipts: dict[tuple[bytes, int], Receipt] = field(default_factory=dict)
    submitted: set[bytes] = field(default_factory=set)
    votes: dict[tuple[object, ...], bytes] = field(default_factory=dict)
    heights: dict[tuple[str, int], int] = field(default_factory=dict)
    acknowledged: dict[tuple[bytes, int], Receipt] = field(default_factory=dict)

    def executed(self, node: str, incarnation: int, write: StoreBlock) -> None:
        certificate = write.block.certificate
        height, content = certificate.header.height, certificate.header.digest()
        if self.headers.setdefault(height, content) != content:
            raise Violation(f"agreement: {node} executed another block at height {height}")
        state = write.executed.summary.digest()
        if self.states.setdefault(height, state) != state:
            raise Violation(f"determinism: {node} has another state after height {height}")
        last = self.heights.get((node, incarnation))
        if last is not None and height > last + 1:
            raise Violation(f"prefix order: {node} executed {height} after {last}")
        self.heights[node, incarnation] = height
        for encoded in write.block.transactions:
            if encoded not in self.submitted:
                raise Violation(f"validity: height {height} holds a transaction that no client made")
        for transaction, receipt in write.executed.replies:
            key = (transaction.client, transaction.nonce)
            if self.receipts.setdefault(key, receipt) != receipt:
                raise Violation(f"replay: transaction {transaction.nonce} was applied twice")

    def timed(self, write: StoreBlock, latest: float) -> None:
        """No block's time is further ahead of the right clocks than the bound allows (spec/ledger.md, Time)."""
        if write.executed.summary.time > latest:
            ahead = write.executed.summary.time - latest
            raise Violation(f"time: height {write.executed.summary.height} is {ahead} ms beyond the bound")

    def restarted(self, node: str, incarnation: int, height: int) -> None:
        """After a crash or a state transfer a replica goes on from `height`."""
        self.heights[node, incarnation] = height

    def transferred(self, node: str, incarnation: int, height: int, state: bytes) -> None:
        if self.states.get(height, state) != state:
            raise Violation(f"state transfer: {node} took over another state at height {height}")
        self.heights[node, incarnation] = height

    def sent(self, node: str, incarnation: int, message: Message) -> None:
        """A correct replica never says two different things where one is allowed, across restarts too."""
        for key, content in [*_claims(message, node), *_epochs(message, node)]:
            whole = (node, incarnation, *key)
            if self.votes.setdefault(whole, content) != content:
                raise Violation(f"contradiction: {node} said two things about {key}")

    def acknowledge(self, client: bytes, nonce: int, receipt: Receipt) -> None:
        known = self.receipts.get((client, nonce))
        if known != receipt:
            raise Violation(f"a client believes a result of transaction {nonce} that no correct replica gave")
        self.acknowledged[client, nonce] = receipt

    def all_acknowledged_survive(self, chains: Iterable[tuple[str, int]]) -> None:
        """After healing every correct replica has reached every acknowledged height."""
        needed = max((receipt.height for receipt in self.acknowledged.values()), default=0)
        for node, height in chains:
            if height < needed:
                raise Violation(f"lost: {node} ended at height {height}, below an acknowledged one at {needed}")


def _epochs(message: Message, node: str) -> list[tuple[tuple[object, ...], bytes]]:
    """Each height belongs to one epoch (spec/ledger.md, M1): a correct replica votes on it in no other."""
    if isinstance(message, Prepare | Commit) and message.sender == node:
        return [(("epoch of", message.height), str(message.epoch).encode())]
    if isinstance(message, PrePrepare) and message.sender == node:
        return [(("epoch of", message.header.height), str(message.header.epoch).encode())]
    return []


def _claims(message: Message, node: str) -> list[tuple[tuple[object, ...], bytes]]:
    if isinstance(message, PrePrepare) and message.sender == node:
        header = message.header
        return [(("pre-prepare", header.epoch, message.view, header.height), header.digest())]
    if isinstance(message, Prepare | Commit) and message.sender == node:
        kind = "prepare" if isinstance(message, Prepare) else "commit"
        return [((kind, message.epoch, message.view, message.height), message.digest)]
    if isinstance(message, CheckpointVote) and message.sender == node:
        return [(("checkpoint", message.body.epoch, message.body.height), message.body.digest())]
    if isinstance(message, ViewChange) and message.sender == node:
        return [(("view-change", message.epoch, message.view), message.content())]
    if isinstance(message, NewView) and message.sender == node:
        first = [(("new-view", message.epoch, message.view), message.content())]
        return first + [
            (("pre-prepare", message.epoch, message.view, p.header.height), p.header.digest())
            for p in message.proposals
        ]
    return []
