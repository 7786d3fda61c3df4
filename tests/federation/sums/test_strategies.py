"""f members lie together in any way: every sum is exact or void, who is named is guilty, nobody honest is named."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.federation.sums.bank import (
    ANSWERS,
    AUDIT_RESPONSES,
    DEALINGS,
    SHARES,
    SHOWS,
    VERDICTS,
    Bank,
    Outcome,
    Strategy,
)
from tests.federation.sums.ward import names

STRATEGIES = st.builds(
    Strategy,
    dealing=st.sampled_from([*DEALINGS, "honest", "honest", "honest"]),
    shares=st.sampled_from(SHARES),
    response=st.sampled_from(["sends", "sends", "sends", "silent"]),
    show=st.sampled_from(SHOWS),
    verdict=st.sampled_from(VERDICTS),
    answer=st.sampled_from(ANSWERS),
    audit=st.sampled_from(AUDIT_RESPONSES),
)


#: Journals in memory, where there is such a place: nobody pulls the plug here, and a disk's syncs would cost the most.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def _check(members: int, liars: dict[str, Strategy], seed: int = 0, searched: bool = True) -> tuple[Bank, Outcome]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        bank = Bank(Path(folder), members, liars, seed, searched)
        outcome = bank.run()
        for journal in bank.ward.journals.values():
            journal.close()
    assert outcome.named <= set(liars), f"honest members are named: {outcome.named - set(liars)}"
    if outcome.total is not None:
        # What a liar encrypted is its own number, whatever that is; the honest part is exact.
        exact = {n for n in outcome.cohort if n not in liars or liars[n].dealing in ("honest", "long secret")}
        if exact == set(outcome.cohort):
            assert np.array_equal(outcome.total, sum(bank.inputs[n] for n in outcome.cohort))
    return bank, outcome


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([4, 7, 10]), st.data())
def test_any_strategies_of_f_members_together(members: int, data: st.DataObject) -> None:
    faulty = (members - 1) // 3
    chosen = data.draw(st.lists(st.sampled_from(names(members)), min_size=1, max_size=faulty, unique=True))
    liars = {name: data.draw(STRATEGIES, label=name) for name in chosen}
    bank, outcome = _check(members, liars, data.draw(st.integers(0, 99)), data.draw(st.booleans(), label="searched"))
    assert set(bank.honest) <= set(outcome.cohort) or not outcome.cohort
    if all(liar.audit == "right" for liar in liars.values()):
        assert outcome.total is not None, "a round that nobody spoils in the audit gives its sum"


@pytest.mark.release
@settings(max_examples=150, deadline=None)
@given(st.sampled_from([4, 7, 10, 13, 16]), st.data())
def test_any_strategies_of_f_members_together_at_length(members: int, data: st.DataObject) -> None:
    faulty = (members - 1) // 3
    chosen = data.draw(st.lists(st.sampled_from(names(members)), min_size=1, max_size=faulty, unique=True))
    liars = {name: data.draw(STRATEGIES) for name in chosen}
    _check(members, liars, data.draw(st.integers(0, 99)), data.draw(st.booleans()))


@pytest.mark.parametrize("members", [4, 7])
@pytest.mark.parametrize("dealing", [d for d in DEALINGS if d not in ("honest", "uniform ciphertext")])
def test_no_bad_dealing_gets_into_the_cohort(members: int, dealing: str) -> None:
    liars = {names(members)[-1]: Strategy(dealing=dealing, verdict="all good")}
    bank, outcome = _check(members, liars)
    assert outcome.cohort == bank.honest
    assert outcome.total is not None
    assert np.array_equal(outcome.total, sum(bank.inputs[name] for name in bank.honest))


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("show", SHOWS)
def test_withheld_shares_are_shown_or_their_dealer_is_out(shares: str, show: str) -> None:
    """M3: a dealer that spoils boxes shows them or leaves; where it spoils many it leaves and shows nothing more."""
    liar = names(7)[6]
    bank, outcome = _check(7, {liar: Strategy(shares=shares, show=show)})
    stays = shares == "good" or (shares == "boxes of some spoiled" and show == "shows")
    assert (liar in outcome.cohort) is stays
    assert set(bank.honest) <= set(outcome.cohort)
    assert outcome.total is not None
    assert not outcome.named


@pytest.mark.parametrize("verdict", VERDICTS)
def test_false_verdicts_of_f_holders_throw_nobody_out_and_let_nobody_in(verdict: str) -> None:
    liars = {name: Strategy(verdict=verdict, dealing="ghost") for name in names(7)[5:]}
    bank, outcome = _check(7, liars)
    assert outcome.cohort == bank.honest
    assert outcome.total is not None
    assert outcome.named <= set(liars)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("members", [4, 7, pytest.param(10, marks=pytest.mark.slow)])
def test_false_answers_of_f_holders_never_change_the_sum(members: int, answer: str) -> None:
    faulty = (members - 1) // 3
    for liars in (names(members)[:faulty], names(members)[-faulty:]):
        bank, outcome = _check(members, {name: Strategy(answer=answer) for name in liars})
        assert outcome.total is not None
        assert np.array_equal(outcome.total, sum(bank.inputs.values()))


def test_nobody_honest_is_named_where_two_liars_give_a_false_polynomial_through_the_right_sum() -> None:
    _, outcome = _check(7, {name: Strategy(answer="false polynomial") for name in names(7)[:2]})
    assert outcome.total is not None
    assert not outcome.audited


@pytest.mark.parametrize("members", [4, 7, 10])
def test_audit_names_every_wrong_answer_and_gives_the_sum(members: int) -> None:
    liars = names(members)[: (members - 1) // 3]
    for answer in ("random", "moves the sum", "false polynomial"):
        bank, outcome = _check(members, {name: Strategy(answer=answer) for name in liars}, searched=False)
        assert outcome.audited
        assert outcome.total is not None
        assert np.array_equal(outcome.total, sum(bank.inputs.values()))
        wrong = set(liars)
        if answer == "false polynomial":  # it takes two, and two are enough
            wrong = set(liars[:2]) if len(liars) > 1 else set()
        assert outcome.named == wrong


@pytest.mark.parametrize("audit", ["silent", "wrong", "malformed"])
def test_dealer_that_spoils_the_audit_voids_the_round_and_is_named(audit: str) -> None:
    """The price of a void round is a name; the honest members whom its lie accuses are not named."""
    liar = names(7)[3]
    _, outcome = _check(7, {liar: Strategy(audit=audit)}, searched=False)
    assert outcome.total is None
    assert outcome.named == {liar}
