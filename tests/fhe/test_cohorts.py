"""Which cohorts may follow which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.fhe.cohorts import check_successor, least_cohort
from medward.fhe.errors import SumRejected

COHORTS = st.frozensets(st.integers(1, 12))


def test_least_cohort_leaves_two_honest_members() -> None:
    assert [least_cohort(c) for c in (0, 1, 2, 5, 21)] == [3, 3, 4, 7, 23]


def test_cohort_less_one_member_is_refused_by_name() -> None:
    with pytest.raises(SumRejected, match=r"leaves out members \[4\]"):
        check_successor({1, 2, 3, 4}, {1, 2, 3}, 3)
    with pytest.raises(SumRejected, match=r"adds members \[5, 6\]"):
        check_successor({1, 2, 3, 4}, {1, 2, 3, 4, 5, 6}, 3)


@given(COHORTS, COHORTS, st.integers(2, 5))
def test_accepted_cohorts_never_subtract_to_fewer_than_the_least(before, after, least: int) -> None:
    try:
        check_successor(before, after, least)
    except SumRejected:
        assert before != after
        return
    for difference in (before - after, after - before):
        assert len(difference) == 0 or len(difference) >= least


@given(COHORTS, COHORTS, st.integers(2, 5))
def test_rule_is_symmetric(before, after, least: int) -> None:
    def accepted(one, other) -> bool:
        try:
            check_successor(one, other, least)
        except SumRejected:
            return False
        return True

    assert accepted(before, after) == accepted(after, before)
    assert accepted(before, before)
