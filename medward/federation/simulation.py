"""A whole federation in one process: every member's machines, a log in memory, one store.

The machines, the sums and the store are the real ones; only the log and its clock are special. The clock stands still
while anybody has something to do, and when nobody has, it jumps to the next deadline: a silent member costs no waiting
here.
"""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import numpy as np

from medward.federation.blobs import Blobs, blob_name
from medward.federation.hospital import Hospital
from medward.federation.interfaces import FederationError, IntVector, MissingBlob, SecureSum
from medward.federation.member import (
    Advance,
    Advanced,
    Effect,
    Event,
    Fetch,
    Fetched,
    Judge,
    Judged,
    Member,
    Order,
    Ordered,
    Produced,
    Store,
    Work,
)
from medward.federation.memory import MemoryLog, PlainSum
from medward.federation.records import Open, RoundRecord, Tick
from medward.federation.round import Keys, Phase, Round, Terms
from medward.federation.shared_model import SharedModel, from_bytes

Protect = Literal["none", "aggregate", "outsourced"]
Sums = Callable[[str], SecureSum]

#: Which activity of a report an answer to fetched blobs counts as.
_ACTIVITIES = {
    Phase.ATTESTING: "examine",
    Phase.AGGREGATING: "add",
    Phase.CHECKING: "check and share",
    Phase.VERIFYING: "examine shares",
    Phase.OPENING: "open a holder",
    Phase.FINISHING: "combine",
}


@dataclass
class RoundReport:
    """What one round did and cost.

    Args:
        round: its number in the federation.
        task: what was summed.
        cohort: whose contributions were summed; empty for a void round.
        outcome: "final", or why there is no model.
        opened: the silent key holders that were opened.
        contributions: the name of each contribution, by member.
        aggregate: the name of the aggregate.
        model: the name of the next shared model.
        bytes_up: bytes that all members together put into the store.
        bytes_down: bytes that they got from it.
        seconds: by activity: "work" (training or counting; the members work side by side), and what a member spends on
            average to seal, examine, add, check and share, examine shares, combine.
        validation: measures of the shared model after the round, where somebody measured it.
    """

    round: int
    task: str
    cohort: tuple[str, ...] = ()
    outcome: str = ""
    opened: tuple[str, ...] = ()
    contributions: dict[str, str] = field(default_factory=dict)
    aggregate: str = ""
    model: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None


