"""Sentinel's learning rule, target by target, and what it learns on a problem whose best policy is known."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.environment import STREAM_END, Environment, StreamState, cost_matrix
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.learner import (
    Streams,
    Targets,
    _without_columns,
    bellman_targets,
    decide,
    learning_rates,
    start,
    temporal_difference_loss,
    train,
)
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import Layout, SentinelNetwork
from medward.agents.sentinel.recipe import LearningSettings, Recipe
from medward.agents.sentinel.replay import fold
from medward.agents.sentinel.traffic import TrainingTraffic
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE

TINY = Recipe().change(embedding=0, hidden=(4,))


# Nothing of JAX is made when this file is read: every process that runs tests reads it.
@cache
def _layout() -> Layout:
    return Layout(
        low=jnp.zeros((1, 1)),
        inverse=jnp.ones((1, 1)),
        number_cheap=jnp.array([True]),
        number_history=jnp.array([False]),
        indicator_cheap=jnp.zeros(0, bool),
        flag_cheap=jnp.zeros(0, bool),
    )


def _network(advantage: list[float], informed: list[float], value: float) -> SentinelNetwork:
    """A network whose streams are given: `advantage` without the evidence, `informed` with it."""
    network = SentinelNetwork(_layout(), 2, TINY, jax.random.key(0))
    # The only non-zero input is "bought"; the first hidden unit passes it on, the second is always 1.
    weight = jnp.zeros_like(network.hidden[0].weight).at[1, 0].set(1.0)
    bias = jnp.array([0.0, 1.0, 0.0, 0.0])
    head = jnp.zeros((4, 3)).at[0].set(jnp.array(informed) - jnp.array(advantage)).at[1].set(jnp.array(advantage))
    return eqx.tree_at(
        lambda n: (n.hidden[0].weight, n.hidden[0].bias, n.advantage.weight, n.value.weight, n.value.bias),
        network,
        (weight, bias, head, jnp.zeros((4, 1)), jnp.array([value])),
    )


def _traffic(costs: Costs) -> TrainingTraffic:
    environment = Environment(
        label=jnp.array([1, 0]),
        following=jnp.array([1, STREAM_END]),
        cost=jnp.asarray(cost_matrix(2, costs)),
        escalation=jnp.float32(costs.escalation),
    )
    return TrainingTraffic(
        jnp.zeros((2, 2)), environment, fold(np.zeros((2, 1), np.float32), np.zeros(2, np.int32), np.arange(2))
    )


def _targets(online: SentinelNetwork, target: SentinelNetwork, row: int, bought: bool, costs: Costs) -> Targets:
    state = StreamState(jnp.array([row]), jnp.array([bought]))
    return bellman_targets(online, target, _layout(), _traffic(costs), state, 0.5)


def _sigmoid(z: float) -> float:
    return 1 / (1 + float(np.exp(-z)))


COSTS = Costs(miss=2.0, false_alarm=1.0, wrong_class=1.0, escalation=0.1)


@cache
def _online() -> SentinelNetwork:
    """A network that would decide ALLOW after escalation."""
    return _network([0.0, 0.0, 0.0], [3.0, -3.0, 0.0], value=-7.0)


@cache
def _target() -> SentinelNetwork:
    """A network that rates that decision low."""
    return _network([0.0, 0.0, 0.0], [-1.0, 2.0, 0.0], value=-0.5)


@pytest.mark.slow
def test_decisions_are_pulled_to_their_own_costs() -> None:
    attack = _targets(_online(), _target(), 0, False, COSTS).advantage[0]
    benign = _targets(_online(), _target(), 1, False, COSTS).advantage[0]
    np.testing.assert_allclose(attack[:2], [1 - 2.0 / 2.0, 1.0])
    np.testing.assert_allclose(benign[:2], [1.0, 1 - 1.0 / 2.0])


@pytest.mark.slow
def test_escalation_is_rated_by_the_target_network_for_the_choice_of_the_online_network() -> None:
    escalate = float(_targets(_online(), _target(), 0, False, COSTS).advantage[0, 2])
    assert escalate == pytest.approx(_sigmoid(-1.0) - 0.1 / 2.0, abs=1e-5)
    # What the two ways of mixing the networks up would give lies far from it.
    assert abs(escalate - (_sigmoid(3.0) - 0.05)) > 0.1
    assert abs(escalate - (_sigmoid(2.0) - 0.05)) > 0.1


def test_value_is_the_discounted_target_value_of_the_next_window() -> None:
    value = float(_targets(_online(), _target(), 0, False, COSTS).value[0])
    assert value == pytest.approx(0.5 * (-0.5 + 2.0 * (_sigmoid(0.0) - 1.0)), abs=1e-5)


@pytest.mark.slow
def test_nothing_follows_the_end_of_a_stream() -> None:
    assert float(_targets(_online(), _target(), 1, False, COSTS).value[0]) == 0.0


@pytest.mark.slow
def test_escalating_twice_is_not_learned_from() -> None:
    assert _targets(_online(), _target(), 0, True, COSTS).known[0].tolist() == [1.0, 1.0, 0.0]
    assert _targets(_online(), _target(), 0, False, COSTS).known[0].tolist() == [1.0, 1.0, 1.0]


def test_loss_is_least_at_the_targets_and_blind_to_impossible_actions() -> None:
    targets = Targets(jnp.array([-0.3]), jnp.array([[0.2, 0.9, 0.5]]), jnp.array([[1.0, 1.0, 0.0]]))
    best = jnp.log(targets.advantage / (1 - targets.advantage))

    def loss(value: float, shift: jnp.ndarray) -> float:
        streams = Streams(jnp.array([value]), best + shift)
        return float(temporal_difference_loss(streams, targets, jnp.ones(1), 0.5))

    least = loss(-0.3, jnp.zeros(3))
    assert loss(-0.3, jnp.array([0.0, 0.0, 9.0])) == pytest.approx(least)
    assert loss(-0.3, jnp.array([0.1, 0.0, 0.0])) > least
    assert loss(0.0, jnp.zeros(3)) > least


def test_greedy_decision_never_escalates_twice() -> None:
    streams = Streams(jnp.zeros(2), jnp.array([[0.0, 1.0, 2.0]] * 2))
    assert decide(streams, jnp.array([0.0, 1.0])).tolist() == [2, 1]


@pytest.mark.slow
def test_learning_rate_warms_up_and_decays_to_a_hundredth() -> None:
    rates = np.asarray(learning_rates(LearningSettings(learning_rate=1.0), 400))
    assert rates[0] == 0.0
    assert rates.max() == pytest.approx(1.0, abs=0.01)
    assert rates[-1] == pytest.approx(0.01, abs=0.01)
    assert (np.diff(rates[30:]) < 0).all()


def test_target_network_is_the_running_average_of_the_online_network() -> None:
    traffic = _traffic(COSTS)
    recipe = TINY.change(batch=8, average=0.75, learning_rate=0.1)
    begun = start(_online(), recipe)
    after, _ = train(begun, _layout(), traffic, recipe, jnp.array([0.1]), jax.random.key(0))
    for old, new, average in zip(
        jax.tree.leaves(begun.network), jax.tree.leaves(after.network), jax.tree.leaves(after.average), strict=True
    ):
        np.testing.assert_allclose(average, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-6)
    assert any(
        not np.allclose(old, new)
        for old, new in zip(jax.tree.leaves(begun.network), jax.tree.leaves(after.network), strict=True)
    )


def _trained(prepared: PreparedData, costs: Costs, seed: int = 0) -> SentinelModel:
    recipe = RECIPE.change(costs=costs)
    return train_centrally(prepared, prepared.split.train, recipe, Provenance("central", None, 1, "none", True, seed))


@pytest.mark.slow
def test_evidence_is_bought_when_it_is_cheap_and_not_when_it_is_dear(prepared: PreparedData) -> None:
    test, y = prepared.x[prepared.split.test], prepared.flows.y[prepared.split.test]
    cheap = judge(_trained(prepared, Costs(escalation=0.01)), test, y)
    dear = judge(_trained(prepared, Costs(escalation=0.9)), test, y)
    assert cheap.escalation_rate > 0.3
    assert cheap.metrics["multiclass"]["per_class_recall"]["tamper"] > 0.85
    assert dear.escalation_rate < 0.02
    assert cheap.metrics["binary"]["macro_f1"] > dear.metrics["binary"]["macro_f1"]


@pytest.mark.slow
def test_dear_false_alarms_make_alerts_rarer(prepared: PreparedData) -> None:
    test, y = prepared.x[prepared.split.test], prepared.flows.y[prepared.split.test]
    eager = judge(_trained(prepared, Costs(miss=5.0, escalation=0.9)), test, y).metrics["binary"]
    shy = judge(_trained(prepared, Costs(false_alarm=5.0, escalation=0.9)), test, y).metrics["binary"]
    assert eager["attack_recall"] > shy["attack_recall"]
    assert eager["false_alarm_rate"] > shy["false_alarm_rate"]


@pytest.mark.slow
def test_alert_bias_makes_alerts_more_frequent_and_changes_nothing_in_training(prepared: PreparedData) -> None:
    test, y = prepared.x[prepared.split.test], prepared.flows.y[prepared.split.test]
    provenance = Provenance("central", None, 1, "none", True, 0)
    models = [
        train_centrally(prepared, prepared.split.train, RECIPE.change(alert_bias=bias), provenance)
        for bias in (0.0, 4.0)
    ]
    np.testing.assert_allclose(
        models[0].weights.advantage_bias - models[1].weights.advantage_bias, [4.0, 0.0, 0.0, 0.0], atol=1e-5
    )
    np.testing.assert_array_equal(models[0].weights.advantage, models[1].weights.advantage)
    plain, cautious = (judge(model, test, y) for model in models)
    assert cautious.metrics["binary"]["false_alarm_rate"] > plain.metrics["binary"]["false_alarm_rate"]
    assert cautious.metrics["binary"]["attack_recall"] >= plain.metrics["binary"]["attack_recall"]
    assert cautious.escalation_rate >= plain.escalation_rate


def test_columns_are_hidden_at_random_from_training_samples() -> None:
    layout = Layout(
        low=jnp.zeros((2, 1)),
        inverse=jnp.ones((2, 1)),
        number_cheap=jnp.array([True, True]),
        number_history=jnp.array([False, False]),
        indicator_cheap=jnp.array([True]),
        flag_cheap=jnp.array([True]),
    )
    # Two numbers, for each whether it is there, one indicator, one flag.
    encoded = jnp.tile(jnp.array([0.3, 0.7, 1.0, 1.0, 1.0, 1.0]), (4000, 1))
    seen = np.asarray(_without_columns(encoded, layout, 0.25, jax.random.key(0)))
    np.testing.assert_array_equal(seen[:, [0, 1, 5]], encoded[:, jnp.array([0, 1, 5])])
    hidden = seen[:, 2:5] == 0
    np.testing.assert_allclose(hidden.mean(axis=0), 0.25, atol=0.03)
    assert np.abs(np.corrcoef(hidden.T) - np.eye(3)).max() < 0.1


@pytest.mark.slow
def test_same_seed_gives_the_same_model_and_another_seed_another(prepared: PreparedData) -> None:
    first, again, other = (_trained(prepared, Costs(), seed) for seed in (3, 3, 4))
    assert first.name == again.name
    assert first.name != other.name
