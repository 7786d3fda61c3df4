"""An audit of rounds: what is sound passes; who lied is named, and nobody else; what was altered later is noticed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from medward.federation.audit import (
    audit_cohorts,
    audit_round,
    audit_sealing_keys,
    named_blobs,
    round_blobs,
    sums_of_auditor,
)
from medward.federation.blobs import blob_name
from medward.federation.findings import Found
from medward.federation.history import History, PastRound
from medward.federation.interfaces import FederationError
from medward.federation.records import (
    Answer,
    Attest,
    Commit,
    Complain,
    Finish,
    NoFit,
    Record,
    Respond,
    Show,
    Submit,
    commitment_to,
)
from medward.federation.round.state import Found as FoundModel
from medward.federation.round.state import Phase, Round
from medward.federation.sums.interface import IntVector, SumRefused, SumTerms, Verdict
from medward.fhe import polynomials, reconstruction
from medward.fhe.parameters import sum_parameters
from medward.flows.prepared import Prepared
from tests.federation.lies import Recorded, flipped, silent

NAMES = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")
ONE, TWO, THREE, FOUR = NAMES


@pytest.fixture(scope="module")
def past(prepared: Prepared) -> Recorded:
    """A federation of four in which all are honest."""
    recorded = Recorded(prepared)
    recorded.run_all()
    return recorded


@pytest.fixture
def four(prepared: Prepared) -> Recorded:
    """Four members that have not begun."""
    return Recorded(prepared)


def _what(found: Found) -> str:
    return "\n".join(map(str, (*found.problems, *found.remarks)))


def _named(recorded: Recorded, *liars: str, says: str = "", number: int = 0) -> Found:
    """Run one round and check that its audit names these, nobody else, and has no problem; return what it found."""
    recorded.run()
    found = recorded.audited(number)
    assert found.problems == [], _what(found)
    assert found.guilty == set(liars), _what(found)
    assert says in _what(found), _what(found)
    return found


# What is sound.


def test_sound_federation_has_no_problem_and_needs_no_blob_that_is_not_there(past: Recorded) -> None:
    found, rounds = past.audited_all(), past.history().rounds
    assert (found.problems, found.remarks) == ([], [])
    for one in rounds.values():
        assert round_blobs(one).keys() <= past.blobs.keys()
    count, members = len(rounds), len(NAMES)
    assert {found.checked[kind] for kind in ("rounds", "beacons", "sums", "models", "cohorts")} == {count}
    kinds = ("commitments", "dealings", "answers", "sealing keys")
    assert {found.checked[kind] for kind in kinds} == {count * members}


def test_every_blob_that_a_round_rests_on_is_named_by_a_record(past: Recorded) -> None:
    named = {past.simulation.state.agreement.model}
    for entry in past.simulation._log.read(0):
        named |= {name for name, _ in named_blobs(entry.record, entry.author)}
    for one in past.history().rounds.values():
        assert round_blobs(one).keys() <= named


def test_federation_in_the_open_is_audited_too(prepared: Prepared) -> None:
    plain = Recorded(prepared, protect="none")
    plain.run_all()
    assert _what(plain.audited_all()) == ""
    contribution = plain.round().now.submissions[TWO].contribution
    problems = plain.audited(blobs=plain.blobs | {contribution: flipped(plain.blobs[contribution], -1)}).problems
    assert "leads to the model" in problems[0].what


def test_wrong_answer_in_the_open_is_named(prepared: Prepared) -> None:
    plain = Recorded(prepared, protect="none")
    plain.lies(TWO, answer=lambda honest, *about: honest.answer(*about) + b"!")
    _named(plain, TWO)


def test_round_after_one_that_was_rolled_back_takes_half_the_step(prepared: Prepared) -> None:
    past = Recorded(prepared, protect="none")
    for hospital in past.simulation._hospitals.values():
        verdicts = chain([False], repeat(True))
        hospital.accepts = lambda before, after, verdicts=verdicts: next(verdicts)  # type: ignore[method-assign]
    past.run_all()
    rounds = past.history().rounds
    *_, refused, final = (rounds[number] for number in sorted(rounds))
    assert (refused.now.phase, refused.now.refused) == (Phase.ROLLED_BACK, 0)
    assert (final.now.phase, final.now.refused) == (Phase.FINAL, 1)
    assert past.audited(final).problems == []
    whole_step = replace(final, now=replace(final.now, refused=0))
    assert any("leads to the model" in problem.what for problem in past.audited(whole_step).problems)


def test_auditor_can_neither_contribute_nor_answer(past: Recorded) -> None:
    sums, now = sums_of_auditor("aggregate"), past.round().now
    with pytest.raises(FederationError, match="does not contribute"):
        sums.contribute(now.sum_terms, np.zeros(now.counts + now.values, np.int64))
    with pytest.raises(FederationError, match="holds no shares"):
        sums.answer(now.sum_terms, now.cohort)
    with pytest.raises(SumRefused, match="no journal"):
        sums.sealing_key()


# Lies about dealings.


def _spoiled(at: int) -> dict[str, Callable[..., Any]]:
    """Return the verbs of a dealer whose contribution has one bit other than it should."""

    def spoiled(honest: Any, terms: SumTerms, *values: IntVector) -> bytes | None:
        content = honest.contribute(terms, *values) if values else honest.contributed(terms)
        return None if content is None else flipped(content, at)

    return {"contribute": spoiled, "contributed": spoiled}


class _WrongShare:
    """A dealer that deals a wrong share, under its right digest, to the holders of these numbers."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._contributed: dict[SumTerms, bytes] = {}

    @property
    def verbs(self) -> dict[str, Callable[..., Any]]:
        return {"contribute": self._contribute, "contributed": lambda _, terms: self._contributed.get(terms)}

    def _contribute(self, honest: Any, terms: SumTerms, values: IntVector) -> bytes:
        honest.contribute(terms, values)
        current = honest._sum(terms)
        right = current.dealing.shares

        def shares(holders: Any) -> dict[int, bytes]:
            return {j: flipped(share, 3) if j in self._numbers else share for j, share in right(holders).items()}

        current.dealing.shares = shares
        blocks = current.layout.split(values[: terms.counts], values[terms.counts :])
        self._contributed[terms] = current.dealing.contribute(blocks, current.keys)
        return self._contributed[terms]


