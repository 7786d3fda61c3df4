"""The state of one sum that a member derives from its terms and keeps in memory."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from medward.federation.sums.interface import SumRefused, SumTerms, WrongSum
from medward.fhe.arrays import Doubles
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import Dealing
from medward.fhe.errors import FheError
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import sum_parameters
from medward.fhe.sampling import framed


class SumState:
    """One sum: who has which number in it, its public values, this member's dealing and the shares that it checked.

    Args:
        terms: of the sum.

    Raises:
        SumRefused: no sum with these terms is possible.
    """

    def __init__(self, terms: SumTerms) -> None:
        self.terms = terms
        self.dealers = {name: number for number, name in enumerate(terms.contributors, 1)}
        self.holders = {name: number for number, name in enumerate(terms.holders, 1)}
        self.keys = {number: key for number, key in enumerate(terms.sealing_keys, 1) if key}
        with _possible(terms):
            parameters = sum_parameters(
                terms.bits, len(terms.contributors), len(terms.holders), terms.faulty, terms.threshold
            )
            self.layout = BlockLayout(parameters, terms.counts, terms.values)
        self.context = SumContext(parameters, self.digest, tuple(self.keys), self.layout.blocks)
        self.dealing: Dealing | None = None
        #: Dealer's number -> what an answer adds up of the share that was checked under the beacon of `challenge`.
        self.shares: dict[int, Doubles] = {}
        self._challenge: Challenge | None = None

    @cached_property
    def digest(self) -> bytes:
        """A hash of the terms; no other sum has it."""
        terms = self.terms
        parts = framed(
            terms.federation, terms.round, terms.recent, terms.counts, terms.values, terms.bits, terms.faulty,
            terms.threshold, framed(*terms.contributors), framed(*terms.holders), framed(*terms.sealing_keys),
        )  # fmt: skip
        return hashlib.sha256(parts).digest()

    def challenge(self, beacon: bytes) -> Challenge:
        """Return the challenge of a beacon; shares that were checked under another one are dropped."""
        if self._challenge is None or self._challenge.beacon != beacon:
            self._challenge = Challenge(self.context, beacon)
            self.shares.clear()
        return self._challenge

    def dealer(self, name: str) -> int:
        """Return a contributor's number."""
        return self._number(self.dealers, name, "does not contribute")

    def holder(self, name: str) -> int:
        """Return a present holder's number."""
        number = self._number(self.holders, name, "holds no shares")
        if number not in self.keys:
            raise WrongSum(f"{name} is absent as a holder from the sum of round {self.terms.round}.")
        return number

    def _number(self, numbers: Mapping[str, int], name: str, else_: str) -> int:
        try:
            return numbers[name]
        except KeyError:
            raise WrongSum(f"{name} {else_} in the sum of round {self.terms.round}.") from None

    @contextmanager
    def named(self, what: str) -> Iterator[None]:
        """Say what is refused inside with the round and the member."""
        try:
            yield
        except FheError as error:
            raise WrongSum(f"In round {self.terms.round}, {what}: {error}.") from error


@contextmanager
def _possible(terms: SumTerms) -> Iterator[None]:
    """Say why a sum with these terms is not possible."""
    try:
        yield
    except FheError as error:
        raise SumRefused(f"The sum of round {terms.round} is not possible: {error}.") from error
