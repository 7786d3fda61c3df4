"""The rules of one round: a pure function from ordered records to the round's state. Every member runs the same.

    SUBMITTING --all invited, or the deadline--> AGGREGATING --an aggregate--> SHARING --all shares--> FINISHING
    FINISHING --f+1 equal models--> FINAL;   too few submits, or a silent share holder --> VOID

A record that breaks a rule is refused and changes nothing. Time is the log's: a deadline has passed when a record of a
later time says so. The cohort is fixed once, when submitting ends, and never changes: two sums over cohorts that
differ by one member would tell that member's update.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from medward.federation.interfaces import Refused
from medward.federation.records import Aggregate, Finish, Open, Record, Reject, Share, Submit, Task, Tick


class Phase(Enum):
    """Where a round stands."""

    SUBMITTING = "submitting"
    AGGREGATING = "aggregating"
    SHARING = "sharing"
    FINISHING = "finishing"
    FINAL = "final"
    VOID = "void"


@dataclass(frozen=True)
class Terms:
    """What a federation agreed on before its first round.

    Args:
        name: the federation's name.
        members: all members, in an agreed order.
        deadline: the seconds that each phase of a round may take.
    """

    name: str
    members: tuple[str, ...]
    deadline: float = 600.0

    @property
    def faulty(self) -> int:
        """How many members may lie: f = floor((n - 1) / 3)."""
        return (len(self.members) - 1) // 3

    @property
    def least_cohort(self) -> int:
        """How many contributions a sum needs, so that f colluders cannot isolate one: max(3, f + 2)."""
        return min(max(3, self.faulty + 2), len(self.members))


@dataclass(frozen=True)
class Round:
    """The state of one round.

    Args:
        terms: the federation's terms.
        number: the round's number.
        task: what is summed.
        model: the shared model that members work from.
        invited: who was asked to contribute.
        length: how many integers are summed.
        phase: where the round stands.
        since: when that phase began.
        submissions: each contributor's blob.
        cohort: whose contributions are summed, once that is fixed.
        attempt: how many aggregators failed.
        aggregate: the aggregate's blob, once there is one.
        rejects: who rejected it.
        shares: each holder's share.
        finishes: each member's next model.
        outcome: the next model, once final; or why the round is void.
    """

    terms: Terms
    number: int
    task: Task
    model: str
    invited: tuple[str, ...]
    length: int
    phase: Phase
    since: float
    submissions: Mapping[str, str] = field(default_factory=dict)
    cohort: tuple[str, ...] = ()
    attempt: int = 0
    aggregate: str | None = None
    rejects: frozenset[str] = frozenset()
    shares: Mapping[str, str] = field(default_factory=dict)
    finishes: Mapping[str, str] = field(default_factory=dict)
    outcome: str | None = None

    @property
    def aggregator(self) -> str | None:
        """Whose turn it is to add, once the cohort is fixed: it goes round with rounds and failed attempts."""
        return self.cohort[(self.number + self.attempt) % len(self.cohort)] if self.cohort else None

    @property
    def over(self) -> bool:
        """Whether nothing can change any more."""
        return self.phase in (Phase.FINAL, Phase.VOID)

    @property
    def due(self) -> float:
        """When the present phase's deadline passes."""
        return self.since + self.terms.deadline


def opened(terms: Terms, record: Open, time: float) -> Round:
    """Return a new round's state.

    Raises:
        Refused: a stranger is invited, somebody twice, or too few for a cohort.
    """
    if not set(record.invited) <= set(terms.members) or len(set(record.invited)) != len(record.invited):
        raise Refused(f"Round {record.round} invites somebody who is no member, or somebody twice.")
    if len(record.invited) < terms.least_cohort:
        raise Refused(f"Round {record.round} invites {len(record.invited)} members; {terms.least_cohort} are needed.")
    if record.length < 1:
        raise Refused(f"Round {record.round} sums {record.length} numbers.")
    return Round(
        *(terms, record.round, record.task, record.model, record.invited, record.length, Phase.SUBMITTING, time)
    )


