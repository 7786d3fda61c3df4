"""The environment over time: what an action on a device's stream costs now, and what it changes for later.

    ALLOW           the window passes
    ALERT as k      an analyst is called, or a place in the queue taken; the window passes
    ESCALATE        the expensive evidence is bought for this window and the next ones; the same window is then decided

Alerts have lasting effects: the first right alert of an attack's run puts the run in an analyst's hands as soon as the
queue is worked off, and its further windows then cost nothing; every false alarm makes later alerts wait. So does
evidence, which keeps coming for some windows. The traffic itself is logged: no action changes what the device sends.
Escalating only unmasks features that were logged anyway, so the outcome of every sequence of actions is exact.
"""

from collections.abc import Collection
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from medward.agents.watch.costs import WatchCosts
from medward.agents.watch.episodes import Episodes

# Rates of the running averages of what the windows looked like: about the last 2 and the last 10 windows.
RATES = (0.5, 0.1)
Sight = Literal["suspicion", "glance", "averages", "evidence", "alerts", "queue"]
SIGHTS: tuple[Sight, ...] = get_args(Sight)
LONG_AGO = 100
# The agent sees how long ago its last alert was as it fades over so many windows, besides its logarithm.
_ALERT_MEMORIES = (3.0, 8.0, 20.0)


class Watched(NamedTuple):
    """Logged episodes, and what each of their windows looks like to the window network.

    Args:
        glance: for each row, without and with its evidence, all actions' logits (medward.agents.watch.perception).
        row: for each episode and window the row.
        label: its class.
        onset: how long its attack has run.
        begins: whether an attack begins there.
        background: whether another device's alert arrives.
        escalation: what ESCALATE costs.
    """

    glance: Float[Array, "rows 2 actions"]
    row: Int[Array, "episodes windows"]
    label: Int[Array, "episodes windows"]
    onset: Int[Array, "episodes windows"]
    begins: Bool[Array, "episodes windows"]
    background: Bool[Array, "episodes windows"]
    escalation: Float[Array, ""]

    @property
    def escalate(self) -> int:
        """The action that buys evidence: the last one."""
        return int(self.glance.shape[2]) - 1


class WatchState(NamedTuple):
    """Where the watch over some streams stands.

    Args:
        episode: which episode.
        at: the window.
        evidence: for how many windows, this one included, evidence comes.
        backlog: the analyst's work in hand and waiting, in windows.
        alerted: whether the present attack run was alerted to; hidden from the agent.
        waiting: for how many windows that alert still waits; hidden from the agent.
        ticket: for how many windows the last alert, right or wrong, still waits.
        since: how many windows ago the last alert was, LONG_AGO at the most.
        named: the class that it named, 0 before the first.
        means: the running averages of the glances' decision logits.
    """

    episode: Int[Array, " streams"]
    at: Int[Array, " streams"]
    evidence: Int[Array, " streams"]
    backlog: Int[Array, " streams"]
    alerted: Bool[Array, " streams"]
    waiting: Int[Array, " streams"]
    ticket: Int[Array, " streams"]
    since: Int[Array, " streams"]
    named: Int[Array, " streams"]
    means: Float[Array, "streams 2 decisions"]


class WatchOutcome(NamedTuple):
    """What an action brings.

    Args:
        reward: the negative cost.
        watch: where the stream stands then.
        ended: whether that was the episode's last window.
        waited: whether a window passed, so that what follows is discounted.
    """

    reward: Float[Array, " streams"]
    watch: WatchState
    ended: Bool[Array, " streams"]
    waited: Bool[Array, " streams"]


def watched(episodes: Episodes, glance: NDArray[np.float32], escalation: float) -> Watched:
    """Return episodes as the environment takes them; of the rows, only those that stand in an episode are kept."""
    rows, place = np.unique(episodes.row, return_inverse=True)
    return Watched(
        glance=jnp.asarray(glance[rows]),
        row=jnp.asarray(place.reshape(episodes.row.shape), jnp.int32),
        label=jnp.asarray(episodes.label),
        onset=jnp.asarray(episodes.onset),
        begins=jnp.asarray(episodes.begins),
        background=jnp.asarray(episodes.background),
        escalation=jnp.float32(escalation),
    )


def begin(logged: Watched, episode: Int[Array, " streams"]) -> WatchState:
    """Return the watch at the first window of episodes; nothing is remembered, nobody is busy."""
    zero = jnp.zeros(len(episode), jnp.int32)
    first = logged.glance[logged.row[episode, 0], 0, :-1]
    return WatchState(
        episode=episode,
        at=zero,
        evidence=zero,
        backlog=zero,
        alerted=jnp.zeros(len(episode), bool),
        waiting=zero,
        ticket=zero,
        since=jnp.full(len(episode), LONG_AGO),
        named=zero,
        means=jnp.stack([first, first], axis=1),
    )


def glances(logged: Watched, watch: WatchState) -> Float[Array, "streams actions"]:
    """Return what the present windows look like, with the evidence where it comes."""
    return logged.glance[logged.row[watch.episode, watch.at], (watch.evidence > 0).astype(jnp.int32)]


def named(logged: Watched, watch: WatchState) -> Int[Array, " streams"]:
    """Return the class that an alert would name: the likeliest attack, by this window and the last ones."""
    seen = glances(logged, watch)[:, :-1] + watch.means[:, 0]
    return 1 + seen[:, 1:].argmax(axis=1)


