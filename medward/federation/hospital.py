"""A hospital's private side: its rows, and the work that a round asks of it. Only integers to be summed leave here."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from medward.agents.learner import start, train
from medward.agents.traffic import Traffic, traffic_of
from medward.federation.encoding import encode_update
from medward.federation.interfaces import IntVector
from medward.federation.shared_model import SharedModel
from medward.flows.schema import Flows
from medward.flows.sketch import count


@dataclass(frozen=True)
class TrainingRows:
    """One hospital's rows.

    Args:
        x: the feature matrix of its rows.
        y: their classes, as the schema numbers them.
        stream: each row's stream.
        order: each row's place in its stream, or None for the order of the rows.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int32]
    stream: NDArray[np.int32]
    order: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.y)


def training_rows(
    flows: Flows, x: NDArray[np.float32], stream: NDArray[np.int32], rows: NDArray[np.intp]
) -> TrainingRows:
    """Return some rows of a data set as one hospital's own."""
    order = None if flows.order is None or not flows.schema.history else flows.order[rows]
    return TrainingRows(x[rows], flows.y[rows], stream[rows], order)


class Hospital:
    """One hospital's private side.

    Args:
        number: its number in the federation, which its random draws derive from.
        rows: its training rows.
    """

    def __init__(self, number: int, rows: TrainingRows) -> None:
        self._number, self._rows = number, rows
        self._traffic: Traffic | None = None

    def work(self, shared: SharedModel, number: int) -> IntVector:
        """Return this hospital's integers for the shared model's next task.

        Args:
            shared: the shared model to work from.
            number: the federation's round; random draws derive from it, so that no two rounds, a void one and its
                repetition included, ever see the same update.
        """
        return self._survey(shared) if shared.task == "survey" else self._update(shared, number)

    def _survey(self, shared: SharedModel) -> IntVector:
        classes = np.bincount(self._rows.y, minlength=len(shared.plan.space.schema.classes))
        return np.concatenate([count(self._rows.x, shared.grid), classes]).astype(np.int64)

    def _update(self, shared: SharedModel, number: int) -> IntVector:
        plan, recipe = shared.plan, shared.plan.recipe
        if self._traffic is None:
            self._traffic = _traffic(self._rows, shared)
        rates = jnp.full(recipe.local_steps, plan.learning_rate(shared.round), jnp.float32)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(plan.seed), 1 + self._number), number)
        begun = start(shared.network(), recipe)
        progress, _ = train(begun, shared.layout(), self._traffic, recipe, rates, key)
        trained = np.asarray(ravel_pytree(progress.network)[0])
        return encode_update(trained - shared.weights, len(self._rows), plan.clip(shared.round))


def _traffic(rows: TrainingRows, shared: SharedModel) -> Traffic:
    """Return the hospital's rows as the learner takes them."""
    assert shared.scaler is not None
    classes = np.array(shared.classes)
    y = np.searchsorted(classes, rows.y).astype(np.int32)
    costs, size = shared.plan.recipe.costs, _rounded_up(len(rows))
    return traffic_of(rows.x, y, rows.stream, rows.order, shared.scaler, len(classes), costs, size)


def _rounded_up(rows: int) -> int:
    """Round up to eight steps per power of two: at most an eighth more, and few different sizes."""
    step = 1 << max(rows.bit_length() - 4, 0)
    return -(-rows // step) * step
