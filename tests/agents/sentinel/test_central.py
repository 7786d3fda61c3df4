"""Training in one place: the scaler knows the rows that it is given and no others, and classes are those that occur."""

import numpy as np
import pytest

from medward.agents.sentinel.central import fitted_scaler, train_centrally
from medward.agents.sentinel.model import Provenance
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE

HERE = Provenance("local", None, 1, "none", synthetic=True, seed=3)


@pytest.mark.parametrize("surveys", [1, 3])
def test_scaler_follows_from_its_rows_in_any_order(prepared: PreparedData, surveys: int) -> None:
    recipe, x = RECIPE.change(surveys=surveys), prepared.x[prepared.split.train]
    one, mixed = (fitted_scaler(prepared.space, rows, recipe) for rows in (x, x[::-1].copy()))
    other = fitted_scaler(prepared.space, x[: len(x) // 4], recipe)
    for name in ("knots", "mean", "scale", "bins"):
        np.testing.assert_array_equal(getattr(one, name), getattr(mixed, name))
    assert not np.array_equal(one.knots, other.knots)


@pytest.mark.slow
def test_model_knows_the_classes_of_its_rows_alone(prepared: PreparedData) -> None:
    train = prepared.split.train
    rows = train[prepared.flows.y[train] != 1]
    recipe = RECIPE.change(scaler="standard", embedding=0, hidden=(8,), epochs=1)
    model = train_centrally(prepared, rows, recipe, HERE)
    assert model.classes == ("benign", "tamper")
    assert model.provenance == HERE
    labels = model.labels(prepared.flows.y)
    assert set(labels[prepared.flows.y == 1].tolist()) <= {2}
    assert all(np.isfinite(matrix).all() for matrix in model.weights.matrices)