def apply(state: Round, record: Record, time: float) -> Round:
    """Return the round's state after one more ordered record.

    Args:
        state: the state before it.
        record: the record.
        time: its agreed time in seconds, never smaller than an earlier record's.

    Raises:
        Refused: the record breaks a rule; `state` stays as it is.
    """
    if record.round != state.number:
        raise Refused(f"The record is of round {record.round}, not {state.number}.")
    if state.over:
        raise Refused(f"Round {state.number} is {state.phase.value}.")
    match record:
        case Submit():
            _needs(state, Phase.SUBMITTING, record.member in state.invited, record.member, state.submissions)
            state = replace(state, submissions={**state.submissions, record.member: record.contribution})
        case Aggregate():
            _needs(state, Phase.AGGREGATING, record.member == state.aggregator, record.member, {})
            state = _enter(replace(state, aggregate=record.aggregate, rejects=frozenset()), Phase.SHARING, time)
        case Reject():
            right = record.member in state.terms.members and record.aggregate == state.aggregate
            _needs(state, Phase.SHARING, right, record.member, dict.fromkeys(state.rejects, ""))
            state = _rejected(state, record.member, time)
        case Share():
            _needs(state, Phase.SHARING, record.member in state.terms.members, record.member, state.shares)
            state = replace(state, shares={**state.shares, record.member: record.share})
        case Finish():
            _needs(state, Phase.FINISHING, record.member in state.terms.members, record.member, state.finishes)
            state = replace(state, finishes={**state.finishes, record.member: record.model})
        case Tick():
            pass
        case Open():
            raise Refused(f"Round {state.number} is open already.")
    return _moved(state, time)


def _needs(state: Round, phase: Phase, right: bool, member: str, before: Mapping[str, str]) -> None:
    if state.phase is not phase:
        raise Refused(f"Round {state.number} is {state.phase.value}, not {phase.value}.")
    if not right:
        raise Refused(f"It is not for {member} to say this in round {state.number}.")
    if member in before:
        raise Refused(f"{member} said this already in round {state.number}.")


def _enter(state: Round, phase: Phase, time: float) -> Round:
    return replace(state, phase=phase, since=time)


def _rejected(state: Round, member: str, time: float) -> Round:
    """Count a rejection; f + 1 of them, of which one is honest, send the round to its next aggregator."""
    state = replace(state, rejects=state.rejects | {member})
    if len(state.rejects) <= state.terms.faulty:
        return state
    return _next_aggregator(state, time)


def _next_aggregator(state: Round, time: float) -> Round:
    state = replace(state, attempt=state.attempt + 1, aggregate=None, rejects=frozenset(), shares={})
    if state.attempt >= len(state.cohort):
        return replace(state, phase=Phase.VOID, outcome="every aggregator was silent or wrong")
    return _enter(state, Phase.AGGREGATING, time)


def _moved(state: Round, time: float) -> Round:
    """Leave a phase when everybody has acted or its deadline has passed."""
    late = time >= state.due
    match state.phase:
        case Phase.SUBMITTING if late or len(state.submissions) == len(state.invited):
            cohort = tuple(member for member in state.invited if member in state.submissions)
            if len(cohort) < state.terms.least_cohort:
                why = f"{len(cohort)} of {len(state.invited)} contributed; {state.terms.least_cohort} are needed"
                return replace(state, phase=Phase.VOID, outcome=why)
            return _enter(replace(state, cohort=cohort), Phase.AGGREGATING, time)
        case Phase.AGGREGATING if late:
            return _next_aggregator(state, time)
        case Phase.SHARING if len(state.shares) == len(state.terms.members) or late:
            if len(state.shares) < state.terms.least_cohort:
                return replace(state, phase=Phase.VOID, outcome="too few checked the aggregate")
            return _enter(state, Phase.FINISHING, time)
        case Phase.FINISHING:
            for model in set(state.finishes.values()):
                if list(state.finishes.values()).count(model) > state.terms.faulty:
                    return replace(_enter(state, Phase.FINAL, time), outcome=model)
            if late:
                return replace(state, phase=Phase.VOID, outcome="no model was found by enough members")
        case _:
            pass
    return state