class Simulation:
    """Runs a federation in this process.

    Args:
        hospitals: the members' private sides, in the order of their names.
        shared: the shared model to start from.
        blobs: where blobs are kept.
        sample: the share of members invited to a training round; never fewer than a cohort needs.
        silent: members that never say anything, by name: a fault to inject.
        first_round: the number of the first round; numbers never repeat in a federation, void rounds included.
        sums: makes one member's part of the secure sum; the plain one by default.
        keys: who holds the joint key; all members by default.
        name: the federation's name; drawn by default, so that no two federations are taken for one.
    """

    def __init__(
        self,
        hospitals: Sequence[Hospital],
        shared: SharedModel,
        blobs: Blobs,
        *,
        sample: float = 1.0,
        silent: frozenset[str] = frozenset(),
        first_round: int = 0,
        sums: Sums | None = None,
        keys: Keys | None = None,
        name: str | None = None,
    ) -> None:
        names = member_names(len(hospitals))
        if silent - set(names):
            raise FederationError(f"There is no {min(silent - set(names))} that could be silent.")
        self.terms = Terms(name or f"simulation-{secrets.token_hex(8)}", names)
        self.keys = keys or Keys(names, self.terms.faulty)
        self.shared = shared
        self._hospitals = dict(zip(names, hospitals, strict=True))
        make = sums or PlainSum
        self._members = {name: Member(name, self.terms, self.keys, make(name)) for name in names if name not in silent}
        self._sample = sample
        self._log, self._blobs = MemoryLog(), blobs
        self._read = 0
        self._number = first_round
        self._next: tuple[IntVector, SharedModel, bytes] | None = None

    def rekeyed(self, keys: Keys, sums: Sums) -> None:
        """Go on under the keys of another epoch."""
        self.keys = keys
        for name, member in self._members.items():
            member.rekeyed(keys, sums(name))

    def run_round(self) -> RoundReport:
        """Run one round to its end; a final one advances `shared`, any other leaves it.

        Raises:
            FederationError: the members stopped before the round was over.
        """
        report = RoundReport(self._number, self.shared.task)
        label = f"round/{self._number}"
        self._blobs.bytes_in = self._blobs.bytes_out = 0
        model = self._blobs.put(self.shared.to_bytes(), label)
        shape = (self.shared.counts, self.shared.values)
        self._log.append(Open(self._number, self.shared.task, model, self._invited(), *shape))
        self._number += 1
        self._next = None
        state = self._run_events(report)
        self._report(state, report)
        self._blobs.forget(label)
        return report

    def _report(self, state: Round, report: RoundReport) -> None:
        report.outcome, report.opened = str(state.outcome), state.silent
        report.contributions, report.aggregate = dict(state.submissions), state.aggregate or ""
        if state.phase is Phase.FINAL:
            report.cohort, report.outcome, report.model = state.cohort, "final", str(state.outcome)
            assert self._next is not None
            if blob_name(self._next[2]) != state.outcome:
                raise FederationError("The members agreed on another model than this process made: this is a defect.")
            self.shared = self._next[1]
        report.bytes_up, report.bytes_down = self._blobs.bytes_in, self._blobs.bytes_out
        for activity in report.seconds.keys() - {"work"}:
            report.seconds[activity] /= len(self._members)

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
                work = [name for name, effect in effects if isinstance(effect, Work)]
                if work:
                    effects += self._work(work, pool, report)
                for name, effect in effects:
                    self._carry_out(name, effect, report)
                state = self._state()
                if state.over:
                    return state
                if self._read == len(self._log.read(0)):
                    # Nobody has anything to do: time passes until the phase's deadline.
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
            assert isinstance(record, RoundRecord)
            for name, member in self._members.items():
                effects += [(name, effect) for effect in member.step(Ordered(record, time))]
        return effects

    def _work(self, names: list[str], pool: ThreadPoolExecutor, report: RoundReport) -> list[tuple[str, Effect]]:
        """Let the hospitals work side by side; the first alone, so that they share what it compiles."""
        began = perf_counter()
        values = [self._hospitals[names[0]].work(self.shared, report.round)]
        values += pool.map(lambda name: self._hospitals[name].work(self.shared, report.round), names[1:])
        _add(report, "work", perf_counter() - began)
        effects: list[tuple[str, Effect]] = []
        for name, own in zip(names, values, strict=True):
            effects += [(name, effect) for effect in self._timed(name, Produced(report.round, own), "seal", report)]
        return effects

    def _carry_out(self, name: str, effect: Effect, report: RoundReport) -> None:
        """Do what a member asked for, and give it what comes back."""
        follows: list[Effect] = []
        match effect:
            case Store():
                self._blobs.put(effect.content, f"round/{effect.round}")
            case Order():
                self._log.append(effect.record)
            case Fetch():
                fetched = Fetched(effect, self._fetched(effect))
                follows = self._timed(name, fetched, _ACTIVITIES.get(effect.why, "combine"), report)
            case Advance():
                model, encoded = self._advanced(effect.total)
                follows = self._members[name].step(Advanced(report.round, encoded, model.next))
            case Judge():
                follows = self._members[name].step(Judged(report.round, self._accepts(name, effect)))
            case Work():
                pass
        for follow in follows:
            self._carry_out(name, follow, report)

    def _fetched(self, fetch: Fetch) -> dict[str, bytes]:
        blobs = {}
        for name in fetch.names:
            try:
                blobs[name] = self._blobs.get(name)
            except MissingBlob:
                continue
        return blobs

    def _accepts(self, name: str, effect: Judge) -> bool:
        if self._next is not None and blob_name(self._next[2]) == effect.after:
            after = self._next[1]
        else:
            after = from_bytes(self.shared.plan, self._blobs.get(effect.after))
        return self._hospitals[name].accepts(self.shared, after)

    def _advanced(self, total: IntVector) -> tuple[SharedModel, bytes]:
        """Make the next shared model; members that opened the same sum share the computation, not the result."""
        if self._next is None or not np.array_equal(self._next[0], total):
            model = self.shared.advance(total)
            self._next = (total, model, model.to_bytes())
        return self._next[1:]

    def _timed(self, name: str, event: Event, activity: str, report: RoundReport) -> list[Effect]:
        began = perf_counter()
        effects = self._members[name].step(event)
        _add(report, activity, perf_counter() - began)
        return effects


def member_names(count: int) -> tuple[str, ...]:
    """Return the names of a simulated federation's members."""
    return tuple(f"hospital-{number + 1}" for number in range(count))


def _add(report: RoundReport, activity: str, seconds: float) -> None:
    report.seconds[activity] = report.seconds.get(activity, 0.0) + seconds
