"""Whole rounds in one process, for tests of the member's role: every byte goes through its encoding."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from medward.fhe.epoch import EpochKeys, contribute
from medward.fhe.errors import AnswerRefused
from medward.fhe.keys import SecretKey
from medward.fhe.member import CheckedSum, Slot, Submission, SumMember
from medward.fhe.parameters import SumParameters

from .sums import updates

FEDERATION = b"test federation"


class MemoryJournal:
    """Answers kept as long as the object lives; the durable one is in medward.federation.journal."""

    def __init__(self) -> None:
        self.answers: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
        self.spent: dict[tuple[bytes, int, str], int] = {}

    def once(self, slot: Slot, question: bytes, budget: int, make: Callable[[], bytes]) -> bytes:
        key = (slot.federation, slot.kind, slot.epoch if slot.kind == "reveal" else 0, slot.round, slot.chunk)
        if key in self.answers:
            asked, answer = self.answers[key]
            if asked != question:
                raise AnswerRefused(f"round {slot.round} has another answer of kind {slot.kind!r}")
            return answer
        budgeted = (slot.federation, slot.epoch, slot.kind)
        if self.spent.get(budgeted, 0) >= budget:
            raise AnswerRefused(f"epoch {slot.epoch} has spent its budget")
        answer = make()
        self.spent[budgeted] = self.spent.get(budgeted, 0) + 1
        self.answers[key] = (question, answer)
        return answer

    def stored(self, slot: Slot) -> bytes | None:
        key = (slot.federation, slot.kind, slot.epoch if slot.kind == "reveal" else 0, slot.round, slot.chunk)
        return self.answers[key][1] if key in self.answers else None


def accepted_keys(parameters: SumParameters, epoch: int = 1) -> tuple[EpochKeys, dict[int, SecretKey]]:
    """Run the honest part of a key ceremony: members 1..n commit, then open."""
    made = {i: contribute(parameters, FEDERATION, epoch, i) for i in range(1, parameters.holders + 1)}
    contributions = {i: (c.commitment(parameters, FEDERATION, epoch, i), c) for i, (_, c) in made.items()}
    return EpochKeys.accept(parameters, FEDERATION, epoch, contributions), {i: s for i, (s, _) in made.items()}


@dataclass
class Ward:
    """All members of a federation; member i contributes, members 1..n also hold keys."""

    keys: EpochKeys
    secrets: dict[int, SecretKey]
    members: dict[int, SumMember] = field(default_factory=dict)
    values: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: SumParameters, contributors: int | None = None) -> "Ward":
        keys, secrets = accepted_keys(parameters)
        ward = cls(keys, secrets)
        for i in range(1, (contributors or parameters.holders) + 1):
            ward.members[i] = SumMember(keys, i, MemoryJournal(), secrets.get(i))
        return ward

    def sealed(self, round: int = 1, chunk: int = 0, kind: str = "random") -> dict[int, Submission]:
        out = {}
        for i, member in self.members.items():
            values = updates(self.keys.parameters, kind, 1000 * round + i)
            self.values[round, chunk, i] = values
            out[i] = member.seal(round, chunk, values)
        return out

    def commitments(self, submissions: dict[int, Submission], round: int = 1, chunk: int = 0) -> dict[int, bytes]:
        return {i: s.commitment(self.keys, round, chunk, i) for i, s in submissions.items()}

    def checked(self, submissions: dict[int, Submission], round: int = 1, chunk: int = 0) -> dict[int, CheckedSum]:
        commitments = self.commitments(submissions, round, chunk)
        aggregate = self.members[1].add(submissions)
        return {i: m.check(round, chunk, commitments, submissions, aggregate) for i, m in self.members.items()}

    def answers(self, checked: dict[int, CheckedSum]) -> dict[int, bytes]:
        return {i: self.members[i].share(checked[i]) for i in self.keys.holders}

    def expected(self, round: int = 1, chunk: int = 0) -> np.ndarray:
        return sum(v for (r, c, _), v in self.values.items() if (r, c) == (round, chunk))  # type: ignore[return-value]
