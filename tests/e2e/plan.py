"""Which members of a federation do what wrong in which rounds, so that everything that may go wrong does."""

from collections.abc import Mapping, Sequence
from typing import Any

from medward.federation.ceremony import least_holders

from tests.e2e.ward import members

#: In which phase a fault has the others wait for its member.
WAITING = {
    "silent at commit": "committing",
    "silent at submit": "submitting",
    "silent aggregator": "aggregating",
    "slow aggregator": "aggregating",
    "silent at share": "checking",
    "commits to a share and does not show it": "sharing",
}
AGGREGATORS = ("withholds aggregate", "silent aggregator", "slow aggregator", "wrong aggregator")
CONTRIBUTORS = ("silent at commit", "silent at submit", "malformed contribution")
HOLDERS = ("silent at share", "commits to a share and does not show it", "wrong share")
TOO_FEW, TOO_MANY_SILENT, POISON, AFTER_POISON = "too few", "too many silent", "poisons", "after the poison"
FAILS_ONCE = "fails once"
KEY_MAKERS = ("malformed key", "spoils all dealt shares")
ONE_SHARE = "spoils one dealt share"
TOO_FEW_IN_CEREMONY, SILENT_IN_CEREMONY = "too few in the ceremony", "silent in the ceremony"


class Plan:
    """Which members do what wrong in which rounds; never more than f of them at once, but for what is to be void.

    Args:
        hospitals: n.
    """

    def __init__(self, hospitals: int) -> None:
        self.names = names = members(hospitals)
        self.f = f = (hospitals - 1) // 3
        self.at: dict[str, int] = {}
        self.by: dict[str, tuple[str, ...]] = {}
        self.faults: dict[str, dict[str, list[int]]] = {name: {} for name in names}
        self._next = 0
        for first in range(0, len(AGGREGATORS), f):
            # The aggregator of round r is member r, then r + 1, ... of the cohort.
            turn = [names[(self._next + place) % hospitals] for place in range(f)]
            self._together(AGGREGATORS[first : first + f], turn)
        for first in range(0, len(CONTRIBUTORS), f):
            self._together(CONTRIBUTORS[first : first + f], names[::-1])
        self._note("claims fewer rows than none", self._next, names[-1])
        self._all(POISON, "poisons", names[-f:])
        self._all(AFTER_POISON, FAILS_ONCE, names[-1:])
        least = max(3, f + 2)
        self._all(TOO_FEW, "silent at commit", names[: hospitals - least + 1])
        self._all(TOO_MANY_SILENT, "silent at share", names[: f + 1])
        for first in range(0, len(HOLDERS), f):
            self._together(HOLDERS[first : first + f], names[1:])
        self.rounds = self._next
        self._note(ONE_SHARE, 0, names[0])
        self.by[TOO_FEW_IN_CEREMONY] = names[least_holders(hospitals) - 1 :]
        for name in self.by[TOO_FEW_IN_CEREMONY]:
            self._note(SILENT_IN_CEREMONY, 0, name)

    def _together(self, kinds: Sequence[str], villains: Sequence[str]) -> None:
        """One round with one member for each of these faults."""
        for kind, name in zip(kinds, villains, strict=False):
            self.at[kind], self.by[kind] = self._next, (name,)
            self._note(kind, self._next, name)
        self._next += 1

    def _all(self, what: str, kind: str, villains: Sequence[str]) -> None:
        """One round in which all of these do the same."""
        self.at[what], self.by[what] = self._next, tuple(villains)
        for name in villains:
            self._note(kind, self._next, name)
        self._next += 1

    def _note(self, kind: str, number: int, name: str) -> None:
        self.faults[name].setdefault(kind, []).append(number)

    def having(self, kind: str, number: int) -> list[str]:
        """Who does this in a round."""
        return [name for name, own in self.faults.items() if number in own.get(kind, ())]

    def awaited_in_vain(self, state: Mapping[str, Any]) -> set[str]:
        """Who will not say what the present phase waits for."""
        number, phase = state["round"], state["phase"]
        found = {name for kind, at in WAITING.items() if at == phase for name in self.having(kind, number)}
        if phase == "checking" and any(
            AGGREGATORS[0] in self.faults[name] and self._turn(number, state["failed_aggregators"]) == name
            for name in self.having(AGGREGATORS[0], number)
        ):
            return set(self.names)
        return found

    def _turn(self, number: int, attempt: int) -> str:
        return self.names[(number + attempt) % len(self.names)]
