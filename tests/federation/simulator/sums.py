"""Sums for the simulator: nothing is encrypted; every blob says in the open what it is, so that a liar can make any.

A contribution says whose share it spoils, a response whether it is right, an answer whether it is the sum of its
holder's shares. What a member can see of that is what the real checks would show it (spec/scheme.md): a holder sees
only whether its own share is good, everybody sees whether a response fits.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import msgspec
import numpy as np

from medward.federation.sums.interface import Blob, DealingVerdict, Decrypted, IntVector, SumRefused, SumTerms, WrongSum
from medward.fhe.hybrid import HybridKey


class Dealt(msgspec.Struct, frozen=True, tag="dealt"):
    """A contribution: what it adds, and for whom its share is wrong; one that is malformed is so for everybody."""

    federation: str
    round: int
    dealer: str
    value: int
    spoiled: tuple[str, ...] = ()
    malformed: bool = False


class Response(msgspec.Struct, frozen=True, tag="response"):
    federation: str
    round: int
    dealer: str
    beacon: bytes
    right: bool = True


class Shown(msgspec.Struct, frozen=True, tag="shown"):
    round: int
    dealer: str
    holders: tuple[str, ...]
    right: bool = True


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    federation: str
    round: int
    holder: str
    cohort: tuple[str, ...]
    right: bool = True


class Share(msgspec.Struct, frozen=True, tag="share"):
    """What a dealer dealt to a holder; it is off the polynomial where `wrong`."""

    round: int
    dealer: str
    holder: str
    wrong: bool


class Audited(msgspec.Struct, frozen=True, tag="audited"):
    round: int
    dealer: str
    beacon: bytes
    right: bool = True


Fact = Dealt | Response | Shown | Answered | Share | Audited
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Fact)
Form = TypeVar("Form", Dealt, Response, Shown, Answered, Share, Audited)


def content(fact: Fact) -> bytes:
    return _ENCODER.encode(fact)


def read(data: bytes, form: type[Form]) -> Form | None:
    """Return what a blob says it is, or None if it is nothing of that form."""
    try:
        fact = _DECODER.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return fact if isinstance(fact, form) else None


@lru_cache(maxsize=4096)
def public_key(member: str, number: int) -> bytes:
    """Return a real sealing key, the same in every run."""
    secret = b"".join(hashlib.sha256(f"{member}/{number}/{part}".encode()).digest() for part in range(3))
    return HybridKey.from_bytes(secret).public


@dataclass
class Journal:
    """What a member has shown, which survives its crashes (spec/round.md; threat M8)."""

    given: dict[tuple[int, str], tuple[object, bytes]] = field(default_factory=dict)
    keys: set[bytes] = field(default_factory=set)
    drawn: int = 0

    def once(self, number: int, kind: str, question: object, make: Callable[[], bytes]) -> bytes:
        asked, answer = self.given.setdefault((number, kind), (question, b""))
        if asked != question:
            raise SumRefused(f"the {kind} of round {number} was given to another question")
        if not answer:
            answer = make()
            self.given[number, kind] = (question, answer)
        return answer


class SimSum:
    """An honest member's part in sums; a `SecureSum`.

    Args:
        member: its name.
        label: what its sealing keys are drawn from, another for every incarnation.
        journal: what it showed before.
        most_wrong: with more wrong answers at hand than these, no set of them is found to fit.
        answered: is told of every answer.
    """

    name = "aggregate"

    def __init__(
        self, member: str, label: str, journal: Journal, most_wrong: int,
        answered: Callable[[SumTerms, tuple[str, ...]], None],
    ) -> None:  # fmt: skip
        self.member, self._label = member, label
        self.journal, self._most_wrong, self._answered = journal, most_wrong, answered
        #: The round -> the dealers of whom this holder has a share that it checked, or was shown.
        self._shares: dict[int, set[str]] = {}

    def sealing_key(self) -> bytes:
        self.journal.drawn += 1
        key = public_key(self._label, self.journal.drawn)
        self.journal.keys.add(key)
        return key

    def keep_sealing_keys(self, publics: Sequence[bytes]) -> None:
        self.journal.keys &= set(publics)

    def expected_bytes(self, terms: SumTerms, kind: Blob, author: str, about: Sequence[str] = ()) -> int:
        return 0  # no blob is read by its length here

    def contribute(self, terms: SumTerms, values: IntVector) -> bytes:
        fact = self.dealing(terms, int(values[0]))
        return self.journal.once(terms.round, "contribution", int(values[0]), lambda: content(fact))

    def dealing(self, terms: SumTerms, value: int) -> Dealt:
        return Dealt(terms.federation, terms.round, self.member, value)

    def contributed(self, terms: SumTerms) -> bytes | None:
        return self.journal.given.get((terms.round, "contribution"), (None, None))[1]

    def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
        if self.contributed(terms) is None:
            raise SumRefused(f"{self.member} did not contribute")
        fact = Response(terms.federation, terms.round, self.member, beacon)
        return self.journal.once(terms.round, "response", beacon, lambda: content(fact))

    def examine(
        self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
    ) -> DealingVerdict:
        dealt, said = _dealt(terms, dealer, contribution), read(response, Response)
        self._shares.setdefault(terms.round, set()).discard(dealer)
        if dealt is None or said != Response(terms.federation, terms.round, dealer, beacon):
            return DealingVerdict.AT_FAULT
        if self.member not in present(terms):
            return DealingVerdict.GOOD
        self._needs_secret(terms)
        if self.member in dealt.spoiled:
            return DealingVerdict.COMPLAINT
        self._shares[terms.round].add(dealer)
        return DealingVerdict.GOOD

    def _needs_secret(self, terms: SumTerms) -> None:
        key = dict(zip(terms.holders, terms.sealing_keys, strict=True))[self.member]
        if key and key not in self.journal.keys:
            raise SumRefused(f"{self.member} has no secret of its sealing key of round {terms.round}")

    def dealt(self, terms: SumTerms, dealer: str, contribution: bytes) -> bytes | None:
        fact = _dealt(terms, dealer, contribution)
        return None if fact is None else content(Share(terms.round, dealer, self.member, self.member in fact.spoiled))

    def show(self, terms: SumTerms, holders: Sequence[str]) -> bytes:
        if not 1 <= len(holders) <= terms.most_shown:
            raise SumRefused(f"{self.member} shows {len(holders)} shares to nobody")
        fact = Shown(terms.round, self.member, tuple(holders))
        return self.journal.once(terms.round, "shown", tuple(holders), lambda: content(fact))

    def examine_shown(
        self, terms: SumTerms, beacon: bytes, dealer: str, holders: Sequence[str], contribution: bytes, response: bytes,
        shown: bytes,
    ) -> bool:  # fmt: skip
        dealt, said = _dealt(terms, dealer, contribution), read(response, Response)
        right = said == Response(terms.federation, terms.round, dealer, beacon)
        if dealt is None or not right or read(shown, Shown) != Shown(terms.round, dealer, tuple(holders)):
            return False
        if self.member in holders:
            self._shares.setdefault(terms.round, set()).add(dealer)
        return True

    def ready(self, terms: SumTerms, cohort: Sequence[str]) -> bool:
        if self.member not in present(terms):
            return False
        if (given := self.journal.given.get((terms.round, "answer"))) is not None:
            return given[0] == tuple(cohort)
        return set(cohort) <= self._shares.get(terms.round, set())

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        fact = Answered(terms.federation, terms.round, self.member, tuple(cohort))
        answer = self.journal.once(terms.round, "answer", tuple(cohort), lambda: content(fact))
        self._answered(terms, tuple(cohort))
        return answer

    def decrypt(
        self, terms: SumTerms, cohort: Sequence[str], contributions: Mapping[str, bytes], answers: Mapping[str, bytes]
    ) -> Decrypted | None:
        right = _right(terms, cohort, answers)
        if len(right) < terms.threshold or len(answers) - len(right) > self._most_wrong:
            return None
        total = 0
        for dealer in cohort:
            dealt = _dealt(terms, dealer, contributions[dealer])
            if dealt is None:
                raise WrongSum(f"the contribution of {dealer} is malformed")
            total += dealt.value
        return Decrypted(np.array([total], np.int64), tuple(holder for holder in answers if holder not in right))

    def respond_to_audit(self, terms: SumTerms, beacon: bytes) -> bytes:
        fact = Audited(terms.round, self.member, beacon)
        return self.journal.once(terms.round, "audit", beacon, lambda: content(fact))

    def audit(
        self, terms: SumTerms, beacon: bytes, cohort: Sequence[str], responses: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> tuple[str, ...]:  # fmt: skip
        # One false response moves what every answer is compared with.
        if any(read(responses[dealer], Audited) != Audited(terms.round, dealer, beacon) for dealer in cohort):
            return ()
        return _right(terms, cohort, answers)

    def convicts(
        self, terms: SumTerms, beacon: bytes, dealer: str, holder: str, contribution: bytes, response: bytes,
        share: bytes, audit: tuple[bytes, bytes] | None = None,
    ) -> bool:  # fmt: skip
        return convicts(terms, dealer, holder, contribution, share, audit)


def present(terms: SumTerms) -> tuple[str, ...]:
    """Return the holders that shares are sealed to; in the open there are no keys."""
    keyed = tuple(h for h, key in zip(terms.holders, terms.sealing_keys, strict=True) if key)
    return keyed or terms.holders


def convicts(
    terms: SumTerms, dealer: str, holder: str, contribution: bytes, share: bytes, audit: tuple[bytes, bytes] | None
) -> bool:
    """Return whether a published share, which fits what its dealer published, proves the dealer at fault."""
    dealt = _dealt(terms, dealer, contribution)
    if dealt is None or read(share, Share) != Share(terms.round, dealer, holder, holder in dealt.spoiled):
        return False
    if holder in dealt.spoiled:
        return True
    return audit is not None and read(audit[1], Audited) != Audited(terms.round, dealer, audit[0])


def _dealt(terms: SumTerms, dealer: str, contribution: bytes) -> Dealt | None:
    fact = read(contribution, Dealt)
    whose = None if fact is None else (fact.federation, fact.round, fact.dealer)
    return None if fact is None or fact.malformed or whose != (terms.federation, terms.round, dealer) else fact


def _right(terms: SumTerms, cohort: Sequence[str], answers: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the holders whose answers are the sums of their shares over the cohort."""
    whole = tuple(cohort)
    right = {h for h, a in answers.items() if read(a, Answered) == Answered(terms.federation, terms.round, h, whole)}
    return tuple(holder for holder in terms.holders if holder in right)
