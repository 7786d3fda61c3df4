"""Bytes on the wire: the formula tells what is stored, and grows with members, counts and values as it should."""

import pytest

from medward.federation.model.wire import parts, record_bytes, sum_bytes, sum_set
from medward.federation.terms import Terms
from medward.fhe.errors import LaneOverflow, UnsafeParameters
from tests.federation.sums.ward import Ward


@pytest.mark.parametrize("members", [3, 4, 7])
def test_blobs_of_a_sum_have_the_bytes_that_are_told(members: int, tmp_path) -> None:
    ward = Ward(tmp_path, members, values=5000)
    told = parts(sum_set(8, members), ward.counts, ward.values)
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    assert {len(blob) for blob in contributions.values()} == {told.contribution}
    assert {len(blob) for blob in responses.values()} == {told.response}
    assert {len(blob) for blob in ward.answer().values()} == {told.answer}


@pytest.mark.parametrize("members", [3, 16, 64, 200])
def test_parameters_are_those_that_the_terms_of_as_many_members_give(members: int) -> None:
    terms, chosen = Terms("", tuple(f"h{k}" for k in range(members))), sum_set(8, members)
    assert (chosen.contributors, chosen.holders) == (members, len(terms.holders))
    assert (chosen.faulty, chosen.threshold) == (terms.faulty, terms.threshold)


def test_more_of_anything_is_never_fewer_bytes() -> None:
    smallest = sum_bytes(8, 4, 2, 500)
    for larger in (sum_bytes(8, 5, 2, 500), sum_bytes(8, 4, 20_000, 500), sum_bytes(8, 4, 2, 50_000)):
        assert larger > smallest
    assert sum_bytes(16, 4, 0, 50_000) > sum_bytes(8, 4, 0, 50_000)
    assert sum_bytes(8, 4, 0, 1) == sum_bytes(8, 4, 0, 8192)


def test_one_member_alone_sends_nothing() -> None:
    assert record_bytes(1) == 0


@pytest.mark.parametrize(("bits", "members"), [(5, 4), (8, 1), (8, 2000)])
def test_sum_that_is_not_offered_is_refused(bits: int, members: int) -> None:
    with pytest.raises(UnsafeParameters):
        sum_bytes(bits, members, 0, 1)


def test_sum_of_too_many_values_is_refused() -> None:
    with pytest.raises(LaneOverflow, match="too large"):
        sum_bytes(16, 64, 0, 4096 * 2048 + 1)
