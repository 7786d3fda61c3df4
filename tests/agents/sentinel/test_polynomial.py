"""Networks of squares: trained, kept and read as others, and the same as complex layers within public limits."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.export import exported
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.model import BadModel, Provenance, SentinelModel, load_model
from medward.agents.sentinel.network import layout_of
from medward.agents.sentinel.polynomial import INPUT_SIZE, complex_inputs, normalised, polynomial_network
from medward.agents.sentinel.recipe import polynomial_recipe
from medward.agents.sentinel.recipe_format import flat_of, recipe_from
from medward.agents.sentinel.scorer import Scorer
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE

PROVENANCE = Provenance("central", None, 1, "none", True, 0)
SQUARES = polynomial_recipe(RECIPE).change(hidden=(16, 8), epochs=10)


@pytest.fixture(scope="module")
def model(prepared: PreparedData) -> SentinelModel:
    return train_centrally(prepared, prepared.split.train, SQUARES, PROVENANCE)


def test_what_a_recipe_says_of_squares_is_in_its_table_and_of_others_nothing() -> None:
    assert recipe_from(flat_of(SQUARES)) == SQUARES
    assert "activation" in flat_of(SQUARES)
    assert not {"activation", "inputs"} & set(flat_of(RECIPE))


@pytest.mark.parametrize("change", [{"layer": "real"}, {"ensemble": 2}])
def test_squares_that_are_not_defined_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="squares"):
        SQUARES.change(**change)


def test_scorer_computes_what_the_network_does(prepared: PreparedData, model: SentinelModel) -> None:
    network = new_network(layout_of(prepared.space, model.scaler), 3, SQUARES, 7)
    scorer = Scorer(prepared.space, model.scaler, exported(network), 1.0, always_informed=True)
    x = prepared.x[:200] * np.float32(3)  # also outside of what training rows span
    seen = network(layout_of(prepared.space, model.scaler), jnp.asarray(model.scaler.encode(x)), jnp.ones(200))
    expected = 1 / (1 + np.exp(-np.asarray(seen.advantage, np.float64)))
    np.testing.assert_allclose(scorer.chances(x, bought=True)[:, :3], expected[:, :3], atol=3e-5)


def test_model_decides_and_comes_back_from_its_folder(
    prepared: PreparedData, model: SentinelModel, tmp_path: Path
) -> None:
    test = prepared.split.test
    found = judge(model, prepared.x[test], prepared.flows.y[test])
    assert found.metrics["multiclass"]["macro_f1"] > 0.75
    assert found.escalation_rate == 1.0, "it sees the evidence of every row, and pays for it"
    model.save(tmp_path)
    read = load_model(tmp_path)
    assert read.recipe == model.recipe
    scores, again = (one.scorer().score(prepared.x[test]) for one in (model, read))
    np.testing.assert_array_equal(scores.q, again.q)


@pytest.mark.slow
def test_network_takes_the_most_telling_inputs(prepared: PreparedData) -> None:
    model = train_centrally(prepared, prepared.split.train, SQUARES.change(inputs=6, epochs=1), PROVENANCE)
    scaler = model.scaler
    assert len(scaler.numbers) + len(scaler.indicators) + len(scaler.flags) == 6
    names = {prepared.space.columns[k].name.split()[0] for k in scaler.numbers}
    assert {"rate", "pulse"} <= names, "they alone tell floods and tampering"


def test_complex_layers_are_the_network(prepared: PreparedData, model: SentinelModel) -> None:
    x = prepared.x[prepared.split.test]
    network, scorer = polynomial_network(model), model.scorer()
    inputs = complex_inputs(scorer.inputs(x))
    assert np.abs(inputs).max() <= INPUT_SIZE
    chances = scorer.chances(x, bought=True)[:, :3]
    np.testing.assert_allclose(1 / (1 + np.exp(-network.scores(inputs))), chances, atol=1e-5)


def test_normalised_network_decides_the_same_within_its_limits(prepared: PreparedData, model: SentinelModel) -> None:
    network, limits = polynomial_network(model), (100.0, 50.0, 1000.0)
    same = normalised(network, INPUT_SIZE, limits)
    inputs = complex_inputs(model.scorer().inputs(prepared.x[prepared.split.test]))
    scores, expected = same.scores(inputs), network.scores(inputs)
    factor = (scores / expected).mean()
    np.testing.assert_allclose(scores, factor * expected, rtol=1e-9)
    size = INPUT_SIZE
    for layer, limit in zip(same.layers, limits, strict=True):
        reach = np.abs(layer.matrix).sum(axis=0) * size + np.abs(layer.bias)
        assert reach.max() == pytest.approx(limit)
        size = limit**2


def test_model_without_squares_is_refused(model: SentinelModel) -> None:
    with pytest.raises(BadModel, match="--polynomial"):
        polynomial_network(replace(model, weights=replace(model.weights, squares=False)))
