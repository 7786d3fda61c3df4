"""Combining the members' updates into one: the mean, which encrypted sums give, and a median, which liars hardly move.

Whatever is no mean needs every single update in the open, so it has rounds of its own here, for research.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

import numpy as np
from numpy.typing import NDArray

from medward.errors import BadUsage
from medward.federation.errors import FederationError
from medward.federation.round.rules import FOUND_WORSE
from medward.federation.rules import MAX_FRUITLESS_ROUNDS
from medward.federation.simulation.interface import Contributor, Shared
from medward.federation.simulation.machines import RoundReport, member_names
from medward.federation.sums.interface import IntVector

#: Changes a member's update before it is sent: for trying attacks.
Tamper = Callable[[str, NDArray[np.int64]], NDArray[np.int64]]


class Combine(Protocol):
    """A rule that makes one update of many."""

    def __call__(self, updates: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return the update to apply, float64[values], of the members' updates, float64[members, values]."""


@dataclass(frozen=True)
class Mean:
    """The mean of all updates: the one rule that needs no more than their sum, and so the one for encrypted sums."""

    def __call__(self, updates: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return each value's mean."""
        return np.asarray(updates.mean(axis=0), np.float64)


@dataclass(frozen=True)
class Median:
    """The median of all updates, value by value; fewer than half of the members cannot move it far.

    Yin et al., "Byzantine-Robust Distributed Learning", ICML 2018.
    """

    def __call__(self, updates: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return each value's median."""
        return np.asarray(np.median(updates, axis=0), np.float64)


class OpenRounds(Generic[Shared]):
    """Rounds in which every update is seen and combined by any rule.

    Surveys are summed as ever. A majority of members that find the next state worse refuses it.

    Args:
        members: their private sides.
        shared: the state to start from.
        combine: the rule.
    """

    def __init__(self, members: Sequence[Contributor[Shared]], shared: Shared, combine: Combine) -> None:
        self.shared = shared
        self._members, self._combine = members, combine
        self._number = self._refused = 0

    def run_round(self) -> RoundReport:
        """Run one round; a refused one leaves `shared`.

        Raises:
            FederationError: three next states in a row were refused.
            BadUsage: the rule returns no update.
        """
        then = self.shared.next
        assert then is not None
        names = member_names(len(self._members))
        report = RoundReport(self._number, then.task, names, "final")
        values = np.stack([member.work(self.shared, self._number) for member in self._members])
        total = values[:, : then.counts].sum(axis=0)
        if then.values:
            total = np.concatenate([total, self._combine_updates(values[:, then.counts :])])
        after = self.shared.advance(total, self._refused, (len(names), len(names)))
        self._number += 1
        # Surveys are not voted on.
        if then.task == "survey" or 2 * self._count_accepting(after) > len(names):
            self.shared, self._refused = after, 0
        else:
            report.outcome = FOUND_WORSE
            self._refused += 1
            if self._refused >= MAX_FRUITLESS_ROUNDS:
                raise FederationError(f"The federation has stopped: {FOUND_WORSE}, {self._refused} times in a row.")
        return report

    def _count_accepting(self, after: Shared) -> int:
        """Return how many members do not find the next state worse."""
        return sum(member.accepts(self.shared, after) for member in self._members)

    def _combine_updates(self, updates: NDArray[np.int64]) -> IntVector:
        """Return what stands for the sum: the combined update as often as there are members."""
        combined = np.asarray(self._combine(updates.astype(np.float64)), np.float64)
        if combined.shape != updates.shape[1:] or not np.isfinite(combined).all():
            raise BadUsage(
                f"The rule that combines updates returned shape {combined.shape}: it must return {updates.shape[1:]}, "
                "finite numbers only."
            )
        total: IntVector = np.rint(combined * len(updates)).astype(np.int64)
        return total


@dataclass
class Tampered(Generic[Shared]):
    """A member whose updates are changed before they are sent; a `Contributor`.

    Args:
        name: its name.
        member: its honest private side.
        tamper: changes its updates; numbers that no update can hold are clipped, as they would be refused.
    """

    name: str
    member: Contributor[Shared]
    tamper: Tamper

    def work(self, shared: Shared, number: int) -> IntVector:
        """Return the member's counts as they are, and its update as it is changed."""
        then, values = shared.next, self.member.work(shared, number)
        if then is None or not then.values:
            return values
        largest = 2 ** (then.dispatch.bits - 1) - 1
        update = np.clip(np.rint(self.tamper(self.name, values[then.counts :].copy())), -largest, largest)
        if update.shape != (then.values,):
            raise BadUsage(f"The changed update has shape {update.shape}: it must have {(then.values,)}, as before.")
        if np.isnan(update).any():
            raise BadUsage("The changed update holds values that are no numbers: return numbers only.")
        return np.concatenate([values[: then.counts], update]).astype(np.int64)

    def accepts(self, before: Shared, after: Shared) -> bool:
        """Return what the honest member finds."""
        return self.member.accepts(before, after)
