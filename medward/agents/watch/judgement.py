"""Judging policies over time on logged episodes, and tuning them on validation episodes, all by the same measure.

A policy is tuned to the lowest cost a window on validation episodes; where it is told to, under the condition that it
raises no more false alarms there than a limit, or than another policy does.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from medward.agents.watch.costs import WatchCosts
from medward.agents.watch.environment import Watched, WatchState, begin, glances, step, suspicion
from medward.agents.watch.learner import judge
from medward.agents.watch.network import WatchNetwork, WatchRecipe, greedy, without_alerts
from medward.agents.watch.rules import Quiet, Rule, TuningGrid, follow, quiet_start, settings

NO_FLOOR = -99.0
# What a policy does in a state, given what it remembers; which streams still run.
WatchPolicy = Callable[[Watched, WatchState, Quiet, Array], tuple[Array, Quiet]]


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


def walk(policy: WatchPolicy, logged: Watched, episodes: Int[Array, " episodes"], costs: WatchCosts) -> Tally:
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

    def decision(
        at: tuple[WatchState, Quiet, Array, Tally], _: None
    ) -> tuple[tuple[WatchState, Quiet, Array, Tally], None]:
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
    """How sure a learned watch must be of what it does; tuned on validation episodes.

    An alert's worth grows with what is still to come of an attack and not with how sure it is alone, so that margins on
    worth cannot rule out a doubtful alert without ruling out late ones. A floor on suspicion can.

    Args:
        alert: how much better than allowing an alert must be.
        escalate: likewise for buying evidence.
        floor: the least suspicion, a difference of logits, of a window that is alerted on.
        smooth: the weight of the fast running average beside the window itself in that suspicion.
        tail: the share of the worst quantiles that an effect is judged by; 1 for its mean.
    """

    alert: float = 0.0
    escalate: float = 0.0
    floor: float = NO_FLOOR
    smooth: float = 0.0
    tail: float = 1.0


def learned_policy(network: WatchNetwork, margins: Any, recipe: WatchRecipe) -> WatchPolicy:
    """Return the greedy policy of a trained watch."""

    def decide(logged: Watched, watch: WatchState, quiet: Quiet, runs: Array) -> tuple[Array, Quiet]:
        judged = judge(network, logged, watch, recipe)
        seen = (1 - margins.smooth) * glances(logged, watch)[:, :-1] + margins.smooth * watch.means[:, 0]
        judged = without_alerts(judged, suspicion(seen) < margins.floor)
        action = greedy(judged, watch.evidence > 0, margins.alert, margins.escalate, margins.tail)
        return action, quiet

    return decide


def rule_policy(rule: Rule) -> WatchPolicy:
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
    make: Callable[[Any], WatchPolicy], options: Any, logged: Watched, costs: WatchCosts, limits: Sequence[float | None]
) -> list[Tuned]:
    """Return for each limit the setting with the lowest cost a window on validation episodes.

    Args:
        make: returns the policy of a setting.
        options: the settings, each field an array over them.
        logged: the validation episodes.
        costs: what is measured.
        limits: the most false alarms a benign window that are allowed; None for any. Where no setting keeps to one,
            that with the fewest false alarms is returned.
    """
    count = len(jax.tree.leaves(options)[0])
    everything = np.arange(len(logged.row))
    short = [np.arange(count)] * len(limits)
    if count > _SECOND_LOOK and len(everything) > _FIRST_LOOK:
        cost, rate = _rated(make, options, logged, costs, everything[:: -(-len(everything) // _FIRST_LOOK)])
        # A rate on few episodes is uncertain: what is a little above its limit gets a second look.
        most = [np.inf if limit is None else limit * 1.5 + 1e-3 for limit in limits]
        short = [np.lexsort((rate, np.where(rate <= high, cost, np.inf)))[:_SECOND_LOOK] for high in most]
    chosen = np.unique(np.concatenate(short))
    few = jax.tree.map(lambda field: field[chosen], options)
    cost, rate = _rated(make, few, logged, costs, everything)
    found = []
    for limit, own in zip(limits, short, strict=True):
        place = np.searchsorted(chosen, own)
        allowed = np.where(rate[place] <= (np.inf if limit is None else limit), cost[place], np.inf)
        best = place[int(np.argmin(allowed if np.isfinite(allowed).any() else rate[place]))]
        setting = jax.tree.map(lambda field, best=best: field[best].item(), few)
        found.append(Tuned(setting, float(cost[best]), float(rate[best]), count))
    return found


def _rated(
    make: Callable[[Any], WatchPolicy], options: Any, logged: Watched, costs: WatchCosts, episodes: NDArray[np.intp]
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


def tuned_rule(
    by_confidence: bool,
    logged: Watched,
    costs: WatchCosts,
    limits: Sequence[float | None] = (None,),
    grid: TuningGrid | None = None,
) -> list[Tuned]:
    """Tune the two-threshold rule or the confidence rule on validation episodes, for each limit (see `tune`)."""
    options = settings(by_confidence, grid or TuningGrid())
    return tune(lambda setting: rule_policy(Rule(*setting)), options, logged, costs, limits)


def tuned_margins(
    network: WatchNetwork, logged: Watched, recipe: WatchRecipe, limits: Sequence[float | None] = (None,)
) -> list[Tuned]:
    """Tune a learned watch's margins on validation episodes, for each limit (see `tune`)."""
    alert = (-1.0, -0.5, -0.2, 0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0)
    escalate = (-0.05, 0.0, 0.03, 0.1, 99.0)
    floors = [(NO_FLOOR, 0.0)] + [(f, s) for s in (0.0, 0.3) for f in (-2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0)]
    grid = [(a, e, *own) for a in alert for e in escalate for own in floors]
    options = tuple(jnp.asarray(axis, jnp.float32) for axis in zip(*grid, strict=True))
    return tune(
        lambda setting: learned_policy(network, Margins(*setting), recipe), options, logged, recipe.costs, limits
    )
