"""When a rule alerts, buys evidence and holds its peace, window by window."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.watch.environment import begin, step
from medward.agents.watch.rules import ANY, Rule, TuningGrid, follow, quiet_start, settings
from tests.agents.watch.conftest import COSTS, made, plain

ALLOW, FIRST, SECOND, ESCALATE = 0, 1, 2, 3
RULE = Rule(high=4.0, low=99.0, smooth=0.0, quiet=1, fall=0.0, renew=False, by_confidence=False)


def _played(rule: Rule, suspicion: Sequence[float], classes: Sequence[int] | None = None) -> list[int]:
    """Return what a rule does where suspicion takes these values, of these attacks; evidence changes nothing."""
    windows = plain(made([[0] * (len(suspicion) + 1)]))
    glance = np.full(windows.glance.shape, -50.0, np.float32)
    glance[:, :, 0] = 0.0
    for window, value in enumerate(suspicion):
        glance[window, :, classes[window] if classes else 1] = value
    logged = windows._replace(glance=jnp.asarray(glance))
    watch, quiet, done = begin(logged, jnp.array([0])), quiet_start(1), []
    while int(watch.at[0]) < len(suspicion):
        action, quiet = follow(rule, logged, watch, quiet)
        done.append(int(action[0]))
        watch = step(logged, watch, action, COSTS).watch
    return done


def test_alerts_once_while_suspicion_stays_high_and_again_after_a_calm_window() -> None:
    assert _played(RULE, [0, 5, 5, 5, 3, 5]) == [ALLOW, FIRST, ALLOW, ALLOW, ALLOW, FIRST]


def test_quiet_counts_every_window_where_it_is_told_to() -> None:
    assert _played(RULE._replace(quiet=2, fall=ANY), [5] * 7) == [FIRST, ALLOW, ALLOW, FIRST, ALLOW, ALLOW, FIRST]


def test_dip_that_does_not_fall_far_enough_is_no_end_of_an_attack() -> None:
    assert _played(RULE._replace(fall=4.0), [5, 1, 5, 0, 5]) == [FIRST, ALLOW, ALLOW, ALLOW, FIRST]


def test_attack_that_follows_another_at_once_is_alerted_to_by_a_rule_that_renews() -> None:
    same = [5.0] * 4
    assert _played(RULE, same, [1, 1, 2, 2]) == [FIRST, ALLOW, ALLOW, ALLOW]
    assert _played(RULE._replace(renew=True), same, [1, 1, 2, 2]) == [FIRST, ALLOW, SECOND, ALLOW]
    # Renewing asks for suspicion like any alert.
    assert _played(RULE._replace(renew=True), [5.0, 3.0], [1, 2]) == [FIRST, ALLOW]


def test_window_that_is_decided_again_with_evidence_counts_once() -> None:
    doubting = RULE._replace(low=2.0, quiet=2)
    # Evidence comes for two windows: 3 is in doubt in the second and again in the fourth.
    assert _played(doubting, [5, 3, 3, 3, 5]) == [FIRST, ESCALATE, ALLOW, ALLOW, ESCALATE, ALLOW, FIRST]


def test_sparing_rule_buys_no_evidence_while_it_is_quiet() -> None:
    sparing = RULE._replace(low=2.0, quiet=2, spare=True)
    assert _played(sparing, [5, 3, 3, 3, 5]) == [FIRST, ALLOW, ALLOW, ESCALATE, ALLOW, FIRST]
    # It was never quiet before its first alert.
    assert _played(sparing, [3, 5]) == [ESCALATE, ALLOW, FIRST]


def test_confidence_rule_buys_evidence_where_nothing_is_likely() -> None:
    # The likeliest decision's logit is benign's 0 or the attack's.
    confident = RULE._replace(by_confidence=True, low=1.0)
    assert _played(confident, [5, -3]) == [FIRST, ESCALATE, ALLOW]


@pytest.mark.slow
@pytest.mark.parametrize("by_confidence", [False, True])
@pytest.mark.parametrize("spare", [(False,), (False, True)])
def test_tuning_tries_every_combination(by_confidence: bool, spare: tuple[bool, ...]) -> None:
    grid = TuningGrid(spare=spare)
    low = grid.confidence if by_confidence else grid.low
    axes = (grid.high, low, grid.smooth, grid.quiet, grid.fall, grid.renew, grid.spare)
    every = np.unique(np.stack([np.asarray(field, np.float64) for field in settings(by_confidence, grid)]), axis=1)
    assert every.shape[1] == np.prod([len(axis) for axis in axes]) == 23_040 * len(spare)
