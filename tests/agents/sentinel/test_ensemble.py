"""Several networks side by side: each is trained as if it were alone, and they decide by the mean of their logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import learning_rates, new_network, start, train
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import layout_of, weights_of
from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.traffic import traffic_of
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import PreparedData

MEMBERS = 3


@pytest.mark.slow
def test_on_guard_they_decide_by_the_mean_of_their_logits(prepared: PreparedData, recipe: Recipe) -> None:
    several = recipe.change(ensemble=MEMBERS)
    scaler = fitted_scaler(prepared.space, prepared.x, several)
    layout = layout_of(prepared.space, scaler)
    begun = new_network(layout, 3, several, 5)
    # Biases start at zero, where a forgotten one would go unnoticed.
    network = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), begun)
    nowhere = Provenance("central", None, 1, "none", True, 0)
    scorer = SentinelModel(
        prepared.space, ("benign", "flood", "tamper"), scaler, exported(network), several, nowhere
    ).scorer()
    encoded = jnp.asarray(scaler.encode(prepared.x))
    for bought in (False, True):
        streams = [
            jax.tree.map(lambda leaf, k=k: leaf[k], network)(layout, encoded, jnp.full(len(encoded), float(bought)))
            for k in range(MEMBERS)
        ]
        assert float(jnp.abs(streams[0].advantage - streams[1].advantage).max()) > 0.1
        value = sum(one.value for one in streams) / MEMBERS
        logits = sum(one.advantage for one in streams) / MEMBERS
        expected = np.asarray(value[:, None] + jax.nn.sigmoid(logits) - 1)
        options = slice(None, -1) if bought else slice(None)
        np.testing.assert_allclose(scorer.q_values(prepared.x, bought)[0][:, options], expected[:, options], atol=3e-6)


# What is trained side by side is the same program for every scaler: the shapes of layers are what may differ.
both_layers = pytest.mark.parametrize("recipe", ["quantile", "quaternion"], indirect=True)


@pytest.mark.slow
@both_layers
def test_each_is_trained_as_if_it_were_alone(prepared: PreparedData, recipe: Recipe) -> None:
    several, one = recipe.change(ensemble=MEMBERS), recipe
    rows, flows = prepared.split.train, prepared.flows
    scaler = fitted_scaler(prepared.space, prepared.x[rows], one)
    layout = layout_of(prepared.space, scaler)
    assert flows.order is not None
    traffic = traffic_of(
        prepared.x[rows], flows.y[rows], prepared.stream[rows], flows.order[rows], scaler, 3, recipe.costs
    )
    network, key, rates = new_network(layout, 3, several, 1), jax.random.key(2), learning_rates(one.learning, 20)
    together, _ = train(start(network, several), layout, traffic, several, rates, key)
    for k, own in enumerate(jax.random.split(key, MEMBERS)):
        alone = jax.tree.map(lambda leaf, k=k: leaf[k], network)
        trained, _ = train(start(alone, one), layout, traffic, one, rates, own)
        for leaf, other in zip(jax.tree.leaves(trained), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(leaf, other[k], atol=1e-5)


@pytest.mark.slow
@both_layers
def test_a_federation_sums_the_weights_of_all(prepared: PreparedData, recipe: Recipe) -> None:
    training = FederatedTraining(prepared, recipe.change(ensemble=MEMBERS), Options(3, 1, protect="none"))
    model = training.run(None, lambda report: None)
    single = new_network(layout_of(prepared.space, model.scaler), 3, recipe, 0)
    assert len(training.shared.weights) == MEMBERS * weights_of(single)
    assert model.scorer().score(prepared.x).decision.max() > 0
