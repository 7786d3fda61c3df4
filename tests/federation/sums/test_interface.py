"""Terms of a sum: fewer holders may lie than would be needed to fake it, and what is shown stays short of it."""

from hypothesis import given
from hypothesis import strategies as st

from medward.federation.sums.interface import SumTerms


def terms(holders: int, threshold: int) -> SumTerms:
    names = tuple(f"h{number}" for number in range(holders))
    return SumTerms("ward", 0, 1, 1, 16, names, names, (b"",) * holders, 0, threshold, bytes(32))


@given(st.integers(1, 1000))
def test_liars_are_under_a_third_of_the_holders_and_one_more_would_not_be(holders: int) -> None:
    liars = terms(holders, 1).faulty_holders
    assert 0 <= 3 * liars < holders
    assert 3 * (liars + 1) >= holders


@given(st.integers(1, 200), st.integers(0, 200))
def test_what_is_shown_with_the_shares_of_liars_is_one_short_of_the_threshold(holders: int, more: int) -> None:
    own = terms(holders, terms(holders, 1).faulty_holders + 1 + more)
    assert own.most_shown == more
    assert own.most_shown + own.faulty_holders == own.threshold - 1
