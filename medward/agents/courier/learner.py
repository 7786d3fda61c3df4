"""How Courier learns: double, dueling deep Q-learning from a log of decisions, in one compiled program.

A log has, for every decision, what was seen, what was gained and how many bytes were sent; the price of a byte enters
only here, so that one log teaches policies for every price. Several networks learn side by side. With online weights w
of one of them, and the mean Q' of all their targets:

    r        =  gain - price * bytes
    Q(s, a)  <-  r + discount * Q'(s+, argmax over actions of Q_w(s+, .)),   r where the training ended

(double: van Hasselt, Guez, Silver, AAAI 2016; the mean over networks: Anschel, Baram, Shimkin, ICML 2017; dueling
streams: Wang et al., ICML 2016; fitted to a log: Ernst, Geurts, Wehenkel, JMLR 2005). A log has few hundreds of noisy
decisions, and the largest of several noisy values is too large on average. One network alone learned to sum all the
time, since each further decision adds such an excess; the mean over networks has less of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from medward.agents.courier.observation import FEATURES, ONE, Decision, Observation
from medward.agents.courier.policies import LearnedPolicy, fixed_network
from medward.agents.sentinel.layers import Linear


class Log(NamedTuple):
    """Decisions and what they led to.

    Args:
        seen: what was seen, in units of ONE.
        action: the number of the decision in the menu.
        gain: by how much the expected cost of a window fell.
        sent: the bytes that were sent.
        then: what was seen next.
        ended: whether nothing came next.
    """

    seen: Float[Array, "steps features"]
    action: Int[Array, " steps"]
    gain: Float[Array, " steps"]
    sent: Float[Array, " steps"]
    then: Float[Array, "steps features"]
    ended: Bool[Array, " steps"]


@dataclass(frozen=True)
class CourierRecipe:
    """How Courier learns.

    Args:
        price: what a byte costs, in units of the expected cost of a window.
        discount: what a later reward counts now. A training ends, so 1 is sound, and the reward then sums up to what
            the whole training gained.
        hidden: the widths of the hidden layers.
        learning_rate: Adam's at the start; a cosine takes it to 1 %.
        weight_decay: AdamW's.
        batch: decisions an update.
        updates: how many updates are made.
        average: what the target networks keep at each update.
        networks: how many networks learn side by side; the policy is their mean.
        noise: the spread of what is added to observations, in units of ONE: few federations are logged.
        scale: rewards are multiplied by this, so that they are about 1.
    """

    price: float
    discount: float = 1.0
    hidden: tuple[int, ...] = (16, 16)
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    batch: int = 128
    updates: int = 3000
    average: float = 0.99
    networks: int = 8
    noise: float = 0.1
    scale: float = 50.0


class CourierNetwork(eqx.Module):
    """Hidden layers with ReLU and two streams: Q(s, a) = V(s) + A(s, a) - mean of A(s, .).

    Args:
        actions: the length of the menu.
        hidden: the widths of the hidden layers.
        key: randomness for the initial weights.
    """

    hidden: tuple[Linear, ...]
    value: Linear
    advantage: Linear

    def __init__(self, actions: int, hidden: tuple[int, ...], key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, len(hidden) + 2)
        widths = [FEATURES, *hidden]
        self.hidden = tuple(Linear(a, b, k) for a, b, k in zip(widths, widths[1:], keys[2:], strict=False))
        self.value = Linear(widths[-1], 1, keys[0], gain=0.1)
        self.advantage = Linear(widths[-1], actions, keys[1], gain=0.1)

    def __call__(self, seen: Float[Array, "batch features"]) -> Float[Array, "batch actions"]:
        """Return Q of every action."""
        x = seen
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(axis=1, keepdims=True)

    def layers(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return the weights and biases of plain layers that do the same; the two streams become the last one."""
        weight, bias = np.asarray(self.advantage.weight), np.asarray(self.advantage.bias)
        weight = weight - weight.mean(axis=1, keepdims=True) + np.asarray(self.value.weight)
        bias = bias - bias.mean() + np.asarray(self.value.bias)
        return [*((np.asarray(layer.weight), np.asarray(layer.bias)) for layer in self.hidden), (weight, bias)]


