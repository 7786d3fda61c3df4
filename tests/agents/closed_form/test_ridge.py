"""The solver of the ridge regression: it solves, leaves what it was given, and refuses what is no regression."""

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.agents.closed_form.moments import ImpossibleMoments
from medward.agents.closed_form.ridge import ridge, total_of


@given(st.integers(1, 12), st.integers(1, 3), st.floats(1e-6, 100.0), st.integers(0, 2**32))
def test_solution_solves_and_what_was_given_stays(size: int, targets: int, penalty: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 50, (30, size)).astype(float)
    squares, products = rows.T @ rows, rng.normal(0, 100, (size, targets))
    kept = squares.copy(), products.copy()
    found = ridge(squares, products, penalty)
    np.testing.assert_array_equal(squares, kept[0])
    np.testing.assert_array_equal(products, kept[1])
    whole = squares + penalty * np.eye(size)
    error = np.abs(whole @ found - products).max()
    assert error <= 1e-9 * (np.abs(whole).max() * np.abs(found).max() * size + np.abs(products).max())


def test_only_the_upper_triangle_and_any_order_of_memory_are_read() -> None:
    squares = np.array([[4.0, 1.0], [1.0, 3.0]])
    products = np.array([[1.0], [2.0]])
    wanted = ridge(squares, products, 0.5)
    np.testing.assert_array_equal(ridge(np.asfortranarray(squares), np.asfortranarray(products), 0.5), wanted)


@pytest.mark.parametrize(
    "squares",
    [
        [[1.0, 2.0], [2.0, 1.0]],
        [[-1.0, 0.0], [0.0, 1.0]],
        [[np.nan, 0.0], [0.0, 1.0]],
        [[1.0, np.inf], [np.inf, 1.0]],
        [[0.0, 0.0], [0.0, 0.0]],
    ],
)
def test_matrix_of_no_rows_is_refused(squares: list[list[float]]) -> None:
    with pytest.raises(ImpossibleMoments):
        ridge(np.array(squares), np.ones((2, 1)), 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_solution_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ImpossibleMoments, match="no finite solution"):
        ridge(np.eye(2), np.array([[1.0], [value]]), 1.0)


@given(st.lists(st.floats(-1e12, 1e12), max_size=30), st.randoms())
def test_total_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    mixed = list(values)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert total_of(np.array(values)) == total_of(np.array(mixed))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_ridge_solves_the_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 9, (40, 6)).astype(float), rng.integers(0, 9, (6, 2)).astype(float)
    solved = ridge(a.T @ a, b, 0.5)
    left = [[Fraction(v) for v in row] for row in (a.T @ a + 0.5 * np.eye(6))]
    for i in range(6):
        for t in range(2):
            found = sum(left[i][k] * Fraction(solved[k, t]) for k in range(6))
            assert abs(found - Fraction(b[i, t])) < Fraction(1, 10**8)


_SOLVE = """
import hashlib
import numpy as np
from medward.agents.closed_form.ridge import ridge
rng = np.random.default_rng(1)
a = rng.integers(0, 90, (300, 64)).astype(float)
print(hashlib.sha256(ridge(a.T @ a, a[:64, :5].copy(), 3.0).tobytes()).hexdigest())
"""


def test_solver_gives_the_same_bytes_without_vector_instructions(tmp_path: Path) -> None:
    def told(**environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _SOLVE], env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    rng = np.random.default_rng(1)
    a = rng.integers(0, 90, (300, 64)).astype(float)
    here = hashlib.sha256(ridge(a.T @ a, a[:64, :5].copy(), 3.0).tobytes()).hexdigest()
    assert told(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_CACHE_DIR=str(tmp_path)) == here


def test_what_is_of_no_rows_is_refused() -> None:
    with pytest.raises(ImpossibleMoments, match="not positive definite"):
        ridge(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones((2, 1)), 1e-6)
