"""Choosing an action: the best effect after its margin, no alert where there is none to raise, evidence bought once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.watch.network import (
    OUT_OF_QUESTION,
    WatchNetwork,
    WatchRecipe,
    WatchValues,
    greedy,
    without_alerts,
)

# Effects of ALLOW, two alerts and ESCALATE, two quantiles of each.
EFFECT = [[[0, 0], [1, 3], [OUT_OF_QUESTION] * 2, [1.5, 1.5]], [[0, 0], [-1, -1], [-2, -2], [-3, -3]]]


def judged(*value: float) -> WatchValues:
    return WatchValues(jnp.array(value or (0.0, 0.0)), jnp.array(EFFECT, jnp.float32))


@pytest.mark.parametrize(
    ("evidence", "alert", "escalate", "tail", "wanted"),
    [
        (False, 0.0, 0.0, 1.0, [1, 0]),
        (False, 0.0, 0.0, 0.5, [3, 0]),
        (True, 0.0, 0.0, 0.5, [1, 0]),
        (False, 1.0, 0.0, 1.0, [3, 0]),
        (True, 3.0, 0.0, 1.0, [0, 0]),
        (False, 3.0, 2.0, 1.0, [0, 0]),
        (False, -2.0, 0.0, 1.0, [1, 1]),
    ],
)
def test_action_is_the_best_after_its_margin(
    evidence: bool, alert: float, escalate: float, tail: float, wanted: list[int]
) -> None:
    assert greedy(judged(), jnp.full(2, evidence), alert, escalate, tail).tolist() == wanted


def test_alerts_that_are_out_of_the_question_are_never_chosen() -> None:
    held = without_alerts(judged(), jnp.array([True, False]))
    assert greedy(held, jnp.ones(2, bool), -100.0).tolist() == [0, 1]
    np.testing.assert_array_equal(held.effect[1], judged().effect[1])
    np.testing.assert_array_equal(held.effect[:, 0], judged().effect[:, 0])


def test_value_of_an_action_is_that_of_allow_and_its_mean_effect() -> None:
    found = judged(1.0, -1.0).q()
    np.testing.assert_allclose(found[:, 0], [1.0, -1.0])
    np.testing.assert_allclose(found[0, [1, 3]], [3.0, 2.5])


@pytest.mark.slow
def test_network_alerts_as_the_likeliest_class_alone() -> None:
    recipe = WatchRecipe(hidden=(8,), quantiles=3, layer="quaternion")
    network = WatchNetwork(7, 5, recipe, jax.random.key(0))
    said = network(jnp.ones((2, 7)), jnp.array([1, 3]))
    assert said.effect.shape == (2, 5, 3)
    for row, named in enumerate((1, 3)):
        raised = [k for k in (1, 2, 3) if (said.effect[row, k] > OUT_OF_QUESTION).all()]
        assert raised == [named]
    assert not said.effect[:, 0].any()
