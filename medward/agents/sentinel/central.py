"""Training Sentinel in one place, on rows that one hospital holds or that were pooled: for comparison."""

import jax
import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import learning_rates, new_network, start, train
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import layout_of
from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.selection import most_telling
from medward.agents.sentinel.traffic import traffic_of
from medward.flows.history import FeatureSpace
from medward.flows.prepared import PreparedData
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.sketch import coarse_grid, count, refine

# A hospital with few rows passes over them more often than the recipe says: its network starts from nothing too.
LEAST_UPDATES = 300


def fitted_scaler(space: FeatureSpace, x: NDArray[np.float32], recipe: Recipe) -> Scaler:
    """Fit a scaler to training rows, by the same surveys that a federation sums."""
    grid = coarse_grid(len(space.columns))
    counts = count(x, grid)
    for _ in range(recipe.scaling.surveys - 1):
        grid = refine(grid, counts, recipe.scaling.cells)
        counts = count(x, grid)
    return fit_scaler(space.columns, grid, counts, recipe.scaling.scaler, recipe.scaling.bins)


def train_centrally(
    prepared: PreparedData, rows: NDArray[np.intp], recipe: Recipe, provenance: Provenance
) -> SentinelModel:
    """Train a Sentinel on the given rows of a data set.

    Args:
        prepared: the data set.
        rows: the rows to train on; nothing is fitted on any other.
        recipe: how to train.
        provenance: where the model comes from, its seed included.
    """
    x, flows = prepared.x, prepared.flows
    scaler = fitted_scaler(prepared.space, x[rows], recipe)
    classes = np.unique(flows.y[rows])
    y = np.searchsorted(classes, flows.y[rows]).astype(np.int32)
    if recipe.network.inputs:
        scaler = most_telling(scaler, x[rows], y, recipe.network.inputs, provenance.seed)
    layout = layout_of(prepared.space, scaler)
    order = None if flows.order is None or not flows.schema.history else flows.order[rows]
    trust = None if flows.trust is None else flows.trust[rows]
    traffic = traffic_of(
        x[rows], y, prepared.stream[rows], order, scaler, len(classes), recipe.target_costs, trust=trust
    )
    steps = max(LEAST_UPDATES, recipe.learning.epochs * len(traffic.replay.row) // recipe.learning.batch)
    network = new_network(layout, len(classes), recipe, provenance.seed)
    progress, _ = train(
        start(network, recipe),
        layout,
        traffic,
        recipe,
        learning_rates(recipe.learning, steps),
        jax.random.key(provenance.seed),
    )
    names = tuple(flows.schema.classes[k] for k in classes)
    weights = exported(progress.average, recipe.deployment.alert_bias)
    return SentinelModel(prepared.space, names, scaler, weights, recipe, provenance)
