"""The window network's view of each window, with and without its evidence: the watch decides on these.

A network is surer of rows that it was trained on than of any others, and a watch that learned from such rows would
trust it too much. So training rows are looked at by networks that were trained on the other folds' blocks.
"""

import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.model import SentinelModel
from medward.agents.sentinel.recipe import Recipe
from medward.flows.prepared import PreparedData

# A logit beyond it says no more than "certainly": a chance of under a thousandth.
_FARTHEST = 7.0


def glances_of(model: SentinelModel, x: NDArray[np.float32], classes: tuple[str, ...]) -> NDArray[np.float32]:
    """Return for each row, without and with its evidence, each action's logit.

    Args:
        model: the window network.
        x: rows of its feature space.
        classes: the classes to lay the actions out by; one that the model does not know gets the lowest logit.

    Returns:
        (rows, 2, classes + 1): ALLOW, ALERT as each attack class, ESCALATE, in [-7, 7]; ESCALATE is 0 where the
        evidence is already seen.
    """
    place = [classes.index(name) for name in model.classes] + [len(classes)]
    out = np.full((len(x), 2, len(classes) + 1), -_FARTHEST, np.float32)
    scorer = model.scorer()
    for bought in (0, 1):
        chance = np.clip(scorer.chances(x, bool(bought)), 1e-6, 1 - 1e-6)
        out[:, bought, place] = np.clip(np.log(chance / (1 - chance)), -_FARTHEST, _FARTHEST)
    out[:, 1, -1] = 0.0
    return out


def cross_fitted(
    prepared: PreparedData, recipe: Recipe, model: SentinelModel, folds: int, classes: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return the glances of all rows: training rows by networks that never saw their blocks, others by `model`.

    Args:
        prepared: the data set.
        recipe: how the window networks are trained.
        model: the window network that was trained on all training rows.
        folds: how many parts the training blocks are dealt to.
        classes: see `glances_of`.
    """
    train = prepared.split.train
    out = glances_of(model, prepared.x, classes)
    rng = np.random.default_rng([prepared.seed, 0xF01D5])
    blocks = np.unique(prepared.split.block[train])
    fold = (rng.permutation(len(blocks)) % folds)[np.searchsorted(blocks, prepared.split.block[train])]
    for number in range(folds):
        other = train_centrally(prepared, train[fold != number], recipe, model.provenance)
        own = train[fold == number]
        out[own] = glances_of(other, prepared.x[own], classes)
    return out
