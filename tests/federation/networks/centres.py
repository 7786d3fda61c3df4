"""A network of a user's own, small enough to be told by hand: each class's centre, and how near rows are to it."""

from collections.abc import Sequence

import numpy as np

from medward.federation.networks.shared import NetworkPlan, SharedNetwork, first_network
from medward.flows.history import FeatureSpace
from medward.flows.schema import Feature, Schema

SCHEMA = Schema(
    dataset="small",
    title="Small",
    features=(Feature("size"), Feature("rate")),
    label="class",
    classes=("benign", "scan", "flood"),
    never={},
)
CLASSES = len(SCHEMA.classes)


class Centres:
    """The classes' centres; a class without a row keeps its own."""

    def start(self, inputs: int, classes: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=inputs * classes).astype(np.float32)

    def train(self, weights: np.ndarray, x: np.ndarray, y: np.ndarray, classes: int, seed: int) -> np.ndarray:
        centres = weights.reshape(classes, -1).copy()
        for k in np.unique(y):
            centres[k] = x[y == k].mean(axis=0)
        return centres.ravel()

    def scores(self, weights: np.ndarray, x: np.ndarray, classes: int) -> np.ndarray:
        return -((x[:, None] - weights.reshape(1, classes, -1)) ** 2).sum(axis=2)


PLAN = NetworkPlan(FeatureSpace(SCHEMA, False), Centres(), rounds=3, seed=1, bits=16, clip=1.0)


def training(held: Sequence[int] = (5, 2, 3), plan: NetworkPlan = PLAN) -> SharedNetwork:
    """Return the state after surveys in which rows are spread evenly, and classes are held so often."""
    state = first_network(plan)
    while state.task == "survey":
        counts = np.concatenate([np.ones(state.grid.size, np.int64), np.array(held, np.int64)])
        state = state.advance(counts, 0, (4, 4))
    return state


def trained(state: SharedNetwork) -> SharedNetwork:
    """Return the state after one more sum of updates."""
    assert state.weights is not None
    total = np.random.default_rng(state.step).integers(-999, 999, len(state.weights))
    return state.advance(total, 0, (4, 4))
