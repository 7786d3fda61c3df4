"""The rules of one round: a pure function from ordered records to the round's state. Every member runs the same.

    COMMITTING   all invited committed, or the deadline            -> SUBMITTING
    SUBMITTING   all committed have submitted, or the deadline     -> ATTESTING
    ATTESTING    f+1 agree on every contribution, or the deadline  -> AGGREGATING: the cohort is fixed
    AGGREGATING  an aggregate                                      -> CHECKING;   the deadline: the next aggregator
    CHECKING     all holders re-added it and committed to a share  -> SHARING;    f+1 rejections, or at the deadline at
                                                                      most f holders: the next aggregator
    SHARING      all committed shares are shown, or the deadline   -> VERIFYING
    VERIFYING    f+1 agree on every share, or the deadline         -> FINISHING;  a silent holder: OPENING
    OPENING      t good dealt shares of every silent holder        -> FINISHING
    FINISHING    f+1 equal models                                  -> VOTING (training), FINAL (a survey)
    VOTING       all voted, a majority against, or the deadline    -> FINAL or ROLLED_BACK

A phase that cannot be met ends the round as VOID. A record that breaks a rule is refused and changes nothing. Time is
the log's: a deadline has passed when a record of a later time says so. Rules see records, never blobs: a blob counts
as good when f+1 members, of whom one is honest, attest that they hold it and have checked it. The cohort is fixed
once: two sums over cohorts that differ by few members would tell those members' updates.
"""

from collections.abc import Iterable
from dataclasses import replace

from medward.federation.interfaces import Refused
from medward.federation.records import (
    Aggregate,
    Attest,
    Commit,
    Finish,
    Open,
    Reject,
    Reveal,
    RoundRecord,
    Share,
    ShareCommit,
    Subject,
    Submit,
    Tick,
    Vote,
    What,
    commitment_to,
    subject,
)
from medward.federation.round import Found, Keys, Phase, Round, Terms, Verdicts

COMMITMENT_BYTES = 32
#: The outcome of a round whose model was refused by the votes.
FOUND_WORSE = "a majority found the next model worse"


def opened(
    terms: Terms, keys: Keys, record: Open, time: float, earlier: tuple[frozenset[str], ...] = (), refused: int = 0
) -> Round:
    """Return a new round's state.

    Raises:
        Refused: a stranger is invited, somebody twice, too few for a cohort, or nothing is to be summed.
    """
    if not set(record.invited) <= set(terms.members) or len(set(record.invited)) != len(record.invited):
        raise Refused(f"Round {record.round} invites somebody who is no member, or somebody twice.")
    if len(record.invited) < terms.least_cohort:
        raise Refused(f"Round {record.round} invites {len(record.invited)} members; {terms.least_cohort} are needed.")
    if record.counts < 0 or record.values < 0 or record.counts + record.values < 1:
        raise Refused(f"Round {record.round} sums {record.counts} counts and {record.values} values.")
    shape = (record.counts, record.values)
    begun = (record.round, record.task, record.model, record.invited)
    return Round(terms, keys, *begun, *shape, Phase.COMMITTING, time, record.dispatch, earlier, refused)


def apply(state: Round, record: RoundRecord, time: float) -> Round:
    """Return the round's state after one more ordered record.

    Args:
        state: the state before it.
        record: the record.
        time: its agreed time in seconds, never smaller than an earlier record's.

    Raises:
        Refused: the record breaks a rule; `state` stays as it is.
    """
    if isinstance(record, Open):
        raise Refused(f"Round {state.number} is open already.")
    if record.round != state.number:
        raise Refused(f"The record is of round {record.round}, not {state.number}.")
    if state.over:
        raise Refused(f"Round {state.number} is {state.phase.value}.")
    if not isinstance(record, Tick):
        state = _said(state, record, time)
    return _moved(state, time)


