"""Bounds on errors: they grow with what is done, they hold for errors that are drawn, and no result wraps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.fhe.computing.ciphertexts import encrypt
from medward.fhe.computing.noise import ErrorBound, NoiseModel, noise_model
from medward.fhe.errors import NoiseTooLarge
from medward.fhe.sampling import KeyStream, gaussian
from tests.fhe.computing.world import owners, small, unit_slots

SET = small()
MODEL = noise_model(SET)
numbers = st.floats(0.0, 1e6)
bounds = st.builds(ErrorBound, numbers, numbers, numbers)


def test_a_set_has_one_model_and_another_set_another() -> None:
    assert noise_model(small()) is MODEL
    assert noise_model(small(levels=2)) is not MODEL
    assert MODEL.least == min(MODEL.error, MODEL.rounding(1)) > 0


@given(bounds, bounds)
def test_bound_of_a_sum_is_the_sum_of_the_bounds(a: ErrorBound, b: ErrorBound) -> None:
    found = MODEL.add(a, b)
    assert found == MODEL.add(b, a)
    assert found.total == pytest.approx(a.total + b.total)
    assert found.size == a.size + b.size


@given(st.integers(1, 8), st.integers(1, SET.levels))
def test_more_owners_and_more_products_are_never_less_noise(owned: int, level: int) -> None:
    assert MODEL.rounding(owned + 1) > MODEL.rounding(owned)
    pairs = owned * (owned - 1) // 2
    assert MODEL.relinearisation(level, owned + 1, pairs + owned, owned) > MODEL.relinearisation(
        level, owned, pairs, owned - 1
    )
    a = MODEL.fresh(1.0, level)
    one, two = (MODEL.inner_product(a, a, count, count, level, 0.0, 1) for count in (1, 2))
    assert two.noise > one.noise
    assert two.size == 2 * one.size


@given(st.integers(0, SET.levels), st.floats(0.0, 1e12), st.floats(0.0, 1e30))
def test_what_is_accepted_cannot_wrap_and_is_within_the_tolerance(level: int, size: float, noise: float) -> None:
    bound = ErrorBound(size, noise, 0.0)
    scale, modulus = float(SET.scales[level]), math.prod(SET.primes[:2])
    if scale * size + noise < modulus / 2 and noise <= SET.tolerance * scale:
        assert MODEL.accept(bound, level, "multiply") is bound
    else:
        with pytest.raises(NoiseTooLarge, match=r"^multiply: "):
            MODEL.accept(bound, level, "multiply")


@pytest.mark.parametrize("bound", [ErrorBound(math.inf, 0.0, 0.0), ErrorBound(1.0, math.inf, 0.0)])
def test_what_is_not_finite_is_never_accepted(bound: ErrorBound) -> None:
    with pytest.raises(NoiseTooLarge):
        MODEL.accept(bound, 0, "add")


def test_errors_that_are_drawn_are_within_their_bounds() -> None:
    stream = KeyStream(bytes(32))
    for width in (3, 64):
        drawn = gaussian(stream, width**2, 64 * SET.degree).reshape(64, SET.degree)
        assert np.linalg.norm(drawn.astype(float), axis=1).max() < MODEL.gaussian(width)


def test_fresh_ciphertexts_and_sums_of_owners_keep_to_their_bounds() -> None:
    world = owners(3, SET)
    values = unit_slots(SET.slots, 1)
    for secret in world.secrets.values():
        made = encrypt(secret, values)
        assert made.bound == MODEL.fresh(1.0, SET.levels)
        assert world.error(made, values) <= made.slot_error


def test_model_of_a_wider_ring_allows_for_more() -> None:
    wider = NoiseModel(small(degree=256))
    assert wider.error > MODEL.error
    assert wider.secret > MODEL.secret
    assert wider.rounding(1) > MODEL.rounding(1)