def _finds(verdict: Verdict, *dealers: str) -> Callable[..., Verdict]:
    """Return the verb of a holder that finds so of these dealers, whatever is so."""

    def examine(honest: Any, terms: SumTerms, beacon: bytes, dealer: str, *blobs: bytes) -> Verdict:
        found: Verdict = honest.examine(terms, beacon, dealer, *blobs)
        return verdict if dealer in dealers else found

    return examine


@pytest.mark.parametrize("at", [0, 30], ids=["header", "check block"])
def test_dealer_with_a_wrong_contribution_is_named(four: Recorded, at: int) -> None:
    four.lies(TWO, **_spoiled(at))
    found = _named(four, TWO, says="the dealing of hospital-2 is at fault")
    assert TWO not in four.round().now.cohort
    assert found.checked["dealings"] == 4


def test_dealer_with_a_wrong_response_is_named(four: Recorded) -> None:
    four.lies(THREE, respond=lambda honest, *about: flipped(honest.respond(*about), 40))
    _named(four, THREE, says="the dealing of hospital-3 is at fault")


def test_holder_that_attests_a_wrong_dealing_is_named_beside_its_dealer(four: Recorded) -> None:
    four.lies(TWO, **_spoiled(30))
    four.lies(FOUR, examine=_finds(Verdict.GOOD, TWO))
    _named(four, TWO, FOUR, says="hospital-4 attested that the dealing of hospital-2 is good, which it is not")


def test_holder_that_calls_a_good_dealing_wrong_is_named(four: Recorded) -> None:
    four.lies(FOUR, examine=_finds(Verdict.AT_FAULT, TWO))
    _named(four, FOUR, says="hospital-4 attested that the dealing of hospital-2 is at fault, which it is not")


def test_more_false_attestations_than_may_be_are_a_problem(four: Recorded) -> None:
    four.lies(TWO, **_spoiled(30))
    for name in (ONE, FOUR):
        four.lies(name, examine=_finds(Verdict.GOOD, TWO))
    four.run()
    found = four.audited()
    assert found.guilty == {ONE, TWO, FOUR}
    assert {problem.guilty for problem in found.problems} == {(ONE, FOUR), (TWO,)}


# Complaints.