def _said(state: Round, record: RoundRecord, time: float) -> Round:
    """Take what a member said, if it may say it now."""
    match record:
        case Commit(member=member):
            _needs(state, Phase.COMMITTING, member in state.invited, member, state.commitments)
            _needs_length(record.commitment)
            return replace(state, commitments={**state.commitments, member: record.commitment})
        case Submit(member=member):
            _needs(state, Phase.SUBMITTING, member in state.commitments, member, state.submissions)
            _needs_match("contribution", state, member, record.contribution, state.commitments[member])
            return replace(state, submissions={**state.submissions, member: record.contribution})
        case Attest():
            return _attested(state, record)
        case Aggregate(member=member):
            _needs(state, Phase.AGGREGATING, member == state.aggregator, member, ())
            return _enter(replace(state, aggregate=record.aggregate, rejects=frozenset()), Phase.CHECKING, time)
        case Reject(member=member):
            right = member in state.terms.members and record.aggregate == state.aggregate
            _needs(state, Phase.CHECKING, right, member, state.rejects)
            return _rejected(state, member, time)
        case ShareCommit(member=member):
            _needs(state, Phase.CHECKING, member in state.keys.holders, member, state.share_commitments)
            _needs_length(record.commitment)
            return replace(state, share_commitments={**state.share_commitments, member: record.commitment})
        case Share(member=member):
            _needs(state, Phase.SHARING, member in state.share_commitments, member, state.shares)
            _needs_match("share", state, member, record.share, state.share_commitments[member])
            return replace(state, shares={**state.shares, member: record.share})
        case Reveal(member=member, holder=holder):
            right = holder in state.silent and member in state.keys.holders and member != holder
            shown = state.reveals.get(holder, {})
            _needs(state, Phase.OPENING, right, member, shown)
            return replace(state, reveals={**state.reveals, holder: {**shown, member: record.share}})
        case Finish(member=member):
            _needs(state, Phase.FINISHING, member in state.terms.members, member, state.finishes)
            return replace(state, finishes={**state.finishes, member: Found(record.model, record.next)})
        case Vote(member=member):
            _needs(state, Phase.VOTING, member in state.terms.members, member, state.votes)
            return replace(state, votes={**state.votes, member: record.accept})
    raise Refused(f"Round {state.number} takes no such record.")


def _needs(state: Round, phase: Phase, right: bool, member: str, before: Iterable[str]) -> None:
    if state.phase is not phase:
        raise Refused(f"Round {state.number} is {state.phase.value}, not {phase.value}.")
    if not right:
        raise Refused(f"It is not for {member} to say this in round {state.number}.")
    if member in before:
        raise Refused(f"{member} said this already in round {state.number}.")


def _needs_length(commitment: bytes) -> None:
    if len(commitment) != COMMITMENT_BYTES:
        raise Refused(f"A commitment has {COMMITMENT_BYTES} bytes, not {len(commitment)}.")


def _needs_match(what: What, state: Round, member: str, name: str, commitment: bytes) -> None:
    if commitment_to(what, state.terms.name, state.number, member, name) != commitment:
        raise Refused(f"{member} shows another {what} in round {state.number} than it committed to.")


def _attested(state: Round, record: Attest) -> Round:
    """Count a member's verdicts on what was shown; it gives one on each, and never takes it back."""
    member, named = record.member, (*record.good, *record.bad)
    if member not in state.terms.members:
        raise Refused(f"It is not for {member} to say this in round {state.number}.")
    if not named or len(set(named)) != len(named) or not set(named) <= _subjects(state):
        raise Refused(f"{member} attests to something in round {state.number} that is not to be checked now.")
    verdicts = dict(state.verdicts)
    for about in named:
        found = verdicts.get(about, Verdicts())
        if member in found.good | found.bad:
            raise Refused(f"{member} attested to this already in round {state.number}.")
        if about in record.good:
            verdicts[about] = Verdicts(found.good | {member}, found.bad)
        else:
            verdicts[about] = Verdicts(found.good, found.bad | {member})
    return replace(state, verdicts=verdicts)


def _subjects(state: Round) -> set[Subject]:
    """What members check in the present phase."""
    match state.phase:
        case Phase.ATTESTING:
            return {subject(member) for member in state.submissions}
        case Phase.VERIFYING:
            return {subject(holder) for holder in state.shares}
        case Phase.OPENING:
            return {subject(holder, member) for holder, shown in state.reveals.items() for member in shown}
    return set()


def _enter(state: Round, phase: Phase, time: float) -> Round:
    return replace(state, phase=phase, since=time)


def _void(state: Round, why: str) -> Round:
    return replace(state, phase=Phase.VOID, outcome=why)


def _rejected(state: Round, member: str, time: float) -> Round:
    """Count a rejection; f + 1 of them, of which one is honest, send the round to its next aggregator."""
    state = replace(state, rejects=state.rejects | {member})
    return state if len(state.rejects) <= state.terms.faulty else _next_aggregator(state, time)


def _next_aggregator(state: Round, time: float) -> Round:
    state = replace(state, attempt=state.attempt + 1, aggregate=None, rejects=frozenset(), share_commitments={})
    if state.attempt >= len(state.cohort):
        return _void(state, "every aggregator was silent or wrong")
    return _enter(state, Phase.AGGREGATING, time)


def _moved(state: Round, time: float) -> Round:
    """Leave phases when everybody has acted or their deadline has passed."""
    while not state.over:
        after = _left(state, time, late=time >= state.due)
        if after is state:
            return state
        state = after
    return state


