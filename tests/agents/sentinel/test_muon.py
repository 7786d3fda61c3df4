"""Muon: its steps are orthogonal, it moves the hidden layers' matrices alone, and a network learns by it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medward.agents.sentinel.central import fitted_scaler, train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.muon import TYPICAL, scale_by_muon_or_adam
from medward.agents.sentinel.network import layout_of
from medward.agents.sentinel.recipe import Recipe
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["quantile", "quaternion", "no embedding"], indirect=True)
def test_only_matrices_of_real_hidden_layers_are_moved_by_it(prepared: PreparedData, recipe: Recipe) -> None:
    network = new_network(layout_of(prepared.space, fitted_scaler(prepared.space, prepared.x, recipe)), 3, recipe, 0)
    gradient = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(leaf.size), leaf.shape), network)
    muon, adam = scale_by_muon_or_adam(), optax.scale_by_adam()
    by_muon, _ = muon.update(gradient, muon.init(network), network)
    by_adam, _ = adam.update(gradient, adam.init(network), network)
    differing = jax.tree.map(lambda a, b: bool(jnp.abs(a - b).max() > 1e-6), by_muon, by_adam)
    real = recipe.network.layer == "real"
    assert [layer.weight for layer in differing.hidden] == [real] * len(recipe.network.hidden)
    assert sum(jax.tree.leaves(differing)) == real * len(recipe.network.hidden)
    for layer in by_muon.hidden if real else ():
        assert float(jnp.sqrt((layer.weight**2).mean())) == pytest.approx(TYPICAL, rel=0.3)
        lengths = np.linalg.svd(np.asarray(layer.weight), compute_uv=False)
        assert lengths.max() < 2 * lengths.min()


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 2])
def test_a_network_learns_by_it(prepared: PreparedData, members: int) -> None:
    recipe = RECIPE.change(optimiser="muon", ensemble=members)
    model = train_centrally(prepared, prepared.split.train, recipe, Provenance("central", None, 1, "none", True, 0))
    test, y = prepared.x[prepared.split.test], prepared.flows.y[prepared.split.test]
    assert judge(model, test, y).metrics["multiclass"]["macro_f1"] > 0.85
