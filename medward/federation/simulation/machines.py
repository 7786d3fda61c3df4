"""A whole federation in one process: every member's machine, a log in memory, one store.

The machines, the rules, the sums and the store are the real ones; only the log and its clock are special. The clock
stands still while anybody has something to do, and when nobody has, it jumps to the next deadline: a silent member
costs no waiting here.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, Literal

from medward.federation.blobs import RoundBlobs, blob_name
from medward.federation.errors import FederationError, MissingBlob
from medward.federation.participant import FederationMember
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
    RoundEvent,
    Store,
    Work,
)
from medward.federation.round.state import Phase, Round
from medward.federation.round.telling import checks
from medward.federation.rules import Agreement, FederationState, founded
from medward.federation.simulation.interface import Contributor, Shared
from medward.federation.simulation.log import MemoryLog
from medward.federation.stopwatch import Stopwatch, timed
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import SecureSum
from medward.federation.sums.journal import AnswerJournal
from medward.federation.sums.plain import PlainSum
from medward.store.limits import DagLimits, file_of

Protect = Literal["none", "aggregate", "outsourced"]
_OTHER_MODEL = "The members agreed on another model than this process made: this is a defect."


@dataclass
class RoundReport:
    """What one round did and cost.

    Args:
        round: its number in the federation.
        task: what was summed.
        cohort: whose contributions were summed; empty for a void round.
        outcome: "final", or why there is no model.
        contributions: the name of each contribution, by member.
        answers: the name of each answer, by holder.
        checks: see `checks` in round/telling.py.
        model: the name of the next shared model.
        bytes_up: bytes that all members together put into the store.
        bytes_down: bytes that they got from it.
        seconds: by activity (stopwatch.py): "train" is the clock's, as the members train side by side; the others are
            what a member spends on average.
        validation: measures of the shared model after the round, where somebody measured it.
    """

    round: int
    task: str
    cohort: tuple[str, ...] = ()
    outcome: str = ""
    contributions: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    model: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None


@dataclass(frozen=True)
class SimulationSettings:
    """How a simulated federation is set up.

    Args:
        plan: the digest of the plan that the members agreed on.
        protect: how updates are protected.
        sample: the share of members invited to a training round.
        silent: members that never say anything, by name: a fault to inject.
        first_round: the number of the first round; numbers never repeat in a federation.
        refused: how many next models were refused since there is the one to start from.
        deadline: the seconds, on the simulation's own clock, that a phase may take.
    """

    plan: str
    protect: Protect = "none"
    sample: float = 1.0
    silent: frozenset[str] = frozenset()
    first_round: int = 0
    refused: int = 0
    deadline: float = 600.0


class Simulation(Generic[Shared]):
    """Runs a federation in this process.

    Args:
        hospitals: the members' private sides, in the order of their names.
        shared: the shared model to start from.
        encode: returns a shared model's one encoding; equal ones have equal bytes.
        blobs: where blobs are kept.
        journals: the folder of the members' answer journals.
        settings: how it is set up.
    """

    def __init__(
        self,
        hospitals: Sequence[Contributor[Shared]],
        shared: Shared,
        encode: Callable[[Shared], bytes],
        blobs: RoundBlobs,
        journals: Path,
        settings: SimulationSettings,
    ) -> None:
        names = member_names(len(hospitals))
        if settings.silent - set(names):
            raise FederationError(f"There is no {min(settings.silent - set(names))} that could be silent.")
        self.shared, self._encode = shared, encode
        self._hospitals = dict(zip(names, hospitals, strict=True))
        self._blobs, self._log = blobs, MemoryLog()
        self._position = 0
        self._next: tuple[tuple[int, bytes | None], Shared, bytes] | None = None
        self._journals: dict[str, AnswerJournal] = {}
        self._watch = Stopwatch()
        self._folder = journals
        self._shared_blobs: dict[str, bytes] = {}
        state = self._found_federation(names, settings)
        self._participants = {
            name: FederationMember(name, state, self._sums_of(name, state))
            for name in names
            if name not in settings.silent
        }
        self._report: RoundReport | None = None

    def _found_federation(self, names: tuple[str, ...], settings: SimulationSettings) -> FederationState:
        shared = self.shared
        assert shared.next is not None
        assert settings.protect != "outsourced"
        agreement = Agreement(
            name=f"simulation-{secrets.token_hex(8)}",
            members=names,
            accounts={name: hashlib.sha256(name.encode()).digest() for name in names},
            deadline=settings.deadline,
            protect=settings.protect,
            bits=shared.next.dispatch.bits,
            plan=settings.plan,
            model=self._blobs.put(self._encode(shared), "model"),
            first=shared.next,
            sample=settings.sample,
        )
        return replace(founded(agreement), number=settings.first_round, refused=settings.refused)

    def _sums_of(self, name: str, state: FederationState) -> SecureSum:
        if state.agreement.protect == "none":
            return PlainSum(name)
        folder = self._folder / state.agreement.name
        folder.mkdir(parents=True, exist_ok=True)
        self._journals[name] = AnswerJournal(folder / f"{name}.sqlite")
        return timed(EncryptedSum(name, self._journals[name], secrets.token_bytes(32)), self._watch)

    @property
    def state(self) -> FederationState:
        """The federation's state, on which all members agree."""
        states = [participant.state for participant in self._participants.values()]
        if any(state != states[0] for state in states):
            raise FederationError("Two members read the same log and disagree on the state: this is a defect.")
        return states[0]

    def close(self) -> None:
        """Close the journals."""
        for journal in self._journals.values():
            journal.close()

    def run_round(self, tell: Callable[[str], None] = lambda _: None) -> RoundReport:
        """Run until the next round is over; a final one advances `shared`, any other leaves it.

        Args:
            tell: is told where the round stands, as a clause, again and again.

        Raises:
            FederationError: the federation has stopped.
        """
        number = self.state.number
        self._blobs.bytes_in = self._blobs.bytes_out = 0
        then = self.state.next
        self._report = RoundReport(number, self.shared.task if then is None else then.task)
        self._watch.turn(number)
        self._next = None
        self._shared_blobs.clear()
        with ThreadPoolExecutor() as pool:
            while True:
                self._deliver(pool, tell)
                state = self.state
                if state.round is not None and state.round.number == number and state.round.over:
                    return self._end_round(state.round)
                if self._position == len(self._log):
                    self._let_time_pass(state)

    def _end_round(self, now: Round) -> RoundReport:
        report = self._report
        assert report is not None
        report.outcome, report.checks = str(now.outcome), checks(now)
        report.contributions = {member: shown.contribution for member, shown in now.submissions.items()}
        report.answers = dict(now.answers)
        if now.phase is Phase.FINAL:
            report.cohort, report.outcome, report.model = now.cohort, "final", str(now.outcome)
            assert self._next is not None
            if blob_name(self._next[2]) != now.outcome:
                raise FederationError(_OTHER_MODEL)
            self.shared = self._next[1]
            self._blobs.forget("model")
            self._blobs.put(self._next[2], "model")
        report.bytes_up, report.bytes_down = self._blobs.bytes_in, self._blobs.bytes_out
        self._watch.turn(None)
        members = len(self._participants)
        for activity, seconds in self._watch.seconds(now.number).items():
            # Nobody waits here, and what is left is the simulation's own.
            if activity != "wait":
                report.seconds[activity] = seconds if activity == "train" else seconds / members
        self._blobs.forget(f"round/{now.number}")
        return report

    def _let_time_pass(self, state: FederationState) -> None:
        """Nobody has anything to do: the clock jumps to where somebody has."""
        if state.stopped is not None:
            raise FederationError(f"The federation has stopped: {state.stopped}.")
        while (wake := min(member.wake() for member in self._participants.values())) < float("inf"):
            self._log.time = max(self._log.time, wake)
            for name, participant in self._participants.items():
                orders = participant.duties(self._log.time)
                for effect in orders:
                    self._carry_out(name, effect)
                if orders:
                    return
        raise FederationError("Nobody has anything to do and the round is not over: this is a defect.")

    def _deliver(self, pool: ThreadPoolExecutor, tell: Callable[[str], None]) -> None:
        """Give every member what was ordered, and do what it asks for."""
        for entry in self._log.read(self._position):
            self._position += 1
            now = next(iter(self._participants.values())).state.round
            where = "" if now is None else f"{now.task}: {now.phase.value}, "
            tell(f"{where}record {self._position} of {len(self._log)} so far")
            effects: list[tuple[str, RoundEffect]] = []
            for name, participant in self._participants.items():
                follows = participant.ordered(entry.record, entry.author, entry.time, entry.block, entry.epoch)
                effects += [(name, effect) for effect in follows]
            work = [name for name, effect in effects if isinstance(effect, Work)]
            for name, effect in effects:
                self._carry_out(name, effect)
            if work:
                self._work(work, pool)

    def _work(self, names: list[str], pool: ThreadPoolExecutor) -> None:
        """Let the hospitals work side by side; the first alone, so that they share what it compiles."""
        report = self._report
        assert report is not None
        with self._watch.doing("train"):
            values = [self._hospitals[names[0]].work(self.shared, report.round)]
            values += pool.map(lambda name: self._hospitals[name].work(self.shared, report.round), names[1:])
        for name, own in zip(names, values, strict=True):
            self._give(name, Produced(report.round, own))

    def _carry_out(self, name: str, effect: RoundEffect) -> None:
        """Do what a member asked for, and give it what comes back."""
        match effect:
            case Store():
                with self._watch.doing("store"):
                    self._blobs.put(effect.content, effect.label)
            case OrderRecord():
                self._log.append(effect.record, name)
            case Fetch():
                self._give(name, Fetched(effect.round, self._fetch(name, effect)))
            case Advance():
                try:
                    with self._watch.doing("combine"):
                        model, encoded = self._advance(effect)
                except FederationError:
                    return  # everybody finds the same of this sum: the round is void at its deadline
                self._give(name, Advanced(effect.round, encoded, model.next))
            case Judge():
                with self._watch.doing("train"):
                    accepts = self._accepts(name, effect)
                self._give(name, Judged(effect.round, accepts))
            case Work():
                pass

    def _give(self, name: str, event: RoundEvent) -> None:
        for effect in self._participants[name].step(event):
            self._carry_out(name, effect)

    def _blob(self, name: str, limits: DagLimits) -> bytes | None:
        """Get a blob; members share one copy of it, and each is counted as if it had its own."""
        with self._watch.doing("store"):
            if name in self._shared_blobs:
                self._blobs.bytes_out += len(self._shared_blobs[name])
                return self._shared_blobs[name]
            try:
                self._shared_blobs[name] = self._blobs.get(name, limits)
            except MissingBlob:
                return None
        return self._shared_blobs[name]

    def _fetch(self, member: str, fetch: Fetch) -> dict[str, bytes]:
        sizes = self._participants[member].sizes()
        found = {name: self._blob(name, file_of(*sizes[name])) for name in fetch.names}
        return {name: content for name, content in found.items() if content is not None}

    def _accepts(self, name: str, effect: Judge) -> bool:
        if self._next is None or blob_name(self._next[2]) != effect.after:
            raise FederationError(_OTHER_MODEL)
        after = self._next[1]
        return self._hospitals[name].accepts(self.shared, after)

    def _advance(self, effect: Advance) -> tuple[Shared, bytes]:
        """Make the next shared model; members that decrypted the same sum share the computation, not the result."""
        told = (effect.round, None if effect.total is None else effect.total.tobytes())
        if self._next is None or self._next[0] != told:
            model = self.shared.advance(effect.total, effect.refused, effect.turnout)
            self._next = (told, model, self._encode(model))
        return self._next[1:]


def member_names(count: int) -> tuple[str, ...]:
    """Return the names of a simulated federation's members."""
    return tuple(f"hospital-{number + 1}" for number in range(count))
