"""What a federation's members need from below them, a way to sum in secret, and what can go wrong.

The store is medward.store.interface.BlobStore, the log is any medward.ledger.types.Engine under the rules of rules.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medward.errors import MedwardError

IntVector = NDArray[np.int64]


class FederationError(MedwardError):
    """Something that keeps a federation from going on."""


class Refused(FederationError):
    """A record that breaks a rule of the round; it changes nothing."""


class MissingBlob(FederationError):
    """A blob that no reachable store holds."""


class WrongSum(FederationError):
    """An aggregate that is not the sum of the cohort's contributions, or a contribution or share that is malformed."""


@dataclass(frozen=True)
class Slot:
    """The one use that a contribution, an aggregate and a share are made for; they are worthless in any other.

    Args:
        federation: the federation's name.
        round: the round's number; it never repeats in a federation.
        counts: how many counts (integers from 0 to 2^30 - 1) are summed.
        values: how many signed values are summed.
        bits: the width of a value; in an encrypted sum it sets how many share a ciphertext.
    """

    federation: str
    round: int
    counts: int
    values: int
    bits: int = 16


class SecureSum(Protocol):
    """One member's part in adding vectors of integers so that only the sum is learned.

    Everything here is local computation on bytes; whoever calls it moves the bytes, and nothing that comes in is
    trusted. The verbs come in this order: every member seals, all examine, an aggregator adds, every member checks,
    every key holder shares, all examine the shares; a silent holder is opened by what others reveal; anyone opens.
    """

    name: str

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        """Return this member's contribution; sealing the same again for one slot returns the first one again.

        Args:
            slot: what it is for.
            values: int64[counts + values], counts first.

        Raises:
            WrongSum: a number does not fit, or other numbers were sealed for this slot before.
        """

    def sealed(self, slot: Slot) -> bytes | None:
        """Return the contribution that this member sealed for the slot before, or None."""

    def examine(self, slot: Slot, member: str, contribution: bytes) -> None:
        """Return if `member`'s contribution is well-formed and proved to be so.

        Raises:
            WrongSum: it is not; the message names the member.
        """

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        """Return the aggregate of the members' contributions, which are keyed by member.

        Raises:
            WrongSum: a contribution is malformed; the message names its member.
        """

    def check(self, slot: Slot, contributions: Mapping[str, bytes], aggregate: bytes) -> None:
        """Return if `aggregate` is exactly the sum of the contributions, each of them examined and good.

        Raises:
            WrongSum: it is not.
        """

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        """Return this holder's share in opening an aggregate that it has checked itself; asked again, the same one.

        Raises:
            WrongSum: the aggregate was not checked, or another one was answered for this slot.
        """

    def examine_share(self, slot: Slot, aggregate: bytes, holder: str, share: bytes) -> None:
        """Return if `holder`'s share in opening a checked aggregate is right.

        Raises:
            WrongSum: it is not; the message names the holder.
        """

    def reveal(self, slot: Slot, holder: str) -> bytes:
        """Return, in the open, what the now silent `holder` once dealt to this member.

        Raises:
            WrongSum: this member has nothing of the holder's, or no more holders may be opened.
        """

    def examine_reveal(self, slot: Slot, holder: str, member: str, revealed: bytes) -> None:
        """Return if `revealed` is what `holder` dealt to `member`.

        Raises:
            WrongSum: it is not; the message names who is at fault.
        """

    def open(
        self,
        slot: Slot,
        aggregate: bytes,
        shares: Mapping[str, bytes],
        revealed: Mapping[str, Mapping[str, bytes]],
    ) -> IntVector:
        """Return the exact sum of a checked aggregate.

        Args:
            slot: what it is for.
            aggregate: the aggregate.
            shares: each answering holder's share, examined.
            revealed: for each silent holder, what it had dealt to others, by member, examined.

        Raises:
            WrongSum: a share is malformed or missing; the message names its holder.
        """
