"""Shapes of flooding noise: as wide as asked and hardly wider, drawn in the digits that they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.fhe.computing.flooding import LARGEST_BASE, MOST_DIGITS, FloodShape, flood_shape, flooding_width
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.errors import UnsafeParameters
from medward.fhe.sampling import KeyStream

WIDEST = FloodShape(LARGEST_BASE, MOST_DIGITS).width


@given(st.floats(0.0, 1.0, exclude_max=True).map(lambda part: 64 * (WIDEST / 64) ** part))
def test_shape_is_the_narrowest_of_its_digits_that_is_wide_enough(width: float) -> None:
    shape = flood_shape(width)
    assert shape.width >= width
    assert 1 <= shape.digits <= MOST_DIGITS
    if shape.digits == 1:
        assert shape.base == 1
        return
    assert 2 <= shape.base <= LARGEST_BASE
    assert FloodShape(LARGEST_BASE, shape.digits - 1).width < width
    assert shape.base == 2 or FloodShape(shape.base - 1, shape.digits).width < width


@pytest.mark.parametrize("width", [WIDEST * 1.01, math.inf, math.nan])
def test_width_that_no_shape_has_is_refused(width: float) -> None:
    with pytest.raises(UnsafeParameters, match="no noise"):
        flood_shape(width)


def test_digits_are_drawn_with_the_width_of_one_and_differ() -> None:
    digits = FloodShape(17, 4).draw(KeyStream(bytes(32)), 4096)
    assert digits.shape == (4, 4096)
    assert digits.dtype == np.int64
    # Four standard errors of the spread of 4096 draws.
    assert np.abs(digits.std(axis=1) / 64 - 1).max() < 4 / math.sqrt(2 * 4096)
    assert len({row.tobytes() for row in digits}) == 4


@pytest.mark.parametrize(("outputs", "bits"), [(0, 64), (2**40 + 1, 64), (-1, 64), (1, 31), (1, 129)])
def test_numbers_that_protect_nobody_are_refused(outputs: int, bits: int) -> None:
    with pytest.raises(UnsafeParameters):
        flooding_width(ErrorBound(1.0, 10.0, 0.1), 64, outputs, bits)


@given(st.integers(1, 2**39), st.integers(32, 126), st.floats(0, 1e9))
def test_two_bits_more_or_four_times_the_outputs_double_the_width(outputs: int, bits: int, noise: float) -> None:
    bound = ErrorBound(1.0, noise, 0.1)
    width = flooding_width(bound, 64, outputs, bits)
    assert flooding_width(bound, 64, outputs, bits + 2) == pytest.approx(2 * width)
    assert flooding_width(bound, 64, 2 * outputs, bits) == pytest.approx(math.sqrt(2) * width)
    assert width > noise