def test_complaint_accuses_nobody_where_nothing_shows_who_lied(prepared: Prepared) -> None:
    """A box that does not open, and a holder that says so of one that does, look the same to everybody else."""
    spoils, complains = Recorded(prepared), Recorded(prepared)
    spoils.lies(TWO, **_spoiled(-1))
    complains.lies(FOUR, examine=_finds(Verdict.COMPLAINT, TWO))
    for four in (spoils, complains):
        found = _named(four, says="hospital-4 complained of the share dealt by hospital-2, which showed")
        assert (found.checked["complaints"], found.checked["shown"]) == (1, 1)
        assert four.round().now.cohort == NAMES


def test_dealer_that_shows_nothing_is_told_and_not_accused(four: Recorded) -> None:
    four.lies(FOUR, examine=_finds(Verdict.COMPLAINT, TWO))
    four.orders(TWO, silent(Show))
    _named(four, says="hospital-4 complained of the share dealt by hospital-2, which showed nothing")


def test_dealer_that_shows_something_else_is_named(four: Recorded) -> None:
    four.lies(FOUR, examine=_finds(Verdict.COMPLAINT, TWO))
    four.lies(TWO, show=lambda honest, *about: flipped(honest.show(*about), -1))
    _named(four, TWO, says="what hospital-2 showed is not what it dealt")


@pytest.mark.parametrize("number", [1, 4], ids=["seed", "vector"])
def test_dealer_that_dealt_a_wrong_share_is_named_by_what_it_shows(four: Recorded, number: int) -> None:
    four.lies(TWO, **_WrongShare(number).verbs)
    _named(four, TWO, says="what hospital-2 showed is not what it dealt, or proves that it dealt wrongly")
    assert TWO not in four.round().now.cohort


@pytest.mark.parametrize("right", [True, False])
def test_holder_that_judges_what_was_shown_falsely_is_named(four: Recorded, right: bool) -> None:
    if right:
        four.lies(FOUR, examine=_finds(Verdict.COMPLAINT, TWO), examine_shown=lambda *_: False)
        _named(four, FOUR, says="hospital-4 attested that what hospital-2 showed is wrong, which it is not")
    else:
        four.lies(TWO, **_WrongShare(4).verbs)
        four.lies(THREE, examine_shown=lambda *_: True)
        _named(four, TWO, THREE, says="hospital-3 attested that what hospital-2 showed is right, which it is not")


# Late complaints.


def _complains(four: Recorded, member: str, dealer: str, content: Callable[[Round], bytes]) -> None:
    """Let a member complain of a dealer, with a share of its choice, once answers are given."""

    def change(record: Record, now: Round) -> Iterator[Record]:
        yield record
        if isinstance(record, Answer):
            share = four.simulation._blobs.put(content(now), "round/0")
            four.order(member, Complain(now.number, member, dealer, share))

    four.orders(ONE, change)


def _dealt(recorded: Recorded, now: Round, dealer: str, holder: str) -> bytes:
    part = recorded.simulation._participants[holder]._sums
    share = part.dealt(now.sum_terms, dealer, recorded.blobs[now.submissions[dealer].contribution])
    assert share is not None
    return share


def test_late_complaint_proves_its_dealer_guilty(four: Recorded) -> None:
    """The holder's attestation is late, so that the dealer stays; the share that it publishes proves the fault."""
    four.lies(TWO, **_WrongShare(4).verbs)
    four.orders(FOUR, silent(Attest))
    found = _named(
        four, TWO, says="the share that hospital-4 published proves that hospital-2 dealt or responded wrongly"
    )
    assert found.checked["accusations"] == 1
    assert FOUR not in four.round().now.answers


@pytest.mark.parametrize("share", ["good", "garbage", "another's"])
def test_late_complaint_that_proves_nothing_names_its_author(four: Recorded, share: str) -> None:
    def content(now: Round) -> bytes:
        dealer = THREE if share == "another's" else TWO
        return b"garbage" if share == "garbage" else _dealt(four, now, dealer, FOUR)

    _complains(four, FOUR, TWO, content)
    _named(four, FOUR, says="hospital-4 complained of hospital-2 with a share that proves nothing")


def test_holder_that_attested_the_wrong_share_that_it_publishes_is_named_too(four: Recorded) -> None:
    four.lies(TWO, **_WrongShare(4).verbs)
    four.lies(FOUR, examine=_finds(Verdict.GOOD, TWO))
    _complains(four, FOUR, TWO, lambda now: _dealt(four, now, TWO, FOUR))
    _named(four, TWO, FOUR, says="hospital-4 attested that its share of hospital-2 is good, and published it")


# Answers.


