"""Whoever lies in a round's sum is named by its audit, and nobody else, as far as anything proves it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from medward.audit.rounds import (
    round_blobs,
    sums_of_auditor,
)
from medward.federation.records import (
    Answer,
    Attest,
    Complain,
    Finish,
    NoFit,
    Record,
    Respond,
    Show,
)
from medward.federation.round.state import NextModel, Phase, Round
from medward.federation.sums.interface import DealingVerdict
from medward.fhe import reconstruction
from medward.fhe.parameters import sum_parameters
from medward.fhe.ring import polynomials
from medward.flows.prepared import PreparedData
from tests.federation.lies import (
    NAMES,
    Recorded,
    WrongShare,
    finds,
    flipped,
    named,
    shifted,
    silent,
    spoiled,
    told,
    unfitting,
)

ONE, TWO, THREE, FOUR = NAMES


@pytest.fixture
def four(prepared: PreparedData) -> Recorded:
    """Four members that have not begun."""
    return Recorded(prepared)


# Lies about dealings.


@pytest.mark.parametrize("at", [0, 30], ids=["header", "check block"])
def test_dealer_with_a_wrong_contribution_is_named(four: Recorded, at: int) -> None:
    four.lies(TWO, **spoiled(at))
    found = named(four, TWO, says="the dealing of hospital-2 is at fault")
    assert TWO not in four.round().now.cohort
    assert found.checked["dealings"] == 4


def test_dealer_with_a_wrong_response_is_named(four: Recorded) -> None:
    four.lies(THREE, respond=lambda honest, *about: flipped(honest.respond(*about), 40))
    named(four, THREE, says="the dealing of hospital-3 is at fault")


def test_holder_that_attests_a_wrong_dealing_is_named_beside_its_dealer(four: Recorded) -> None:
    four.lies(TWO, **spoiled(30))
    four.lies(FOUR, examine=finds(DealingVerdict.GOOD, TWO))
    named(four, TWO, FOUR, says="hospital-4 attested that the dealing of hospital-2 is good, which it is not")


def test_holder_that_calls_a_good_dealing_wrong_is_named(four: Recorded) -> None:
    four.lies(FOUR, examine=finds(DealingVerdict.AT_FAULT, TWO))
    named(four, FOUR, says="hospital-4 attested that the dealing of hospital-2 is at fault, which it is not")


def test_more_false_attestations_than_may_be_are_a_problem(four: Recorded) -> None:
    four.lies(TWO, **spoiled(30))
    for name in (ONE, FOUR):
        four.lies(name, examine=finds(DealingVerdict.GOOD, TWO))
    four.run()
    found = four.audited()
    assert found.guilty == {ONE, TWO, FOUR}
    assert {problem.guilty for problem in found.problems} == {(ONE, FOUR), (TWO,)}


# Complaints.


def test_complaint_accuses_nobody_where_nothing_shows_who_lied(prepared: PreparedData) -> None:
    """A box that does not open, and a holder that says so of one that does, look the same to everybody else."""
    spoils, complains = Recorded(prepared), Recorded(prepared)
    spoils.lies(TWO, **spoiled(-1))
    complains.lies(FOUR, examine=finds(DealingVerdict.COMPLAINT, TWO))
    for four in (spoils, complains):
        found = named(four, says="hospital-4 complained of the share dealt by hospital-2, which showed")
        assert (found.checked["complaints"], found.checked["shown"]) == (1, 1)
        assert four.round().now.cohort == NAMES


def test_dealer_of_whom_more_complain_than_may_lie_is_named(four: Recorded) -> None:
    """Its response fits no share, so that all complain; one of them is honest."""
    four.lies(TWO, respond=lambda honest, *about: flipped(honest.respond(*about), 2000))
    named(four, TWO, says="complained of the share dealt by hospital-2, which showed nothing")
    assert TWO not in four.round().now.cohort


def test_dealer_that_shows_nothing_is_told_and_not_accused(four: Recorded) -> None:
    four.lies(FOUR, examine=finds(DealingVerdict.COMPLAINT, TWO))
    four.orders(TWO, silent(Show))
    named(four, says="hospital-4 complained of the share dealt by hospital-2, which showed nothing")


def test_dealer_that_shows_something_else_is_named(four: Recorded) -> None:
    four.lies(FOUR, examine=finds(DealingVerdict.COMPLAINT, TWO))
    four.lies(TWO, show=lambda honest, *about: flipped(honest.show(*about), -1))
    named(four, TWO, says="what hospital-2 showed is not what it dealt")


@pytest.mark.parametrize("number", [1, 4], ids=["seed", "vector"])
def test_dealer_that_dealt_a_wrong_share_is_named_by_what_it_shows(four: Recorded, number: int) -> None:
    four.lies(TWO, **WrongShare(number).verbs)
    named(four, TWO, says="what hospital-2 showed is not what it dealt, or proves that it dealt wrongly")
    assert TWO not in four.round().now.cohort


@pytest.mark.parametrize("right", [True, False])
def test_holder_that_judges_what_was_shown_falsely_is_named(four: Recorded, right: bool) -> None:
    if right:
        four.lies(FOUR, examine=finds(DealingVerdict.COMPLAINT, TWO), examine_shown=lambda *_: False)
        named(four, FOUR, says="hospital-4 attested that what hospital-2 showed is wrong, which it is not")
    else:
        four.lies(TWO, **WrongShare(4).verbs)
        four.lies(THREE, examine_shown=lambda *_: True)
        named(four, TWO, THREE, says="hospital-3 attested that what hospital-2 showed is right, which it is not")


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
    four.lies(TWO, **WrongShare(4).verbs)
    four.orders(FOUR, silent(Attest))
    found = named(
        four, TWO, says="the share that hospital-4 published proves that hospital-2 dealt or responded wrongly"
    )
    assert found.checked["accusations"] == 1
    now = four.round().now
    assert FOUR not in now.answers
    share = now.accusations[TWO][FOUR]
    found = four.audited(blobs={name: content for name, content in four.blobs.items() if name != share})
    assert f"the share that {FOUR} published against {TWO} is not here to be judged" in told(found)
    assert (found.guilty, found.checked.get("accusations")) == (set(), None)


@pytest.mark.parametrize("share", ["good", "garbage", "another's"])
def test_late_complaint_that_proves_nothing_names_its_author(four: Recorded, share: str) -> None:
    def content(now: Round) -> bytes:
        dealer = THREE if share == "another's" else TWO
        return b"garbage" if share == "garbage" else _dealt(four, now, dealer, FOUR)

    _complains(four, FOUR, TWO, content)
    named(four, FOUR, says="hospital-4 complained of hospital-2 with a share that proves nothing")


def test_holder_that_attested_the_wrong_share_that_it_publishes_is_named_too(four: Recorded) -> None:
    four.lies(TWO, **WrongShare(4).verbs)
    four.lies(FOUR, examine=finds(DealingVerdict.GOOD, TWO))
    _complains(four, FOUR, TWO, lambda now: _dealt(four, now, TWO, FOUR))
    named(four, TWO, FOUR, says="hospital-4 attested that its share of hospital-2 is good, and published it")


# Answers.


@pytest.mark.parametrize("at", [3, 30, 6000], ids=["header", "first", "middle"])
def test_wrong_answer_is_named(four: Recorded, at: int) -> None:
    four.lies(ONE, answer=lambda honest, *about: flipped(honest.answer(*about), at))
    found = named(four, ONE, says="the answer of hospital-1 is not the sum of the shares that were dealt to it")
    assert (found.checked["sums"], found.checked["models"]) == (1, 1)


def test_all_wrong_answers_of_two_in_seven_are_named(prepared: PreparedData) -> None:
    seven = Recorded(prepared, sites=7)
    for number in (2, 6):
        seven.lies(f"hospital-{number}", answer=shifted(number))
    named(seven, "hospital-2", "hospital-6")


def test_liars_whose_errors_cancel_have_nobody_else_named(prepared: PreparedData) -> None:
    """Two answers of seven are wrong so that the first five give the sum; what is off them is honest."""
    seven = Recorded(prepared, sites=7)
    prime = sum_parameters(bits=8, contributors=7, holders=7, faulty=2, threshold=5).prime
    weights = [int(weight) for weight in polynomials.weights((1, 2, 3, 4, 5), (0,), prime)[0]]
    second = (-weights[0] * pow(weights[1], -1, prime)) % prime
    second = second - prime if second > prime // 2 else second
    seven.lies("hospital-1", answer=shifted(1))
    seven.lies("hospital-2", answer=shifted(second))
    found = named(seven)
    assert found.checked["sums"] == 1
    now = seven.round().now
    first = {name: seven.blobs[now.answers[name]] for name in now.terms.holders[:5]}
    contributions = {name: seven.blobs[names.contribution] for name, names in now.submissions.items()}
    assert sums_of_auditor("aggregate").decrypt(now.sum_terms, now.cohort, contributions, first) is not None


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
    found = named(four, ONE, says="hospital-1 found that no set of the answers gives a sum, and one does")
    assert found.checked["denials"] == 1


def _only_in_finishing(record: Record, now: Round) -> Iterator[Record]:
    if not isinstance(record, Finish) or now.phase is Phase.FINISHING:
        yield record


# The audit of answers.


def test_answer_that_the_audit_contradicts_is_told_and_its_author_not_accused(four: Recorded) -> None:
    """A dealer that responds falsely, and has no holder able to complain in time, leaves the same records."""
    unfitting(four)
    found = named(four, says="the responses to the audit contradict the answers of hospital-1: these are wrong, or")
    assert (four.round().now.phase, found.checked["responses"], found.checked["denials"]) == (Phase.VOID, 4, 2)


@pytest.mark.slow
def test_sum_of_many_holders_is_found_by_the_audit_of_their_answers(
    prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 19 answers 6 are wrong; no set of 13 that is tried fits, and those that the dealers' responses confirm do."""
    # Of the 27,132 sets 1,000 are tried, and in one round of 27 the right one is among them.
    monkeypatch.setattr(reconstruction, "MOST_SUBSETS", 1)
    many = Recorded(prepared, sites=19)
    liars = [f"hospital-{number}" for number in range(1, 12, 2)]
    for number, liar in enumerate(liars, 1):
        many.lies(liar, answer=shifted(number))
    found = named(many, says=f"the responses to the audit contradict the answers of {', '.join(liars)}")
    assert many.round().now.audit is not None
    assert (found.checked["sums"], found.checked["models"]) == (1, 1)


