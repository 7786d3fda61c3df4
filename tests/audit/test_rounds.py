"""An audit of rounds: what is sound passes, and what was altered later, or never followed the rules, is noticed."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from medward.audit.findings import AuditResult
from medward.audit.history import PastRound
from medward.audit.rounds import (
    audit_cohorts,
    audit_round,
    audit_sealing_keys,
    named_blobs,
    round_blobs,
    sums_of_auditor,
)
from medward.federation.errors import FederationError
from medward.federation.records import Finish, Record
from medward.federation.round.state import NextModel, Phase, Round
from medward.federation.sums.interface import DealingVerdict, SumRefused
from medward.flows.prepared import PreparedData
from tests.federation.lies import NAMES, Recorded, finds, flipped, named, told, unfitting

ONE, TWO, THREE, FOUR = NAMES


@pytest.fixture(scope="module")
def past(prepared: PreparedData) -> Recorded:
    """A federation of four in which all are honest."""
    recorded = Recorded(prepared)
    recorded.run_all()
    return recorded


@pytest.fixture
def four(prepared: PreparedData) -> Recorded:
    """Four members that have not begun."""
    return Recorded(prepared)


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


def test_federation_in_the_open_is_audited_too(prepared: PreparedData) -> None:
    plain = Recorded(prepared, protect="none")
    plain.run_all()
    assert told(plain.audited_all()) == ""
    contribution = plain.round().now.submissions[TWO].contribution
    problems = plain.audited(blobs=plain.blobs | {contribution: flipped(plain.blobs[contribution], -1)}).problems
    assert "leads to the model" in problems[0].what


def test_round_after_one_that_was_rolled_back_takes_half_the_step(prepared: PreparedData) -> None:
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


# What nobody may alter.


def _tampered(four: Recorded, **changes: Any) -> AuditResult:
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


def test_cohort_that_the_attestations_do_not_lead_to_is_a_problem(past: Recorded) -> None:
    found = _tampered(past, cohort=NAMES[:3])
    assert any("not the one that the attestations lead to" in problem.what for problem in found.problems)


def test_cohort_that_is_too_small_is_a_problem(past: Recorded) -> None:
    found = _tampered(past, cohort=NAMES[:2])
    assert any("its cohort has 2 members; 3 are needed" in problem.what for problem in found.problems)


def test_federation_that_opened_too_much_is_named(past: Recorded) -> None:
    """A survey over three of four that one had over all: a problem once, as the same again tells nothing new."""
    one = past.round()
    rounds = {number: replace(one, now=replace(one.now, number=number)) for number in range(4)}
    for number in (1, 2, 3):
        known = (frozenset(NAMES), frozenset(NAMES[:3]))[:number]
        rounds[number] = replace(one, now=replace(rounds[number].now, known=known, cohort=NAMES[:3]))
    found = AuditResult()
    audit_cohorts(rounds, found)
    told = [(problem.round, problem.what) for problem in found.problems]
    assert told == [(1, "its sum, with others of the same unknowns, tells of fewer than 3 hospitals")]


def test_exposed_cohort_that_a_later_round_was_not_measured_against_is_a_problem(prepared: PreparedData) -> None:
    """A round that ends as void after an answer counts as opened."""
    four = Recorded(prepared)
    unfitting(four)
    four.run(2)
    rounds = four.history().rounds
    assert (rounds[0].now.phase, rounds[1].now.known) == (Phase.VOID, (frozenset(NAMES),))
    found = AuditResult()
    audit_cohorts(rounds, found)
    assert found.problems == []
    audit_cohorts({**rounds, 1: replace(rounds[1], now=replace(rounds[1].now, known=()))}, found)
    assert [problem.round for problem in found.problems] == [1]


def test_sealing_key_that_is_old_or_none_is_a_problem(past: Recorded) -> None:
    one = past.round()
    old, none, found = replace(one, key_ages={ONE: 9}), past.round(sealing_keys={ONE: bytes(1216)}), AuditResult()
    audit_sealing_keys({0: one}, found)
    assert found.problems == []
    audit_sealing_keys({0: old, 1: none}, found)
    assert [(problem.round, problem.guilty) for problem in found.problems] == [(0, ()), (1, (ONE,))]


def test_model_that_the_sum_does_not_lead_to_is_a_problem(past: Recorded) -> None:
    now = past.round().now
    assert now.candidate is not None
    other = NextModel(past.simulation.state.agreement.model, now.candidate.next)
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
def complained(prepared: PreparedData) -> Recorded:
    """A federation in which a holder complained, so that every kind of blob is there."""
    four = Recorded(prepared)
    four.lies(FOUR, examine=finds(DealingVerdict.COMPLAINT, TWO))
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
    assert says in told(found)
    assert found.problems or kind == "answer"


def test_audit_without_a_plan_says_what_it_can(past: Recorded) -> None:
    found = AuditResult()
    audit_round(past.round(), sums_of_auditor("aggregate"), lambda name, _: past.blobs.get(name), None, found)
    assert (found.problems, found.checked["sums"], "models" in found.checked) == ([], 1, False)


@pytest.mark.parametrize("member", [ONE, FOUR], ids=["in time", "too late"])
def test_member_that_found_another_model_is_named(four: Recorded, member: str) -> None:
    def other(record: Record, now: Round) -> Iterator[Record]:
        yield replace_model(record, now.model) if isinstance(record, Finish) else record

    four.orders(member, other)
    named(four, member, says=f"{member} found another model than the one that the sum leads to")
    assert (member in four.round().now.finishes) == (member == ONE)


def replace_model(record: Finish, model: str) -> Finish:
    return Finish(record.round, record.member, model, record.next)
