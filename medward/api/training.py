"""Training Sentinel in one place."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import Recipe, recipe_of
from medward.api.model import TrainedSentinel
from medward.errors import BadUsage
from medward.federation.model.gram import in_one_place
from medward.federation.model.plan import training_plan
from medward.flows.prepared import PreparedData


def train(
    split: PreparedData,
    rows: ArrayLike | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    *,
    features: int = 0,
) -> TrainedSentinel:
    """Train a Sentinel on rows that one hospital holds, or that were pooled.

    Args:
        split: what `medward.split` returned.
        rows: the numbers of the rows to train on; without them, all training rows.
        recipe: how to train; without one, as is best for the data set.
        seed: what first weights and training, or random features, are drawn from.
        features: how many random features a model in closed form has, a multiple of 4; 0 trains a network.

    Raises:
        FederationError: there are no models in closed form of so many features or rows.
        BadUsage: a row is none of the table's, or the rows hold no attacks or nothing else.
    """
    chosen = split.split.train if rows is None else chosen_rows(split, rows)
    attacks = int(np.count_nonzero(split.flows.y[chosen] > 0))
    if attacks in (0, len(chosen)):
        raise BadUsage(
            f"Of the {len(chosen)} rows to train on {attacks} are attacks: give rows of attacks and harmless ones."
        )
    pooled = bool(np.isin(split.split.train, chosen).all())
    schema = split.flows.schema
    provenance = Provenance(
        *("central" if pooled else "local", None, 1, "none", schema.synthetic, seed), protocol=split.protocol
    )
    recipe = recipe or recipe_of(split.dataset.name)
    if features:
        plan = training_plan(split.space, recipe, 1, seed, features=features)
        return TrainedSentinel(in_one_place(plan, split.x[chosen], split.flows.y[chosen]).guard(provenance))
    return TrainedSentinel(train_centrally(split, chosen, recipe, provenance))


def chosen_rows(split: PreparedData, rows: ArrayLike) -> NDArray[np.intp]:
    """Return the numbers of rows to train on, which somebody chose.

    Raises:
        BadUsage: there are none, or a row is none of the table's.
    """
    try:
        chosen = np.asarray(rows)
    except ValueError:  # sequences of different lengths are no array
        chosen = np.empty((0, 0))
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not len(chosen):
        raise BadUsage("Rows to train on are given by their numbers, and there must be one at least.")
    if chosen.min() < 0 or chosen.max() >= len(split.flows):
        raise BadUsage(f"There are rows from 0 to {len(split.flows) - 1}, and none of some of the numbers given.")
    return chosen.astype(np.intp)
