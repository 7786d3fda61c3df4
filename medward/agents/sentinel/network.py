"""Sentinel's Q-network: dueling streams over what of a window's features is visible."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from medward.agents.sentinel.layers import Linear, PiecewiseEmbedding, QuaternionLinear, holomorphic_square
from medward.agents.sentinel.recipe import Activation, Recipe
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import Group


class Layout(eqx.Module):
    """How the encoded rows of one scaler are laid out; fixed by the data, never trained.

    Args:
        low: for each number and bin the bin's lower edge in scaled units.
        inverse: one over the bin's width, 0 for bins that a number does not have.
        number_cheap: for each number whether it is visible without buying evidence.
        number_history: for each number whether it is history.
        indicator_cheap: for each indicator whether it is cheap.
        flag_cheap: for each flag of missing values whether its column is cheap.
    """

    low: Float[Array, "numbers bins"]
    inverse: Float[Array, "numbers bins"]
    number_cheap: Bool[Array, " numbers"]
    number_history: Bool[Array, " numbers"]
    indicator_cheap: Bool[Array, " indicators"]
    flag_cheap: Bool[Array, " flags"]

    @property
    def numbers(self) -> int:
        """How many numbers there are."""
        return len(self.number_cheap)

    @property
    def indicators(self) -> int:
        """How many indicators there are."""
        return len(self.indicator_cheap)


def layout_of(space: FeatureSpace, scaler: Scaler) -> Layout:
    """Return the layout of the rows that `scaler` encodes."""
    bins = scaler.bins.shape[1] - 1
    inside = np.arange(bins)[None, :] < scaler.bin_count[:, None]
    width = np.where(inside, np.diff(scaler.bins, axis=1), 1.0)
    cheap = np.array([column.group is Group.CHEAP for column in space.columns])
    history = np.array([column.history for column in space.columns])
    return Layout(
        low=jnp.asarray(scaler.bins[:, :-1]),
        inverse=jnp.asarray(np.where(inside, 1.0 / width, 0.0), jnp.float32),
        number_cheap=jnp.asarray(cheap[scaler.numbers]),
        number_history=jnp.asarray(history[scaler.numbers]),
        indicator_cheap=jnp.asarray(cheap[scaler.indicators]),
        flag_cheap=jnp.asarray(cheap[scaler.flags]),
    )


class Streams(NamedTuple):
    """The two streams of a dueling network for a batch of states.

    Args:
        value: what is still to come after this window, as a (negative) discounted cost.
        advantage: for each action the logit of `1 + (its own expected cost, negative) / (the highest cost)`; the
            actions are ALLOW, ALERT as each attack class, ESCALATE.
    """

    value: Float[Array, " batch"]
    advantage: Float[Array, "batch actions"]


class SentinelNetwork(eqx.Module):
    """The trainable part: embedding, hidden layers, and a value and an advantage stream.

    Args:
        layout: what the encoded rows hold.
        classes: how many classes there are; there is one action more, ESCALATE.
        recipe: the network's shape.
        key: randomness for the initial weights.
    """

    embedding: PiecewiseEmbedding | None
    hidden: tuple[Linear | QuaternionLinear, ...]
    value: Linear
    advantage: Linear
    activation: Activation = eqx.field(static=True)

    def __init__(self, layout: Layout, classes: int, recipe: Recipe, key: PRNGKeyArray) -> None:
        self.activation = recipe.network.activation
        keys = jax.random.split(key, len(recipe.network.hidden) + 3)
        self.embedding = (
            PiecewiseEmbedding(layout.numbers, layout.low.shape[1], recipe.network.embedding, keys[0])
            if recipe.network.embedding
            else None
        )
        widths = [input_width(layout, recipe), *recipe.network.hidden]
        make = QuaternionLinear if recipe.network.layer == "quaternion" else Linear
        self.hidden = tuple(make(a, b, k) for a, b, k in zip(widths, widths[1:], keys[1:-2], strict=False))
        # The last layers start small, so that the first targets are near each other.
        self.value = Linear(widths[-1], 1, keys[-2], gain=0.25)
        self.advantage = Linear(widths[-1], classes + 1, keys[-1], gain=0.25)

    def __call__(
        self,
        layout: Layout,
        encoded: Float[Array, "batch width"],
        bought: Float[Array, " batch"],
        dropout: float = 0.0,
        key: PRNGKeyArray | None = None,
    ) -> Streams:
        """Return both streams for a batch of states.

        Args:
            layout: what `encoded` holds.
            encoded: rows as `Scaler.encode` returns them.
            bought: for each 1 where the evidence was bought, else 0.
            dropout: the share of hidden units to leave out, in training.
            key: randomness for it.
        """
        x = self._visible(layout, encoded, bought)
        for layer in self.hidden:
            x = jax.nn.relu(layer(x)) if self.activation == "relu" else holomorphic_square(layer(x))
            if dropout and key is not None:
                key, own = jax.random.split(key)
                x = x * jax.random.bernoulli(own, 1 - dropout, x.shape) / (1 - dropout)
        return Streams(self.value(x)[:, 0], self.advantage(x))

    def _visible(
        self, layout: Layout, encoded: Float[Array, "batch width"], bought: Float[Array, " batch"]
    ) -> Float[Array, "batch inputs"]:
        many, ones = layout.numbers, layout.indicators
        numbers, present, indicators, flags = jnp.split(encoded, [many, 2 * many, 2 * many + ones], axis=1)
        shown = bought[:, None]
        present = present * jnp.where(layout.number_cheap, 1.0, shown)
        if self.embedding is None:
            embedded = numbers * present
        else:
            filled = jnp.clip((numbers[:, :, None] - layout.low) * layout.inverse, 0.0, 1.0)
            embedded = (self.embedding(filled) * present[:, :, None]).reshape(len(encoded), -1)
        parts = [
            embedded,
            indicators * jnp.where(layout.indicator_cheap, 1.0, shown),
            flags * jnp.where(layout.flag_cheap, 1.0, shown),
            shown,
            (present * layout.number_history).max(axis=1, keepdims=True, initial=0.0),
        ]
        x = jnp.concatenate(parts, axis=1)
        if self.activation == "square":
            x = jnp.clip(x, 0.0, 1.0)
        missing = self.hidden[0].weight.shape[-2] * (4 if self.hidden[0].weight.ndim == 3 else 1) - x.shape[1]
        return jnp.pad(x, ((0, 0), (0, missing)))


def input_width(layout: Layout, recipe: Recipe) -> int:
    """Return the width of the first layer's input, rounded up to whole quaternions where the layers are."""
    width = layout.numbers * max(recipe.network.embedding, 1) + layout.indicators + len(layout.flag_cheap) + 2
    return -(-width // 4) * 4 if recipe.network.layer == "quaternion" else width


def weights_of(network: SentinelNetwork) -> int:
    """Return how many trainable weights the network has."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_array)))