@pytest.mark.parametrize("at", [3, 30, 6000], ids=["header", "first", "middle"])
def test_wrong_answer_is_named(four: Recorded, at: int) -> None:
    four.lies(ONE, answer=lambda honest, *about: flipped(honest.answer(*about), at))
    found = _named(four, ONE, says="the answer of hospital-1 is not the sum of the shares that were dealt to it")
    assert (found.checked["sums"], found.checked["models"]) == (1, 1)


def _shifted(by: int) -> Callable[..., bytes]:
    """Return the verb of a holder that adds so much to the first residue of its answer."""

    def answer(honest: Any, terms: SumTerms, cohort: tuple[str, ...]) -> bytes:
        context = honest._sum(terms).context
        right = reconstruction.read_answer(context, honest.answer(terms, cohort))
        added = np.zeros_like(right)
        added[0] = by
        return reconstruction.answer(context, [right, added])

    return answer


def test_all_wrong_answers_of_two_in_seven_are_named(prepared: Prepared) -> None:
    seven = Recorded(prepared, sites=7)
    for number in (2, 6):
        seven.lies(f"hospital-{number}", answer=_shifted(number))
    _named(seven, "hospital-2", "hospital-6")


def test_liars_whose_errors_cancel_have_nobody_else_named(prepared: Prepared) -> None:
    """Two answers of seven are wrong so that the first five give the sum; what is off them is honest."""
    seven = Recorded(prepared, sites=7)
    prime = sum_parameters(bits=8, contributors=7, holders=7, faulty=2, threshold=5).prime
    weights = [int(weight) for weight in polynomials.weights((1, 2, 3, 4, 5), (0,), prime)[0]]
    second = (-weights[0] * pow(weights[1], -1, prime)) % prime
    second = second - prime if second > prime // 2 else second
    seven.lies("hospital-1", answer=_shifted(1))
    seven.lies("hospital-2", answer=_shifted(second))
    found = _named(seven)
    assert found.checked["sums"] == 1


def test_answer_that_is_named_and_in_no_store_is_not_needed(four: Recorded) -> None:
    four.run()
    name = four.round().now.answers[THREE]
    without = {other: content for other, content in four.blobs.items() if other != name}
    found = four.audited(blobs=without)
    assert (found.problems, found.checked["answers"], found.checked["sums"]) == ([], 3, 1)
    assert name not in round_blobs(four.round())


def test_answers_that_are_too_few_to_check_are_a_problem(four: Recorded) -> None:
    four.run()
    gone = [four.round().now.answers[name] for name in (ONE, THREE)]
    found = four.audited(blobs={name: content for name, content in four.blobs.items() if name not in gone})
    assert [problem.what for problem in found.problems] == ["of its answers 2 are here, and no 3 of them give its sum"]


def _denies(now: Round, member: str) -> Iterator[Record]:
    yield NoFit(now.number, member, tuple(now.answers))


def _denying(member: str) -> Any:
    """Return a change by which a member denies that answers fit instead of finishing."""

    def change(record: Record, now: Round) -> Iterator[Record]:
        if isinstance(record, Finish):
            yield from _denies(now, member) if now.phase is Phase.FINISHING else ()
        else:
            yield record

    return change


def test_false_denial_is_named(four: Recorded) -> None:
    # Nobody finishes before all have answered, so that there is something to deny.
    for name in (TWO, THREE, FOUR):
        four.orders(name, _only_in_finishing)
    four.orders(ONE, _denying(ONE))
    found = _named(four, ONE, says="hospital-1 found that no set of the answers gives a sum, and one does")
    assert found.checked["denials"] == 1


def _only_in_finishing(record: Record, now: Round) -> Iterator[Record]:
    if not isinstance(record, Finish) or now.phase is Phase.FINISHING:
        yield record


def test_member_that_found_another_model_is_named(four: Recorded) -> None:
    def other(record: Record, now: Round) -> Iterator[Record]:
        yield replace_model(record, now.model) if isinstance(record, Finish) else record

    four.orders(ONE, other)
    _named(four, ONE, says="hospital-1 found another model than the one that the sum leads to")


def replace_model(record: Finish, model: str) -> Finish:
    return Finish(record.round, record.member, model, record.next)


# The audit of answers.


def _unfitting(four: Recorded) -> None:
    """Let one of three answers be wrong, so that none fit."""
    four.orders(FOUR, silent(Answer))
    four.lies(ONE, answer=_shifted(1))


