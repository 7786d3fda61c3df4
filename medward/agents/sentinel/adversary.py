"""The adversarial sampler of AE-RL: a second learner picks the class of the next training sample.

Caminero, Lopez-Martin, Carro, "Adversarial environment reinforcement learning algorithm for intrusion detection",
Computer Networks 159 (2019). It stands at a training window, picks a class, is given a window of that class by chance,
and is rewarded with what Sentinel's decision there costs (1 for the highest cost). With P(s, k) its value of picking
class k at window s, and s' the window given:

    P(s, k)  <-  cost(label of s', Sentinel's decision at s') / highest  +  FORESIGHT * max over k' of P(s', k')

Most picks are random, uniform over the classes that there are, so that no class is forgotten; that alone already
balances the classes. A part of each batch is drawn so (`LearningSettings.adversary`); many walks go on side by side.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from medward.agents.sentinel.environment import Environment
from medward.agents.sentinel.layers import Linear
from medward.agents.sentinel.replay import Replay
from medward.agents.sentinel.traffic import TrainingTraffic

FORESIGHT = 0.001
RANDOM_PICKS = 0.8
_HIDDEN = 32
_LEARNING_RATE = 1e-3


class ByClass(NamedTuple):
    """A replay's entries in the order of their classes, to be drawn from one class at a time.

    Args:
        replay: the entries, their reach summed up in this order.
        low: for each class the reach before its first entry.
        mass: for each class the share of draws that falls on it; 0 where the hospital has no window of it.
    """

    replay: Replay
    low: Float[Array, " classes"]
    mass: Float[Array, " classes"]

    @property
    def known(self) -> Bool[Array, " classes"]:
        """Which classes there are windows of."""
        return self.mass > 0

    def draw(
        self, picked: Int[Array, " batch"], key: PRNGKeyArray
    ) -> tuple[Int[Array, " batch"], Float[Array, " batch"]]:
        """Draw a window of each picked class; return rows and their weights."""
        # Kept off both ends, where rounding could reach into the neighbouring class.
        part = jax.random.uniform(key, picked.shape, minval=1e-3, maxval=1 - 1e-3)
        entry = jnp.searchsorted(self.replay.reach, self.low[picked] + part * self.mass[picked], side="right")
        entry = jnp.minimum(entry, len(self.replay.row) - 1)
        return self.replay.row[entry], self.replay.weight[entry]


def by_class(replay: Replay, environment: Environment) -> ByClass:
    """Sort a replay's entries by class."""
    label = environment.label[replay.row]
    order = jnp.argsort(label)
    mass = jnp.diff(replay.reach, prepend=0.0)
    each = jnp.zeros(environment.escalate).at[label].add(mass)
    sorted_replay = Replay(replay.row[order], jnp.cumsum(mass[order]), replay.weight[order])
    return ByClass(sorted_replay, jnp.cumsum(each) - each, each)


class Picker(eqx.Module):
    """P(s, k): one hidden layer over an encoded window.

    Args:
        width: the width of an encoded row.
        classes: how many classes there are.
        key: randomness for the initial weights.
    """

    hidden: Linear
    head: Linear

    def __init__(self, width: int, classes: int, key: PRNGKeyArray) -> None:
        hidden_key, head_key = jax.random.split(key)
        self.hidden = Linear(width, _HIDDEN, hidden_key)
        self.head = Linear(_HIDDEN, classes, head_key, gain=0.25)

    def __call__(self, encoded: Float[Array, "batch width"]) -> Float[Array, "batch classes"]:
        """Return the value of picking each class at each window."""
        return self.head(jax.nn.relu(self.hidden(encoded)))


class Adversary(NamedTuple):
    """Where the adversary stands.

    Args:
        picker: its network.
        optimiser: Adam's state.
        row: the window at which each of its walks stands.
    """

    picker: Picker
    optimiser: optax.OptState
    row: Int[Array, " walks"]


def begin(traffic: TrainingTraffic, walks: int, key: PRNGKeyArray) -> Adversary:
    """Return an adversary that knows nothing yet; its walks start at windows drawn as usual."""
    picker_key, row_key = jax.random.split(key)
    picker = Picker(traffic.encoded.shape[1], traffic.environment.escalate, picker_key)
    row, _ = traffic.replay.draw(row_key, walks)
    return Adversary(picker, optax.adam(_LEARNING_RATE).init(eqx.filter(picker, eqx.is_array)), row)


def pick(
    adversary: Adversary, traffic: TrainingTraffic, entries: ByClass, key: PRNGKeyArray
) -> tuple[Int[Array, " walks"], Int[Array, " walks"], Float[Array, " walks"]]:
    """Pick a class for each walk and draw a window of it.

    Returns:
        The classes, the rows, and the rows' weights.
    """
    random_key, class_key, row_key = jax.random.split(key, 3)
    worth = jnp.where(entries.known, adversary.picker(traffic.encoded[adversary.row]), -jnp.inf)
    drawn = jax.random.categorical(class_key, jnp.where(entries.known, 0.0, -jnp.inf), shape=adversary.row.shape)
    at_random = jax.random.bernoulli(random_key, RANDOM_PICKS, adversary.row.shape)
    picked = jnp.where(at_random, drawn, worth.argmax(axis=1))
    return picked, *entries.draw(picked, row_key)


def learn(
    adversary: Adversary,
    traffic: TrainingTraffic,
    entries: ByClass,
    picked: Int[Array, " walks"],
    row: Int[Array, " walks"],
    reward: Float[Array, " walks"],
) -> Adversary:
    """Learn from what Sentinel's decisions cost at the windows that were given, and walk on to these."""
    following = jnp.where(entries.known, adversary.picker(traffic.encoded[row]), -jnp.inf).max(axis=1)
    target = jax.lax.stop_gradient(reward + FORESIGHT * following)

    def loss(picker: Picker) -> Float[Array, ""]:
        worth = jnp.take_along_axis(picker(traffic.encoded[adversary.row]), picked[:, None], axis=1)[:, 0]
        lost: Float[Array, ""] = optax.huber_loss(worth, target).mean()
        return lost

    gradient = eqx.filter_grad(loss)(adversary.picker)
    change, optimiser = optax.adam(_LEARNING_RATE).update(gradient, adversary.optimiser)
    return Adversary(eqx.apply_updates(adversary.picker, change), optimiser, row)
