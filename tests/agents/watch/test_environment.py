"""What each action on a stream costs, and what it changes for later."""

import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.watch.environment import LONG_AGO, WatchState, begin, glances, inputs, observe, step
from tests.agents.watch.conftest import COSTS, ESCALATION, made, plain

ALLOW, FIRST, SECOND, ESCALATE = 0, 1, 2, 3


def _run(label: list[int], actions: list[int], background: list[bool] | None = None) -> tuple[list[float], WatchState]:
    logged = plain(made([label], None if background is None else [background]))
    watch, rewards = begin(logged, jnp.array([0])), []
    for action in actions:
        after = step(logged, watch, jnp.array([action]), COSTS)
        rewards.append(float(after.reward[0]))
        watch = after.watch
    return rewards, watch


@pytest.mark.slow
def test_attack_windows_cost_until_somebody_is_alerted_and_nothing_after() -> None:
    rewards, _ = _run([0, 1, 1, 1, 0], [ALLOW, ALLOW, FIRST, ALLOW, ALLOW])
    assert rewards == [0.0, -1.0, 2.0 * (1 - 1 / 4), 0.0, 0.0]


def test_bonus_falls_to_nothing_with_the_delay() -> None:
    for delay, bonus in enumerate([2.0, 1.5, 1.0, 0.5, 0.0, 0.0]):
        rewards, _ = _run([1] * 6 + [0], [ALLOW] * delay + [FIRST])
        assert rewards[-1] == pytest.approx(bonus)


def test_wrong_class_costs_once_and_still_puts_the_attack_in_hand() -> None:
    rewards, _ = _run([1, 1, 1, 0], [SECOND, ALLOW, FIRST])
    assert rewards == [2.0 - 0.5, 0.0, -0.125]


def test_false_alarm_makes_the_next_alert_late() -> None:
    right, _ = _run([0, 1, 1, 1, 1, 1], [ALLOW, FIRST, ALLOW, ALLOW, ALLOW])
    wrong, _ = _run([0, 1, 1, 1, 1, 1], [FIRST, FIRST, ALLOW, ALLOW, ALLOW])
    assert right == [0.0, 2.0, 0.0, 0.0, 0.0]
    # Three windows' work, one of them done: the alert waits for two windows, its own included.
    assert wrong == [-3.0, 2.0 - 0.25, -0.25, 0.0, 0.0]


def test_other_devices_alerts_fill_the_queue_too() -> None:
    rewards, watch = _run([0, 0, 1, 1, 1], [ALLOW, ALLOW, FIRST, ALLOW], [False, True, False, False, False])
    assert rewards == [0.0, 0.0, 2.0 - 0.25, 0.0]
    assert int(watch.backlog[0]) == 2


def test_queue_holds_no_more_than_its_backlog() -> None:
    _, watch = _run([0] * 9, [FIRST] * 8)
    assert int(watch.backlog[0]) == COSTS.backlog


def test_new_attack_needs_an_alert_of_its_own() -> None:
    rewards, _ = _run([1, 1, 0, 1, 0], [FIRST, ALLOW, ALLOW, ALLOW])
    assert rewards == [2.0, 0.0, 0.0, -1.0]
    directly, _ = _run([1, 2, 0], [FIRST, ALLOW])
    assert directly == [2.0, -1.0]


def test_evidence_comes_for_the_window_and_the_next_ones_and_no_longer() -> None:
    logged = plain(made([[0, 0, 0, 0]]))
    watch = begin(logged, jnp.array([0]))
    after = step(logged, watch, jnp.array([ESCALATE]), COSTS)
    assert float(after.reward[0]) == -ESCALATION
    assert (int(after.watch.at[0]), bool(after.waited[0]), bool(after.ended[0])) == (0, False, False)
    seen = []
    watch = after.watch
    for _ in range(4):
        seen.append(float(glances(logged, watch)[0, 0]))
        watch = step(logged, watch, jnp.array([ALLOW]), COSTS).watch
    assert seen == [6.0, 6.0, 0.0, 0.0]


def test_episode_ends_with_the_decision_on_its_last_window() -> None:
    logged = plain(made([[0, 1]]))
    watch = begin(logged, jnp.array([0]))._replace(at=jnp.array([1]))
    assert not bool(step(logged, watch, jnp.array([ESCALATE]), COSTS).ended[0])
    assert bool(step(logged, watch, jnp.array([ALLOW]), COSTS).ended[0])


def test_averages_follow_what_was_seen_not_what_was_there() -> None:
    logged = plain(made([[0, 1, 1, 1]]), cheap=1.0, informed=5.0)
    without, bought = begin(logged, jnp.array([0])), begin(logged, jnp.array([0]))
    bought = step(logged, bought, jnp.array([ESCALATE]), COSTS).watch
    for _ in range(2):
        without = step(logged, without, jnp.array([ALLOW]), COSTS).watch
        bought = step(logged, bought, jnp.array([ALLOW]), COSTS).watch
    np.testing.assert_allclose(without.means[0, 0], [0.0, 0.0, -1.0])
    np.testing.assert_allclose(bought.means[0, 0], [-1.0, 1.0, -4.0])


@pytest.mark.slow
def test_nothing_that_is_seen_tells_whether_an_alert_was_right() -> None:
    """The same windows, once an attack and once not: after an alert the observations are equal."""
    windows = plain(made([[0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]))
    logged = windows._replace(glance=jnp.zeros_like(windows.glance))
    watch = begin(logged, jnp.array([0, 1]))
    for action in (ALLOW, FIRST, ALLOW, SECOND):
        seen = observe(logged, watch, COSTS)
        assert seen.shape == (2, inputs(4))
        np.testing.assert_array_equal(seen[0], seen[1])
        watch = step(logged, watch, jnp.array([action, action]), COSTS).watch
    assert bool(watch.alerted[0])
    assert not bool(watch.alerted[1])


def test_time_since_the_last_alert_is_counted_in_windows() -> None:
    assert int(begin(plain(made([[0, 0]])), jnp.array([0])).since[0]) == LONG_AGO
    assert int(_run([0] * 5, [FIRST, ALLOW, ALLOW])[1].since[0]) == 3


@pytest.mark.slow
def test_watch_sees_whether_it_would_name_another_attack_than_it_last_did() -> None:
    logged = plain(made([[0, 1, 1, 2, 0]]), cheap=6.0)
    watch, column = begin(logged, jnp.array([0])), inputs(4) - 3
    seen = []
    for action in (ALLOW, FIRST, ALLOW, ALLOW):
        seen.append(float(observe(logged, watch, COSTS)[0, column]))
        watch = step(logged, watch, jnp.array([action]), COSTS).watch
    # The attack of the second class, weighed together with the two windows before it, is named at once.
    assert seen == [0.0, 0.0, 0.0, 1.0]
    assert int(watch.named[0]) == FIRST
