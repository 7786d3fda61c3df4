"""Observations in integers: within their range whatever was seen, and a logarithm that is the same everywhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.agents.courier.observation import FEATURES, NOTHING, OCTAVE, ONE, Observation, fixed_log2

positive = st.floats(min_value=5e-324, max_value=1.7e308)


@given(
    st.integers(0, ONE),
    st.integers(0, 16),
    st.integers(NOTHING, 4 * OCTAVE),
    st.integers(0, ONE),
    st.integers(-(2**40), 2**40),
    st.integers(0, ONE),
)
def test_features_are_integers_of_the_stated_range(
    progress: int, covered: int, energy: int, cost: int, drop: int, left: int
) -> None:
    features = Observation(progress, covered, energy, cost, drop, left).features()
    assert len(features) == FEATURES
    assert all(isinstance(value, int) and -4 * ONE <= value <= 4 * ONE for value in features)


@given(positive)
def test_logarithm_is_within_a_tenth_of_an_octave_and_never_above(x: float) -> None:
    exact = OCTAVE * math.log2(x)
    assert fixed_log2(x) >= NOTHING
    if exact >= NOTHING:
        # The straight line between two powers of two lies below the logarithm, by up to 0.0861 octaves.
        assert exact - 0.09 * OCTAVE - 1 <= fixed_log2(x) <= exact + 1e-9


@given(positive, positive)
def test_logarithm_never_falls(x: float, y: float) -> None:
    low, high = sorted((x, y))
    assert fixed_log2(low) <= fixed_log2(high)


@pytest.mark.parametrize("exponent", range(-64, 64, 7))
def test_powers_of_two_are_exact(exponent: int) -> None:
    assert fixed_log2(2.0**exponent) == exponent * OCTAVE


@pytest.mark.parametrize("x", [0.0, -0.0, -1.0, -math.inf])
def test_what_has_no_logarithm_is_nothing(x: float) -> None:
    assert fixed_log2(x) == NOTHING
