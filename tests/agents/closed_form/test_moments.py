"""Moments: what is packed is read back, what no rows have is refused, and sums are those of every row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.agents.closed_form.features import UNIT, RandomFeatures, inputs_of, random_features
from medward.agents.closed_form.model import recipe_in_closed_form
from medward.agents.closed_form.moments import (
    LEAST_STEPS,
    MOST_STEPS,
    ImpossibleMoments,
    Moments,
    largest_feature,
    moments_of,
    moments_size,
    unpacked,
)
from medward.agents.sentinel.central import fitted_scaler
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE

LARGEST = 90
COUNTS = 24
shapes = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32))


def features(count: int, inputs: int = 3) -> RandomFeatures:
    rng = np.random.default_rng(count)
    matrix = rng.integers(-5, 6, (inputs, count)).astype(float)
    bias = rng.integers(-UNIT, UNIT, count).astype(float)
    return RandomFeatures(matrix, bias, np.maximum(UNIT * np.maximum(matrix, 0).sum(axis=0) + bias, 1), LARGEST)


def moments(states: int, count: int, classes: int, seed: int, rows: int = 40) -> Moments:
    rng = np.random.default_rng(seed)
    x = UNIT * rng.random((rows, 3)).round(3)
    return moments_of([features(count)] * states, np.rint(x), rng.integers(0, classes, rows), classes)


@given(shapes)
def test_packed_moments_are_read_back_and_are_those_of_rows(shape: tuple[int, int, int, int]) -> None:
    states, count, classes, _ = shape
    own = moments(*shape)
    own.check(LARGEST)
    packed = own.packed()
    assert packed.shape == (moments_size(states, count, classes),)
    again = unpacked(packed, states, count, classes)
    for name in ("rows", "sums", "squares"):
        np.testing.assert_array_equal(getattr(again, name), getattr(own, name))


@pytest.mark.parametrize("change", [-1, 1])
def test_vector_of_another_length_is_refused(change: int) -> None:
    size = moments_size(2, 4, 3)
    with pytest.raises(ImpossibleMoments, match=f"there are {size + change} numbers, not {size}"):
        unpacked(np.zeros(size + change, np.int64), 2, 4, 3)
    with pytest.raises(ImpossibleMoments):
        unpacked(np.zeros((size, 1), np.int64), 2, 4, 3)


@pytest.mark.parametrize(
    ("field", "place", "value", "told"),
    [
        ("rows", 0, -1, "counts no rows"),
        ("rows", slice(None), 0, "counts no rows"),
        ("sums", (0, 0, 0), -1, "sum of a feature"),
        ("sums", (1, 2, 1), 40 * LARGEST + 1, "sum of a feature"),
        ("squares", (0, 1, 1), LARGEST**2 * 40 + 1, "product of features"),
        ("squares", (1, 0, 1), -1, "product of features"),
        ("squares", (1, 0, 1), LARGEST**2 * 40 + 1, "product of two features"),
    ],
)
def test_numbers_that_no_rows_have_are_refused(field: str, place: object, value: int, told: str) -> None:
    own = moments(2, 4, 3, 1)
    getattr(own, field)[place] = value
    with pytest.raises(ImpossibleMoments, match=told):
        own.check(LARGEST)


def test_moments_are_the_sums_over_every_row_across_chunks() -> None:
    rng = np.random.default_rng(2)
    state, rows = features(4), 8192 + 3
    x, y = np.rint(UNIT * rng.random((rows, 3))), rng.integers(0, 2, rows)
    found = moments_of([state], x, y, 3)
    phi = state.of(x).astype(np.int64)
    np.testing.assert_array_equal(found.rows, [(y == 0).sum(), (y == 1).sum(), 0])
    np.testing.assert_array_equal(found.squares[0], phi.T @ phi)
    np.testing.assert_array_equal(found.sums[0], np.stack([phi[y == k].sum(axis=0) for k in range(3)], axis=1))


def test_moments_of_two_hospitals_add_up_and_those_of_none_are_zero() -> None:
    rng = np.random.default_rng(3)
    state, x, y = features(4), np.rint(UNIT * rng.random((50, 3))), rng.integers(0, 3, 50)
    whole, parts = (
        moments_of([state], x, y, 3),
        [moments_of([state], x[s], y[s], 3) for s in (slice(20), slice(20, 50))],
    )
    np.testing.assert_array_equal(whole.packed(), parts[0].packed() + parts[1].packed())
    none = moments_of([state], x[:0], y[:0], 3)
    assert not none.packed().any()
    with pytest.raises(ImpossibleMoments, match="counts no rows"):
        none.check(LARGEST)


@given(st.integers(1, 10**9), st.integers(2, 2**62))
def test_no_hospital_within_its_rows_reaches_the_bound(rows: int, bound: int) -> None:
    try:
        largest = largest_feature(rows, bound)
    except ImpossibleMoments:
        assert LEAST_STEPS**2 * rows >= bound
    else:
        assert LEAST_STEPS <= largest <= MOST_STEPS
        assert largest**2 * rows < bound
        assert largest == MOST_STEPS or (largest + 1) ** 2 * rows >= bound


@given(st.integers(1, 1 << 22))
def test_largest_hospital_fits_a_count_and_a_larger_feature_would_not(most_rows: int) -> None:
    bound = 1 << 30
    largest = largest_feature(most_rows, bound)
    assert LEAST_STEPS <= largest <= MOST_STEPS
    assert most_rows * largest**2 < bound
    assert largest == MOST_STEPS or most_rows * (largest + 1) ** 2 >= bound


def test_hospital_that_is_too_large_is_refused() -> None:
    with pytest.raises(ImpossibleMoments, match="of at most 4772185"):
        largest_feature(1 << 23, 1 << 30)


def test_moments_of_parts_add_up_to_those_of_all_rows_and_are_exact(prepared: PreparedData) -> None:
    scaler = fitted_scaler(prepared.space, prepared.x[prepared.split.train], recipe_in_closed_form(RECIPE))
    states = random_features(prepared.space, scaler, COUNTS, 3, 90)
    inputs, y = inputs_of(scaler, prepared.x), prepared.flows.y
    whole = moments_of(states, inputs, y, 3).packed()
    parts = [moments_of(states, inputs[k::3], y[k::3], 3).packed() for k in range(3)]
    np.testing.assert_array_equal(sum(parts), whole)
    assert len(whole) == moments_size(2, COUNTS, 3)
    read = unpacked(whole, 2, COUNTS, 3)
    phi = states[1].of(inputs).astype(int).astype(object)
    for i, j in ((0, 0), (3, 17), (17, 3)):
        assert read.squares[1, i, j] == sum(phi[:, i] * phi[:, j])
    assert read.sums[1, 5, 2] == sum(phi[y == 2, 5])
    read.check(90)
