"""The rules of one round: a pure function from ordered records to the round's state. Every member runs the same.

The table of phases, with the reasons, is in spec/round.md, "The round". A record that breaks a rule is refused and
changes nothing. Time is the log's. Rules see records, never blobs: a dealing counts as good when f+1 holders, of whom
one is honest, attest that they hold it and have checked it.
"""

from collections.abc import Container, Mapping
from dataclasses import replace

from medward.federation import records
from medward.federation.errors import RecordRefused
from medward.federation.records import RoundRecord
from medward.federation.round.exposure import allowed
from medward.federation.round.state import AnswerAudit, NextModel, Phase, Round
from medward.federation.terms import Terms

#: The outcome of a round whose model was refused by the votes.
FOUND_WORSE = "a majority found the next model worse"
#: How the outcome begins of a round in which nobody answered, because its sum and earlier ones would tell too much.
TOO_CLOSE = "with sums that may be known, its cohort would tell of a few hospitals"
_SUMMED = (Phase.ANSWERING, Phase.FINISHING, Phase.AUDITING, Phase.VOTING)


def begin_round(
    terms: Terms, sealing_keys: dict[str, bytes], record: records.BeginRound, time: float, block: bytes
) -> Round:
    """Return a new round's state, begun by a record at an agreed time in seconds, in a block of this hash.

    Raises:
        Refused: a stranger is invited, somebody twice, too few for a cohort or for decrypting, or nothing is summed.
    """
    if not set(record.invited) <= set(terms.members) or len(set(record.invited)) != len(record.invited):
        raise RecordRefused(f"Round {record.round} invites somebody who is no member, or somebody twice.")
    if len(record.invited) < terms.least_cohort:
        raise RecordRefused(
            f"Round {record.round} invites {len(record.invited)} members; {terms.least_cohort} are needed."
        )
    skips = record.task == "skip"
    if record.counts < 0 or record.values < 0 or skips != (record.counts + record.values < 1):
        raise RecordRefused(f"Round {record.round} sums {record.counts} counts and {record.values} values.")
    if len(sealing_keys) < terms.threshold:
        raise RecordRefused(
            f"Round {record.round} has {len(sealing_keys)} holders present; {terms.threshold} are needed."
        )
    begun = (record.round, record.task, record.model, record.invited, record.counts, record.values)
    phase = Phase.FINISHING if skips else Phase.COMMITTING
    return Round(terms, *begun, phase, time, block, sealing_keys, record.dispatch)


def apply_to_round(state: Round, record: RoundRecord, time: float, block: bytes) -> Round:
    """Return the round's state after one more record, ordered at a time in seconds in a block of this hash.

    Raises:
        Refused: the record breaks a rule.
    """
    if isinstance(record, records.BeginRound):
        raise RecordRefused(f"Round {state.number} has begun already.")
    if record.round != state.number:
        raise RecordRefused(f"The record is of round {record.round}, not {state.number}.")
    if state.over:
        raise RecordRefused(f"Round {state.number} is {state.phase.value}.")
    if not isinstance(record, records.RoundTick):
        state = _take(state, record)
    while not state.over:
        after = _leave(state, time, block, late=time >= state.due)
        if after is state:
            break
        state = after
    return state


def _take(state: Round, record: RoundRecord) -> Round:
    """Take what a member said, if it may say it now."""
    match record:
        case records.Commitment(member=member):
            return _say(state, Phase.COMMITTING, member, state.invited, "commitments", record.commitment)
        case records.Submit(member=member):
            _needs(state, Phase.SUBMITTING, member, state.commitments, state.submissions)
            committed = records.commitment_to(state.terms.name, state.number, member, record.contribution)
            if committed != state.commitments[member]:
                raise RecordRefused(
                    f"{member} shows another contribution in round {state.number} than it committed to."
                )
            return replace(state, submissions={**state.submissions, member: record})
        case records.Attest(member=member):
            return _attest(state, record, member)
        case records.Show(member=member):
            return _say(state, Phase.SHOWING, member, state.must_show, "shown", record.shown)
        case records.Answer(member=member):
            return _say(state, Phase.ANSWERING, member, state.sealing_keys, "answers", record.answer)
        case records.ModelVote(member=member):
            return _say(state, Phase.VOTING, member, state.terms.members, "votes", record.accept)
    return _take_of_sum(state, record)


