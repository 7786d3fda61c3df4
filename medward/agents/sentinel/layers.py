"""The building blocks of Sentinel's network: real and quaternion layers, and the embedding of numbers."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class Linear(eqx.Module):
    """A fully connected layer on a batch: `x @ weight + bias`.

    Args:
        inputs: the width of the input.
        outputs: the width of the output.
        key: randomness for the initial weights.
        gain: the standard deviation of the initial weights is sqrt(gain / inputs) (He et al. 2015 for gain 2).
    """

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, inputs: int, outputs: int, key: PRNGKeyArray, gain: float = 2.0) -> None:
        self.weight = jax.random.normal(key, (inputs, outputs)) * math.sqrt(gain / inputs)
        self.bias = jnp.zeros(outputs)

    def __call__(self, x: Float[Array, "batch inputs"]) -> Float[Array, "batch outputs"]:
        """Return the layer's output, before any activation."""
        return x @ self.weight + self.bias


class QuaternionLinear(eqx.Module):
    """A layer over the quaternions: every output is a sum of Hamilton products `w * x` (Parcollet et al., ICLR 2019).

    The input is read as `inputs / 4` quaternions whose four parts (1, i, j, k) lie in four consecutive quarters of the
    vector; the output likewise. It has a quarter of the weights of a real layer of the same widths.

    Args:
        inputs: the width of the input, a multiple of 4.
        outputs: the width of the output, a multiple of 4.
        key: randomness for the initial weights.
    """

    weight: Float[Array, "4 inputs/4 outputs/4"]
    bias: Float[Array, " outputs"]

    def __init__(self, inputs: int, outputs: int, key: PRNGKeyArray) -> None:
        if inputs % 4 or outputs % 4:
            raise ValueError(f"a quaternion layer's widths must be multiples of 4, not {inputs} and {outputs}")
        # Each output sums inputs terms, four for each weight quaternion: the variance of He et al. is kept.
        self.weight = jax.random.normal(key, (4, inputs // 4, outputs // 4)) * math.sqrt(2.0 / inputs)
        self.bias = jnp.zeros(outputs)

    def __call__(self, x: Float[Array, "batch inputs"]) -> Float[Array, "batch outputs"]:
        """Return the layer's output, before any activation."""
        return x @ hamilton_matrix(self.weight) + self.bias


def hamilton_matrix(weight: Float[Array, "4 inputs outputs"]) -> Float[Array, "4*inputs 4*outputs"]:
    """Return the real matrix M with `x @ M` the Hamilton products `w * x`, parts in quarters.

    With w = a + bi + cj + dk and x = (x1, xi, xj, xk):
    1: a x1 - b xi - c xj - d xk;  i: b x1 + a xi - d xj + c xk;
    j: c x1 + d xi + a xj - b xk;  k: d x1 - c xi + b xj + a xk.
    """
    a, b, c, d = weight
    return jnp.block([[a, b, c, d], [-b, a, d, -c], [-c, -d, a, b], [-d, c, -b, a]])


def holomorphic_square(h: Float[Array, "batch units"]) -> Float[Array, "batch units"]:
    """Return ((w + xi)^2, (y + zi)^2) as quaternions for quaternions w + xi + yj + zk, parts in quarters."""
    w, x, y, z = jnp.split(h, 4, axis=-1)
    return jnp.concatenate([w * w - x * x, 2 * w * x, y * y - z * z, 2 * y * z], axis=-1)


class PiecewiseEmbedding(eqx.Module):
    """A learned piecewise-linear curve in a small space for each number (Gorishniy et al., NeurIPS 2022, section 3.2).

    Args:
        numbers: how many numbers there are.
        bins: the most bins a number has.
        width: the dimension of each number's embedding.
        key: randomness for the initial weights.
    """

    slope: Float[Array, "numbers bins width"]
    bias: Float[Array, "numbers width"]

    def __init__(self, numbers: int, bins: int, width: int, key: PRNGKeyArray) -> None:
        self.slope = jax.random.normal(key, (numbers, bins, width)) * 0.3
        self.bias = jnp.zeros((numbers, width))

    def __call__(self, filled: Float[Array, "batch numbers bins"]) -> Float[Array, "batch numbers width"]:
        """Embed numbers given how far each of their bins is filled: 1 below the value, 0 above, linear inside."""
        return jnp.einsum("nfb,fbw->nfw", filled, self.slope) + self.bias
