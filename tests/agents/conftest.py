"""A small problem with everything in it: cheap and expensive numbers, indicators, missing values, history."""

import numpy as np
import pytest

from medward.agents.sentinel.recipe import (
    FederationSettings,
    LearningSettings,
    NetworkSettings,
    Recipe,
    ScalingSettings,
)
from medward.flows.datasets import Cut, Dataset
from medward.flows.prepared import PreparedData, prepare
from medward.flows.schema import Feature, Flows, Group, Schema

SCHEMA = Schema(
    dataset="toy",
    title="Toy",
    features=(
        Feature("rate"),
        Feature("size"),
        Feature("flag", categories=("a", "b"), event=True),
        Feature("pulse", Group.EXPENSIVE, optional=True),
    ),
    label="class",
    classes=("benign", "flood", "tamper"),
    never={"id": "is the label"},
    device="device",
    order="time",
    history=True,
    synthetic=True,
)
RECIPE = Recipe(
    ScalingSettings(bins=4, cells=64),
    NetworkSettings(embedding=2, hidden=(16, 16)),
    LearningSettings(batch=64, epochs=30, learning_rate=1e-2),
    FederationSettings(local_steps=20),
)


def toy_flows(rows: int, seed: int) -> Flows:
    """A flood shows in the rate, which is cheap; tampering only in the pulse, which is bought and sometimes missing."""
    rng = np.random.default_rng(seed)
    y = np.repeat(rng.choice(3, rows // 10, p=[0.6, 0.2, 0.2]), 10).astype(np.int32)
    x = np.zeros((rows, 5), np.float32)
    x[:, 0] = rng.normal(size=rows) + 4 * (y == 1)
    x[:, 1] = rng.integers(40, 1500, rows)
    x[np.arange(rows), 2 + rng.integers(0, 2, rows)] = 1
    x[:, 4] = 70 + rng.normal(size=rows) + 12 * (y == 2)
    x[rng.random(rows) < 0.05, 4] = np.nan
    return Flows(
        schema=SCHEMA,
        x=x,
        y=y,
        source=np.zeros(rows, np.int32),
        sources=("toy",),
        device=np.zeros(rows, np.int32),
        devices=("pump",),
        order=np.arange(rows, dtype=np.float64),
    )


@pytest.fixture(scope="session")
def prepared() -> PreparedData:
    """The toy data set, split honestly."""
    dataset = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20)
    return prepare(dataset, toy_flows(2000, 0), "honest", 0)


@pytest.fixture(params=["quantile", "standard", "quaternion", "no embedding"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """The toy recipe in each of its shapes."""
    return {
        "quantile": RECIPE,
        "standard": RECIPE.change(scaler="standard", embedding=0, surveys=2),
        "quaternion": RECIPE.change(layer="quaternion"),
        "no embedding": RECIPE.change(embedding=0),
    }[request.param]
