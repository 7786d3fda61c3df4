"""The rules of a round in one small place, for members that may lie: commit, examine, show, answer, decrypt, audit.

Only what concerns sums: who is in the cohort, when a round is void, who is named. The round's own rules, with records
and deadlines, are tested with medward.federation.round.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, IntVector, SumRefused
from medward.fhe import reconstruction
from medward.fhe.checking import read_share
from medward.fhe.contribution import Dealing
from medward.fhe.parameters import AUDITS, DEGREE
from medward.fhe.ring import polynomials
from tests.federation.sums.ward import Ward
from tests.fhe.liars import Ghost, IdealMultiple, LargeSecret, OneShareOff, OtherSecret, UniformCiphertext

DEALINGS: dict[str, type[Dealing]] = {
    "honest": Dealing,
    "another secret": OtherSecret,
    "long secret": LargeSecret,
    "ideal multiple": IdealMultiple,
    "uniform ciphertext": UniformCiphertext,
    "ghost": Ghost,
    "one share off": OneShareOff,
}
SHARES = ("good", "boxes of some spoiled", "boxes of many spoiled")
SHOWS = ("shows", "silent", "shows another")
VERDICTS = ("honest", "all good", "complains of all", "calls all at fault", "silent")
ANSWERS = ("right", "silent", "random", "moves the sum", "false polynomial")
AUDIT_RESPONSES = ("right", "silent", "wrong", "malformed")


@dataclass(frozen=True)
class Strategy:
    """What a liar does, step by step."""

    dealing: str = "honest"
    shares: str = "good"
    response: str = "sends"
    show: str = "shows"
    verdict: str = "honest"
    answer: str = "right"
    audit: str = "right"


@dataclass
class Outcome:
    """How a round ended.

    Args:
        cohort: whose sum it is; empty where it was void before any answer.
        total: the sum that every honest member found; None if the round was void.
        named: who is named with a proof, or as certainly wrong.
    """

    cohort: tuple[str, ...] = ()
    total: IntVector | None = None
    named: set[str] = field(default_factory=set)
    audited: bool = False


class Bank:
    """One round in a federation of `members`, some of whom follow a strategy.

    Args:
        folder: of the journals.
        members: n.
        liars: name -> what it does.
        seed: of the liars' choices.
        searched: whether a fitting set of answers is searched for first; else the audit follows at once, as in a
            federation that is too large for the search.
    """

    def __init__(
        self, folder: Path, members: int, liars: Mapping[str, Strategy], seed: int = 0, searched: bool = True
    ) -> None:
        self.ward = Ward(folder, members, values=60)
        self.liars, self.terms = dict(liars), self.ward.terms
        self.random, self.searched = np.random.default_rng(seed), searched
        self.honest = tuple(name for name in self.ward.names if name not in liars)
        self.faulty = (members - 1) // 3
        self.outcome = Outcome()
        self.inputs = self.ward.inputs()

    def run(self) -> Outcome:
        """Play the round, and return how it ended."""
        self._contribute()
        self._examine()
        if len(self.outcome.cohort) < max(self.faulty + 2, self.terms.threshold):
            return Outcome(named=self.outcome.named)
        self._answer()
        self._decrypt()
        return self.outcome

    def part(self, name: str) -> EncryptedSum:
        return self.ward.parts[name]

    def _strategy(self, name: str) -> Strategy:
        return self.liars.get(name, Strategy())

    def _contribute(self) -> None:
        """Everybody commits before the beacon; a liar's dealing is of its own making."""
        self.dealings: dict[str, Dealing] = {}
        self.contributions = {}
        for name in self.ward.names:
            strategy = self._strategy(name)
            if name in self.honest:
                self.contributions[name] = self.part(name).contribute(self.terms, self.inputs[name])
                continue
            current = self.part(name)._sum(self.terms)
            number = current.dealer(name)
            kind = DEALINGS[strategy.dealing]
            if kind is Ghost:
                served = tuple(range(1, self.terms.threshold))
                kind = type("Served", (Ghost,), {"served": served})
            elif kind is OneShareOff:
                kind = type("Off", (OneShareOff,), {"victim": len(self.ward.names) - 1})
            dealing = self.dealings[name] = kind(current.context, number, hashlib.sha256(name.encode()).digest())
            blocks = current.layout.split(self.inputs[name][:2], self.inputs[name][2:])
            keys = dict(current.keys)
            spoiled = {"good": 0, "boxes of some spoiled": self.terms.most_shown}.get(strategy.shares, len(keys) - 1)
            for holder in sorted(keys)[:spoiled]:
                keys[holder] = self.part(name).sealing_key()  # nobody else can open the box
            self.contributions[name] = dealing.contribute(blocks, keys)
        commitments = b"".join(hashlib.sha256(self.contributions[name]).digest() for name in self.ward.names)
        self.beacon = hashlib.sha256(b"beacon" + commitments).digest()
        self.responses = {}
        for name in self.ward.names:
            if name in self.honest:
                self.responses[name] = self.part(name).respond(self.terms, self.beacon)
            elif self._strategy(name).response == "sends":
                self.responses[name] = self.dealings[name].respond(
                    self.part(name)._sum(self.terms).challenge(self.beacon)
                )

    def _verdict(self, holder: str, dealer: str) -> DealingVerdict | None:
        strategy = self._strategy(holder).verdict
        if strategy == "honest":
            if dealer not in self.responses:
                return None
            contribution, response = self.contributions[dealer], self.responses[dealer]
            return self.part(holder).examine(self.terms, self.beacon, dealer, contribution, response)
        lies = {
            "all good": DealingVerdict.GOOD,
            "complains of all": DealingVerdict.COMPLAINT,
            "calls all at fault": DealingVerdict.AT_FAULT,
        }
        return lies.get(strategy)

    def _examine(self) -> None:
        """Every holder's verdict on every dealing; shows; then the cohort is fixed once and for all."""
        stay = []
        for dealer in self.ward.names:
            verdicts = {holder: self._verdict(holder, dealer) for holder in self.ward.names}
            good = sum(v is DealingVerdict.GOOD for v in verdicts.values())
            faults = sum(v is DealingVerdict.AT_FAULT for v in verdicts.values())
            complaining = [holder for holder, v in verdicts.items() if v is DealingVerdict.COMPLAINT]
            if faults > self.faulty:
                self.outcome.named.add(dealer)
            stays = good > self.faulty and len(complaining) <= self.terms.most_shown
            if stays and (not complaining or self._shown(dealer, complaining)):
                stay.append(dealer)
        self.outcome.cohort = tuple(stay)

    def _shown(self, dealer: str, holders: list[str]) -> bool:
        """Whether more than f holders find good what a dealer shows."""
        if dealer in self.honest:
            shown = self.part(dealer).show(self.terms, holders)
        else:
            numbers = [self.terms.holders.index(name) + 1 for name in holders]
            shown = self.dealings[dealer].show(numbers)
            if self._strategy(dealer).show == "silent":
                return False
            if self._strategy(dealer).show == "shows another":
                shown = shown[:-1] + bytes([shown[-1] ^ 1])
        arguments = (self.terms, self.beacon, dealer, holders, self.contributions[dealer], self.responses[dealer])
        judged = [self.part(name).examine_shown(*arguments, shown) for name in self.honest]
        assert len(set(judged)) == 1, "honest members judge a show alike"
        return sum(judged) > self.faulty

    def _answer(self) -> None:
        """Liars answer last: they have seen every honest answer."""
        cohort = self.outcome.cohort
        self.answers = {}
        for name in self.honest:
            try:
                self.answers[name] = self.part(name).answer(self.terms, cohort)
            except SumRefused:
                continue
        context = self.part(self.honest[0])._sum(self.terms).context
        p = context.parameters.prime
        liars = [name for name in self.liars if self._strategy(name).answer != "silent"]
        common = self.random.integers(-50, 50, DEGREE + AUDITS).astype(float)
        points = [self.terms.holders.index(name) + 1 for name in liars]
        fitting = [*points, *(j for j in range(1, len(self.ward.names) + 1) if j not in points)]
        weights = polynomials.weights(fitting[: self.terms.threshold], (0,), p)[0]
        for place, name in enumerate(liars):
            number = self.terms.holders.index(name) + 1
            parts = [self._liar_part(dealer, number) for dealer in cohort]
            right = np.zeros(DEGREE + AUDITS)
            for part in parts:
                right = polynomials.add(right, part, p)
            by = self._false(self._strategy(name).answer, common, weights, place, len(liars), p)
            self.answers[name] = reconstruction.answer(context, [right, by])

    def _false(
        self, strategy: str, common: np.ndarray, weights: np.ndarray, place: int, count: int, p: int
    ) -> np.ndarray:
        """Return what a liar adds to its right answer."""
        if strategy == "random":
            return self.random.integers(-(p // 2), p // 2, DEGREE + AUDITS).astype(float)
        if strategy == "moves the sum" or (strategy == "false polynomial" and count > 1):
            # By weight: a short shift of S by each, or shifts of S that cancel out where there are two of them.
            sign = {0: 1, 1: -1}.get(place, 0) if strategy == "false polynomial" else 1
            inverse = polynomials.balanced(pow(int(weights[place]), -1, p) * sign, p)
            return polynomials.combine(np.array([[float(inverse)]]), common[None], p)[0]
        return np.zeros(DEGREE + AUDITS)

    def _liar_part(self, dealer: str, number: int) -> np.ndarray:
        """What a liar knows of its own share (liars share everything)."""
        dealing = self.dealings.get(dealer) or self.part(dealer)._sum(self.terms).dealing
        share = dealing.shares([number])[number]
        return reconstruction.answered_part(read_share(dealing._context, number, share))

    def _decrypt(self) -> None:
        found = [
            self.part(name).decrypt(self.terms, self.outcome.cohort, self.contributions, self.answers)
            if self.searched
            else None
            for name in self.honest
        ]
        if found[0] is None:
            assert all(one is None for one in found)
            found = self._audited()
        if found and found[0] is not None:
            assert all(one is not None and np.array_equal(one.total, found[0].total) for one in found)
            self.outcome.total = found[0].total
            self.outcome.named |= set(found[0].wrong)

    def _audited(self) -> list:
        """Audit the answers given; name who lied; decrypt from the good ones."""
        self.outcome.audited = True
        given = b"".join(hashlib.sha256(self.answers[name]).digest() for name in sorted(self.answers))
        beacon = hashlib.sha256(b"audit" + given).digest()
        rows = self.part(self.honest[0])._sum(self.terms).context.audit_rows(beacon)
        told: dict[str, bytes] = {}
        for dealer in self.outcome.cohort:
            if dealer in self.honest:
                told[dealer] = self.part(dealer).respond_to_audit(self.terms, beacon)
                continue
            strategy = self._strategy(dealer).audit
            if strategy == "silent":
                self.outcome.named.add(dealer)
                return []
            response = self.dealings[dealer].respond_to_audit(rows)
            lies = {"wrong": self.dealings[dealer].respond_to_audit(rows[::-1].copy()), "malformed": response[:-1]}
            told[dealer] = lies.get(strategy, response)
        lied = set()
        for holder in self.honest:
            for dealer, response in told.items():
                if self.part(holder).contradicts(self.terms, beacon, dealer, response):
                    share = self.part(holder).dealt(self.terms, dealer, self.contributions[dealer])
                    auditor = EncryptedSum("auditor", None, b"")
                    arguments = (self.terms, self.beacon, dealer, holder, self.contributions[dealer])
                    if share is not None and auditor.convicts(
                        *arguments, self.responses[dealer], share, (beacon, response)
                    ):
                        lied.add(dealer)
        self.outcome.named |= lied
        if lied:
            return []
        good = self.part(self.honest[0]).audit(self.terms, beacon, self.outcome.cohort, told, self.answers)
        self.outcome.named |= set(self.answers) - set(good)
        kept = {name: self.answers[name] for name in good}
        return [
            self.part(name).decrypt(self.terms, self.outcome.cohort, self.contributions, kept) for name in self.honest
        ]
