"""The pure checks of an audit: what is sound passes, and what more members than may have lied about is named."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from medward.federation.audit import (
    Finding,
    Found,
    audit_ceremony,
    audit_round,
    ceremony_blobs,
    round_blobs,
    sums_of_auditor,
)
from medward.federation.history import History, PastRound
from medward.federation.interfaces import FederationError, IntVector, Slot, WrongSum
from medward.federation.plan import Plan
from medward.federation.records import Commit
from medward.federation.round import Found as FoundModel
from medward.federation.round import Phase
from medward.federation.shared_model import SharedModel
from medward.federation.training import FederatedTraining, Options
from medward.flows.prepared import Prepared
from tests.agents.conftest import RECIPE

ROUND = 1
_AGAINST = dict.fromkeys(("hospital-1", "hospital-2", "hospital-3"), False)


@dataclass
class Past:
    """A federation that ran, as an auditor has it: its records, replayed, and its blobs."""

    history: History
    blobs: dict[str, bytes]
    plan: Plan

    def round(self, **changes: Any) -> PastRound:
        """Return the round that is altered, with these changes to its last state."""
        past = self.history.rounds[ROUND]
        return replace(past, now=replace(past.now, **changes))

    def audited(self, past: PastRound, blobs: dict[str, bytes] | None = None) -> list[Finding]:
        """Return the problems of one round."""
        found = Found()
        agreement = self.history.state.agreement
        material = None
        if agreement.protect == "aggregate":
            material = audit_ceremony(agreement, self.history.ceremonies[0], self.blobs.get, found)
            assert material is not None
        sums = sums_of_auditor(material, past.now.terms.least_cohort)
        audit_round(past, sums, (self.blobs if blobs is None else blobs).get, self.plan, found)
        return found.problems


def _past(prepared: Prepared, refused: int = 0, **options: Any) -> Past:
    """Run a federation whose members refuse its first so many models, and keep all its blobs and records."""
    training = FederatedTraining(prepared, RECIPE, replace(Options(sites=4, rounds=1, seed=1, bits=8), **options))
    simulation = training._simulation
    blobs = {simulation.state.model: simulation.shared.to_bytes()}
    put = simulation._blobs.put

    def kept(content: bytes, label: str) -> str:
        name = put(content, label)
        blobs[name] = content
        return name

    simulation._blobs.put = kept  # type: ignore[method-assign]
    for number, hospital in enumerate(simulation._hospitals.values()):
        # What is audited is the sum and not the learning.
        hospital._update = partial(_guessed, number)  # type: ignore[method-assign]
        verdicts = chain([False] * refused, repeat(True))
        hospital.accepts = lambda before, after, verdicts=verdicts: next(verdicts)  # type: ignore[method-assign]
    while not simulation.shared.done:
        simulation.run_round()
    simulation.close()
    state = simulation.state
    history = History(state.agreement)
    for height, entry in enumerate(simulation._log.read(0), 1):
        history.take(entry.record, state.accounts[entry.author], entry.time, entry.block, height)
    assert history.state == state
    return Past(history, blobs, training.shared.plan)


@pytest.fixture(scope="module")
def past(prepared: Prepared) -> Past:
    return _past(prepared)


def test_sound_federation_has_no_problem_and_needs_no_blob_that_is_not_there(past: Past) -> None:
    found = Found()
    agreement = past.history.state.agreement
    material = audit_ceremony(agreement, past.history.ceremonies[0], past.blobs.get, found)
    sums = sums_of_auditor(material, past.history.state.terms.least_cohort)
    for number in past.history.rounds:
        audit_round(past.history.rounds[number], sums, past.blobs.get, past.plan, found)
        assert round_blobs(past.history.rounds[number]).keys() <= past.blobs.keys()
    assert ceremony_blobs(past.history.ceremonies[0]).keys() <= past.blobs.keys()
    assert (found.problems, found.remarks) == ([], [])
    rounds = len(past.history.rounds)
    assert (found.checked["sums"], found.checked["models"], found.checked["proofs"]) == (rounds, rounds, 8 * rounds)


def test_federation_in_the_open_is_audited_too(prepared: Prepared) -> None:
    plain = _past(prepared, protect="none")
    assert plain.audited(plain.round()) == []
    name = plain.round().now.aggregate
    assert name is not None
    wrong = plain.blobs | {name: _flipped(plain.blobs[name], -1)}
    assert [problem.name for problem in plain.audited(plain.round(), wrong)] == [name]


def test_round_after_one_that_was_rolled_back_takes_half_the_step(prepared: Prepared) -> None:
    past = _past(prepared, refused=1, protect="none")
    *_, refused, final = (past.history.rounds[number] for number in sorted(past.history.rounds))
    assert (refused.now.phase, refused.now.refused) == (Phase.ROLLED_BACK, 0)
    assert (final.now.phase, final.now.refused) == (Phase.FINAL, 1)
    assert past.history.state.refused == 0
    assert past.audited(final) == []
    whole_step = replace(final, now=replace(final.now, refused=0))
    assert any("leads to the model" in problem.what for problem in past.audited(whole_step))


@pytest.mark.parametrize("place", [100, 100_000, -1], ids=["first element", "ciphertext", "proof"])
def test_contribution_that_is_not_proved_is_named_with_who_attested_it(past: Past, place: int) -> None:
    name = past.round().now.submissions["hospital-2"]
    problems = past.audited(past.round(), past.blobs | {name: _flipped(past.blobs[name], place)})
    about = [problem for problem in problems if problem.name == name]
    assert len(about) == 1
    assert (about[0].round, "hospital-2" in about[0].what) == (ROUND, True)
    assert "attested that it is" in about[0].what


@pytest.mark.parametrize("place", [100, -1], ids=["share", "proof"])
def test_share_that_is_not_proved_is_named(past: Past, place: int) -> None:
    name = past.round().now.shares["hospital-4"]
    problems = past.audited(past.round(), past.blobs | {name: _flipped(past.blobs[name], place)})
    assert any(problem.name == name and "the share of hospital-4" in problem.what for problem in problems)


def test_aggregate_that_is_not_the_sum_is_named(past: Past) -> None:
    name = past.round().now.aggregate
    assert name is not None
    problems = past.audited(past.round(), past.blobs | {name: _flipped(past.blobs[name], -1)})
    assert [(problem.name, "not the sum" in problem.what) for problem in problems] == [(name, True)]


def test_cohort_with_a_contribution_left_out_of_the_sum_is_named(past: Past) -> None:
    fewer = past.round(cohort=past.round().now.cohort[:3])
    assert any("not the sum" in problem.what for problem in past.audited(fewer))


def test_model_that_the_sum_does_not_lead_to_is_named(past: Past) -> None:
    candidate = past.round().now.candidate
    assert candidate is not None
    other = FoundModel(past.history.state.agreement.model, candidate.next)
    finishes = dict.fromkeys(past.round().now.finishes, other)
    problems = past.audited(past.round(candidate=other, finishes=finishes))
    assert [problem.name for problem in problems] == [other.model]
    assert candidate.model in problems[0].what


def test_commitment_that_does_not_match_is_named(past: Past) -> None:
    commitments = {**past.round().now.commitments, "hospital-1": bytes(32)}
    problems = past.audited(past.round(commitments=commitments))
    assert [(p.name, "committed" in p.what) for p in problems] == [(past.round().now.submissions["hospital-1"], True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"finishes": {}},
        {"votes": dict.fromkeys(["hospital-1", "hospital-2", "hospital-3"], False)},
        {"candidate": None},
    ],
    ids=["finishes", "votes", "no candidate"],
)
def test_outcome_against_the_rules_is_named(past: Past, changes: dict[str, Any]) -> None:
    problems = past.audited(past.round(**changes))
    assert [problem.round for problem in problems] == [ROUND]


def test_keys_that_the_ceremony_does_not_lead_to_are_named(past: Past) -> None:
    ceremony = past.history.ceremonies[0]
    assert ceremony.epoch is not None
    found, agreement = Found(), past.history.state.agreement
    forged = replace(ceremony, epoch=replace(ceremony.epoch, digest=bytes(32)))
    assert audit_ceremony(agreement, forged, past.blobs.get, found) is None
    name = next(iter(ceremony_blobs(ceremony)))
    without = {other: content for other, content in past.blobs.items() if other != name}
    assert audit_ceremony(agreement, ceremony, without.get, found) is None
    assert len(found.problems) == 2


def test_record_against_the_rules_is_kept_with_its_reason(past: Past) -> None:
    history = History(past.history.state.agreement)
    account = history.state.accounts["hospital-1"]
    history.take(Commit(0, "hospital-1", bytes(32)), account, 0.0, bytes(32), 7)
    history.take(Commit(0, "hospital-1", bytes(32)), b"a stranger", 0.0, bytes(32), 8)
    assert [(one.height, one.author) for one in history.refused] == [(7, "hospital-1"), (8, "")]
    assert all(one.kind == "Commit" and one.why for one in history.refused)
    assert history.taken == 0


def test_auditor_can_neither_seal_nor_share(past: Past) -> None:
    material = audit_ceremony(past.history.state.agreement, past.history.ceremonies[0], past.blobs.get, Found())
    sums = sums_of_auditor(material, 3)
    now = past.round().now
    slot = Slot(now.terms.name, now.number, now.counts, now.values, now.dispatch.bits)
    with pytest.raises(WrongSum, match="gives no answers"):
        sums.seal(slot, np.zeros(now.counts + now.values, np.int64))
    assert now.aggregate is not None
    sums.check(slot, {m: past.blobs[now.submissions[m]] for m in now.cohort}, past.blobs[now.aggregate])
    with pytest.raises(FederationError, match="holds no key"):
        sums.share(slot, past.blobs[now.aggregate])


def _guessed(number: int, shared: SharedModel, _: int) -> IntVector:
    return np.concatenate([[100], np.random.default_rng(number).integers(-100, 101, shared.values)]).astype(np.int64)


def _flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)
