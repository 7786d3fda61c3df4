"""Members with their parts in one sum, and what they show each other, as `EncryptedSum` makes it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, Decrypted, IntVector, SumTerms
from medward.federation.sums.journal import AnswerJournal

BEACON = hashlib.sha256(b"beacon").digest()
AUDIT_BEACON = hashlib.sha256(b"audit").digest()
RECENT = hashlib.sha256(b"recent").digest()


def names(count: int) -> tuple[str, ...]:
    return tuple(f"hospital-{i}" for i in range(1, count + 1))


def random_values(terms: SumTerms, seed: int) -> IntVector:
    generator = np.random.default_rng(seed)
    largest = (1 << (terms.bits - 1)) - 1
    counts = generator.integers(0, 1 << 20, terms.counts)
    return np.concatenate([counts, generator.integers(-largest, largest + 1, terms.values)])


@dataclass
class Ward:
    """A sum of `members`, all of whom contribute and, but for `absent`, hold shares."""

    folder: Path
    members: int = 4
    bits: int = 8
    counts: int = 2
    values: int = 500
    round: int = 1
    absent: frozenset[str] = frozenset()
    parts: dict[str, EncryptedSum] = field(default_factory=dict)
    journals: dict[str, AnswerJournal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = names(self.members)
        self.parts = {name: self.part(name) for name in self.names}
        self.terms = self.begin(self.round)

    def part(self, name: str) -> EncryptedSum:
        """Return a member's part as after a restart: with its journal and nothing in memory."""
        if name in self.journals:
            self.journals[name].close()
        self.journals[name] = AnswerJournal(self.folder / f"{name}.sqlite")
        return EncryptedSum(name, self.journals[name], name.encode())

    def begin(self, round: int) -> SumTerms:
        keys = tuple(b"" if name in self.absent else self.parts[name].sealing_key() for name in self.names)
        faulty = (self.members - 1) // 3
        return SumTerms(
            "ward", round, self.counts, self.values, self.bits, self.names, self.names, keys, faulty,
            self.members - faulty, RECENT,
        )  # fmt: skip

    @property
    def present(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.absent)

    def inputs(self) -> dict[str, IntVector]:
        return {name: random_values(self.terms, i) for i, name in enumerate(self.names)}

    def contribute(self, inputs: Mapping[str, IntVector] | None = None) -> dict[str, bytes]:
        given = self.inputs() if inputs is None else inputs
        return {name: self.parts[name].contribute(self.terms, given[name]) for name in self.names}

    def respond(self) -> dict[str, bytes]:
        return {name: self.parts[name].respond(self.terms, BEACON) for name in self.names}

    def examine(
        self, contributions: Mapping[str, bytes], responses: Mapping[str, bytes], holders: Iterable[str] | None = None
    ) -> dict[str, dict[str, DealingVerdict]]:
        """Return holder -> dealer -> verdict."""
        return {
            holder: {
                dealer: self.parts[holder].examine(self.terms, BEACON, dealer, contribution, responses[dealer])
                for dealer, contribution in contributions.items()
            }
            for holder in (self.present if holders is None else holders)
        }

    def answer(self, cohort: Iterable[str] | None = None, holders: Iterable[str] | None = None) -> dict[str, bytes]:
        cohort = tuple(self.names if cohort is None else cohort)
        return {
            holder: self.parts[holder].answer(self.terms, cohort)
            for holder in (self.present if holders is None else holders)
        }

    def decrypt(
        self, contributions: Mapping[str, bytes], answers: Mapping[str, bytes], by: str | None = None
    ) -> Decrypted | None:
        cohort = tuple(contributions)
        return self.parts[by or self.names[0]].decrypt(self.terms, cohort, contributions, answers)
