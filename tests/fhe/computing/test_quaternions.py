"""Quaternions as pairs of complex numbers: the pairs multiply as the quaternions do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.fhe.computing.quaternions import (
    complex_pair,
    encrypt_factor,
    encrypt_quaternions,
    multiply_quaternions,
    quaternions_of,
)
from medward.fhe.errors import CiphertextMismatch
from tests.fhe.computing.world import owners

rows = st.lists(st.tuples(*[st.floats(-10, 10)] * 4), min_size=1, max_size=8).map(np.array)


def hamilton(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (w, x, y, z), (s, t, u, v) = a.T, b.T
    return np.stack(
        [
            w * s - x * t - y * u - z * v,
            w * t + x * s + y * v - z * u,
            w * u - x * v + y * s + z * t,
            w * v + x * u - y * t + z * s,
        ],
        axis=1,
    )


@given(rows)
def test_pairs_are_read_back(quaternions: np.ndarray) -> None:
    np.testing.assert_array_equal(quaternions_of(*complex_pair(quaternions)), quaternions)


@given(st.integers(0, 2**32))
def test_products_of_pairs_are_hamiltons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 5, 4))
    (u, v), (s, t) = complex_pair(a), complex_pair(b)
    found = quaternions_of(u * s - v * np.conj(t), u * t + v * np.conj(s))
    np.testing.assert_allclose(found, hamilton(a, b), atol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (1, 2, 4), ()])
def test_what_are_no_quaternions_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CiphertextMismatch, match="rows of four numbers"):
        complex_pair(np.zeros(shape))


def test_no_quaternions_are_a_pair_of_nothing() -> None:
    u, v = complex_pair(np.zeros((0, 4)))
    assert quaternions_of(u, v).shape == (0, 4)


def test_encrypted_quaternions_multiply_as_quaternions() -> None:
    world = owners(2)
    generator = np.random.default_rng(5)
    left, right = (generator.uniform(-0.7, 0.7, (world.parameters.slots, 4)) for _ in range(2))
    a, b = encrypt_quaternions(world.secret(0), left), encrypt_factor(world.secret(1), right)
    product = multiply_quaternions(a, b, world.keys)
    u, v = complex_pair(hamilton(left, right))
    assert world.error(product.u, u) <= product.u.slot_error
    assert world.error(product.v, v) <= product.v.slot_error
    assert np.array_equal(quaternions_of(u, v), hamilton(left, right))
