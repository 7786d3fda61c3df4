"""A network of squares as complex layers: what encrypted scoring computes (spec/computing.md, section 11).

A quaternion w + xi + yj + zk is a + j b with a = w + xi and b = y - zi. A product with a weight from the left is linear
in a and b, and the activation squares both; so the network is complex matrices with squares between them. Inputs are
taken less 1/2, which halves the bound on them that is public.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.model import BadModel, SentinelModel

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class PolynomialLayer:
    """y = x matrix + bias.

    Args:
        matrix: complex128[inputs, outputs].
        bias: complex128[outputs].
    """

    matrix: Complex
    bias: Complex


@dataclass(frozen=True, eq=False)
class PolynomialNetwork:
    """Complex layers with squares between them; the real part of the last one's output is a score for each class.

    Args:
        layers: hidden ones, then one whose outputs are as many as there are classes.
    """

    layers: tuple[PolynomialLayer, ...]

    def outputs(self, inputs: Complex) -> Complex:
        """Return the last layer's outputs, complex128[rows, units], for complex128[rows, inputs]."""
        now = inputs
        for layer in self.layers[:-1]:
            now = (now @ layer.matrix + layer.bias) ** 2
        last: Complex = now @ self.layers[-1].matrix + self.layers[-1].bias
        return last

    def scores(self, inputs: Complex) -> NDArray[np.float64]:
        """Return scores, float64[rows, classes], the highest of which decides."""
        return self.outputs(inputs).real


#: The largest absolute value of a complex input: two numbers within [-1/2, 1/2].
INPUT_SIZE = sqrt(1 / 2)


def complex_inputs(inputs: NDArray[np.float32]) -> Complex:
    """Return the complex inputs, complex128[rows, inputs / 2], of what a network of squares sees, less 1/2 each."""
    return _halves(inputs.astype(np.float64) - 0.5)


def _halves(parts: NDArray[np.floating]) -> Complex:
    """Return a and b of quaternions whose four parts lie in quarters."""
    w, x, y, z = np.split(parts.astype(np.float64), 4, axis=1)
    return np.concatenate([w + 1j * x, y - 1j * z], axis=1)


def polynomial_network(model: SentinelModel) -> PolynomialNetwork:
    """Return the network of a model; its last layer leaves out the action of asking for evidence.

    Raises:
        BadModel: its activations are no squares.
    """
    weights = model.weights
    if not weights.squares:
        raise BadModel("the model's activations are no squares: train one with `medward train --polynomial`")
    hidden = [
        PolynomialLayer(_complex_matrix(matrix), _halves(bias[None])[0])
        for matrix, bias in zip(weights.matrices, weights.biases, strict=True)
    ]
    first = hidden[0]
    half = _halves(np.full((1, len(weights.matrices[0])), 0.5))[0]
    hidden[0] = PolynomialLayer(first.matrix, first.bias + half @ first.matrix)
    classes = len(model.classes)
    # The real part of a (w - xi) is w a_1 + x a_i, and that of b (y + zi) is y b_j + z b_k.
    w, x, y, z = np.split(weights.advantage[:, :classes].astype(np.float64), 4)
    last = np.concatenate([w - 1j * x, y + 1j * z])
    bias = weights.advantage_bias[:classes].astype(np.complex128)
    return PolynomialNetwork((*hidden, PolynomialLayer(last, bias)))


def _complex_matrix(matrix: NDArray[np.float32]) -> Complex:
    """Return the complex matrix of a real one, (inputs, outputs), that stands for products with quaternions."""
    quarter = len(matrix) // 4
    found = _halves(matrix)
    out = np.concatenate([found[:quarter], found[2 * quarter : 3 * quarter]])
    turned = np.concatenate([found[quarter : 2 * quarter] / 1j, found[3 * quarter :] / -1j])
    if not np.allclose(out, turned, rtol=1e-6, atol=1e-9):
        raise BadModel(
            "the model's layers are no products with quaternions: train one with `medward train --polynomial`"
        )
    return out


def packed(network: PolynomialNetwork) -> PolynomialNetwork:
    """Return a network whose outputs p, m give the scores of two classes in one complex number p + conj(m).

    So a result has half as many ciphertexts, and nothing but scores in it.
    """
    last = network.layers[-1]
    extra = ((0, 0), (0, last.matrix.shape[1] % 2))
    matrix, bias = np.pad(last.matrix, extra), np.pad(last.bias, extra[1])
    first, second = matrix[:, ::2], matrix[:, 1::2]
    out = np.stack([(first + 1j * second) / 2, (first - 1j * second) / 2], axis=2).reshape(len(matrix), -1)
    both = bias[::2].real + 1j * bias[1::2].real
    biases = np.stack([both, np.zeros_like(both)], axis=1).ravel()
    return PolynomialNetwork((*network.layers[:-1], PolynomialLayer(out, biases)))


def unpacked(pairs: Complex, classes: int) -> NDArray[np.float64]:
    """Return the scores, float64[rows, classes], of complex128[rows, pairs]."""
    scores: NDArray[np.float64] = np.stack([pairs.real, pairs.imag], axis=2).reshape(len(pairs), -1)[:, :classes]
    return scores


def normalised(network: PolynomialNetwork, size: float, limits: tuple[float, ...]) -> PolynomialNetwork:
    """Return a network of the same decisions whose outputs before each square stay within public limits.

    Args:
        network: any.
        size: the largest absolute value of an input.
        limits: for each layer; no input makes an output larger, and each unit's weights use all of it.
    """
    layers, turned = [], np.ones(len(network.layers[0].matrix))
    for number, (layer, limit) in enumerate(zip(network.layers, limits, strict=True)):
        matrix = layer.matrix / turned[:, None]
        reach = np.abs(matrix).sum(axis=0) * size + np.abs(layer.bias)
        if number == len(limits) - 1:
            reach = np.full(len(reach), reach.max())
        factor = limit / np.maximum(reach, np.finfo(np.float64).tiny)
        layers.append(PolynomialLayer(matrix * factor, layer.bias * factor))
        turned, size = factor**2, limit**2
    return PolynomialNetwork(tuple(layers))
