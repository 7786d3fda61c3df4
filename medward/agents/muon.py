"""Muon: steps along orthogonalised momentum, for the matrices of hidden layers (Jordan et al. 2024).

Adam scales each weight for itself, so that a matrix's step is mostly made of the few directions in which its gradients
are largest. Muon makes all directions of the step equally long, which lets a layer learn what few windows teach.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

MOMENTUM = 0.95
# The coefficients of a quintic whose iterates pull all singular values from (0, 1] to between .7 and 1.2.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# A step's root mean square as Adam's typically is, so that its learning rate and weight decay serve (Liu et al. 2025).
TYPICAL = 0.2


def orthogonalised(matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """Return about U V^T of a matrix U S V^T: the same directions, all about equally long."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (jnp.linalg.norm(x) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Float[Array, "rows columns"] = x.T if tall else x
    return result


def scale_by_muon() -> optax.GradientTransformation:
    """Return the transformation of the gradients of matrices, before learning rate and weight decay."""

    def begin(weights: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, weights)

    def step(gradient: Any, momentum: Any, weights: Any = None) -> tuple[Any, Any]:
        del weights
        momentum = jax.tree.map(lambda m, g: MOMENTUM * m + (1 - MOMENTUM) * g, momentum, gradient)

        def ahead(m: Float[Array, "rows columns"], g: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
            looked = MOMENTUM * m + (1 - MOMENTUM) * g
            return TYPICAL * math.sqrt(max(m.shape)) * orthogonalised(looked)

        return jax.tree.map(ahead, momentum, gradient), momentum

    return optax.GradientTransformation(begin, step)


def scale_by_muon_or_adam() -> optax.GradientTransformationExtraArgs:
    """Return Muon for the matrices of real hidden layers, and Adam for all other weights of a network."""
    return optax.partition({"muon": scale_by_muon(), "adam": optax.scale_by_adam()}, _optimisers)


def _optimisers(network: Any) -> Any:
    """Return for each array of a network the name of its optimiser."""

    def named(path: tuple[Any, ...], array: Array) -> str:
        return "muon" if getattr(path[0], "name", "") == "hidden" and array.ndim == 2 else "adam"

    return jax.tree_util.tree_map_with_path(named, network)
