"""Muon: steps along orthogonalised momentum, for the matrices of hidden layers (Jordan et al. 2024), by optax.

Adam scales each weight for itself, so that a matrix's step is mostly made of the few directions in which its gradients
are largest. Muon makes all directions of the step about equally long, which lets a layer learn what few windows teach.
"""

import math
from typing import Any

import jax
import optax
from jax.tree_util import tree_map_with_path
from jaxtyping import Array

# A step's root mean square as Adam's typically is, so that its learning rate and weight decay serve (Liu et al. 2025).
TYPICAL = 0.2


def scale_by_muon_or_adam() -> optax.GradientTransformationExtraArgs:
    """Return Muon for the matrices of real hidden layers, and Adam for all other weights of a network.

    What it makes of gradients is a step before learning rate and weight decay.
    """
    orthogonal = optax.contrib.scale_by_muon(weight_dimension_numbers=_all_matrices)
    muon = optax.chain(orthogonal, optax.stateless_with_tree_map(_as_long_as_adams))
    return optax.partition({"muon": muon, "adam": optax.scale_by_adam()}, _optimisers)


def _all_matrices(weights: Any) -> Any:
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(), weights)


def _as_long_as_adams(matrix: Array, _: Array) -> Array:
    return TYPICAL * math.sqrt(max(matrix.shape)) * matrix


def _optimisers(network: Any) -> Any:
    """Return for each array of a network the name of its optimiser."""

    def named(path: tuple[Any, ...], array: Array) -> str:
        return "muon" if getattr(path[0], "name", "") == "hidden" and array.ndim == 2 else "adam"

    return tree_map_with_path(named, network)
