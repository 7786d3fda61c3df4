"""Choosing the few inputs of a network that is computed on encrypted rows, where each costs time and bytes."""

import numpy as np
from numpy.typing import NDArray

from medward.flows.scaling import Scaler

#: Rows that the trees look at: more change the choice little.
_ROWS = 20_000


def most_telling(scaler: Scaler, x: NDArray[np.float32], y: NDArray[np.int32], most: int, seed: int) -> Scaler:
    """Return a scaler of the inputs that tell most about the classes, by the importances of randomised trees.

    Args:
        scaler: of all inputs.
        x: training rows of the feature matrix.
        y: their classes.
        most: how many numbers, indicators and flags may be kept.
        seed: what rows and trees are drawn from.
    """
    many = len(scaler.numbers)
    inputs = many + len(scaler.indicators) + len(scaler.flags)
    if inputs <= most:
        return scaler
    # Here and not above: loading it takes a second, and every node loads this module, whether it chooses inputs or not.
    from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415

    rows = np.random.default_rng([seed, 0x7E11]).permutation(len(x))[:_ROWS]
    encoded = np.delete(scaler.encode(x[rows]), np.arange(many, 2 * many), axis=1)  # without what is present
    trees = ExtraTreesClassifier(40, max_depth=14, random_state=seed, n_jobs=1).fit(encoded, y[rows])
    return scaler.keep(np.argsort(-trees.feature_importances_, kind="stable")[:most])
