"""Exporting a network: its weights as they are, a bias on ALLOW alone, and an ensemble as the mean of its members."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.network import layout_of
from medward.flows.history import FeatureSpace
from tests.agents.conftest import RECIPE, SCHEMA
from tests.agents.sentinel.test_network import fitted

SPACE = FeatureSpace(SCHEMA, history=False)


@pytest.mark.slow
def test_bias_is_taken_from_allow_alone() -> None:
    recipe = RECIPE.change(hidden=(8,))
    scaler = fitted(recipe)
    network = new_network(layout_of(SPACE, scaler), 3, recipe, 0)
    plain, biased = exported(network), exported(network, 0.75)
    np.testing.assert_allclose(plain.advantage_bias - biased.advantage_bias, [0.75, 0, 0, 0], atol=1e-6)
    for name in ("slope", "offset", "value", "value_bias", "advantage"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(biased, name))
    assert all(one.dtype == np.float32 for one in (*plain.matrices, *plain.biases, plain.value, plain.advantage))


@pytest.mark.slow
def test_ensemble_says_the_mean_of_its_members() -> None:
    recipe = RECIPE.change(embedding=2, hidden=(8, 4))
    scaler = fitted(recipe)
    members = [new_network(layout_of(SPACE, scaler), 3, recipe, seed) for seed in range(3)]
    arrays = [eqx.filter(one, eqx.is_array) for one in members]
    together = eqx.combine(jax.tree.map(lambda *leaves: jnp.stack(leaves), *arrays), members[0])
    whole, parts = exported(together), [exported(one) for one in members]
    np.testing.assert_allclose(whole.value_bias, np.mean([one.value_bias for one in parts], axis=0), atol=1e-6)
    assert whole.matrices[1].shape == (24, 12)
    # Between the members, hidden layers have nothing.
    assert not whole.matrices[1][:8, 4:].any()
