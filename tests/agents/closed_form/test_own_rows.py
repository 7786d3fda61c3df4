"""Rows of a hospital's own: as many as hide it, and what no feature tells apart hides nobody."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medward.agents.closed_form.own_rows import (
    LEAST_CLASS_ROWS,
    different_rows,
    least_rows,
    rows_of_large_classes,
)
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.schema import UNLABELLED, Column, Group
from medward.flows.sketch import coarse_grid, count


@given(st.integers(1, 10**7), st.integers(1, 200))
def test_two_honest_hospitals_have_no_fewer_unknowns_than_numbers_are_opened(numbers: int, columns: int) -> None:
    least = least_rows(numbers, columns)
    assert 2 * least * columns >= numbers
    assert 2 * (least - 1) * columns < numbers


def test_rows_without_columns_are_not_divided_by() -> None:
    assert least_rows(100, 0) == least_rows(100, 1) == 50


def _scaler(x: np.ndarray) -> Scaler:
    grid = coarse_grid(x.shape[1])
    columns = [Column(f"c{j}", Group.CHEAP) for j in range(x.shape[1])]
    return fit_scaler(columns, grid, count(np.asarray(x, np.float32), grid), "quantile", 4)


def test_row_that_is_repeated_counts_once_wherever_it_stands() -> None:
    x = np.array([[1, np.nan, 3], [4, 5, 6], [1, np.nan, 3], [1, np.nan, 3.5], [4, 5, 6]], np.float32)
    scaler = _scaler(x)
    assert different_rows(scaler, x, 3) == (3, 3)
    assert different_rows(scaler, np.asfortranarray(x), 3) == (3, 3)
    assert different_rows(scaler, x[::2], 3) == (2, 3)
    assert different_rows(scaler, x, 2) == (2, 2), "the third column is computed from other rows"
    assert different_rows(scaler, x[:0], 3) == (0, 3)


def test_what_a_scaler_maps_to_one_place_hides_nobody() -> None:
    x = np.stack([np.arange(100), np.arange(100) % 7], axis=1).astype(np.float32)
    scaler = _scaler(x)
    assert different_rows(scaler, x, 2) == (100, 2)
    knots = scaler.knots.copy()
    knots[0] = 50 + np.arange(knots.shape[1], dtype=np.float32) / 1e3
    one = replace(scaler, knots=knots, knot_count=np.full_like(scaler.knot_count, knots.shape[1]))
    assert different_rows(one.keep(np.array([0])), x, 2) == (2, 1)


def test_bits_that_no_feature_sees_make_no_row_another() -> None:
    x = np.array([[0.0, 1], [-0.0, 1], [np.nan, 1], [np.nan, 1], [2, 3]], np.float32)
    x.view(np.uint32)[3, 0] |= 1  # another NaN
    assert different_rows(_scaler(x), x, 2)[0] == 3


def test_rows_of_small_classes_and_without_a_class_are_not_added() -> None:
    many = LEAST_CLASS_ROWS
    y = np.repeat(np.array([3, UNLABELLED, 0, 1], np.int32), [many - 1, 3 * many, many, many + 5])
    y = np.random.default_rng(0).permutation(y)
    assert rows_of_large_classes(y).tolist() == [i for i, k in enumerate(y) if k in (0, 1)]
    assert not len(rows_of_large_classes(y[:0]))
