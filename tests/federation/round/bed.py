"""Four members of a round, which follow what they make of it: records are ordered at once, blobs lie in one place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from medward.federation.blobs import blob_name
from medward.federation.errors import RecordRefused
from medward.federation.records import BeginRound, RoundRecord
from medward.federation.round.effects import (
    Advance,
    Advanced,
    Fetch,
    Fetched,
    Judge,
    Judged,
    OrderRecord,
    Produced,
    RoundEffect,
    Store,
    Work,
)
from medward.federation.round.member import RoundMember
from medward.federation.round.rules import apply_to_round, begin_round
from medward.federation.round.state import Phase
from medward.federation.sums.plain import PlainSum
from tests.federation.round.rounds import BEGIN, BLOCK, KEYS, NAMES, TERMS, THEN

Said = TypeVar("Said", bound=RoundRecord)


VALUES = {name: np.arange(4) * number for number, name in enumerate(NAMES, 1)}


MODEL = b"the next model"


@dataclass
class Bed:
    """Four members and the round that their records make; blobs are had by all but who is kept from one.

    Args:
        sums: of members whose part is another than `PlainSum`.
        change: what becomes of a record that a member hands in; None where it is lost.
        withheld: the names of blobs that a member does not get.
    """

    sums: Mapping[str, PlainSum] = field(default_factory=dict)
    change: Callable[[RoundRecord], RoundRecord | None] = lambda record: record
    withheld: Callable[[str], set[str]] = lambda name: set()
    begin: BeginRound = BEGIN
    keys: dict[str, bytes] = field(default_factory=lambda: dict(KEYS))

    def __post_init__(self) -> None:
        self.now = begin_round(TERMS, self.keys, self.begin, 0.0, BLOCK)
        self.members = {name: RoundMember(name, self.sums.get(name) or PlainSum(name)) for name in NAMES}
        self.blobs: dict[str, bytes] = {}
        self.ordered: list[RoundRecord] = []
        self.handed_in: list[RoundRecord] = []
        self.refused: list[RoundRecord] = []
        self.advanced: list[Advance] = []
        self._waiting: list[tuple[str, RoundEffect]] = []

    def play(self, until: Phase | None = None) -> "Bed":
        """Have the members follow until nothing is left to do, or a phase is reached."""
        if not self.ordered:
            self._do(lambda member: member.follow(self.now, None))
        while self._waiting and self.now.phase is not until:
            self._carry_out(*self._waiting.pop(0))
        return self

    def order(self, record: RoundRecord, time: float | None = None) -> None:
        self.now = apply_to_round(self.now, record, self.now.since if time is None else time, BLOCK)
        self.ordered.append(record)
        self._do(lambda member: member.follow(self.now, record))

    def said(self, kind: type[Said], member: str = "a") -> list[Said]:
        return [one for one in self.ordered if isinstance(one, kind) and getattr(one, "member", "") == member]

    def _do(self, what: Callable[[RoundMember], list[RoundEffect]]) -> None:
        self._waiting += [(name, effect) for name, member in self.members.items() for effect in what(member)]

    def _carry_out(self, name: str, effect: RoundEffect) -> None:
        member, number = self.members[name], self.now.number
        match effect:
            case Work():
                self._more(name, member.step(Produced(number, VALUES[name])))
            case Store():
                self.blobs[blob_name(effect.content)] = effect.content
            case Fetch():
                here = {one: self.blobs[one] for one in effect.names if one in self.blobs}
                got = {one: blob for one, blob in here.items() if one not in self.withheld(name)}
                self._more(name, member.step(Fetched(number, got)) if got else [])
            case Advance():
                self.advanced.append(effect)
                self._more(name, member.step(Advanced(number, MODEL, THEN)))
            case Judge():
                self._more(name, member.step(Judged(number, True)))
            case OrderRecord(record):
                self.handed_in.append(record)  # type: ignore[arg-type]
                changed = self.change(record)  # type: ignore[arg-type]
                if changed is not None:
                    try:
                        self.order(changed)
                    except RecordRefused:  # others were faster, and the round has moved on
                        self.refused.append(changed)

    def _more(self, name: str, effects: Sequence[RoundEffect]) -> None:
        self._waiting += [(name, effect) for effect in effects]


def lost(*said: tuple[type, str]) -> Callable[[RoundRecord], RoundRecord | None]:
    """Lose what these members say of these kinds."""
    return lambda record: (
        None if any(isinstance(record, k) and getattr(record, "member", "") == w for k, w in said) else record
    )
