"""The Q-network sees what was bought and nothing else, whatever stands in the columns that were not."""

import jax
import numpy as np
import pytest

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.network import input_width, layout_of, weights_of
from medward.agents.sentinel.recipe import Recipe
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from tests.agents.conftest import RECIPE, SCHEMA, toy_flows

FLOWS = toy_flows(200, 4)
SPACE = FeatureSpace(SCHEMA, history=False)
PULSE = 4


def fitted(recipe: Recipe) -> Scaler:
    return fitted_scaler(SPACE, FLOWS.x, recipe)


@pytest.mark.parametrize(("embedding", "layer"), [(2, "real"), (0, "quaternion")])
def test_evidence_that_was_not_bought_is_not_seen(embedding: int, layer: str) -> None:
    recipe = RECIPE.change(embedding=embedding, layer=layer, hidden=(8,))
    scaler = fitted(recipe)
    layout = layout_of(SPACE, scaler)
    network = new_network(layout, 3, recipe, 0)
    x = FLOWS.x[:20].copy()
    other, missing = x.copy(), x.copy()
    other[:, PULSE], missing[:, PULSE] = 300.0, np.nan
    said = jax.jit(lambda rows, bought: network(layout, rows, bought))
    for bought, same in ((0.0, True), (1.0, False)):
        shown = np.full(20, bought, np.float32)
        answers = [np.asarray(said(scaler.encode(rows), shown).advantage) for rows in (x, other, missing)]
        assert answers[0].shape == (20, 4)
        assert np.isfinite(answers).all()
        assert np.array_equal(answers[0], answers[1]) == same
        assert np.array_equal(answers[0], answers[2]) == same


def test_layout_says_which_inputs_are_cheap() -> None:
    scaler = fitted(RECIPE)
    layout = layout_of(SPACE, scaler)
    names = [SPACE.columns[number].name for number in scaler.numbers]
    assert [bool(cheap) for cheap in layout.number_cheap] == [name != "pulse" for name in names]
    assert (layout.numbers, layout.indicators) == (len(scaler.numbers), len(scaler.indicators))
    assert not np.asarray(layout.number_history).any()
    assert np.isfinite(np.asarray(layout.inverse)).all()


@pytest.mark.parametrize(("embedding", "layer"), [(0, "real"), (2, "quaternion")])
def test_first_layer_is_as_wide_as_what_is_seen(embedding: int, layer: str) -> None:
    recipe = RECIPE.change(embedding=embedding, layer=layer, hidden=(8,))
    layout = layout_of(SPACE, fitted(recipe))
    width = input_width(layout, recipe)
    seen = layout.numbers * max(embedding, 1) + layout.indicators + len(layout.flag_cheap) + 2
    assert 0 <= width - seen < (4 if layer == "quaternion" else 1)
    assert layer == "real" or width % 4 == 0
    head = 8 * 5 + 5
    hidden = 8 * width // (4 if layer == "quaternion" else 1) + 8
    embedded = layout.numbers * (layout.low.shape[1] + 1) * embedding
    assert weights_of(new_network(layout, 3, recipe, 0)) == head + hidden + embedded
