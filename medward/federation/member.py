"""What one member does in a round: a pure machine from events to effects. Whoever runs it does the I/O.

    Ordered(Open)          -> Work                        (if invited)
    Produced(values)       -> Store(contribution), Order(Submit)
    Ordered(last Submit)   -> Fetch contributions         (the aggregator; it adds, Store, Order(Aggregate))
    Ordered(Aggregate)     -> Fetch all of it; it re-adds: Store(share), Order(Share); or Order(Reject)
    Ordered(last Share)    -> Fetch aggregate and shares; it opens: Advance(sum)
    Advanced(model)        -> Store(model), Order(Finish)

A member gives its share only after it has itself fetched every contribution and re-added them (spec/round.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from medward.federation.interfaces import IntVector, Refused, SecureSum, Slot, WrongSum
from medward.federation.memory import blob_name
from medward.federation.records import Aggregate, Finish, Open, Record, Reject, Share, Submit, Task
from medward.federation.round import Phase, Round, Terms, apply, opened


@dataclass(frozen=True)
class Ordered:
    """Event: the log ordered a record at a time."""

    record: Record
    time: float


@dataclass(frozen=True)
class Produced:
    """Event: the work of a round is done; these are the integers to contribute."""

    round: int
    values: IntVector


@dataclass(frozen=True)
class Fetched:
    """Event: the blobs that a `Fetch` asked for, by name."""

    fetch: "Fetch"
    blobs: Mapping[str, bytes]


@dataclass(frozen=True)
class Advanced:
    """Event: the next shared model, made from an opened sum."""

    round: int
    model: bytes


Event = Ordered | Produced | Fetched | Advanced


@dataclass(frozen=True)
class Work:
    """Effect: do the round's task on private data, from the shared model of that name; `Produced` follows."""

    round: int
    task: Task
    model: str


@dataclass(frozen=True)
class Store:
    """Effect: put a blob into the store."""

    content: bytes


@dataclass(frozen=True)
class Order:
    """Effect: hand a record to the log. Blobs it names were stored by earlier effects."""

    record: Record


@dataclass(frozen=True)
class Fetch:
    """Effect: get blobs; `Fetched` follows. `why` says which step asked."""

    round: int
    attempt: int
    why: Phase
    names: tuple[str, ...]


@dataclass(frozen=True)
class Advance:
    """Effect: make the next shared model from an opened sum over a cohort; `Advanced` follows."""

    round: int
    model: str
    total: IntVector
    cohort: tuple[str, ...]


Effect = Work | Store | Order | Fetch | Advance


class Member:
    """One member of a federation.

    Args:
        name: its name in the terms.
        terms: the federation's terms.
        sums: its part in the secure sum.
    """

    def __init__(self, name: str, terms: Terms, sums: SecureSum) -> None:
        self.name, self.terms = name, terms
        self.round: Round | None = None
        self._sums = sums

    def step(self, event: Event) -> list[Effect]:
        """Take one event and return what is to be done about it, in order."""
        match event:
            case Ordered():
                return self._ordered(event)
            case Produced() if self._in(event.round, Phase.SUBMITTING):
                content = self._sums.seal(self._slot, event.values)
                return [Store(content), Order(Submit(event.round, self.name, blob_name(content)))]
            case Fetched() if self._in(event.fetch.round, event.fetch.why) and self._attempt == event.fetch.attempt:
                return self._fetched(event)
            case Advanced() if self._in(event.round, Phase.FINISHING):
                return [Store(event.model), Order(Finish(event.round, self.name, blob_name(event.model)))]
        return []

    @property
    def _slot(self) -> Slot:
        assert self.round is not None
        return Slot(self.terms.name, self.round.number, self.round.length)

    @property
    def _attempt(self) -> int:
        return 0 if self.round is None else self.round.attempt

    def _in(self, number: int, phase: Phase) -> bool:
        return self.round is not None and self.round.number == number and self.round.phase is phase

    def _ordered(self, event: Ordered) -> list[Effect]:
        before = self.round
        try:
            if isinstance(event.record, Open) and (before is None or before.over):
                now = opened(self.terms, event.record, event.time)
            elif before is None:
                return []
            else:
                now = apply(before, event.record, event.time)
        except Refused:
            return []
        self.round = now
        moved = before is None or (before.number, before.phase, before.attempt) != (now.number, now.phase, now.attempt)
        return self._entered(now) if moved else []

    def _entered(self, now: Round) -> list[Effect]:
        """What a new phase asks of this member."""
        contributions = tuple(now.submissions[member] for member in now.cohort)
        aggregate = (now.aggregate,) if now.aggregate is not None else ()
        match now.phase:
            case Phase.SUBMITTING if self.name in now.invited:
                return [Work(now.number, now.task, now.model)]
            case Phase.AGGREGATING if now.aggregator == self.name:
                return [Fetch(now.number, now.attempt, now.phase, contributions)]
            case Phase.SHARING:
                return [Fetch(now.number, now.attempt, now.phase, contributions + aggregate)]
            case Phase.FINISHING:
                return [Fetch(now.number, now.attempt, now.phase, aggregate + tuple(now.shares.values()))]
        return []

    def _fetched(self, event: Fetched) -> list[Effect]:
        now, blobs = self.round, event.blobs
        assert now is not None
        contributions = {
            member: blobs[now.submissions[member]] for member in now.cohort if now.phase is not Phase.FINISHING
        }
        if now.phase is Phase.AGGREGATING:
            total = self._sums.add(self._slot, contributions)
            return [Store(total), Order(Aggregate(now.number, self.name, blob_name(total)))]
        assert now.aggregate is not None
        aggregate = blobs[now.aggregate]
        if now.phase is Phase.SHARING:
            try:
                self._sums.check(self._slot, contributions, aggregate)
            except WrongSum:
                return [Order(Reject(now.number, self.name, now.aggregate))]
            share = self._sums.share(self._slot, aggregate)
            return [Store(share), Order(Share(now.number, self.name, blob_name(share)))]
        shares = {member: blobs[name] for member, name in now.shares.items()}
        opened_sum = self._sums.open(self._slot, aggregate, shares)
        return [Advance(now.number, now.model, opened_sum, now.cohort)]
