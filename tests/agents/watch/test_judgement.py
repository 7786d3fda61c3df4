"""Judging a watch: what it let pass, raised and bought is counted window by window, and tuning keeps to its limits."""

import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.watch.environment import Watched, WatchState
from medward.agents.watch.judgement import Tally, WatchPolicy, tune, walk
from medward.agents.watch.rules import Quiet
from tests.agents.watch.conftest import COSTS, made, plain

pytestmark = pytest.mark.slow
LABELS = [[0, 0, 1, 1, 1, 0, 0, 0], [0, 2, 2, 0, 0, 0, 1, 1]]


def always(action: object) -> WatchPolicy:
    def decide(logged: Watched, watch: WatchState, quiet: Quiet, runs: object) -> tuple[object, Quiet]:
        return jnp.full(len(watch.at), action, jnp.int32), quiet

    return decide  # type: ignore[return-value]


def walked(policy: WatchPolicy) -> Tally:
    return walk(policy, plain(made(LABELS)), jnp.arange(2), COSTS)


def test_watch_that_allows_all_pays_for_every_attack_window() -> None:
    found = walked(always(0))
    assert found.attack.tolist() == found.missed.tolist() == [3, 4]
    assert found.benign.tolist() == [5, 4]
    assert found.runs.tolist() == [1, 2]
    assert found.found.tolist() == found.false_alarms.tolist() == found.escalations.tolist() == [0, 0]
    np.testing.assert_allclose(found.cost, [3.0, 4.0])


def test_watch_that_alerts_on_all_finds_every_run_at_once_and_pays_for_its_alarms() -> None:
    found = walked(always(1))
    assert found.found.tolist() == found.runs.tolist() == [1, 2]
    assert found.false_alarms.tolist() == found.benign.tolist() == [5, 4]
    assert found.delay.tolist() == found.missed.tolist() == [0, 0]


def test_tuning_takes_the_cheapest_setting_within_each_limit() -> None:
    options = (jnp.array([0, 1]),)
    logged = plain(made(LABELS))
    free, none = tune(lambda setting: always(setting[0]), options, logged, COSTS, [None, 0.0])
    allows, alerts = (walked(always(action)).cost.sum() / 16 for action in (0, 1))
    assert (none.setting, none.false_alarm_rate) == ((0,), 0.0)
    assert free.cost == pytest.approx(float(min(allows, alerts)))
    assert free.tried == none.tried == 2
