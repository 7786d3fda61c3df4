"""The watch's returns, target by target, and what it learns where the best policy is known."""

from dataclasses import replace
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.watch.environment import Watched, begin, inputs
from medward.agents.watch.episodes import Episodes
from medward.agents.watch.judgement import Margins, learned_policy, rule_policy, tuned_margins, tuned_rule, walk
from medward.agents.watch.learner import Returns, learn, loss_of, returns
from medward.agents.watch.network import WatchNetwork, WatchRecipe, WatchValues, greedy
from medward.agents.watch.rules import Rule, quiet_start
from tests.agents.watch.conftest import COSTS, ESCALATION, made, plain

TINY = WatchRecipe(hidden=(4,), discount=0.5, steps=1, costs=COSTS)


def _constant(value: float, effect: list[float]) -> WatchNetwork:
    """A network that says the same of every state."""
    network = WatchNetwork(inputs(4), 4, TINY, jax.random.key(0))
    zeroed = jax.tree.map(jnp.zeros_like, network)
    return eqx.tree_at(lambda n: (n.value.bias, n.effect.bias), zeroed, (jnp.array([value]), jnp.array(effect)))


def _returns(online: WatchNetwork, target: WatchNetwork, steps: int, label: list[int], evidence: int = 0) -> Returns:
    logged = plain(made([label]))
    watch = begin(logged, jnp.array([0]))._replace(evidence=jnp.array([evidence]))
    return returns(online, target, logged, watch, replace(TINY, steps=steps))


# Nothing of JAX is made when this file is read: every process that runs tests reads it.
@cache
def _allows() -> WatchNetwork:
    return _constant(-4.0, [-1.0, -1.0])


@cache
def _alerts() -> WatchNetwork:
    return _constant(0.0, [1.0, -1.0])


@pytest.mark.slow
def test_one_step_return_is_the_reward_and_the_target_networks_rating_of_the_online_networks_choice() -> None:
    found = _returns(_alerts(), _allows(), 1, [1, 1, 1])
    rest = 0.5 * (-4.0 - 1.0)
    assert float(found.allow[0]) == pytest.approx(-1.0 + rest)
    expected = np.array([-1.0 + rest, 2.0 + rest, 1.5 + rest, -ESCALATION + (-4.0 - 1.0)])
    np.testing.assert_allclose(found.effect[0], expected - expected[0], rtol=1e-5)


@pytest.mark.slow
def test_longer_returns_walk_on_with_the_online_networks_actions() -> None:
    found = _returns(_allows(), _allows(), 3, [1, 1, 1, 1, 1])
    # Unnoticed: three windows are missed. Alerted to: none after the first.
    assert float(found.allow[0]) == pytest.approx(-1.0 - 0.5 - 0.25 + 0.125 * -4.0)
    assert float(found.effect[0, 1]) == pytest.approx((2.0 + 0.125 * -4.0) - float(found.allow[0]))


@pytest.mark.slow
def test_return_stops_at_the_episodes_end() -> None:
    found = _returns(_allows(), _allows(), 4, [1, 1])
    assert float(found.allow[0]) == pytest.approx(-1.0 - 0.5)


@pytest.mark.slow
def test_evidence_that_comes_already_cannot_be_bought() -> None:
    assert _returns(_allows(), _allows(), 1, [0, 0, 0], evidence=1).known[0].tolist() == [0, 1, 0, 0]
    assert _returns(_allows(), _allows(), 1, [0, 0, 0], evidence=0).known[0].tolist() == [0, 1, 0, 1]
    judged = WatchValues(jnp.zeros(2), jnp.array([[[0.0], [-1.0], [3.0]]] * 2))
    assert greedy(judged, jnp.array([False, True])).tolist() == [2, 0]


def test_quantile_loss_is_least_at_the_quantiles() -> None:
    recipe = replace(TINY, quantiles=4)
    wanted = Returns(
        jnp.zeros(1000), jnp.stack([jnp.zeros(1000), jnp.linspace(0, 1, 1000)], axis=1), jnp.ones((1000, 2))
    )

    def loss(quantiles: list[float]) -> float:
        effect = jnp.stack([jnp.zeros(4), jnp.array(quantiles)])
        return float(loss_of(WatchValues(jnp.zeros(1000), jnp.broadcast_to(effect, (1000, 2, 4))), wanted, recipe))

    best = loss([0.125, 0.375, 0.625, 0.875])
    assert best < loss([0.2, 0.375, 0.625, 0.875])
    assert best < loss([0.125, 0.375, 0.5, 0.875])


def test_worst_quantiles_make_an_action_with_a_spread_less_wanted() -> None:
    judged = WatchValues(jnp.zeros(1), jnp.array([[[0.0, 0.0], [-1.0, 3.0], [-9.0, -9.0]]]))
    held = jnp.array([True])
    assert greedy(judged, held).tolist() == [1]
    assert greedy(judged, held, tail=0.5).tolist() == [0]