def observe(
    logged: Watched, watch: WatchState, costs: WatchCosts, sees: Collection[Sight] = SIGHTS
) -> Float[Array, "streams inputs"]:
    """Return what the agent sees; what is not in `sees` is 0.

    Args:
        logged: the episodes.
        watch: where the streams stand.
        costs: the scales of times.
        sees: suspicion (of this window and the last ones, and of being worth evidence), glance (each class's logit),
            averages (each class's, over the last windows), evidence (what comes), alerts (the time since the last
            one, and whether the next one would name another class), queue (the backlog, and how long the own alert
            still waits).
    """
    glance = glances(logged, watch)
    now, fast, slow = glance[:, :-1], watch.means[:, 0], watch.means[:, 1]
    suspected = [suspicion(seen) / 4.0 for seen in (now, fast, slow, (now + fast) / 2)]
    benign = [seen[:, 0] / 4.0 for seen in (now, fast, slow)]
    groups: dict[Sight, list[Array]] = {
        "suspicion": [*suspected, *benign, glance[:, -1] / 4.0],
        "glance": list(now.T / 4.0),
        "averages": [*(fast.T / 4.0), *(slow.T / 4.0), *((now - slow).T / 4.0)],
        "evidence": [watch.evidence > 0, watch.evidence / costs.kept],
        "alerts": [
            jnp.log1p(watch.since) / 4.0,
            watch.since >= LONG_AGO,
            *(jnp.exp(-watch.since / memory) for memory in _ALERT_MEMORIES),
            (watch.named > 0) & (named(logged, watch) != watch.named),
        ],
        "queue": [watch.backlog / costs.handling, watch.ticket / costs.handling],
    }
    columns = [column * (group in sees) for group, own in groups.items() for column in own]
    return jnp.stack(columns, axis=1)


def inputs(actions: int) -> int:
    """Return how wide an observation is."""
    return 8 + 4 * (actions - 1) + 2 + 3 + len(_ALERT_MEMORIES) + 2


def suspicion(seen: Float[Array, "streams decisions"]) -> Float[Array, " streams"]:
    """Return how much likelier the likeliest attack is than benign traffic, as a difference of logits."""
    return seen[:, 1:].max(axis=1) - seen[:, 0]


def step(logged: Watched, watch: WatchState, action: Int[Array, " streams"], costs: WatchCosts) -> WatchOutcome:
    """Return what `action` brings. ESCALATE where evidence comes already is no action and must not be asked for."""
    escalates = action == logged.escalate
    reward = _reward(logged, watch, action, costs)
    bought = watch._replace(evidence=jnp.full_like(watch.evidence, costs.kept))
    passed, ended = _passed(logged, watch, jnp.where(escalates, 0, action), costs)
    after = jax.tree.map(lambda a, b: jnp.where(escalates.reshape(-1, *(1,) * (a.ndim - 1)), a, b), bought, passed)
    return WatchOutcome(reward, after, ended & ~escalates, ~escalates)


def _reward(
    logged: Watched, watch: WatchState, action: Int[Array, " streams"], costs: WatchCosts
) -> Float[Array, " streams"]:
    here = (watch.episode, watch.at)
    label, onset = logged.label[here], logged.onset[here]
    attack = label > 0
    waits = jnp.where(watch.waiting > 0, costs.late, 0.0)
    allow = jnp.where(attack, jnp.where(watch.alerted, waits, costs.miss), 0.0)
    bonus = costs.early_bonus * jnp.maximum(1.0 - onset / costs.early, 0.0)
    wait_now = jnp.where(watch.backlog > 0, costs.late, 0.0)
    first = jnp.where(action == label, 0.0, costs.wrong_class) - bonus + wait_now
    alert = jnp.where(attack, jnp.where(watch.alerted, waits + costs.repeat, first), costs.false_alarm)
    return -jnp.where(action == logged.escalate, logged.escalation, jnp.where(action == 0, allow, alert))


def _passed(
    logged: Watched, watch: WatchState, names: Int[Array, " streams"], costs: WatchCosts
) -> tuple[WatchState, Bool[Array, " streams"]]:
    """Let the window pass; an alert, which `names` a class and not 0, takes its place in the queue first."""
    here, alert = (watch.episode, watch.at), names > 0
    attack = logged.label[here] > 0
    found = alert & attack & ~watch.alerted
    # Right, wrong and repeated alerts take the same time: the queue's length must not tell which it was.
    work = jnp.where(alert, costs.handling, 0)
    last = watch.at + 1 >= logged.row.shape[1]
    following = (watch.episode, jnp.minimum(watch.at + 1, logged.row.shape[1] - 1))
    work += jnp.where(logged.background[following], costs.handling, 0)
    same_run = (logged.label[following] > 0) & ~logged.begins[following]
    waiting = jnp.where(found, watch.backlog, watch.waiting)
    rates = jnp.array(RATES)[None, :, None]
    now = glances(logged, watch)[:, None, :-1]
    return (
        WatchState(
            episode=watch.episode,
            at=following[1],
            evidence=jnp.maximum(watch.evidence - 1, 0),
            backlog=jnp.clip(watch.backlog + work - 1, 0, costs.backlog),
            alerted=(watch.alerted | found) & same_run,
            waiting=jnp.where(same_run, jnp.maximum(waiting - 1, 0), 0),
            ticket=jnp.maximum(jnp.where(alert, watch.backlog, watch.ticket) - 1, 0),
            since=jnp.where(alert, 1, jnp.minimum(watch.since + 1, LONG_AGO)),
            named=jnp.where(alert, names, watch.named),
            means=watch.means + rates * (now - watch.means),
        ),
        last,
    )