def test_wrong_answer_is_named_by_the_audit_of_answers(four: Recorded) -> None:
    _unfitting(four)
    found = _named(four, ONE, says="contradict the answers of hospital-1, and no dealer was proved wrong")
    assert (four.round().now.phase, found.checked["responses"], found.checked["denials"]) == (Phase.VOID, 4, 2)


def test_dealer_that_does_not_respond_is_told(four: Recorded) -> None:
    _unfitting(four)
    four.orders(TWO, silent(Respond))
    _named(four, says="hospital-2 did not respond to the audit of the answers")


def test_malformed_response_to_the_audit_is_named(four: Recorded) -> None:
    _unfitting(four)
    four.lies(TWO, respond_to_audit=lambda honest, *about: honest.respond_to_audit(*about)[:-1])
    _named(four, TWO, says="what hospital-2 responded to the audit of the answers is malformed")


def test_dealer_that_responds_falsely_is_named_and_no_holder(four: Recorded) -> None:
    """It makes the answers of honest holders look wrong; the share that one of them publishes proves it a liar."""
    _unfitting(four)
    four.lies(TWO, respond_to_audit=lambda honest, *about: flipped(honest.respond_to_audit(*about), 40))
    found = _named(four, TWO)
    assert found.checked["accusations"] >= 1


# What nobody may alter.


def _tampered(four: Recorded, **changes: Any) -> Found:
    return four.audited(four.round(**changes))


def test_commitment_that_does_not_match_is_named(past: Recorded) -> None:
    now = past.round().now
    found = _tampered(past, commitments={**now.commitments, ONE: bytes(32)})
    assert [(p.name, p.guilty) for p in found.problems if p.guilty] == [(now.submissions[ONE].contribution, (ONE,))]
    assert any("its beacon does not follow" in problem.what for problem in found.problems)


def test_beacon_that_was_known_before_is_a_problem(past: Recorded) -> None:
    one = past.round()
    forged = replace(one, closing=bytes(32))
    assert [problem.what for problem in past.audited(forged).problems] == [
        "its beacon does not follow from the commitments and the block that closed them"
    ]


def test_beacon_of_an_audit_that_was_known_before_is_a_problem(four: Recorded) -> None:
    _unfitting(four)
    four.run()
    problems = four.audited(replace(four.round(), auditing=bytes(32))).problems
    assert [problem.what for problem in problems] == [
        "the beacon of its audit does not follow from the block and the answers before it"
    ]


def test_cohort_that_the_attestations_do_not_lead_to_is_a_problem(past: Recorded) -> None:
    found = _tampered(past, cohort=NAMES[:3])
    assert any("not the one that the attestations lead to" in problem.what for problem in found.problems)


def test_cohort_that_is_too_small_is_a_problem(past: Recorded) -> None:
    found = _tampered(past, cohort=NAMES[:2])
    assert any("its cohort has 2 members; 3 are needed" in problem.what for problem in found.problems)


def test_cohort_that_is_close_to_an_exposed_one_is_a_problem(past: Recorded) -> None:
    found = _tampered(past, earlier=(frozenset(NAMES[:3]),))
    assert ["differs by too few members" in problem.what for problem in found.problems] == [True]


def test_exposed_cohort_that_a_later_round_was_not_measured_against_is_a_problem(prepared: Prepared) -> None:
    """A round that ends as void after an answer counts as opened."""
    four = Recorded(prepared)
    _unfitting(four)
    four.run(2)
    rounds = four.history().rounds
    assert (rounds[0].now.phase, rounds[1].now.earlier) == (Phase.VOID, (frozenset(NAMES),))
    found = Found()
    audit_cohorts(rounds, found)
    assert found.problems == []
    audit_cohorts({**rounds, 1: replace(rounds[1], now=replace(rounds[1].now, earlier=()))}, found)
    assert [problem.round for problem in found.problems] == [1]


def test_sealing_key_that_is_old_or_none_is_a_problem(past: Recorded) -> None:
    one = past.round()
    old, none, found = replace(one, key_ages={ONE: 9}), past.round(sealing_keys={ONE: bytes(1216)}), Found()
    audit_sealing_keys({0: one}, found)
    assert found.problems == []
    audit_sealing_keys({0: old, 1: none}, found)
    assert [(problem.round, problem.guilty) for problem in found.problems] == [(0, ()), (1, (ONE,))]


