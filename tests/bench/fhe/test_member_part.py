"""One member's part in an encrypted sum: its steps are all of it, and its bytes are those of the wire."""

import pytest

from medward.bench.fhe.member_part import STEPS, WEIGHTS, RoundTimes, round_times
from medward.federation.model.wire import parts, sum_set
from medward.fhe.encoding import residue_bytes
from medward.fhe.packing import BlockLayout


@pytest.fixture(scope="module")
def small() -> RoundTimes:
    return round_times(4, 8, weights=9000, runs=2)


def test_a_members_whole_part_is_all_that_its_steps_take(small: RoundTimes) -> None:
    assert set(small.steps) == set(STEPS)
    assert all(spent > 0 for spent in small.steps.values())
    assert small.error == 0
    assert small.whole == pytest.approx(sum(small.steps.values()))  # medians of two runs are their means


def test_what_a_member_sends_and_fetches_is_what_the_wire_says(small: RoundTimes) -> None:
    sizes = parts(small.parameters, 0, small.weights)
    assert (small.contribution, small.response, small.answer) == (sizes.contribution, sizes.response, sizes.answer)
    assert small.fetched == 3 * small.sent
    assert 0 < small.ciphertexts < small.contribution


def test_ciphertexts_are_as_small_as_promised_for_16_members() -> None:
    """At most 2.2 bytes a weight at 8 bits and 3.3 at 16, of 250,000 weights."""
    for bits, most in ((8, 2.2), (16, 3.3)):
        parameters = sum_set(bits, 16)
        blocks = BlockLayout(parameters, 0, WEIGHTS).blocks
        assert blocks * residue_bytes(parameters.degree) / WEIGHTS <= most
