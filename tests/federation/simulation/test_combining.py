"""Rounds in the open: how updates become one, what a poisoner can send, and when a federation stops."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.errors import BadUsage
from medward.federation.errors import FederationError
from medward.federation.networks.shared import SharedNetwork, first_network
from medward.federation.simulation.combining import Mean, Median, OpenRounds, Tampered
from tests.federation.networks.centres import PLAN, training

UPDATES = st.lists(st.lists(st.integers(-30000, 30000), min_size=3, max_size=3), min_size=1, max_size=7)


class Member:
    """Contributes the same update in each round, and votes as it is told."""

    def __init__(self, update: float = 100, accept: bool = True) -> None:
        self.update, self.accept = update, accept

    def work(self, shared: SharedNetwork, number: int) -> np.ndarray:
        del number
        then = shared.next
        assert then is not None
        return np.concatenate([np.ones(then.counts), np.full(then.values, self.update)]).astype(np.int64)

    def accepts(self, before: SharedNetwork, after: SharedNetwork) -> bool:
        del before, after
        return self.accept


@given(UPDATES)
def test_combined_update_lies_within_those_that_were_sent(rows: list[list[int]]) -> None:
    updates = np.array(rows, float)
    for rule in (Mean(), Median()):
        combined = rule(updates)
        assert combined.shape == (3,)
        assert (updates.min(axis=0) - 1e-9 <= combined).all()
        assert (combined <= updates.max(axis=0) + 1e-9).all()


@given(UPDATES.filter(lambda rows: len(rows) >= 3), st.integers(-(2**62), 2**62))
def test_median_stays_among_the_honest_whatever_a_minority_sends(rows: list[list[int]], sent: int) -> None:
    liars = (len(rows) - 1) // 2
    honest = np.array(rows[liars:], float)
    combined = Median()(np.array([[sent] * 3] * liars + rows[liars:], float))
    assert (honest.min(axis=0) <= combined).all()
    assert (combined <= honest.max(axis=0)).all()


def test_round_in_the_open_moves_the_weights_by_the_combined_update() -> None:
    rounds = OpenRounds([Member(), Member(), Member(-(10**4))], training(), Median())
    before = rounds.shared.weights
    report = rounds.run_round()
    assert before is not None
    assert rounds.shared.weights is not None
    np.testing.assert_allclose(rounds.shared.weights - before, 100 * PLAN.quantiser().step, rtol=1e-3)
    assert (report.outcome, report.task, len(report.cohort)) == ("final", "train", 3)


def test_survey_is_summed_and_not_voted_on() -> None:
    rounds = OpenRounds([Member(accept=False)] * 3, first_network(PLAN), Median())
    rounds.run_round()
    assert rounds.shared.step == 1


@pytest.mark.parametrize(("refusing", "moves"), [(1, True), (2, False), (3, False)])
def test_half_of_the_members_refuse_a_next_state(refusing: int, moves: bool) -> None:
    members = [Member(accept=number >= refusing) for number in range(4)]
    rounds = OpenRounds(members, training(), Mean())
    rounds.run_round()
    assert (rounds.shared.step == 3) == moves


def test_three_refusals_in_a_row_stop_the_federation_and_an_accepted_round_begins_anew() -> None:
    members = [Member(accept=False) for _ in range(3)]
    rounds = OpenRounds(members, training(), Mean())
    before = rounds.shared
    for _ in range(2):
        rounds.run_round()
    assert rounds.shared is before
    for member in members:
        member.accept = True
    rounds.run_round()
    for member in members:
        member.accept = False
    for _ in range(2):
        rounds.run_round()
    with pytest.raises(FederationError, match="3 times in a row"):
        rounds.run_round()


def _wrong_rules() -> dict[str, Callable[[Any], Any]]:
    return {
        "all of them": lambda updates: updates,
        "one number": lambda updates: updates.mean(),
        "one less": lambda updates: updates[0, 1:],
        "not finite": lambda updates: updates[0] * np.nan,
        "infinite": lambda updates: updates[0] + np.inf,
    }


@pytest.mark.parametrize("wrong", _wrong_rules())
def test_rule_that_returns_no_update_is_refused_in_one_sentence(wrong: str) -> None:
    rounds = OpenRounds([Member()] * 3, training(), _wrong_rules()[wrong])
    with pytest.raises(BadUsage, match="rule that combines updates returned shape") as found:
        rounds.run_round()
    assert "\n" not in str(found.value)


def test_poisoner_changes_its_update_and_never_its_counts() -> None:
    seen: list[str] = []

    def double(name: str, update: np.ndarray) -> np.ndarray:
        seen.append(name)
        return 2 * update

    poisoner = Tampered("hospital-3", Member(), double)
    survey = first_network(PLAN)
    np.testing.assert_array_equal(poisoner.work(survey, 0), Member().work(survey, 0))
    assert seen == []
    assert set(poisoner.work(training(), 0).tolist()) == {200}
    assert seen == ["hospital-3"]


@pytest.mark.parametrize(
    ("factor", "sent"), [(1e6, 32767), (-1e6, -32767), (float("inf"), 32767), (float("-inf"), -32767), (0.004, 0)]
)
def test_number_that_no_update_can_hold_is_cut(factor: float, sent: int) -> None:
    poisoner = Tampered("h", Member(), lambda _, update: factor * update)
    assert set(poisoner.work(training(), 0).tolist()) == {sent}


@pytest.mark.parametrize(
    "changed",
    [lambda _, update: update[1:], lambda _, update: update[None], lambda _, update: update * float("nan")],
    ids=["one less", "a row", "no numbers"],
)
def test_changed_update_that_is_none_is_refused_in_one_sentence(changed: Callable[[str, Any], Any]) -> None:
    with pytest.raises(BadUsage, match="changed update") as found:
        Tampered("h", Member(), changed).work(training(), 0)
    assert "\n" not in str(found.value)


def test_tampering_leaves_the_honest_member_s_own_update_alone() -> None:
    kept = Member().work(training(), 0)

    class Keeping(Member):
        def work(self, shared: SharedNetwork, number: int) -> np.ndarray:
            return kept

    def overwrite(_: str, update: np.ndarray) -> np.ndarray:
        update[:] = 7
        return update

    assert set(Tampered("h", Keeping(), overwrite).work(training(), 0).tolist()) == {7}
    assert set(kept.tolist()) == {100}
