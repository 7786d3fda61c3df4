"""Updates as integers: the sum decodes to the mean weighted by rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.encoding import RESOLUTION, decode_mean, encode_update


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.floats(1e-3, 10.0))
def test_sum_decodes_to_the_weighted_mean(weights: list[int], seed: int, clip: float) -> None:
    rng = np.random.default_rng(seed)
    updates = rng.uniform(-clip, clip, (len(weights), 50)).astype(np.float32)
    total = sum(encode_update(update, weight, clip) for update, weight in zip(updates, weights, strict=True))
    expected = np.average(updates.astype(np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(decode_mean(total, clip), expected, atol=2 * clip * 2.0**-RESOLUTION)


def test_what_lies_outside_the_range_is_clipped() -> None:
    values = encode_update(np.array([5.0, -5.0, 0.5], np.float32), 3, 1.0)
    np.testing.assert_allclose(decode_mean(values, 1.0), [1.0, -1.0, 0.5], atol=1e-6)


def test_four_billion_rows_over_a_thousand_members_do_not_overflow() -> None:
    values = encode_update(np.array([1.0, -1.0], np.float32), 2**22, 1.0)
    assert np.abs(values * 1024).max() < 2**62
    np.testing.assert_allclose(decode_mean(values * 1024, 1.0), [1.0, -1.0], atol=1e-6)