def _left(state: Round, time: float, *, late: bool) -> Round:
    """Return the state after leaving its phase, or `state` itself if it stays."""
    match state.phase:
        case Phase.COMMITTING if late or len(state.commitments) == len(state.invited):
            if len(state.commitments) < state.terms.least_cohort:
                return _too_few(state, len(state.commitments), "contributed")
            return _enter(state, Phase.SUBMITTING, time)
        case Phase.SUBMITTING if late or len(state.submissions) == len(state.commitments):
            if len(state.submissions) < state.terms.least_cohort:
                return _too_few(state, len(state.submissions), "showed what they had committed to")
            return _enter(state, Phase.ATTESTING, time)
        case Phase.ATTESTING if late or state.settled(state.submissions):
            return _closed(state, time)
        case Phase.AGGREGATING if late:
            return _next_aggregator(state, time)
        case _:
            return _left_later(state, time, late=late)
    return state


def _left_later(state: Round, time: float, *, late: bool) -> Round:
    """The same for the phases behind an aggregate."""
    match state.phase:
        case Phase.CHECKING if late or len(state.share_commitments) == len(state.keys.holders):
            if len(state.keys.holders) - len(state.share_commitments) > state.keys.openings:
                if len(state.share_commitments) <= state.terms.faulty:
                    # No honest holder may have had the aggregate: who named it withholds it.
                    return _next_aggregator(state, time)
                return _void(state, "too few key holders checked the aggregate")
            return _enter(replace(state, exposed=True), Phase.SHARING, time)
        case Phase.SHARING if late or len(state.shares) == len(state.share_commitments):
            return _enter(state, Phase.VERIFYING, time)
        case Phase.VERIFYING if late or state.settled(state.shares):
            return _verified(state, time)
        case Phase.OPENING if all(_opens(state, holder) for holder in state.silent):
            return _enter(state, Phase.FINISHING, time)
        case Phase.OPENING | Phase.FINISHING if late:
            return _void(state, "no model was found by enough members")
        case Phase.FINISHING:
            return _finished(state, time)
        case Phase.VOTING:
            return _voted(state, time, late=late)
    return state


def _too_few(state: Round, count: int, did: str) -> Round:
    return _void(state, f"{count} of {len(state.invited)} {did}; {state.terms.least_cohort} are needed")


def _closed(state: Round, time: float) -> Round:
    """Fix the cohort: the members whose contributions f+1 found good."""
    cohort = tuple(m for m in state.invited if m in state.submissions and state.good(m))
    if len(cohort) < state.terms.least_cohort:
        return _too_few(state, len(cohort), "gave a contribution that was found good")
    for before in state.earlier:
        for apart in (before - set(cohort), set(cohort) - before):
            if 0 < len(apart) < state.terms.least_cohort:
                return _void(state, "its cohort is too close to one whose sum may be known")
    return _enter(replace(state, cohort=cohort, verdicts={}), Phase.AGGREGATING, time)


def _verified(state: Round, time: float) -> Round:
    """Find out which holders gave no good share; they are opened, if they are few enough."""
    good = tuple(holder for holder in state.keys.holders if state.good(holder))
    silent = tuple(holder for holder in state.keys.holders if holder not in good)
    if len(silent) > state.keys.openings:
        return _void(state, "too many key holders gave no good share")
    state = replace(state, good_shares=good, silent=silent, verdicts={})
    return _enter(state, Phase.OPENING if silent else Phase.FINISHING, time)


def _opens(state: Round, holder: str) -> bool:
    good = [member for member in state.reveals.get(holder, {}) if state.good(holder, member)]
    return len(good) >= state.keys.threshold


def _finished(state: Round, time: float) -> Round:
    found = list(state.finishes.values())
    for one in found:
        if found.count(one) > state.terms.faulty:
            state = replace(state, candidate=one)
            if state.task == "survey":
                return replace(_enter(state, Phase.FINAL, time), outcome=one.model)
            return _enter(state, Phase.VOTING, time)
    return state


def _voted(state: Round, time: float, *, late: bool) -> Round:
    """A majority of all members against rolls back; a missing vote counts as accepting."""
    members, against = len(state.terms.members), list(state.votes.values()).count(False)
    if 2 * against > members:
        return replace(_enter(state, Phase.ROLLED_BACK, time), outcome=FOUND_WORSE)
    if late or len(state.votes) == members or 2 * (len(state.votes) - against) >= members:
        assert state.candidate is not None
        return replace(_enter(state, Phase.FINAL, time), outcome=state.candidate.model)
    return state
