"""A whole federation in one process: every member's machine, on the interfaces' plain versions.

The members' machines are the real ones; only the clock is special. It stands still while anybody has something to do,
and when nobody has, it jumps to the open round's next deadline: a silent member costs no waiting here.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from medward.federation.hospital import Hospital
from medward.federation.interfaces import FederationError, IntVector, SecureSum
from medward.federation.member import (
    Advance,
    Advanced,
    Effect,
    Event,
    Fetch,
    Fetched,
    Member,
    Order,
    Ordered,
    Produced,
    Store,
    Work,
)
from medward.federation.memory import MemoryLog, MemoryStore, PlainSum, blob_name
from medward.federation.records import Open, Tick
from medward.federation.round import Phase, Round, Terms
from medward.federation.shared_model import SharedModel


@dataclass
class RoundReport:
    """What one round did and cost.

    Args:
        round: its number in the federation.
        task: what was summed.
        cohort: whose contributions were summed; empty for a void round.
        outcome: "final", or why it is void.
        bytes_up: bytes that members put into the store.
        bytes_down: bytes that members got from it.
        seconds: by activity: work (training or counting; the members work side by side), and summed over the members
            seal, add, check and open.
        validation: measures of the shared model after the round, where somebody measured it.
    """

    round: int
    task: str
    cohort: tuple[str, ...] = ()
    outcome: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None


class Simulation:
    """Runs a federation in this process.

    Args:
        hospitals: the members' private sides, in the order of their names.
        shared: the shared model to start from.
        sample: the share of members invited to a training round; never fewer than a cohort needs.
        silent: members that never contribute, by name: a fault to inject.
        first_round: the number of the first round; numbers never repeat in a federation, void rounds included.
        sums: makes one member's part of the secure sum; the plain one by default.
    """

    def __init__(
        self,
        hospitals: Sequence[Hospital],
        shared: SharedModel,
        sample: float = 1.0,
        silent: frozenset[str] = frozenset(),
        first_round: int = 0,
        sums: Callable[[str], SecureSum] | None = None,
    ) -> None:
        names = tuple(f"hospital-{number + 1}" for number in range(len(hospitals)))
        if silent - set(names):
            raise FederationError(f"There is no {min(silent - set(names))} that could be silent.")
        self.terms = Terms("simulation", names)
        self.shared = shared
        self._hospitals = dict(zip(names, hospitals, strict=True))
        self._members = {name: Member(name, self.terms, sums(name) if sums else PlainSum()) for name in names}
        self._sample, self._silent = sample, silent
        self._log, self._store = MemoryLog(), MemoryStore()
        self._read = 0
        self._number = first_round
        self._next: tuple[IntVector, SharedModel, bytes] | None = None

    def run_round(self) -> RoundReport:
        """Run one round to its end; a final one advances `shared`, a void one leaves it.

        Raises:
            FederationError: the members stopped before the round was over.
        """
        report = RoundReport(self._number, self.shared.task)
        self._store.bytes_in = self._store.bytes_out = 0
        model = self._store.put(self.shared.to_bytes())
        self._log.append(Open(self._number, self.shared.task, model, self._invited(), self.shared.length))
        self._number += 1
        self._next = None
        state = self._run_events(report)
        report.outcome = str(state.outcome)
        if state.phase is Phase.FINAL:
            report.cohort, report.outcome = state.cohort, "final"
            assert self._next is not None
            if blob_name(self._next[2]) != state.outcome:
                raise FederationError("The members agreed on another model than this process made: this is a defect.")
            self.shared = self._next[1]
        report.bytes_up, report.bytes_down = self._store.bytes_in, self._store.bytes_out
        self._store.forget()
        return report

    def _invited(self) -> tuple[str, ...]:
        names = self.terms.members
        if self.shared.task == "survey" or self._sample >= 1:
            return names
        wanted = max(self.terms.least_cohort, round(self._sample * len(names)))
        chosen = np.random.default_rng([self.shared.plan.seed, self._number]).choice(len(names), wanted, replace=False)
        return tuple(names[i] for i in sorted(chosen))

    def _run_events(self, report: RoundReport) -> Round:
        """Deliver records and carry out effects until the round is over."""
        with ThreadPoolExecutor() as pool:
            while True:
                effects = self._deliver()
                work = [(name, effect) for name, effect in effects if isinstance(effect, Work)]
                if work:
                    effects = [item for item in effects if not isinstance(item[1], Work)]
                    effects += self._work(work, pool, report)
                for name, effect in effects:
                    self._carry_out(name, effect, report)
                state = self._state()
                if state.over:
                    return state
                if self._read == len(self._log.read(0)):
                    # Nobody has anything to do: time passes until somebody's deadline.
                    self._log.time = state.due
                    self._log.append(Tick(state.number))

    def _state(self) -> Round:
        states = [member.round for member in self._members.values()]
        assert states[0] is not None
        if any(state != states[0] for state in states):
            raise FederationError("Two members read the same log and disagree on the round: this is a defect.")
        return states[0]

    def _deliver(self) -> list[tuple[str, Effect]]:
        effects: list[tuple[str, Effect]] = []
        for time, record in self._log.read(self._read):
            self._read += 1
            for name, member in self._members.items():
                effects += [(name, effect) for effect in member.step(Ordered(record, time))]
        return effects

    def _work(
        self, work: list[tuple[str, Work]], pool: ThreadPoolExecutor, report: RoundReport
    ) -> list[tuple[str, Effect]]:
        """Let the hospitals work side by side; the first alone, so that they share what it compiles."""
        active = [name for name, _ in work if name not in self._silent]
        began = perf_counter()
        values = [self._hospitals[active[0]].work(self.shared, report.round)] if active else []
        values += pool.map(lambda name: self._hospitals[name].work(self.shared, report.round), active[1:])
        _add(report, "work", perf_counter() - began)
        effects: list[tuple[str, Effect]] = []
        for name, own in zip(active, values, strict=True):
            effects += [(name, effect) for effect in self._timed(name, Produced(report.round, own), "seal", report)]
        return effects

    def _carry_out(self, name: str, effect: Effect, report: RoundReport) -> None:
        """Do what a member asked for, and give it what comes back."""
        match effect:
            case Store():
                self._store.put(effect.content)
            case Order():
                self._log.append(effect.record)
            case Fetch():
                blobs = {blob: self._store.get(blob) for blob in effect.names}
                activity = {Phase.AGGREGATING: "add", Phase.SHARING: "check"}.get(effect.why, "open")
                for follow in self._timed(name, Fetched(effect, blobs), activity, report):
                    self._carry_out(name, follow, report)
            case Advance():
                for follow in self._members[name].step(Advanced(report.round, self._advanced(effect.total))):
                    self._carry_out(name, follow, report)
            case _:
                pass

    def _advanced(self, total: IntVector) -> bytes:
        """Make the next shared model; members that opened the same sum share the computation, not the result."""
        if self._next is None or not np.array_equal(self._next[0], total):
            model = self.shared.advance(total)
            self._next = (total, model, model.to_bytes())
        return self._next[2]

    def _timed(self, name: str, event: Event, activity: str, report: RoundReport) -> list[Effect]:
        began = perf_counter()
        effects = self._members[name].step(event)
        _add(report, activity, perf_counter() - began)
        return effects


def _add(report: RoundReport, activity: str, seconds: float) -> None:
    report.seconds[activity] = report.seconds.get(activity, 0.0) + seconds
