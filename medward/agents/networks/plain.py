"""A plain network: one hidden layer, softmax cross-entropy, and stochastic gradient descent with momentum, in numpy."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medward.agents.networks.interface import FlatWeights, Inputs, Labels

_Matrix = NDArray[np.float32]


class _Layers(NamedTuple):
    """Views of a flat vector of weights."""

    hidden: _Matrix
    hidden_bias: _Matrix
    out: _Matrix
    out_bias: _Matrix


@dataclass(frozen=True)
class PlainNetwork:
    """A perceptron with one hidden layer of rectified units, trained by gradient descent; a `Network`.

    Args:
        hidden: the width of the hidden layer.
        learning_rate: of the gradient descent.
        momentum: what it keeps of the step before.
        batch: rows of a step.
        passes: how often a hospital goes through its rows in one round.
    """

    hidden: int = 32
    learning_rate: float = 0.05
    momentum: float = 0.9
    batch: int = 64
    passes: int = 1

    def start(self, inputs: int, classes: int, seed: int) -> FlatWeights:
        """Draw the first weights (He et al. 2015)."""
        rng = np.random.default_rng([seed, 0x9E7])
        hidden = rng.normal(0, np.sqrt(2 / inputs), (inputs, self.hidden))
        out = rng.normal(0, np.sqrt(1 / self.hidden), (self.hidden, classes))
        parts = (hidden.ravel(), np.zeros(self.hidden), out.ravel(), np.zeros(classes))
        return np.concatenate(parts).astype(np.float32)

    def train(self, weights: FlatWeights, x: Inputs, y: Labels, classes: int, seed: int) -> FlatWeights:
        """Go through a hospital's rows in random order, a step for each batch."""
        rng = np.random.default_rng(seed)
        weights, step = weights.copy(), np.zeros_like(weights)
        truth = np.eye(classes, dtype=np.float32)[y]
        for _ in range(self.passes):
            order = rng.permutation(len(x))
            for start in range(0, len(x), self.batch):
                rows = order[start : start + self.batch]
                gradient = self._gradient(self._layers(weights, x.shape[1], classes), x[rows], truth[rows])
                step = np.float32(self.momentum) * step - np.float32(self.learning_rate) * gradient
                weights += step
        return weights

    def scores(self, weights: FlatWeights, x: Inputs, classes: int) -> NDArray[np.float32]:
        """Return the logarithms of the classes' probabilities, but for a constant of each row."""
        layers = self._layers(weights, x.shape[1], classes)
        active = np.maximum(x @ layers.hidden + layers.hidden_bias, 0)
        return np.asarray(active @ layers.out + layers.out_bias, np.float32)

    def _layers(self, weights: FlatWeights, inputs: int, classes: int) -> _Layers:
        sizes = np.cumsum([inputs * self.hidden, self.hidden, self.hidden * classes])
        hidden, hidden_bias, out, out_bias = np.split(weights, sizes)
        return _Layers(hidden.reshape(inputs, self.hidden), hidden_bias, out.reshape(self.hidden, classes), out_bias)

    def _gradient(self, layers: _Layers, x: Inputs, truth: _Matrix) -> FlatWeights:
        """Return the gradient of the mean cross-entropy of a batch."""
        active = np.maximum(x @ layers.hidden + layers.hidden_bias, 0)
        logits = active @ layers.out + layers.out_bias
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (chances / chances.sum(axis=1, keepdims=True) - truth) / np.float32(len(x))
        below = (error @ layers.out.T) * (active > 0)
        parts = (x.T @ below, below.sum(axis=0), active.T @ error, error.sum(axis=0))
        return np.concatenate([part.ravel() for part in parts]).astype(np.float32)
