"""What follows from who takes part: how many may lie, who holds shares, and how many must answer and contribute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.federation.records import (
    BeginRound,
)
from medward.federation.round.rules import begin_round
from medward.federation.terms import Terms
from tests.federation.round.rounds import (
    BLOCK,
)


@pytest.mark.parametrize(
    ("members", "faulty", "threshold", "least", "shown"),
    [(3, 0, 3, 3, 2), (4, 1, 3, 3, 1), (7, 2, 5, 5, 2), (10, 3, 7, 7, 3), (16, 5, 11, 11, 5), (64, 21, 43, 43, 21)],
)
def test_thresholds(members: int, faulty: int, threshold: int, least: int, shown: int) -> None:
    terms = Terms("test", tuple(f"h{number}" for number in range(members)))
    begin = BeginRound(0, "train", "m", terms.members, 1, 1)
    state = begin_round(terms, dict.fromkeys(terms.members, b"k"), begin, 0.0, BLOCK)
    assert (terms.faulty, terms.threshold, terms.least_cohort) == (faulty, threshold, least)
    assert (state.sum_terms.threshold, state.sum_terms.most_shown) == (threshold, shown)


def test_committee_holds_shares_for_more_members_and_cohorts_count_all_liars() -> None:
    """Threats M5 and M13: 333 of 1,000 may lie, whoever holds shares."""
    terms = Terms("test", tuple(f"h{number}" for number in range(1000)))
    assert terms.holders == terms.members[:64]
    assert (terms.faulty, terms.faulty_holders, terms.threshold, terms.least_cohort) == (333, 21, 43, 335)


@given(st.integers(1, 300))
def test_honest_members_are_always_enough_and_liars_never(members: int) -> None:
    terms = Terms("test", tuple(f"h{number}" for number in range(members)))
    holders, honest_holders = len(terms.holders), len(terms.holders) - terms.faulty_holders
    assert 3 * terms.faulty < members <= 3 * terms.faulty + 3
    assert terms.faulty_holders < terms.threshold <= honest_holders
    # Two sets of t answers share an honest holder, so no two answers to different questions are both decrypted.
    assert 2 * terms.threshold - holders > terms.faulty_holders
    if members >= 3:
        assert terms.least_cohort <= max(3, members - terms.faulty)
        # What liars know of a sum they know of fewer contributions than are in it, by two at least.
        assert terms.least_cohort - terms.faulty >= 2
