"""Products and reductions on doubles against Python integers, the roundings beside a tie first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.ring import modular
from medward.fhe.ring.primes import ring_primes

_Q = ring_primes(8192, 1)[0]


@settings(max_examples=300, deadline=None)
@given(st.integers(-8 * _Q, 8 * _Q), st.integers(-(_Q // 2), _Q // 2))
def test_product_with_a_constant_is_exact_up_to_eight_q(x: int, w: int) -> None:
    result = modular.times_constant(float(x), float(w), w / _Q, float(_Q))
    assert (int(result) - x * w) % _Q == 0
    assert abs(int(result)) <= (0.5 + abs(x) / (8 * _Q)) * _Q + 1


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2 * _Q), 2 * _Q), st.integers(-(2 * _Q), 2 * _Q))
def test_product_of_two_residues_is_exact(x: int, y: int) -> None:
    result = modular.times(float(x), float(y), float(_Q), 1.0 / _Q)
    assert (int(result) - x * y) % _Q == 0
    assert abs(int(result)) < 2 * _Q


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2 * _Q) + 1, 2 * _Q - 1))
def test_reduction_is_canonical_below_two_q(x: int) -> None:
    result = int(modular.reduced(float(x), float(_Q), 1.0 / _Q))
    assert (result - x) % _Q == 0
    assert abs(result) <= (_Q - 1) // 2


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7])
def test_products_are_exact_beside_every_rounding_tie(at: int) -> None:
    """Quotients next to k + 1/2, where the rounding of the quotient may go either way."""
    for k in range(-40, 41):
        for w in (_Q // 2, _Q // 2 - at, -(_Q // 3), at):
            x = (2 * k + 1) * _Q // (2 * w) + at - 4
            if abs(x) <= 8 * _Q:
                assert (int(modular.times_constant(float(x), float(w), w / _Q, float(_Q))) - x * w) % _Q == 0


@pytest.mark.parametrize("q", [_Q, ring_primes(64, 1)[0]])
def test_products_of_the_largest_arguments_are_exact(q: int) -> None:
    half = q // 2
    for x in (8 * q, 8 * q - 1, -8 * q, 4 * q + half, -half, half):
        for w in (half, -half, half - 1, 1, -1, 0):
            assert (int(modular.times_constant(float(x), float(w), w / q, float(q))) - x * w) % q == 0
    for x in (2 * q, -2 * q, 2 * q - 1, half):
        for y in (2 * q, -2 * q, 2 * q - 1, half):
            assert (int(modular.times(float(x), float(y), float(q), 1.0 / q)) - x * y) % q == 0


@settings(max_examples=200)
@given(st.integers(-8 * _Q, 8 * _Q))
def test_reduction_is_congruent_up_to_eight_q(x: int) -> None:
    result = int(modular.reduced(float(x), float(_Q), 1.0 / _Q))
    assert (result - x) % _Q == 0
    assert abs(result) <= _Q // 2 + 8
