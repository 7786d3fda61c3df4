"""Rows of a hospital's own: as many as hide it, and what no feature tells apart hides nobody."""

from dataclasses import replace

import numpy as np
import pytest
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
from medward.flows.sketch import coarse_grid, count, refine


@given(st.integers(1, 10**7), st.integers(1, 200))
def test_two_honest_hospitals_have_no_fewer_unknowns_than_numbers_are_opened(numbers: int, columns: int) -> None:
    least = least_rows(numbers, columns)
    assert 2 * least * columns >= numbers
    assert least >= LEAST_CLASS_ROWS
    assert least == LEAST_CLASS_ROWS or 2 * (least - 1) * columns < numbers


def test_rows_without_columns_are_not_divided_by() -> None:
    assert least_rows(100, 0) == least_rows(100, 1) == 50


def _scaler(x: np.ndarray) -> Scaler:
    """Fit one as surveys do: the second is of finer cells where the first found values."""
    x = np.asarray(x, np.float32)
    coarse = coarse_grid(x.shape[1])
    fine = refine(coarse, count(x, coarse), 4096)
    columns = [Column(f"c{j}", Group.CHEAP) for j in range(x.shape[1])]
    return fit_scaler(columns, fine, count(x, fine), "quantile", 4)


def test_row_that_is_repeated_counts_once_wherever_it_stands() -> None:
    once = np.stack([np.arange(100), np.arange(100) % 7, np.arange(100)[::-1]], axis=1).astype(np.float32)
    once[5, 1] = np.nan
    x = np.concatenate([once, once[::3]])
    scaler = _scaler(x)
    assert different_rows(scaler, x, 3) == (100, 3)
    assert different_rows(scaler, np.asfortranarray(x), 3) == (100, 3)
    assert different_rows(scaler, x[100:], 3) == (34, 0)
    assert different_rows(scaler, x, 1) == (100, 1), "the other columns are computed from other rows"
    assert different_rows(scaler, x[:0], 3) == (0, 0)


def test_what_a_scaler_maps_to_one_place_hides_nobody() -> None:
    x = np.stack([np.arange(100), np.arange(100) % 7], axis=1).astype(np.float32)
    scaler = _scaler(x)
    assert different_rows(scaler, x, 2) == (100, 2)
    knots = scaler.knots.copy()
    knots[0] = 50 + np.arange(knots.shape[1], dtype=np.float32) / 1e3
    one = replace(scaler, knots=knots, knot_count=np.full_like(scaler.knot_count, knots.shape[1]))
    assert different_rows(one.keep(np.array([0])), x, 2) == (2, 0)


@pytest.mark.parametrize(("beyond", "columns"), [(LEAST_CLASS_ROWS - 1, 1), (LEAST_CLASS_ROWS, 2)])
def test_threshold_that_few_rows_pass_makes_no_column(beyond: int, columns: int) -> None:
    x = np.zeros((200, 2), np.float32)
    x[:, 0] = np.arange(200)
    x[:beyond, 1] = 1
    assert different_rows(_scaler(x), x, 2) == (200, columns)


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