@pytest.mark.slow
def test_watch_learns_to_buy_evidence_and_to_alert_once(attacked: Episodes) -> None:
    """Only the evidence tells an attack; it is worth buying, and one alert an attack is enough."""
    logged = plain(attacked)
    recipe = WatchRecipe(updates=2000, streams=64, hidden=(32, 32), discount=0.95, costs=COSTS)
    tally = walk(learned_policy(learn(logged, recipe, 0).network, Margins(), recipe), logged, jnp.arange(64), COSTS)
    # The best is an alert in every attack's first window, at the price of the evidence; silence costs 1 a window.
    best = -2.0 * 64 + 64 * 24 / COSTS.kept * ESCALATION
    assert float(tally.cost.sum()) < 0.5 * best
    assert int(tally.found.sum()) > 60
    assert int(tally.false_alarms.sum()) < 5
    assert int(tally.escalations.sum()) > 64 * 2


@pytest.mark.release
def test_foresight_pays_where_an_alert_serves_the_windows_after_it() -> None:
    """A doubtful attack of 10 windows: alerting now costs more than this window is worth, and saves the others."""
    attack = [0, 0] + [1] * 10 + [0] * 4
    logged = plain(made([attack, [0] * 16, [0] * 16]), cheap=0.0)
    # In an attack's windows and in one benign stretch, the same sight.
    same = logged.glance.at[2:12].set(1.0).at[16 + 2 : 16 + 12].set(1.0)
    logged = logged._replace(glance=same, escalation=jnp.float32(9.0))
    recipe = WatchRecipe(updates=1500, streams=64, hidden=(16,), discount=0.95, costs=replace(COSTS, early_bonus=0.0))
    found = {}
    for discount in (0.0, 0.95):
        network = learn(logged, replace(recipe, discount=discount), 0).network
        tally = walk(learned_policy(network, Margins(), recipe), logged, jnp.arange(3), recipe.costs)
        found[discount] = (int(tally.found.sum()), float(tally.cost.sum()))
    assert found[0.0] == (0, 10.0)
    assert found[0.95][0] == 1
    assert found[0.95][1] < 10.0


@pytest.mark.slow
def test_same_seed_gives_the_same_watch(attacked: Episodes) -> None:
    logged = plain(attacked)
    recipe = replace(TINY, updates=3, streams=8)
    first, second, other = (learn(logged, recipe, seed).network for seed in (0, 0, 1))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.hidden[0].weight, other.hidden[0].weight)


@pytest.mark.slow
def test_rule_that_sees_plainly_is_tuned_to_alert_once_in_the_first_window(attacked: Episodes) -> None:
    logged = plain(attacked, cheap=6.0)
    [tuned] = tuned_rule(False, logged, COSTS)
    tally = walk(rule_policy(Rule(*tuned.setting)), logged, jnp.arange(64), COSTS)
    assert tuned.cost == pytest.approx(-2.0 * 64 / (64 * 24))
    assert (int(tally.found.sum()), int(tally.false_alarms.sum()), int(tally.escalations.sum())) == (64, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "smooth", "alerts"), [(7.9, 0.0, True), (8.1, 0.0, False), (3.9, 0.5, True)])
def test_below_its_floor_of_suspicion_a_watch_does_not_alert(floor: float, smooth: float, alerts: bool) -> None:
    # A window of suspicion 8 after benign ones of -8: their running average is 0 by then, with half its weight 4.
    logged = plain(made([[0, 0, 1]]), cheap=4.0)
    watch = begin(logged, jnp.array([0]))._replace(at=jnp.array([2]))
    means = watch.means.at[:, 0].set(0.0)
    policy = learned_policy(_alerts(), Margins(floor=floor, smooth=smooth), TINY)
    action, _ = policy(logged, watch._replace(means=means), quiet_start(1), jnp.array([True]))
    assert (int(action[0]) > 0) == alerts


@pytest.mark.slow
def test_margins_keep_to_the_false_alarms_they_are_allowed(attacked: Episodes) -> None:
    logged = plain(attacked)
    recipe = WatchRecipe(hidden=(8,), costs=COSTS)
    network = WatchNetwork(inputs(4), 4, recipe, jax.random.key(3))
    none, few, free = tuned_margins(network, logged, recipe, (0.0, 0.01, None))
    assert none.false_alarm_rate == 0.0
    assert few.false_alarm_rate <= 0.01
    assert free.cost <= few.cost <= none.cost


def _blurred(attacked: Episodes, spread: float) -> Watched:
    """Episodes in which no rule finds attacks without false alarms."""
    logged = plain(attacked, cheap=2.0)
    noise = np.random.default_rng(0).normal(0.0, spread, logged.glance.shape)
    return logged._replace(glance=logged.glance + jnp.asarray(noise, jnp.float32))


@pytest.mark.release
def test_each_limit_is_kept_to_as_if_it_were_tuned_for_alone_and_an_impossible_one_as_far_as_possible(
    attacked: Episodes,
) -> None:
    logged, limits = _blurred(attacked, 7.0), (None, 0.02, 0.0)
    free, few, none = tuned_rule(False, logged, COSTS, limits)
    assert few == tuned_rule(False, logged, COSTS, (0.02,))[0]
    assert free.cost < few.cost
    # Nothing keeps to a limit of none: the fewest false alarms are chosen.
    assert free.false_alarm_rate > 0.02 >= few.false_alarm_rate >= none.false_alarm_rate > 0.0