def test_model_that_the_sum_does_not_lead_to_is_a_problem(past: Recorded) -> None:
    now = past.round().now
    assert now.candidate is not None
    other = FoundModel(past.simulation.state.agreement.model, now.candidate.next)
    found = _tampered(past, candidate=other, finishes=dict.fromkeys(now.finishes, other))
    assert [problem.name for problem in found.problems] == [other.model]
    assert now.candidate.model in found.problems[0].what
    assert found.guilty == set(now.finishes)


@pytest.mark.parametrize(
    "changes",
    [{"finishes": {}}, {"votes": dict.fromkeys(NAMES[:3], False)}, {"candidate": None}],
    ids=["finishes", "votes", "no candidate"],
)
def test_outcome_against_the_rules_is_a_problem(past: Recorded, changes: dict[str, Any]) -> None:
    assert [problem.round for problem in _tampered(past, **changes).problems] == [0]


def _blob(one: PastRound, kind: str) -> str:
    now = one.now
    assert now.candidate is not None
    return {
        "contribution": now.submissions[TWO].contribution,
        "response": now.submissions[TWO].response,
        "shown": now.shown[TWO],
        "answer": now.answers[TWO],
    }[kind]


@pytest.fixture(scope="module")
def complained(prepared: Prepared) -> Recorded:
    """A federation in which a holder complained, so that every kind of blob is there."""
    four = Recorded(prepared)
    four.lies(FOUR, examine=_finds(Verdict.COMPLAINT, TWO))
    four.run()
    return four


@pytest.mark.parametrize(
    ("kind", "at", "says"),
    [
        ("contribution", 3, "attested that the dealing of hospital-2 is good, which it is not"),
        ("contribution", 5_000, "attested that the dealing of hospital-2 is good, which it is not"),
        ("contribution", 20_000, "its sum"),
        ("response", 40, "attested that the dealing of hospital-2 is good, which it is not"),
        ("shown", -1, "attested that what hospital-2 showed is right, which it is not"),
        ("shown", 40, "attested that what hospital-2 showed is right, which it is not"),
        ("answer", 3, "the answer of hospital-2 is not the sum"),
        ("answer", 5_000, "the answer of hospital-2 is not the sum"),
    ],
)
def test_blob_other_than_members_saw_it_is_noticed(complained: Recorded, kind: str, at: int, says: str) -> None:
    name = _blob(complained.round(), kind)
    found = complained.audited(blobs=complained.blobs | {name: flipped(complained.blobs[name], at)})
    assert says in _what(found)
    assert found.problems or kind == "answer"


# Records that were refused.


def test_record_against_the_rules_is_kept_with_its_reason(past: Recorded) -> None:
    history = History(past.simulation.state.agreement)
    account = history.state.accounts[ONE]
    history.take(Commit(0, ONE, bytes(32)), account, 0.0, bytes(32), 7)
    history.take(Commit(0, ONE, bytes(32)), b"a stranger", 0.0, bytes(32), 8)
    assert [(one.height, one.author) for one in history.refused] == [(7, ONE), (8, "")]
    assert all(one.kind == "Commit" and one.why for one in history.refused)
    assert history.taken == 0


def test_two_different_answers_are_named_although_the_second_was_refused(four: Recorded) -> None:
    def twice(record: Record, now: Round) -> Iterator[Record]:
        yield record
        if isinstance(record, Answer):
            yield record  # the same again is no lie
            if now.number == 0:
                yield Answer(now.number, record.member, blob_name(b"another"))

    four.orders(THREE, twice)
    _named(four, THREE, says="hospital-3 ordered two different Answer records")


def test_contribution_other_than_the_one_committed_to_is_named_although_it_was_refused(four: Recorded) -> None:
    def other(record: Record, now: Round) -> Iterator[Record]:
        if isinstance(record, Submit):
            record = Submit(record.round, record.member, blob_name(b"another"), record.response)
            bound = commitment_to(now.terms.name, now.number, TWO, record.contribution)
            assert bound != now.commitments[TWO]
        yield record

    four.orders(TWO, other)
    _named(four, TWO, says="hospital-2 wanted to show another contribution than it had committed to")
    assert TWO not in four.round().now.submissions


def test_audit_without_a_plan_says_what_it_can(past: Recorded) -> None:
    found = Found()
    audit_round(past.round(), sums_of_auditor("aggregate"), past.blobs.get, None, found)
    assert (found.problems, found.checked["sums"], "models" in found.checked) == ([], 1, False)
