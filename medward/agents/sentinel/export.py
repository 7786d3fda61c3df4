"""From the trained network to plain arrays that need no JAX."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from medward.agents.sentinel.environment import ALLOW
from medward.agents.sentinel.layers import QuaternionLinear, hamilton_matrix
from medward.agents.sentinel.network import SentinelNetwork
from medward.agents.sentinel.scorer import Weights


def exported(network: SentinelNetwork, alert_bias: float = 0.0) -> Weights:
    """Return the network's weights as arrays; a quaternion layer becomes the real matrix of its products.

    An ensemble (`NetworkSettings.ensemble`) becomes one network of block-diagonal layers, whose logits and value are
    the means of its members'.

    Args:
        network: a trained network, or several in a leading axis.
        alert_bias: what is taken from its logit of ALLOW (`DeploymentSettings.alert_bias`).
    """
    if network.value.bias.ndim == 1:
        weights = _of_one(network)
    else:
        members = [jax.tree.map(lambda leaf, k=k: leaf[k], network) for k in range(len(network.value.bias))]
        weights = _side_by_side([_of_one(member) for member in members])
    bias = weights.advantage_bias
    return replace(weights, advantage_bias=bias - np.float32(alert_bias) * (np.arange(len(bias)) == ALLOW))


def _of_one(network: SentinelNetwork) -> Weights:
    if network.embedding is None:
        slope, offset = np.zeros((0, 0, 1), np.float32), np.zeros((0, 1), np.float32)
    else:
        slope, offset = np.array(network.embedding.slope), np.array(network.embedding.bias)
    return Weights(
        slope=slope,
        offset=offset,
        matrices=tuple(
            np.array(hamilton_matrix(layer.weight) if isinstance(layer, QuaternionLinear) else layer.weight)
            for layer in network.hidden
        ),
        biases=tuple(np.array(layer.bias) for layer in network.hidden),
        value=np.array(network.value.weight),
        value_bias=np.array(network.value.bias),
        advantage=np.array(network.advantage.weight),
        advantage_bias=np.array(network.advantage.bias),
        squares=network.activation == "square",
    )


def _side_by_side(members: Sequence[Weights]) -> Weights:
    """Return one network that computes the means of the members' outputs."""
    first, share = members[0], np.float32(1 / len(members))
    layers = range(1, len(first.matrices))
    return Weights(
        slope=np.concatenate([one.slope for one in members], axis=2) if first.slope.size else first.slope,
        offset=np.concatenate([one.offset for one in members], axis=1) if first.slope.size else first.offset,
        matrices=(_first_layer(members), *(block_diag(*(one.matrices[layer] for one in members)) for layer in layers)),
        biases=tuple(np.concatenate([one.biases[k] for one in members]) for k in range(len(first.biases))),
        value=share * np.concatenate([one.value for one in members]),
        value_bias=share * sum((one.value_bias for one in members), np.zeros_like(first.value_bias)),
        advantage=share * np.concatenate([one.advantage for one in members]),
        advantage_bias=share * sum((one.advantage_bias for one in members), np.zeros_like(first.advantage_bias)),
    )


def _first_layer(members: Sequence[Weights]) -> NDArray[np.float32]:
    """Return the first layer over all members' embeddings, number by number, and what they see of a row in common."""
    numbers, _, width = members[0].slope.shape
    hidden = members[0].matrices[0].shape[1]
    common = np.concatenate([one.matrices[0][numbers * width :] for one in members], axis=1)
    if not members[0].slope.size:
        return np.concatenate([one.matrices[0] for one in members], axis=1)
    own = np.zeros((numbers, len(members), width, len(members), hidden), np.float32)
    for k, one in enumerate(members):
        own[:, k, :, k] = one.matrices[0][: numbers * width].reshape(numbers, width, hidden)
    return np.concatenate([own.reshape(numbers * len(members) * width, -1), common])
