"""Which members of a federation do what wrong in which rounds, so that everything that may go wrong does."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.ward import members

#: Faults that cost a member its place in the sum.
LOSING = (
    *("silent at commit", "silent at submit", "malformed contribution", "response that is too large"),
    *("withholds its contribution", "spoils too many shares", "spoils a share and does not show"),
)
#: Faults in the dealing, or in what is said of it, that cost nobody anything.
SETTLED = ("spoils a share", "complains falsely")
HOLDERS = ("silent at answer", "wrong answer", "withholds its answer")
TOO_FEW, TOO_FEW_ANSWERS, POISON, AFTER_POISON = "too few", "too few answers", "poisons", "after the poison"
FAILS_ONCE = "fails once"
#: So many rounds in a row without a result stop a federation.
FRUITLESS = 3
#: What a fault is made of, where it is more than one.
_PARTS = {"spoils a share and does not show": ("spoils a share", "does not show")}
#: In which phase a fault has the others wait for its member.
WAITING = {"silent at commit": "committing", "silent at submit": "submitting", "does not show": "showing"}


class Plan:
    """Which members do what wrong in which rounds; never more than f of them at once, but for what is to be void.

    Args:
        hospitals: n.
    """

    def __init__(self, hospitals: int) -> None:
        self.names = names = members(hospitals)
        self.f = f = (hospitals - 1) // 3
        self.threshold = hospitals - f
        self.least = max(3, f + 2, self.threshold)
        self.at: dict[str, int] = {}
        self.by: dict[str, tuple[str, ...]] = {}
        self.faults: dict[str, dict[str, list[int]]] = {name: {} for name in names}
        self._next = 0
        for _ in range(FRUITLESS):
            self._all(TOO_FEW, "silent at commit", names[: hospitals - self.least + 1])
        self._in_turn(LOSING, names[::-1])
        self._in_turn(SETTLED, names[::-1])
        self._all(POISON, "poisons", names[-f:])
        self._all(AFTER_POISON, FAILS_ONCE, names[-1:])
        self._all(TOO_FEW_ANSWERS, "silent at answer", names[: f + 1])
        self._in_turn(HOLDERS, names[1:])
        self.rounds = self._next

    def _in_turn(self, kinds: Sequence[str], villains: Sequence[str]) -> None:
        """As many rounds as these faults need with f of them at once, each by another member."""
        for first in range(0, len(kinds), self.f):
            for kind, name in zip(kinds[first : first + self.f], villains, strict=False):
                self.at[kind], self.by[kind] = self._next, (name,)
                for part in _PARTS.get(kind, (kind,)):
                    self._note(part, self._next, name)
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

    def losing(self, number: int) -> set[str]:
        """Who loses its place in a round."""
        return {self.by[kind][0] for kind in LOSING if self.at[kind] == number}

    def awaited_in_vain(self, state: Mapping[str, Any]) -> set[str]:
        """Who will not say what the present phase waits for."""
        number, phase = state["round"], state["phase"]
        silent = set(self.having("silent at answer", number))
        if phase == "answering" and len(silent) > self.f:  # fewer are not waited for
            return silent
        return {name for kind, at in WAITING.items() if at == phase for name in self.having(kind, number)}

    def examined(self, number: int) -> int | None:
        """How many dealings can be examined in a round in which one is withheld; None where none is."""
        if not self.having("withholds its contribution", number):
            return None
        missing = ("silent at commit", "silent at submit", "withholds its contribution")
        return len(self.names) - sum(len(self.having(kind, number)) for kind in missing)