def test_dealer_that_does_not_respond_is_told(four: Recorded) -> None:
    unfitting(four)
    four.orders(TWO, silent(Respond))
    named(four, says="hospital-2 did not respond to the audit of the answers")


def test_malformed_response_to_the_audit_is_named(four: Recorded) -> None:
    unfitting(four)
    four.lies(TWO, respond_to_audit=lambda honest, *about: honest.respond_to_audit(*about)[:-1])
    named(four, TWO, says="what hospital-2 responded to the audit of the answers is malformed")


def test_dealer_that_responds_falsely_is_named_and_no_holder(four: Recorded) -> None:
    """It makes the answers of honest holders look wrong; the share that one of them publishes proves it a liar."""
    unfitting(four)
    four.lies(TWO, respond_to_audit=lambda honest, *about: flipped(honest.respond_to_audit(*about), 40))
    found = named(four, TWO)
    assert found.checked["accusations"] >= 1


def test_wrong_answer_in_the_open_is_named(prepared: PreparedData) -> None:
    plain = Recorded(prepared, protect="none")
    plain.lies(TWO, answer=lambda honest, *about: honest.answer(*about) + b"!")
    named(plain, TWO)


@pytest.fixture(scope="module")
def unfit(prepared: PreparedData) -> Recorded:
    """Four members after a round whose answers did not fit, so that they were audited."""
    four = Recorded(prepared)
    unfitting(four)
    four.run()
    return four


