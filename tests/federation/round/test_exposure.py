"""No combination of opened sums tells of a group smaller than the least cohort: threat M4 over many rounds."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.round.exposure import SEARCHED, Cohort, added, allowed, isolates


def _cohort(*numbers: int) -> frozenset[str]:
    return frozenset(map(str, numbers))


def _told(cohorts: list[frozenset[str]], hospitals: list[str], least: int) -> bool:
    """By brute force: whether a combination of the cohorts is zero outside some group smaller than `least`."""
    rows = np.array([[float(h in cohort) for h in hospitals] for cohort in cohorts])
    rank = np.linalg.matrix_rank(rows)
    for size in range(1, least):
        for group in combinations(range(len(hospitals)), size):
            outside = np.delete(rows, group, axis=1)
            if np.linalg.matrix_rank(outside) < rank:
                return True
    return False


def test_one_hospital_less_is_refused_and_the_same_cohort_is_not() -> None:
    known = (_cohort(1, 2, 3, 4),)
    assert isolates(known, _cohort(1, 2, 3), 3)
    assert isolates(known, _cohort(1, 2, 3, 5), 3)
    assert not isolates(known, _cohort(1, 2, 3, 4), 3)
    assert added(known, _cohort(1, 2, 3, 4)) == known


def test_three_cohorts_that_pass_in_pairs_are_refused_together() -> None:
    """A - B - C leaves hospital 16 alone; a pairwise comparison saw nothing."""
    a, b, c = _cohort(*range(1, 17)), _cohort(*range(1, 9)), _cohort(*range(9, 16))
    least = 7
    for one, other in combinations((a, b, c), 2):
        assert not isolates((one,), other, least)
    assert isolates((a, b), c, least)


def test_sum_that_follows_from_others_tells_nothing_new() -> None:
    halves = (_cohort(1, 2, 3), _cohort(4, 5, 6))
    assert not isolates(halves, _cohort(1, 2, 3, 4, 5, 6), 3)
    assert added(halves, _cohort(1, 2, 3, 4, 5, 6)) == halves


def test_hospital_that_was_away_is_left_out_where_the_sum_with_it_would_tell_of_it() -> None:
    known = (_cohort(1, 2, 3), _cohort(1, 2, 3, 5, 6, 7))
    assert allowed(known, _cohort(1, 2, 3, 4), 3) == _cohort(1, 2, 3)
    assert allowed(known, _cohort(1, 2, 3, 4, 5, 6, 7), 3) == _cohort(1, 2, 3, 5, 6, 7)
    assert allowed(known, _cohort(1, 2, 3, 4, 8, 9), 3) == _cohort(1, 2, 3, 4, 8, 9)
    assert allowed(known, _cohort(1, 2, 4), 3) == frozenset()
    assert allowed(known, _cohort(1, 2, 3, 4), 4) == frozenset()


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_rule_is_what_brute_force_finds(data: st.DataObject) -> None:
    """Exactly so for few cohorts; for more the rule may refuse what tells nothing, and never lets through what does."""
    many = data.draw(st.integers(4, 9))
    hospitals = [str(number) for number in range(many)]
    least = data.draw(st.integers(2, 4))
    known: tuple[frozenset[str], ...] = ()
    for _ in range(data.draw(st.integers(1, 6))):
        cohort = data.draw(st.frozensets(st.sampled_from(hospitals), min_size=1))
        refused = isolates(known, cohort, least)
        told = _told([*known, cohort], hospitals, least)
        if len(known) < SEARCHED:
            assert refused == told
        assert refused or not told
        if not refused:
            known = added(known, cohort)
            assert not _told(list(known), hospitals, least)


def test_more_cohorts_than_are_searched_are_refused_where_a_group_is_small() -> None:
    """Nobody may answer on the hope that no combination of many sums tells of few."""
    hospitals = "abcdefghijkl"
    known: tuple[Cohort, ...] = ()
    for cohort in (hospitals, hospitals[:6], hospitals[3:9]):
        known = added(known, frozenset(cohort))
    assert len(known) == SEARCHED
    assert isolates(known, frozenset("abdgjk"), 3)
