"""The interface of a network that can be federated: flat weights in, local training, flat weights out."""

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: The file in a model's folder that describes a network of one's own.
DESCRIPTION = "network.json"

FlatWeights: TypeAlias = NDArray[np.float32]
Inputs: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int32]


class Network(Protocol):
    """A network that tells classes apart, and whose weights are one flat vector of float32.

    Inputs are float32[rows, inputs]: standardised numbers, indicators, and flags of what is missing; never NaN. Labels
    are int32[rows], 0 for benign. What depends on chance must derive from `seed` alone.
    """

    def start(self, inputs: int, classes: int, seed: int, /) -> FlatWeights:
        """Return the weights that training begins with."""

    def train(self, weights: FlatWeights, x: Inputs, y: Labels, classes: int, seed: int, /) -> FlatWeights:
        """Train on one hospital's rows for one round; return the new weights, as many as before.

        Args:
            weights: the shared weights; not to be changed in place.
            x: the hospital's rows.
            y: their classes.
            classes: how many classes there are; a hospital need not hold all.
            seed: no other hospital and no other round has it.
        """

    def scores(self, weights: FlatWeights, x: Inputs, classes: int, /) -> NDArray[np.float32]:
        """Return a score for each row and class, float32[rows, classes]; the highest decides."""
