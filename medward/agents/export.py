"""From the trained network to plain arrays that need no JAX."""

import numpy as np

from medward.agents.environment import ALLOW
from medward.agents.layers import QuaternionLinear, hamilton_matrix
from medward.agents.network import SentinelNetwork
from medward.agents.scorer import Weights


def exported(network: SentinelNetwork, caution: float = 0.0) -> Weights:
    """Return the network's weights as arrays; a quaternion layer becomes the real matrix of its products.

    Args:
        network: a trained network.
        caution: what is taken from its logit of ALLOW (`Recipe.caution`).
    """
    if network.embedding is None:
        slope, offset = np.zeros((0, 0, 1), np.float32), np.zeros((0, 1), np.float32)
    else:
        slope, offset = np.array(network.embedding.slope), np.array(network.embedding.bias)
    bias = np.array(network.advantage.bias)
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
        advantage_bias=bias - np.float32(caution) * (np.arange(len(bias)) == ALLOW),
    )
