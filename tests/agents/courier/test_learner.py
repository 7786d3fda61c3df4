"""The learner finds a known optimum, and its network decides in integers as it did in floats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.courier.exploring import Exploring
from medward.agents.courier.learner import CourierNetwork, CourierRecipe, Log, exported, learn, log_of
from medward.agents.courier.observation import FEATURES, ONE, Decision, Observation
from medward.agents.courier.policies import CourierPolicy, Every, read_policy

MENU = tuple(Decision(periods) for periods in (0, 1, 2, 4))
PERIODS, BYTES, PRICE = 8, 1000, 5e-6
_Step = tuple[Observation, Decision, float, int, Observation, bool]


def _gain(hard: bool, periods: int) -> float:
    """In hard federations every period wants a sum of its own; in easy ones only the first sum is worth its bytes."""
    return 0.02 * periods**0.25 if hard else 0.001 * periods


def _toy(policy: CourierPolicy, hard: bool) -> list[_Step]:
    """Play a federation of which the first sum's cost tells whether it is hard."""
    seen, steps, done = Observation(), [], 0
    while done < PERIODS:
        decision = policy.decide(seen)
        if not decision.periods:
            return [*steps, (seen, decision, 0.0, 0, seen, True)]
        periods = min(decision.periods, PERIODS - done)
        gain = _gain(hard, periods) + (0.03 if done == 0 else 0.0)
        done += periods
        then = Observation(ONE * done // PERIODS, periods, -512, ONE // 4 if hard else ONE // 16)
        steps.append((seen, decision, gain, BYTES, then, done >= PERIODS))
        seen = then
    return steps


def _return(steps: list[_Step]) -> float:
    return sum(gain - PRICE * sent for _, _, gain, sent, _, _ in steps)


def _total(policy: CourierPolicy) -> float:
    return sum(_return(_toy(policy, hard)) for hard in (False, True))


def _optimum() -> float:
    """The best return of both kinds together, by dynamic programming; the kind is known from the first sum on."""

    def rest(done: int, hard: bool) -> float:
        ways = [min(periods, PERIODS - done) for periods in (1, 2, 4)] if done < PERIODS else []
        return max([0.0] + [_gain(hard, way) - PRICE * BYTES + rest(done + way, hard) for way in ways])

    def begun(first: int) -> float:
        return sum(_gain(hard, first) + 0.03 - PRICE * BYTES + rest(first, hard) for hard in (False, True))

    return max(begun(first) for first in (1, 2, 4))


@pytest.fixture(scope="module")
def toy_log() -> Log:
    """Random decisions in 300 toy federations of each kind."""
    steps = [
        step
        for seed in range(300)
        for hard in (False, True)
        for step in _toy(Exploring(Every(1), MENU, (1, 2, 2, 2), 100, 2 * seed + hard), hard)
    ]
    return log_of(steps, MENU)


@pytest.mark.slow
def test_learned_policy_reaches_the_known_optimum_and_beats_every_schedule(toy_log: Log) -> None:
    policy = learn(toy_log, MENU, CourierRecipe(PRICE, updates=2000, networks=4, noise=0.0), seed=0)
    schedules = [_total(Every(periods)) for periods in (1, 2, 4)]
    optimum = _optimum()
    assert optimum > max(schedules) + 0.005
    assert _total(policy) > max(schedules)
    assert _total(policy) >= optimum - 0.003
    easy, hard = (_toy(policy, kind) for kind in (False, True))
    assert sum(sent for *_, sent, _, _ in easy) < sum(sent for *_, sent, _, _ in hard)


@pytest.mark.slow
def test_higher_prices_send_less(toy_log: Log) -> None:
    def sent(price: float) -> int:
        policy = learn(toy_log, MENU, CourierRecipe(price, updates=1500, networks=4, noise=0.0), seed=0)
        return sum(sent for hard in (False, True) for _, _, _, sent, _, _ in _toy(policy, hard))

    assert sent(0.0) > sent(1e-4)


@pytest.mark.slow
def test_exported_networks_decide_in_integers_as_in_floats() -> None:
    networks = [CourierNetwork(len(MENU), (12, 12), jax.random.key(seed)) for seed in range(3)]
    policy = exported(networks, MENU)
    rng = np.random.default_rng(0)
    for _ in range(100):
        seen = Observation(
            *(int(v) for v in (rng.integers(ONE), rng.integers(9), -rng.integers(4000))), cost=int(rng.integers(ONE))
        )
        floats = jnp.asarray([seen.features()], jnp.float32) / ONE
        values = np.mean([network(floats)[0] for network in networks], axis=0)
        np.testing.assert_allclose(policy.values(seen) / ONE, values, atol=0.02)
    again = read_policy(policy.text())
    assert again == policy


def test_log_leaves_out_what_is_not_on_the_menu() -> None:
    steps = _toy(Every(1), hard=True) + _toy(Every(8), hard=True)
    log = log_of(steps, MENU)
    assert log.seen.shape == (PERIODS, FEATURES)
    assert set(np.asarray(log.action).tolist()) == {1}


def test_exploring_draws_by_its_odds_and_the_same_again() -> None:
    seen = [Observation(progress=n) for n in range(2000)]

    def draws(**change: int) -> list[int]:
        fields = {"share": 50, "seed": 1} | change
        policy = Exploring(Every(8), MENU, (0, 1, 1, 2), **fields)
        return [policy.decide(each).periods for each in seen]

    assert draws() == draws()
    assert draws(seed=2) != draws()
    counts = {periods: draws().count(periods) for periods in (0, 1, 2, 4, 8)}
    assert counts[0] == 0
    assert 900 <= counts[8] <= 1100
    assert 400 <= counts[4] <= 600
    assert set(draws(share=0)) == {8}
