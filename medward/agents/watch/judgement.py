"""Judging policies over time on logged episodes, and tuning them on validation episodes, all by the same measure.

A policy is tuned to the lowest cost a window on validation episodes; some under the condition that they raise no more
false alarms there than another one does.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from medward.agents.watch.costs import WatchCosts
from medward.agents.watch.environment import Watch, Watched, begin, step
from medward.agents.watch.learner import judge
from medward.agents.watch.network import WatchNetwork, WatchRecipe, greedy
from medward.agents.watch.rules import Grid, Quiet, Rule, follow, quiet_start, settings

# What a policy does in a state, given what it remembers; which streams still run.
Policy = Callable[[Watched, Watch, Quiet, Array], tuple[Array, Quiet]]


class Tally(NamedTuple):
    """What happened in each episode under a policy; all are sums over its windows.

    Args:
        cost: in units of one missed attack window.
        false_alarms: alerts in benign windows.
        benign: benign windows.
        attack: attack windows.
        runs: attack runs.
        found: runs that were alerted to.
        delay: for the found ones, windows from onset to alert, summed.
        missed: attack windows that passed without their run having been alerted to.
        escalations: evidence bought.
    """

    cost: Float[Array, " episodes"]
    false_alarms: Int[Array, " episodes"]
    benign: Int[Array, " episodes"]
    attack: Int[Array, " episodes"]
    runs: Int[Array, " episodes"]
    found: Int[Array, " episodes"]
    delay: Int[Array, " episodes"]
    missed: Int[Array, " episodes"]
    escalations: Int[Array, " episodes"]


def walk(policy: Policy, logged: Watched, episodes: Int[Array, " episodes"], costs: WatchCosts) -> Tally:
    """Run a policy through episodes from their first window to their last."""
    count, windows = len(episodes), logged.row.shape[1]
    zero = jnp.zeros(count, jnp.int32)
    label = logged.label[episodes]
    start = Tally(
        jnp.zeros(count),
        zero,
        (label == 0).sum(axis=1),
        (label > 0).sum(axis=1),
        logged.begins[episodes].sum(axis=1),
        *(zero,) * 4,
    )

    def decision(at: tuple[Watch, Quiet, Array, Tally], _: None) -> tuple[tuple[Watch, Quiet, Array, Tally], None]:
        watch, quiet, runs, tally = at
        action, quiet = policy(logged, watch, quiet, runs)
        after = step(logged, watch, action, costs)
        here = (watch.episode, watch.at)
        attack = logged.label[here] > 0
        escalates = runs & (action == logged.escalate)
        alerts = runs & (action > 0) & ~escalates
        first = alerts & attack & ~watch.alerted
        tally = tally._replace(
            cost=tally.cost - runs * after.reward,
            false_alarms=tally.false_alarms + (alerts & ~attack),
            found=tally.found + first,
            delay=tally.delay + jnp.where(first, logged.onset[here], 0),
            missed=tally.missed + (runs & attack & ~watch.alerted & (action == 0)),
            escalations=tally.escalations + escalates,
        )
        watch = jax.tree.map(lambda a, b: jnp.where(runs.reshape(-1, *(1,) * (a.ndim - 1)), a, b), after.watch, watch)
        return (watch, quiet, runs & ~after.ended, tally), None

    begun = (begin(logged, episodes), quiet_start(count), jnp.ones(count, bool), start)
    most = windows + math.ceil(windows / costs.kept) + 1
    (_, _, _, tally), _ = jax.lax.scan(decision, begun, None, length=most)
    return tally


class Margins(NamedTuple):
    """How much better than allowing the other actions of a learned watch must be; tuned on validation episodes."""

    alert: float = 0.0
    escalate: float = 0.0
    tail: float = 1.0


def learned_policy(network: WatchNetwork, margins: Any, recipe: WatchRecipe) -> Policy:
    """Return the greedy policy of a trained watch."""

    def decide(logged: Watched, watch: Watch, quiet: Quiet, runs: Array) -> tuple[Array, Quiet]:
        judged = judge(network, logged, watch, recipe)
        action = greedy(judged, watch.evidence > 0, margins.alert, margins.escalate, margins.tail)
        return action, quiet

    return decide


def rule_policy(rule: Rule) -> Policy:
    """Return a rule as a policy."""
    return lambda logged, watch, quiet, runs: follow(rule, logged, watch, quiet, runs)


class Tuned(NamedTuple):
    """The setting that tuning chose, what it did on validation episodes, and how many settings were tried."""

    setting: Any
    cost: float
    false_alarm_rate: float
    tried: int


# Tuning looks at this many episodes first, and then at all with the settings that were best there.
_FIRST_LOOK, _SECOND_LOOK = 32, 128


def tune(
    make: Callable[[Any], Policy], options: Any, logged: Watched, costs: WatchCosts, false_alarms: float | None = None
) -> Tuned:
    """Return the setting with the lowest cost a window on validation episodes.

    Args:
        make: returns the policy of a setting.
        options: the settings, each field an array over them.
        logged: the validation episodes.
        costs: what is measured.
        false_alarms: the most false alarms a benign window that are allowed; None for any.
    """
    count = len(jax.tree.leaves(options)[0])
    everything = np.arange(len(logged.row))
    chosen = np.arange(count)
    if count > _SECOND_LOOK and len(everything) > _FIRST_LOOK:
        cost, rate = _rated(make, options, logged, costs, everything[:: -(-len(everything) // _FIRST_LOOK)])
        allowed = np.where(rate <= (np.inf if false_alarms is None else false_alarms * 1.5 + 1e-3), cost, np.inf)
        chosen = np.argsort(allowed, kind="stable")[:_SECOND_LOOK]
    few = jax.tree.map(lambda field: field[chosen], options)
    cost, rate = _rated(make, few, logged, costs, everything)
    allowed = cost if false_alarms is None else np.where(rate <= false_alarms, cost, np.inf)
    best = int(np.argmin(allowed))
    if not np.isfinite(allowed[best]):
        best = int(np.argmin(rate))
    setting = jax.tree.map(lambda field: field[best].item(), few)
    return Tuned(setting, float(cost[best]), float(rate[best]), count)


def _rated(
    make: Callable[[Any], Policy], options: Any, logged: Watched, costs: WatchCosts, episodes: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each setting's cost a window and false alarms a benign window."""

    # The episodes go in as an argument: as constants, the compiler would spend minutes on folding them.
    @jax.jit
    def all_of(options: Any, logged: Watched, episodes: Array) -> tuple[Array, Array]:
        def one(setting: Any) -> tuple[Array, Array]:
            tally = walk(make(setting), logged, episodes, costs)
            windows = len(episodes) * logged.row.shape[1]
            return tally.cost.sum() / windows, tally.false_alarms.sum() / jnp.maximum(tally.benign.sum(), 1)

        cost, rate = jax.lax.map(one, options)
        return cost, rate

    cost, rate = all_of(options, logged, jnp.asarray(episodes))
    return np.asarray(cost, np.float64), np.asarray(rate, np.float64)


def tuned_rule(by_confidence: bool, logged: Watched, costs: WatchCosts, grid: Grid | None = None) -> Tuned:
    """Tune the two-threshold rule or the confidence rule on validation episodes."""
    return tune(lambda setting: rule_policy(Rule(*setting)), settings(by_confidence, grid or Grid()), logged, costs)


def tuned_margins(
    network: WatchNetwork, logged: Watched, recipe: WatchRecipe, false_alarms: float | None = None
) -> Tuned:
    """Tune a learned watch's margins on validation episodes."""
    alert = (-1.0, -0.5, -0.2, 0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0)
    escalate = (-0.05, 0.0, 0.03, 0.1, 99.0)
    grid = [jnp.asarray(axis).ravel() for axis in jnp.meshgrid(jnp.array(alert), jnp.array(escalate), indexing="ij")]
    options = Margins(grid[0], grid[1], jnp.ones(len(grid[0])))  # type: ignore[arg-type]
    return tune(
        lambda setting: learned_policy(network, Margins(setting[0], setting[1]), recipe),
        (options.alert, options.escalate),
        logged,
        recipe.costs,
        false_alarms,
    )
