"""The watch's Q-network: a value of letting the window pass, and what every other action changes about it."""

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from medward.agents.sentinel.layers import Linear, QuaternionLinear
from medward.agents.sentinel.recipe import Layer
from medward.agents.watch.costs import WatchCosts
from medward.agents.watch.environment import Sight

# What the rules see too, and the queue. Each class's logits as well: many inputs more, for few hundreds of attacks.
COMPACT: tuple[Sight, ...] = ("suspicion", "evidence", "alerts", "queue")


@dataclass(frozen=True)
class WatchRecipe:
    """How the watch learns.

    Args:
        discount: what a cost one window later counts now; 0 makes every window stand for itself.
        steps: the decisions that a return sums up before the target network rates what follows.
        quantiles: 1 for the mean of an action's effect, more for as many quantiles of it.
        hidden: the widths of the hidden layers.
        layer: real or quaternion hidden layers.
        sees: what is observed (medward.agents.watch.environment.observe).
        learning_rate: Adam's, after a warm-up and before a cosine to 1 %.
        streams: how many episodes are walked side by side: the samples of an update.
        updates: how many updates are made.
        explore: the share of random actions on the walk, at the start; it falls to a tenth of that.
        average: what the target network keeps at each update.
        value_weight: the weight of the value's loss beside the effects'.
        noise: the spread of what is added to observations in training, against learning single blocks by heart.
        weight_decay: AdamW's.
        costs: what is learned to avoid.
    """

    discount: float = 0.95
    steps: int = 4
    quantiles: int = 1
    hidden: tuple[int, ...] = (64, 64)
    layer: Layer = "real"
    sees: tuple[Sight, ...] = COMPACT
    learning_rate: float = 5e-3
    streams: int = 512
    updates: int = 3000
    explore: float = 0.3
    average: float = 0.995
    value_weight: float = 0.1
    noise: float = 0.15
    weight_decay: float = 1e-2
    costs: WatchCosts = field(default_factory=WatchCosts)


OUT_OF_QUESTION = -1e6


class WatchValues(eqx.Module):
    """What the network says of a batch of states.

    Args:
        value: what is to come if the window is let pass: Q(s, ALLOW).
        effect: for each action the quantiles of what it changes about that; 0 for ALLOW, and far below for alerts
            that would name another class than the likeliest.
    """

    value: Float[Array, " batch"]
    effect: Float[Array, "batch actions quantiles"]

    def q(self) -> Float[Array, "batch actions"]:
        """Return Q(s, a), the mean over the quantiles."""
        return self.value[:, None] + self.effect.mean(axis=2)


class WatchNetwork(eqx.Module):
    """Hidden layers and two streams, dueling with ALLOW as the action that the others are compared with.

    Args:
        inputs: the width of an observation.
        actions: how many actions there are.
        recipe: the network's shape.
        key: randomness for the initial weights.
    """

    hidden: tuple[Linear | QuaternionLinear, ...]
    value: Linear
    effect: Linear
    actions: int = eqx.field(static=True)

    def __init__(self, inputs: int, actions: int, recipe: WatchRecipe, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, len(recipe.hidden) + 2)
        quaternion = recipe.layer == "quaternion"
        widths = [-(-inputs // 4) * 4 if quaternion else inputs, *recipe.hidden]
        make = QuaternionLinear if quaternion else Linear
        self.hidden = tuple(make(a, b, k) for a, b, k in zip(widths, widths[1:], keys[2:], strict=False))
        self.value = Linear(widths[-1], 1, keys[0], gain=0.1)
        self.effect = Linear(widths[-1], 2 * recipe.quantiles, keys[1], gain=0.1)
        self.actions = actions

    def __call__(self, seen: Float[Array, "batch inputs"], named: Int[Array, " batch"]) -> WatchValues:
        """Return what the network says of observed states, in which an alert would name the class `named`."""
        first = self.hidden[0].weight
        width = first.shape[-2] * (4 if first.ndim == 3 else 1)
        x = jnp.pad(seen, ((0, 0), (0, width - seen.shape[1])))
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        alert, escalate = jnp.split(self.effect(x), 2, axis=1)
        classes = jnp.arange(1, self.actions - 1)
        alerts = jnp.where((classes == named[:, None])[:, :, None], alert[:, None], OUT_OF_QUESTION)
        return WatchValues(
            self.value(x)[:, 0], jnp.concatenate([jnp.zeros_like(alert)[:, None], alerts, escalate[:, None]], axis=1)
        )


def without_alerts(judged: WatchValues, where: Bool[Array, " batch"]) -> WatchValues:
    """Return the network's answer with alerts out of the question in some states."""
    alerts = judged.effect[:, 1:-1]
    held = jnp.where(where[:, None, None], OUT_OF_QUESTION, alerts)
    return WatchValues(judged.value, judged.effect.at[:, 1:-1].set(held))


def greedy(
    judged: WatchValues,
    evidence: Bool[Array, " batch"],
    alert_margin: float | Float[Array, ""] = 0.0,
    escalate_margin: float | Float[Array, ""] = 0.0,
    tail: float = 1.0,
) -> Array:
    """Return the best action of each state; ESCALATE only where no evidence comes.

    Args:
        judged: the network's answer.
        evidence: whether evidence comes already.
        alert_margin: how much better than allowing an alert must be.
        escalate_margin: likewise for buying evidence.
        tail: the share of the worst quantiles that an effect is judged by; 1 for its mean.
    """
    quantiles = judged.effect.shape[2]
    worst = jnp.sort(judged.effect, axis=2)[:, :, : max(1, round(tail * quantiles))].mean(axis=2)
    escalate = judged.effect.shape[1] - 1
    margin = jnp.full(escalate + 1, alert_margin).at[0].set(0.0).at[escalate].set(escalate_margin)
    options = worst - margin
    return options.at[:, escalate].add(jnp.where(evidence, -jnp.inf, 0.0)).argmax(axis=1)
