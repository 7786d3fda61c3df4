"""The log of rounds at a node: what the ledger has of them, and what each took here."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from medward.federation.round.state import OVER, Phase, Round
from medward.federation.round.telling import checks
from medward.federation.stopwatch import Stopwatch

_MOST_TOLD = 100


class RoundLog:
    """Seconds and bytes of this member's rounds since the node started."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.watch = Stopwatch(clock)
        self._stored: dict[str, int] = {}
        self._fetched: dict[int, int] = {}
        self._entered: dict[int, list[tuple[str, float]]] = {}
        self._ended: dict[int, float] = {}

    def stored(self, label: str, size: int) -> None:
        """Count bytes stored under a label such as `round/7`."""
        self._stored[label] = self._stored.get(label, 0) + size

    def fetched(self, number: int, size: int) -> None:
        """Count bytes that this member read for a round, from its own store or from a peer."""
        self._fetched[number] = self._fetched.get(number, 0) + size

    def entered(self, number: int, phase: Phase, now: float, block_time: float | None = None) -> None:
        """Note when a round came to a phase here; time counts for the round until it is over.

        A phase that is told again, as to a node that goes on from a later state, goes on.

        Args:
            number: the round's.
            phase: the phase.
            now: the time here, in seconds since 1970.
            block_time: that of the block that led there, which may be of long ago.
        """
        if phase in OVER and block_time is not None:
            self._ended[number] = block_time
        self.watch.turn(None if phase in OVER else number)
        entered = self._entered.setdefault(number, [])
        if not entered or entered[-1][0] != phase.value:
            entered.append((phase.value, now))

    def told(self, query: Callable[[str], bytes | None]) -> Sequence[Mapping[str, Any]]:
        """Return what became of the last rounds, the latest first.

        Args:
            query: reads the ledger's state.
        """
        rounds = []
        for number in sorted(self._numbers(query), reverse=True)[:_MOST_TOLD]:
            encoded = query(f"round/{number:08d}")
            if encoded is not None:
                rounds.append(self._report(msgspec.msgpack.decode(encoded, type=Round)))
        return rounds

    def _numbers(self, query: Callable[[str], bytes | None]) -> range:
        last = max(self._entered, default=-1)
        while query(f"round/{last + 1:08d}") is not None:
            last += 1
        return range(last + 1)

    def _report(self, now: Round) -> Mapping[str, Any]:
        phases = self._entered.get(now.number, [])
        lasted = {phase: until - since for (phase, since), (_, until) in pairwise(phases)}
        return {
            **summary(now),
            "ended": self._ended.get(now.number),
            "seconds": dict(self.watch.seconds(now.number)),
            "processor": dict(self.watch.processor(now.number)),
            "phases": lasted,
            "bytes_up": self._stored.get(f"round/{now.number}", 0),
            "bytes_down": self._fetched.get(now.number, 0),
        }


def summary(now: Round) -> dict[str, Any]:
    """Return what became of a round that is over, as JSON values."""
    final = now.phase is Phase.FINAL
    return {
        "round": now.number,
        "task": now.task,
        "outcome": "final" if final else str(now.outcome),
        "cohort": list(now.cohort) if final else [],
        "contributions": {member: one.contribution for member, one in now.submissions.items()},
        "answers": dict(now.answers),
        "complaints": _complaints(now),
        "shown": dict(now.shown),
        "audited": [] if now.audit is None else list(now.audit.answers),
        "checks": checks(now),
        "model": now.outcome if final else None,
        "votes": dict(now.votes),
    }


def _complaints(now: Round) -> dict[str, list[str]]:
    """Return who complained of a dealer, by dealer."""
    found = {dealer: list(now.complainers(dealer)) for dealer in now.submissions}
    return {dealer: holders for dealer, holders in found.items() if holders}
