"""Who votes when: members, quorums, epochs.

See spec/ledger.md, "Quorums" and "Membership".
"""

from typing import Annotated

import msgspec

from medward.ledger.encoding import Count, Name, Structure, digest
from medward.ledger.errors import LedgerError
from medward.ledger.types import Member, MemberUpdate

MAX_MEMBERS = 64


def tolerated_faults(members: int) -> int:
    """Return f = floor((n-1)/3), the number of members that may do anything at all."""
    return (members - 1) // 3


def quorum(members: int) -> int:
    """Return Q = ceil((n+f+1)/2): two quorums share a correct member, and the correct members are a quorum."""
    return (members + tolerated_faults(members) + 2) // 2


class Membership(Structure, frozen=True):
    """The members of one epoch, sorted by name.

    Args:
        epoch: 0 at genesis, one more at each change.
        first_height: the first height that this epoch orders; it orders all until the next epoch's first.
        members: at least 1, at most 64.
    """

    epoch: Count
    first_height: Count
    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1, max_length=MAX_MEMBERS)]

    @property
    def size(self) -> int:
        """The number n of members."""
        return len(self.members)

    @property
    def faults(self) -> int:
        """The number f of members that may be faulty."""
        return tolerated_faults(len(self.members))

    @property
    def quorum(self) -> int:
        """The number Q of votes that decide."""
        return quorum(len(self.members))

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names, sorted."""
        return tuple(member.name for member in self.members)

    def member(self, name: str) -> Member | None:
        """Return the member of that name, or None."""
        for member in self.members:
            if member.name == name:
                return member
        return None

    def leader(self, view: int) -> str:
        """Return the name of the leader of `view`: the members take turns, and each epoch starts with another."""
        return self.members[(self.epoch + view) % len(self.members)].name

    def digest(self) -> bytes:
        """Return what a checkpoint certificate signs of the members that vote after it."""
        return digest(self)


def next_membership(now: Membership, updates: tuple[MemberUpdate, ...], first_height: int) -> Membership:
    """Return the membership after `updates`, in their order, effective from `first_height`.

    An update that makes no sense (a stranger leaving, a duplicate key, more than 64 members, nobody left) changes
    nothing: the application should not order one, and a replica must not stop over it.
    """
    members = {member.name: member for member in now.members}
    for update in updates:
        changed = dict(members)
        if update.member is None:
            changed.pop(update.name, None)
        elif update.member.name == update.name:
            changed[update.name] = update.member
        keys = {key.data for member in changed.values() for key in member.keys}
        if 1 <= len(changed) <= MAX_MEMBERS and len(keys) == sum(len(member.keys) for member in changed.values()):
            members = changed
    ordered = tuple(members[name] for name in sorted(members))
    return Membership(now.epoch + 1, first_height, ordered)


class ChainParameters(Structure, frozen=True):
    """What every replica must hold equal, so it is part of the genesis.

    Args:
        checkpoint_interval: K, heights between checkpoints.
        log_window: L, heights above the stable checkpoint that may be voted on; a multiple of K, at least 2K.
        in_flight: W, heights above the last executed one that may be proposed; at most L.
        max_batch: transactions in a block.
        max_batch_bytes: encoded bytes of a block's transactions.
        chunk_bytes: bytes in a chunk of a snapshot.
        clock_drift: how far a proposed time may be from a backup's own clock, milliseconds.
    """

    checkpoint_interval: Count = 64
    log_window: Count = 128
    in_flight: Count = 16
    max_batch: Count = 512
    max_batch_bytes: Count = 2**20
    chunk_bytes: Count = 2**16
    clock_drift: Count = 10_000

    def validate(self) -> None:
        """Check that the numbers fit each other.

        Raises:
            LedgerError: they do not.
        """
        window = self.log_window
        if not 1 <= self.checkpoint_interval <= window // 2 or window % self.checkpoint_interval or window > 1024:
            raise LedgerError("log_window must be a multiple, at least twice, of checkpoint_interval, at most 1024")
        if not 1 <= self.in_flight <= self.log_window or not 1 <= self.max_batch <= 4096:
            raise LedgerError("in_flight must be 1 to log_window, and max_batch 1 to 4096")
        if not 1024 <= self.chunk_bytes <= 2**20 or not 2**16 <= self.max_batch_bytes <= 2**22:
            raise LedgerError("chunk_bytes must be 1 KiB to 1 MiB, and max_batch_bytes 64 KiB to 4 MiB")


class Genesis(Structure, frozen=True):
    """What the members agree on before the first block.

    Args:
        name: the federation's name.
        time: milliseconds since 1970; no block is earlier.
        parameters: what every replica must hold equal.
        members: the first members, sorted by name.
    """

    name: Name
    time: Count
    parameters: ChainParameters
    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1, max_length=MAX_MEMBERS)]

    @property
    def chain(self) -> bytes:
        """The chain id that every signature is bound to."""
        return digest(self)

    @property
    def membership(self) -> Membership:
        """Epoch 0."""
        names = [member.name for member in self.members]
        if names != sorted(set(names)):
            raise LedgerError("the members of a genesis must have different names, in sorted order")
        return Membership(0, 1, self.members)
