"""Lagrange interpolation and vectors modulo p, against Python integers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.ring import polynomials

P = 1125899906802689
POINTS = st.lists(st.integers(0, 64), min_size=1, max_size=12, unique=True)
AT = st.lists(st.integers(0, 64), min_size=1, max_size=4)
SEED = st.integers(0, 2**32 - 1)


def _vectors(seed: int, rows: int, width: int = 20) -> np.ndarray:
    out = np.random.default_rng(seed).integers(-(P // 2), P // 2 + 1, (rows, width)).astype(float)
    out.flat[0], out.flat[-1] = P // 2, -(P // 2)
    return out


@settings(max_examples=80, deadline=None)
@given(POINTS, AT, SEED)
def test_weights_take_values_of_a_polynomial_to_its_values_elsewhere(
    points: list[int], at: list[int], seed: int
) -> None:
    coefficients = [int(c) for c in _vectors(seed, 1, len(points))[0]]

    def value(x: int) -> int:
        return sum(c * pow(x, k, P) for k, c in enumerate(coefficients)) % P

    given_values = np.array([[polynomials.balanced(value(x), P)] for x in points], float)
    found = polynomials.combine(polynomials.weights(points, at, P), given_values, P)[:, 0]
    assert [int(v) % P for v in found] == [value(x) for x in at]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 70), SEED)
def test_combinations_and_products_are_exact_and_balanced(rows: int, width: int, seed: int) -> None:
    vectors, functionals = _vectors(seed, rows, width), _vectors(seed + 1, 3, width)
    weights = _vectors(seed + 2, 2, rows)
    combined = polynomials.combine(weights, vectors, P)
    for r in range(2):
        for j in range(width):
            exact = sum(int(weights[r, k]) * int(vectors[k, j]) for k in range(rows))
            assert (int(combined[r, j]) - exact) % P == 0
    products = polynomials.products(functionals, vectors, P)
    for m in range(rows):
        for r in range(3):
            exact = sum(int(functionals[r, j]) * int(vectors[m, j]) for j in range(width))
            assert (int(products[m, r]) - exact) % P == 0
    assert max(np.abs(combined).max(), np.abs(products).max()) <= P // 2


@settings(max_examples=60, deadline=None)
@given(st.integers(-2 * P + 1, 2 * P - 1))
def test_balance_is_canonical_below_two_p(x: int) -> None:
    balanced = int(polynomials.balance(np.array([float(x)]), P)[0])
    assert (balanced - x) % P == 0
    assert abs(balanced) <= P // 2


def test_value_at_a_given_point_is_the_value_given() -> None:
    values = _vectors(1, 5)
    for point in range(5):
        assert np.array_equal(polynomials.evaluate(values, point, P), values[point])
    further = [polynomials.evaluate(values, j, P) for j in range(5, 10)]
    again = polynomials.combine(polynomials.weights(range(5, 10), range(5), P), np.stack(further), P)
    assert np.array_equal(again, values)