def exported(networks: Sequence[CourierNetwork], menu: tuple[Decision, ...]) -> LearnedPolicy:
    """Return the mean of networks of one shape as a policy in integers: one network of blocks side by side."""
    first, *between, last = zip(*(network.layers() for network in networks), strict=True)
    layers = [(np.concatenate([w for w, _ in first], axis=1), np.concatenate([b for _, b in first]))]
    for own in between:
        wide = np.zeros((sum(len(w) for w, _ in own), sum(len(b) for _, b in own)), np.float32)
        row = column = 0
        for weight, _ in own:
            wide[row : row + weight.shape[0], column : column + weight.shape[1]] = weight
            row, column = row + weight.shape[0], column + weight.shape[1]
        layers.append((wide, np.concatenate([b for _, b in own])))
    share = np.float32(1 / len(networks))
    layers.append((np.concatenate([w for w, _ in last]) * share, np.sum([b for _, b in last], axis=0) * share))
    return fixed_network(menu, layers)


def log_of(
    steps: Sequence[tuple[Observation, Decision, float, int, Observation, bool]], menu: tuple[Decision, ...]
) -> Log:
    """Return decisions as the learner takes them.

    Args:
        steps: for each what was seen, the decision, the gain, the bytes, what was seen next, whether it was the last.
        menu: what may be decided; decisions that are not on it are left out.
    """
    kept = [step for step in steps if step[1] in menu]
    seen, decision, gain, sent, then, ended = zip(*kept, strict=True)
    return Log(
        jnp.asarray([o.features() for o in seen], jnp.float32) / ONE,
        jnp.asarray([menu.index(d) for d in decision], jnp.int32),
        jnp.asarray(gain, jnp.float32),
        jnp.asarray(sent, jnp.float32),
        jnp.asarray([o.features() for o in then], jnp.float32) / ONE,
        jnp.asarray(ended, bool),
    )


def learn(log: Log, menu: tuple[Decision, ...], recipe: CourierRecipe, seed: int) -> LearnedPolicy:
    """Learn a policy from a log; the same arguments give the same policy on the same machine."""
    start_key, key = jax.random.split(jax.random.key(seed))
    starts = jax.random.split(start_key, recipe.networks)
    networks = eqx.filter_vmap(lambda own: CourierNetwork(len(menu), recipe.hidden, own))(starts)
    reward = recipe.scale * (log.gain - recipe.price * log.sent)
    learned = _learn(networks, log, reward, replace(recipe, price=0.0), key)
    arrays, shape = eqx.partition(learned, eqx.is_array)
    return exported(
        [eqx.combine(jax.tree.map(lambda a, k=k: a[k], arrays), shape) for k in range(recipe.networks)], menu
    )


@eqx.filter_jit
def _learn(
    networks: CourierNetwork, log: Log, reward: Float[Array, " steps"], recipe: CourierRecipe, key: PRNGKeyArray
) -> CourierNetwork:
    """Train networks, which are stacked along the first axis of their arrays."""
    rates = optax.cosine_decay_schedule(recipe.learning_rate, recipe.updates, 0.01)
    optimiser = optax.adamw(rates, weight_decay=recipe.weight_decay)

    @eqx.filter_vmap(in_axes=(eqx.if_array(0), None))
    def each(network: CourierNetwork, seen: Float[Array, "batch features"]) -> Float[Array, "batch actions"]:
        return network(seen)

    def update(at: tuple, own: PRNGKeyArray) -> tuple[tuple, None]:  # type: ignore[type-arg]
        online, targets, state = at
        draw_key, seen_key, then_key = jax.random.split(own, 3)
        drawn = jax.random.randint(draw_key, (recipe.batch,), 0, len(log.action))
        seen, then = (
            part[drawn] + recipe.noise * jax.random.normal(noise_key, (recipe.batch, FEATURES))
            for part, noise_key in ((log.seen, seen_key), (log.then, then_key))
        )
        best = each(online, then).argmax(axis=2)
        follows = jnp.take_along_axis(each(targets, then).mean(axis=0)[None], best[:, :, None], axis=2)[:, :, 0]
        wanted = reward[drawn] + recipe.discount * jnp.where(log.ended[drawn], 0.0, follows)

        def loss(networks: CourierNetwork) -> Float[Array, ""]:
            given = jnp.take_along_axis(each(networks, seen), log.action[drawn][None, :, None], axis=2)[:, :, 0]
            lost: Float[Array, ""] = optax.huber_loss(given, wanted).mean(axis=1).sum()
            return lost

        gradient = eqx.filter_grad(loss)(online)
        change, state = optimiser.update(gradient, state, eqx.filter(online, eqx.is_array))
        online = eqx.apply_updates(online, change)
        targets = jax.tree.map(lambda a, w: recipe.average * a + (1 - recipe.average) * w, targets, online)
        return (online, targets, state), None

    begun = (networks, networks, optimiser.init(eqx.filter(networks, eqx.is_array)))
    (_, targets, _), _ = jax.lax.scan(update, begun, jax.random.split(key, recipe.updates))
    learned: CourierNetwork = targets
    return learned