def test_beacon_of_an_audit_that_was_known_before_is_a_problem(unfit: Recorded) -> None:
    problems = unfit.audited(replace(unfit.round(), auditing=bytes(32))).problems
    assert [problem.what for problem in problems] == [
        "the beacon of its audit does not follow from the block and the answers before it"
    ]


def test_model_that_somebody_found_where_no_answers_give_a_sum_names_it(unfit: Recorded) -> None:
    model, held = NextModel("a model", None), len(unfit.round().now.answers)
    forged = unfit.round(finishes={TWO: model})
    found = unfit.audited(forged)
    assert f"{TWO} found a model where no set of answers gives a sum" in told(found)
    assert found.guilty == {TWO}
    # Where an answer is missing, nobody can say so of it.
    first = next(iter(forged.now.answers.values()))
    found = unfit.audited(forged, {name: content for name, content in unfit.blobs.items() if name != first})
    assert found.checked["answers"] == held - 1
    assert "found a model where" not in told(found)


def test_denial_of_answers_that_are_not_here_is_held_against_nobody(unfit: Recorded) -> None:
    assert unfit.audited().checked["denials"] == 2
    gone = next(iter(unfit.round().now.answers.values()))
    found = unfit.audited(blobs={name: content for name, content in unfit.blobs.items() if name != gone})
    assert "denials" not in found.checked
    assert found.guilty == set()
