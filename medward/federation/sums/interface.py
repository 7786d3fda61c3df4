"""The interface of a sum to a round: one member's part as local computation on bytes, whoever moves them.

    contribute -> respond -> examine (-> show -> examine_shown) -> answer -> decrypt (-> respond_to_audit -> audit)

Nothing that comes in is trusted. What a member shows is stored by its part before it is returned, so that asked again,
also after a restart, it returns the same bytes, and never others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medward.federation.errors import FederationError

IntVector = NDArray[np.int64]


class WrongSum(FederationError):
    """A contribution, response, share or answer that is malformed or not what it should be; the text names who."""


class SumRefused(FederationError):
    """Something that this member must not show: it showed other bytes before, or has not checked enough."""


#: What a blob is that a member names in a round.
Blob = Literal["contribution", "response", "shown", "answer", "share"]


class DealingVerdict(Enum):
    """What a holder finds of a dealing."""

    GOOD = "good"
    #: Something that everybody can check is wrong: the contribution, or the response to the beacon.
    AT_FAULT = "at fault"
    #: Only this holder can tell: the share sealed to it does not open, or is not the one that it should be.
    COMPLAINT = "complaint"


@dataclass(frozen=True)
class SumTerms:
    """What everybody knows of a sum when it begins; nothing in it changes afterwards.

    Args:
        federation: the federation's name.
        round: the round's number; it never repeats in a federation.
        counts: how many counts (integers from 0 to 2^30 - 1) are summed.
        values: how many signed values are summed.
        bits: the width of a value.
        contributors: who may contribute; numbered from 1 in this order.
        holders: who holds shares; numbered from 1 in this order, which are the points that shares are taken at.
        sealing_keys: each holder's public key that shares are sealed to; empty for a holder that is absent.
        faulty: f, how many of all members may lie.
        threshold: t, how many answers decrypt the sum.
        recent: the hash of the block in which the sum began; public elements derive from it.
    """

    federation: str
    round: int
    counts: int
    values: int
    bits: int
    contributors: tuple[str, ...]
    holders: tuple[str, ...]
    sealing_keys: tuple[bytes, ...]
    faulty: int
    threshold: int
    recent: bytes

    @property
    def faulty_holders(self) -> int:
        """How many holders may lie: floor((h - 1) / 3)."""
        return (len(self.holders) - 1) // 3

    @property
    def most_shown(self) -> int:
        """How many of a dealing's shares may be shown in the open: with those of liars they are one short of t."""
        return self.threshold - 1 - self.faulty_holders


@dataclass(frozen=True)
class Decrypted:
    """A sum that was found.

    Args:
        total: int64[counts + values], counts first.
        wrong: the holders, of those given, whose answer was not the sum of their shares.
    """

    total: IntVector
    wrong: tuple[str, ...] = ()


class SecureSum(Protocol):
    """One member's part in sums, as contributor and as holder."""

    name: str

    def sealing_key(self) -> bytes:
        """Draw a new sealing key, keep its secret durably, and return its public part (empty where none is needed)."""

    def keep_sealing_keys(self, publics: Sequence[bytes]) -> None:
        """Erase the secrets of all sealing keys but these."""

    def expected_bytes(self, terms: SumTerms, kind: Blob, author: str, about: Sequence[str] = ()) -> int:
        """Return the exact size of a blob that a member names in this sum.

        Args:
            terms: of the sum.
            kind: what it is.
            author: who named it.
            about: the holders whose shares are shown, or the cohort that is answered for.

        Raises:
            WrongSum: a name in it is not of this sum.
        """

    def contribute(self, terms: SumTerms, values: IntVector) -> bytes:
        """Return this member's contribution: what it adds, encrypted, and its one-time secret, dealt to the holders.

        Args:
            terms: of the sum.
            values: int64[counts + values], counts first.

        Raises:
            WrongSum: a number does not fit.
            SumRefused: this member contributed other numbers to this sum before.
        """

    def contributed(self, terms: SumTerms) -> bytes | None:
        """Return what this member contributed before, or None."""

    def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
        """Return this member's response, as dealer, to the beacon.

        Raises:
            SumRefused: it did not contribute, or responded to another beacon of this round.
        """

    def examine(
        self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
    ) -> DealingVerdict:
        """Check a dealing, and this holder's share of it; keep the share where it is good.

        A member that is no holder, or an absent one, checks only what everybody can.
        """

    def dealt(self, terms: SumTerms, dealer: str, contribution: bytes) -> bytes | None:
        """Return the share, with its salt, that a dealer sealed to this holder; None if it does not fit its digest."""

    def show(self, terms: SumTerms, holders: Sequence[str]) -> bytes:
        """Return, in the open, the shares that this member dealt to these holders.

        Raises:
            SumRefused: there are more of them than `terms.most_shown`, or others were shown before.
        """

    def examine_shown(
        self,
        terms: SumTerms,
        beacon: bytes,
        dealer: str,
        holders: Sequence[str],
        contribution: bytes,
        response: bytes,
        shown: bytes,
    ) -> bool:
        """Return whether what a dealer showed is what it dealt to these holders, and good; keep this holder's own."""

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        """Return this holder's one answer: the sum of its shares over the cohort.

        Raises:
            SumRefused: it has no checked share of somebody in the cohort, or it answered for another cohort.
        """

    def ready(self, terms: SumTerms, cohort: Sequence[str]) -> bool:
        """Return whether `answer` would give an answer: every share was checked, or the answer was given before."""

    def decrypt(
        self,
        terms: SumTerms,
        cohort: Sequence[str],
        contributions: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> Decrypted | None:
        """Return the exact sum, or None where no set of t of these answers fits.

        Args:
            terms: of the sum.
            cohort: whose contributions are summed.
            contributions: at least the cohort's, by member, each examined.
            answers: by holder; malformed ones are passed over.
        """

    def respond_to_audit(self, terms: SumTerms, beacon: bytes) -> bytes:
        """Return this dealer's response to the audit's beacon: one a round.

        Raises:
            SumRefused: it did not contribute, or responded to another one.
        """

    def audit(
        self,
        terms: SumTerms,
        beacon: bytes,
        cohort: Sequence[str],
        responses: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> tuple[str, ...]:
        """Return the holders whose answers agree with the dealers' responses, in the order of the holders."""

    def convicts(
        self,
        terms: SumTerms,
        beacon: bytes,
        dealer: str,
        holder: str,
        contribution: bytes,
        response: bytes,
        share: bytes,
        audit: tuple[bytes, bytes] | None = None,
    ) -> bool:
        """Return whether a late complaint proves the dealer at fault; anybody can tell, an auditor too.

        It does where `share` fits the digest that the dealer published for the holder, and is malformed, or off the
        dealing's polynomial, or contradicts the dealer's response to the audit.

        Args:
            terms: of the sum.
            beacon: of the dealings.
            dealer, holder: whose share for whom.
            contribution, response: the dealer's.
            share: what `dealt` returned at the holder.
            audit: the audit's beacon and the dealer's response to it, where there was an audit.
        """