def _take_of_sum(state: Round, record: RoundRecord) -> Round:
    """The same for what members say of a sum that may be known."""
    match record:
        case records.Finish(member=member):
            phase = Phase.ANSWERING if state.phase is Phase.ANSWERING else Phase.FINISHING
            return _say(state, phase, member, state.terms.members, "finishes", NextModel(record.model, record.next))
        case records.NoFit(member=member):
            if state.audit is not None or not set(record.answers) <= set(state.answers):
                raise RecordRefused(f"{member} names answers in round {state.number} that are not to be audited.")
            if len(set(record.answers)) < max(state.terms.threshold, len(record.answers)):
                raise RecordRefused(f"{member} holds too few answers of round {state.number} to say that none fit.")
            return _say(state, Phase.FINISHING, member, state.terms.members, "unfitting", record.answers)
        case records.Respond(member=member) if (audit := state.audit) is not None:
            _needs(state, Phase.AUDITING, member, state.cohort, audit.responses)
            return replace(state, audit=replace(audit, responses={**audit.responses, member: record.response}))
        case records.Complain(member=member, dealer=dealer):
            said = state.accusations.get(dealer, {})
            _needs(state, state.phase, member, state.sealing_keys, said)
            if state.phase not in _SUMMED or dealer not in state.cohort:
                raise RecordRefused(f"{member} cannot complain of {dealer} now in round {state.number}.")
            return replace(state, accusations={**state.accusations, dealer: {**said, member: record.share}})
    raise RecordRefused(f"Round {state.number} takes no such record now.")


def _say(state: Round, phase: Phase, member: str, entitled: Container[str], what: str, said: object) -> Round:
    """Note what a member says once, in a phase, if it is for it to say."""
    before: Mapping[str, object] = getattr(state, what)
    _needs(state, phase, member, entitled, before)
    return replace(state, **{what: {**before, member: said}})  # type: ignore[arg-type]


def _needs(state: Round, phase: Phase, member: str, entitled: Container[str], before: Container[str]) -> None:
    if state.phase is not phase:
        raise RecordRefused(f"Round {state.number} is {state.phase.value}, not {phase.value}.")
    if member not in entitled:
        raise RecordRefused(f"It is not for {member} to say this in round {state.number}.")
    if member in before:
        raise RecordRefused(f"{member} said this already in round {state.number}.")


def _attest(state: Round, record: records.Attest, member: str) -> Round:
    """Take a holder's verdicts: on the dealings, or on what dealers showed."""
    named = (*record.good, *record.at_fault, *record.complaints)
    judging = state.phase is Phase.JUDGING
    about = set(state.shown if judging else state.submissions)
    if len(set(named)) != len(named) or not set(named) <= about or (judging and record.complaints):
        raise RecordRefused(f"{member} attests to something in round {state.number} that is not to be checked now.")
    phase, what = (Phase.JUDGING, "judgements") if judging else (Phase.CHECKING, "verdicts")
    return _say(state, phase, member, state.sealing_keys, what, record)


def _enter(state: Round, phase: Phase, time: float) -> Round:
    return replace(state, phase=phase, since=time)


def _void(state: Round, why: str) -> Round:
    return replace(state, phase=Phase.VOID, outcome=why)


def _leave(state: Round, time: float, block: bytes, *, late: bool) -> Round:
    """Return the state after leaving its phase, or `state` itself if it stays."""
    terms = state.terms
    match state.phase:
        case Phase.COMMITTING if late or len(state.commitments) == len(state.invited):
            beacon = records.beacon_of(terms.name, state.number, block, state.commitments)
            after = replace(_enter(state, Phase.SUBMITTING, time), beacon=beacon)
            return _enough(after, len(state.commitments), "contributed")
        case Phase.SUBMITTING if late or len(state.submissions) == len(state.commitments):
            shown = len(state.submissions)
            return _enough(_enter(state, Phase.CHECKING, time), shown, "showed what they had committed to")
        case Phase.CHECKING if late or len(state.verdicts) == len(state.sealing_keys):
            return _enter(state, Phase.SHOWING, time) if state.must_show else _fix_cohort(state, time)
        case Phase.SHOWING if late or len(state.shown) == len(state.must_show):
            return _enter(state, Phase.JUDGING, time) if state.shown else _fix_cohort(state, time)
        case Phase.JUDGING if late or len(state.judgements) == len(state.sealing_keys):
            return _fix_cohort(state, time)
        case Phase.VOTING:
            return _count_votes(state, time, late=late)
    return _leave_sum(state, time, block, late=late)


