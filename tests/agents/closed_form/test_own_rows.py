"""Rows of a hospital's own: as many as hide it, and repeated ones hide nobody."""

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
from medward.flows.schema import UNLABELLED


@given(st.integers(1, 10**7), st.integers(1, 200))
def test_two_honest_hospitals_have_no_fewer_unknowns_than_numbers_are_opened(numbers: int, columns: int) -> None:
    least = least_rows(numbers, columns)
    assert 2 * least * columns >= numbers
    assert 2 * (least - 1) * columns < numbers


def test_rows_without_columns_are_not_divided_by() -> None:
    assert least_rows(100, 0) == least_rows(100, 1) == 50


def test_row_that_is_repeated_counts_once_wherever_it_stands() -> None:
    x = np.array([[1, np.nan, 3], [4, 5, 6], [1, np.nan, 3], [1, np.nan, 3.5], [4, 5, 6]], np.float32)
    assert different_rows(x) == 3
    assert different_rows(np.asfortranarray(x)) == 3
    assert different_rows(x[::2]) == 2
    assert different_rows(np.ascontiguousarray(x[:, :1])) == 2
    assert different_rows(x[:, 1:]) == 3


@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (0, 0)])
def test_no_rows_and_rows_of_no_columns_are_none(shape: tuple[int, int]) -> None:
    assert different_rows(np.zeros(shape, np.float32)) == 0


def test_rows_of_small_classes_and_without_a_class_are_not_added() -> None:
    many = LEAST_CLASS_ROWS
    y = np.repeat(np.array([3, UNLABELLED, 0, 1], np.int32), [many - 1, 3 * many, many, many + 5])
    y = np.random.default_rng(0).permutation(y)
    assert rows_of_large_classes(y).tolist() == [i for i, k in enumerate(y) if k in (0, 1)]
    assert not len(rows_of_large_classes(y[:0]))
