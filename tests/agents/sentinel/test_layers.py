"""Quaternion layers are Hamilton products; embeddings are piecewise linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.sentinel.layers import Linear, PiecewiseEmbedding, QuaternionLinear, hamilton_matrix


def _as_complex(q: np.ndarray) -> np.ndarray:
    """A quaternion as a 2x2 complex matrix, whose ordinary product is the Hamilton product."""
    w, x, y, z = q
    return np.array([[w + 1j * x, y + 1j * z], [-y + 1j * z, w - 1j * x]])


def _from_complex(m: np.ndarray) -> np.ndarray:
    return np.array([m[0, 0].real, m[0, 0].imag, m[0, 1].real, m[0, 1].imag])


@pytest.mark.parametrize("seed", range(20))
def test_layer_computes_hamilton_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3))
    expected = np.zeros((4, 2))
    for out in range(2):
        total = sum(_as_complex(weight[:, i, out]) @ _as_complex(x[:, i]) for i in range(3))
        expected[:, out] = _from_complex(total)
    got = x.reshape(1, 12) @ np.asarray(hamilton_matrix(jnp.asarray(weight, jnp.float32)))
    np.testing.assert_allclose(got.reshape(4, 2), expected, rtol=1e-5, atol=1e-5)


def test_units_multiply_as_hamilton_carved_them() -> None:
    def product(p: int, q: int) -> list[float]:
        weight = jnp.zeros((4, 1, 1)).at[p, 0, 0].set(1.0)
        return (jnp.eye(4)[q][None] @ hamilton_matrix(weight))[0].tolist()

    one, i, j, k = range(4)
    assert product(i, j) == [0, 0, 0, 1]
    assert product(j, i) == [0, 0, 0, -1]
    assert product(j, k) == [0, 1, 0, 0]
    assert product(k, i) == [0, 0, 1, 0]
    assert product(i, i) == product(j, j) == product(k, k) == [-1, 0, 0, 0]
    assert product(one, k) == product(k, one) == [0, 0, 0, 1]


def test_quaternion_layer_has_a_quarter_of_the_weights() -> None:
    real = Linear(32, 64, jax.random.key(0))
    quaternion = QuaternionLinear(32, 64, jax.random.key(0))
    assert quaternion.weight.size * 4 == real.weight.size


def test_initial_outputs_have_the_same_variance_as_a_real_layer() -> None:
    x = jax.random.normal(jax.random.key(1), (4000, 64))
    real = Linear(64, 64, jax.random.key(0))(x)
    quaternion = QuaternionLinear(64, 64, jax.random.key(0))(x)
    assert float(quaternion.std() / real.std()) == pytest.approx(1.0, abs=0.1)


def test_widths_that_are_no_whole_quaternions_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        QuaternionLinear(6, 8, jax.random.key(0))


def test_embedding_is_linear_inside_a_bin_and_continuous() -> None:
    embedding = PiecewiseEmbedding(1, 2, 3, jax.random.key(0))
    filled = jnp.array([[[0.0, 0.0]], [[0.5, 0.0]], [[1.0, 0.0]], [[1.0, 0.5]], [[1.0, 1.0]]])
    out = embedding(filled)[:, 0]
    np.testing.assert_allclose(out[1], (out[0] + out[2]) / 2, rtol=1e-5)
    np.testing.assert_allclose(out[3], (out[2] + out[4]) / 2, rtol=1e-5)