def _leave_sum(state: Round, time: float, block: bytes, *, late: bool) -> Round:
    """The same for the phases in which the sum is decrypted."""
    found = list(state.finishes.values())
    agreed = next((one for one in found if found.count(one) > state.terms.faulty), None)
    match state.phase:
        case Phase.ANSWERING | Phase.FINISHING if agreed is not None:
            state = replace(_enter(state, Phase.VOTING, time), candidate=agreed)
            return state if state.task in ("train", "gram") else replace(state, phase=Phase.FINAL, outcome=agreed.model)
        case Phase.ANSWERING if late or len(state.answers) == len(state.sealing_keys):
            if len(state.answers) < state.terms.threshold:
                return _void(state, f"{len(state.answers)} holders answered; {state.terms.threshold} are needed")
            return _enter(state, Phase.FINISHING, time)
        case Phase.FINISHING if state.audit is None and len(state.unfitting) > state.terms.faulty:
            return _begin_audit(state, time, block)
        case Phase.AUDITING if state.audit is not None and (late or len(state.audit.responses) == len(state.cohort)):
            if silent := [member for member in state.cohort if member not in state.audit.responses]:
                return _void(state, f"{', '.join(silent)} did not respond to the audit of the answers")
            return _enter(state, Phase.FINISHING, time)
        case Phase.FINISHING if late:
            return _void(state, "no model was found by enough members")
    return state


def _enough(state: Round, count: int, did: str) -> Round:
    """Return the state, as VOID where so few make no cohort."""
    least = state.terms.least_cohort
    return state if count >= least else _void(state, f"{count} of {len(state.invited)} {did}; {least} are needed")


def _fix_cohort(state: Round, time: float) -> Round:
    """Fix whose contributions are summed: good dealings, about which every complaint is settled."""
    acquitted, accused = set(state.acquitted), set(state.must_show)
    cohort = tuple(dealer for dealer in state.staying if dealer in acquitted or dealer not in accused)
    if len(cohort) < state.terms.least_cohort:
        return _enough(state, len(cohort), "gave a contribution that was found good")
    if not (summed := allowed(state.known, set(cohort), state.terms.least_cohort)):
        missing = ", ".join(sorted(frozenset[str]().union(*state.known) - set(cohort))) or "more hospitals"
        return _void(state, f"{TOO_CLOSE}; bring back {missing}, or the federation goes on without this sum")
    return _enter(replace(state, cohort=tuple(d for d in cohort if d in summed)), Phase.ANSWERING, time)


def _begin_audit(state: Round, time: float, block: bytes) -> Round:
    """Audit the answers that f+1 of those hold who found that none fit, so that everybody can get them."""
    held = list(state.unfitting.values())
    kept = (h for h in state.terms.holders if sum(h in names for names in held) > state.terms.faulty)
    answers = {holder: state.answers[holder] for holder in kept}
    if len(answers) < state.terms.threshold:
        return _void(state, f"{len(answers)} answers could be had; {state.terms.threshold} are needed")
    beacon = records.audit_beacon_of(state.terms.name, state.number, block, answers)
    return replace(_enter(state, Phase.AUDITING, time), audit=AnswerAudit(beacon, answers))


def _count_votes(state: Round, time: float, *, late: bool) -> Round:
    """A majority of all members against rolls back; a missing vote counts as accepting."""
    members, against = len(state.terms.members), list(state.votes.values()).count(False)
    if 2 * against > members:
        return replace(_enter(state, Phase.ROLLED_BACK, time), outcome=FOUND_WORSE)
    if late or len(state.votes) == members or 2 * (len(state.votes) - against) >= members:
        assert state.candidate is not None
        return replace(_enter(state, Phase.FINAL, time), outcome=state.candidate.model)
    return state
