"""A convolutional and a recurrent classifier with cross-entropy, for comparison with Sentinel.

Where a data set has history, both read the device's last eight flows, the row itself last; what memory sums up of the
row's longer past (medward.flows.history) joins them before the last two layers, so that they see all that the other
methods see. Where there is none, the convolution runs along the row's own features in the order of the schema, which
is what the literature convolves over, and a recurrent network has nothing to recur over.

Adam with decoupled weight decay, a linear warm-up over 5 % of the updates and a cosine to 1 %, batches of 512 rows
drawn evenly. The whole training is one compiled program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from medward.agents.sentinel.layers import Linear

LOOKBACK = 8
_BATCH, _LEAST_UPDATES, _MOST_UPDATES = 512, 300, 4000
_FILTERS, _STATE, _HIDDEN, _KERNEL = 32, 64, 96, 3


@dataclass(frozen=True)
class Sequences:
    """Rows as sequences.

    Args:
        steps: rows by positions by channels: the flows up to each row, or its features one by one.
        memory: rows by columns that belong to the row as a whole.
    """

    steps: NDArray[np.float32]
    memory: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, rows: Any) -> "Sequences":
        return Sequences(self.steps[rows], self.memory[rows])


def features_in_order(own: NDArray[np.float32], memory: NDArray[np.float32]) -> Sequences:
    """Return each row's own columns as a sequence of one channel."""
    return Sequences(own[:, :, None], memory)


def last_flows(
    own: NDArray[np.float32], memory: NDArray[np.float32], stream: NDArray[np.int32], order: NDArray[np.float64]
) -> Sequences:
    """Return for each row the last flows of its stream, itself last.

    Args:
        own: each row's own columns.
        memory: each row's columns about its past.
        stream: the stream that each row belongs to; no sequence crosses from one into another.
        order: what orders the rows of a stream.

    Returns:
        `LOOKBACK` positions; the last channel is 1, or 0 with all others where the stream had not begun.
    """
    sorted_rows = np.lexsort((order, stream))
    place = np.arange(len(own))
    first = np.r_[True, np.diff(stream[sorted_rows]) != 0]
    begins = np.maximum.accumulate(np.where(first, place, 0))
    back = place[:, None] - np.arange(LOOKBACK - 1, -1, -1)
    there = back >= begins[:, None]
    earlier = np.empty((len(own), LOOKBACK), np.intp)
    earlier[sorted_rows] = np.where(there, sorted_rows[np.maximum(back, 0)], len(own))
    table = np.zeros((len(own) + 1, own.shape[1] + 1), np.float32)
    table[:-1, :-1], table[:-1, -1] = own, 1.0
    return Sequences(table[earlier], memory)


class _Head(eqx.Module):
    """Two layers from what was read of a sequence, and the memory, to a logit of each class."""

    hidden: Linear
    out: Linear

    def __init__(self, inputs: int, classes: int, key: PRNGKeyArray) -> None:
        first, second = jax.random.split(key)
        self.hidden = Linear(inputs, _HIDDEN, first)
        self.out = Linear(_HIDDEN, classes, second, gain=0.25)

    def __call__(self, read: Float[Array, "batch read"], memory: Float[Array, "batch memory"]) -> Array:
        return self.out(jax.nn.relu(self.hidden(jnp.concatenate([read, memory], axis=1))))


class ConvolutionalNetwork(eqx.Module):
    """Two convolutions over three positions, each followed by ReLU and the maximum of every two positions.

    Args:
        positions: how long a sequence is.
        channels: how many numbers each position has.
        memory: how many columns belong to the row as a whole.
        classes: how many classes there are.
        key: randomness for the initial weights.
    """

    convolutions: tuple[Linear, ...]
    head: _Head

    def __init__(self, positions: int, channels: int, memory: int, classes: int, key: PRNGKeyArray) -> None:
        first, second, last = jax.random.split(key, 3)
        self.convolutions = (Linear(_KERNEL * channels, _FILTERS, first), Linear(_KERNEL * _FILTERS, _FILTERS, second))
        left = (positions + 3) // 4
        self.head = _Head(left * _FILTERS + memory, classes, last)

    def __call__(
        self, steps: Float[Array, "batch positions channels"], memory: Float[Array, "batch memory"]
    ) -> Float[Array, "batch classes"]:
        """Return a logit of each class."""
        x = steps
        for convolution in self.convolutions:
            # As one product of matrices, which a processor does faster than the compiler's own convolution.
            padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
            windows = jnp.concatenate([padded[:, k : k + x.shape[1]] for k in range(_KERNEL)], axis=2)
            x = jax.nn.relu(convolution(windows))
            x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0)))
            x = x.reshape(len(x), -1, 2, _FILTERS).max(axis=2)
        return self.head(x.reshape(len(x), -1), memory)


