"""One member's whole part in an encrypted sum, timed: everything that it computes and checks, with its real journal."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from medward.federation.model.wire import sum_set
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, IntVector, SumTerms
from medward.federation.sums.journal import AnswerJournal
from medward.federation.terms import Terms
from medward.fhe.encoding import residue_bytes
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import SumParameters

#: About as many as Sentinel has on X-IoMT, the largest data set.
WEIGHTS = 250_000
#: What a member does in a round in which nobody fails, in this order.
STEPS = ("contribute", "respond", "examine", "answer", "decrypt")
_BEACON = hashlib.sha256(b"a beacon").digest()
_RECENT = hashlib.sha256(b"a recent block").digest()


@dataclass(frozen=True)
class RoundTimes:
    """What one member's part takes where all members contribute, hold shares and are honest.

    Args:
        parameters: of the sum.
        weights: how many are summed.
        steps: processor seconds of each of `STEPS`, medians of the runs; "examine" is of all dealings.
        whole: processor seconds of all steps together, median of the runs.
        contribution, response, answer: bytes that the member sends.
        error: the largest difference of a decrypted sum from the exact one, over all runs.
    """

    parameters: SumParameters
    weights: int
    steps: Mapping[str, float]
    whole: float
    contribution: int
    response: int
    answer: int
    error: int

    @property
    def members(self) -> int:
        """How many contribute."""
        return self.parameters.contributors

    @property
    def sent(self) -> int:
        """Bytes that the member puts into its store."""
        return self.contribution + self.response + self.answer

    @property
    def fetched(self) -> int:
        """Bytes that it gets from others: as many from each."""
        return (self.members - 1) * self.sent

    @property
    def ciphertexts(self) -> int:
        """Bytes of the ciphertexts in a contribution."""
        return BlockLayout(self.parameters, 0, self.weights).blocks * residue_bytes(self.parameters.degree)


def round_times(members: int, bits: int, weights: int = WEIGHTS, runs: int = 5) -> RoundTimes:
    """Measure one member's part in `runs` rounds, after one that does not count.

    Raises:
        AssertionError: a dealing was found bad, or there was no sum; then the times mean nothing.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="medward-")))
        federation = _Federation(stack, folder, members, bits, weights)
        measured = [federation.round(number) for number in range(runs + 1)]
    counted, last = measured[1:], measured[-1]
    return RoundTimes(
        parameters=sum_set(bits, members),
        weights=weights,
        steps={step: float(np.median([one.seconds[step] for one in counted])) for step in STEPS},
        whole=float(np.median([sum(one.seconds.values()) for one in counted])),
        contribution=len(last.contributions[federation.timed]),
        response=len(last.responses[federation.timed]),
        answer=len(last.answers[federation.timed]),
        error=max(one.error for one in measured),
    )


@dataclass
class _Round:
    """What was shown in a round, and what the timed member spent on it."""

    contributions: dict[str, bytes] = field(default_factory=dict)
    responses: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    error: int = 0

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Take the processor time of what is inside."""
        began = time.process_time()
        yield
        self.seconds[step] = time.process_time() - began


class _Federation:
    """Members with their parts and journals; the last is timed, as its shares are residues and cost more than seeds."""

    def __init__(self, stack: ExitStack, folder: Path, members: int, bits: int, weights: int) -> None:
        self._agreed = Terms("bench", tuple(f"hospital-{i}" for i in range(1, members + 1)))
        self._bits, self._weights = bits, weights
        self._parts = {
            name: EncryptedSum(name, stack.enter_context(AnswerJournal(folder / f"{name}.sqlite")), name.encode())
            for name in self._agreed.members
        }
        self._publics = tuple(part.sealing_key() for part in self._parts.values())
        self._random = np.random.default_rng(1)

    @property
    def timed(self) -> str:
        """The member whose part is timed."""
        return self._agreed.members[-1]

    def round(self, number: int) -> _Round:
        """Play a round in which nobody fails."""
        terms, one = self._terms(number), _Round()
        values = {name: self._values() for name in terms.contributors}
        others, first = terms.contributors[:-1], terms.contributors[: terms.threshold - 1]
        for name in others:
            self._deal(terms, one, name, values[name])
        with one.timing("contribute"):
            one.contributions[self.timed] = self._parts[self.timed].contribute(terms, values[self.timed])
        with one.timing("respond"):
            one.responses[self.timed] = self._parts[self.timed].respond(terms, _BEACON)
        with one.timing("examine"):
            self._examine(terms, one, self.timed)
        with one.timing("answer"):
            one.answers[self.timed] = self._parts[self.timed].answer(terms, terms.contributors)
        for name in first:
            self._examine(terms, one, name)
            one.answers[name] = self._parts[name].answer(terms, terms.contributors)
        with one.timing("decrypt"):
            found = self._parts[self.timed].decrypt(terms, terms.contributors, one.contributions, one.answers)
        if found is None:
            raise AssertionError("the answers gave no sum; its time means nothing")
        one.error = int(np.abs(found.total - sum(values.values())).max())
        return one

    def _terms(self, number: int) -> SumTerms:
        agreed = self._agreed
        return SumTerms(
            agreed.name, number, 0, self._weights, self._bits, agreed.members, agreed.holders, self._publics,
            agreed.faulty, agreed.threshold, _RECENT,
        )  # fmt: skip

    def _values(self) -> IntVector:
        largest = (1 << (self._bits - 1)) - 1
        return self._random.integers(-largest, largest + 1, self._weights)

    def _deal(self, terms: SumTerms, one: _Round, name: str, values: IntVector) -> None:
        one.contributions[name] = self._parts[name].contribute(terms, values)
        one.responses[name] = self._parts[name].respond(terms, _BEACON)

    def _examine(self, terms: SumTerms, one: _Round, name: str) -> None:
        for dealer, contribution in one.contributions.items():
            verdict = self._parts[name].examine(terms, _BEACON, dealer, contribution, one.responses[dealer])
            if verdict is not DealingVerdict.GOOD:
                raise AssertionError(f"{name} finds the dealing of {dealer} {verdict.value}; its time means nothing")