class RecurrentNetwork(eqx.Module):
    """A gated recurrent unit (Cho et al., EMNLP 2014) over the positions; its last state is what was read.

    Args:
        positions: how long a sequence is.
        channels: how many numbers each position has.
        memory: how many columns belong to the row as a whole.
        classes: how many classes there are.
        key: randomness for the initial weights.
    """

    cell: eqx.nn.GRUCell
    head: _Head

    def __init__(self, positions: int, channels: int, memory: int, classes: int, key: PRNGKeyArray) -> None:
        first, last = jax.random.split(key)
        self.cell = eqx.nn.GRUCell(channels, _STATE, key=first)
        self.head = _Head(_STATE + memory, classes, last)

    def __call__(
        self, steps: Float[Array, "batch positions channels"], memory: Float[Array, "batch memory"]
    ) -> Float[Array, "batch classes"]:
        """Return a logit of each class."""

        def step(state: Float[Array, "batch state"], x: Float[Array, "batch channels"]) -> tuple[Array, None]:
            return jax.vmap(self.cell)(x, state), None

        state, _ = jax.lax.scan(step, jnp.zeros((len(steps), _STATE)), steps.swapaxes(0, 1))
        return self.head(state, memory)


SequenceNetwork = ConvolutionalNetwork | RecurrentNetwork


class SequenceClassifier:
    """A network over sequences, used as scikit-learn's classifiers are.

    Args:
        make: one of the networks of this module.
        seed: what initial weights and batches are drawn from.
        learning_rate: the highest one.
        weight_decay: what each update takes off the weights, in units of the learning rate.
        epochs: passes over the training rows, of 300 updates at least and 4,000 at most in all.
    """

    def __init__(
        self,
        make: Callable[[int, int, int, int, PRNGKeyArray], SequenceNetwork],
        seed: int,
        *,
        learning_rate: float,
        weight_decay: float,
        epochs: int = 40,
    ) -> None:
        self._make, self._seed, self._epochs = make, seed, epochs
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._network: SequenceNetwork | None = None
        self.classes_ = np.zeros(0, np.int32)

    def fit(self, x: Sequences, y: NDArray[np.int32], sample_weight: NDArray[np.float64] | None = None) -> Any:
        """Fit to rows; weights are not taken, repeated rows are drawn as often as they stand there."""
        if sample_weight is not None:
            raise ValueError("a SequenceClassifier takes no sample weights: repeat the rows")
        self.classes_, numbered = np.unique(y, return_inverse=True)
        updates = min(max(self._epochs * len(x) // _BATCH, _LEAST_UPDATES), _MOST_UPDATES)
        key, own = jax.random.split(jax.random.key(self._seed))
        positions, channels = x.steps.shape[1:]
        network = self._make(positions, channels, x.memory.shape[1], len(self.classes_), own)
        data = jnp.asarray(x.steps), jnp.asarray(x.memory), jnp.asarray(numbered, jnp.int32)
        self._network = _train(network, self._learning_rate, self._weight_decay, data, jax.random.split(key, updates))
        return self

    def predict_proba(self, x: Sequences) -> NDArray[np.float64]:
        """Return each row's probability of each of `classes_`."""
        if self._network is None:
            raise ValueError("a SequenceClassifier decides nothing before it was fitted")
        parts = [x[at : at + _BATCH] for at in range(0, len(x), _BATCH)]
        chance = [np.asarray(_chances(self._network, jnp.asarray(p.steps), jnp.asarray(p.memory))) for p in parts]
        return np.concatenate(chance).astype(np.float64)


@eqx.filter_jit
def _chances(network: SequenceNetwork, steps: Float[Array, "batch positions channels"], memory: Array) -> Array:
    chances: Float[Array, "batch classes"] = jax.nn.softmax(network(steps, memory))
    return chances


@eqx.filter_jit
def _train(
    network: SequenceNetwork,
    learning_rate: float,
    weight_decay: float,
    data: tuple[Float[Array, "rows positions channels"], Float[Array, "rows memory"], Int[Array, " rows"]],
    keys: PRNGKeyArray,
) -> SequenceNetwork:
    """Make one update for each key.

    The optimiser is made here: given as an argument, it would be another one, and compiled for anew, in every fit.
    """
    steps, memory, y = data
    updates = len(keys)
    rates = optax.warmup_cosine_decay_schedule(0.0, learning_rate, max(1, updates // 20), updates, learning_rate / 100)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rates, weight_decay=weight_decay))
    weights, rest = eqx.partition(network, eqx.is_inexact_array)

    def loss(weights: SequenceNetwork, row: Int[Array, " batch"]) -> Float[Array, ""]:
        logits = eqx.combine(weights, rest)(steps[row], memory[row])
        mean: Float[Array, ""] = optax.softmax_cross_entropy_with_integer_labels(logits, y[row]).mean()
        return mean

    def update(
        carried: tuple[SequenceNetwork, optax.OptState], key: PRNGKeyArray
    ) -> tuple[tuple[SequenceNetwork, Any], None]:
        weights, state = carried
        gradient = jax.grad(loss)(weights, jax.random.randint(key, (_BATCH,), 0, len(y)))
        change, state = optimiser.update(gradient, state, weights)
        return (optax.apply_updates(weights, change), state), None

    (weights, _), _ = jax.lax.scan(update, (weights, optimiser.init(weights)), keys)
    fitted: SequenceNetwork = eqx.combine(weights, rest)
    return fitted
