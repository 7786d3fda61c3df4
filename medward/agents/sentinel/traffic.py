"""The training traffic of one hospital's Sentinel, made of its rows and a fitted scaler."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from medward.agents.costs import Costs
from medward.agents.sentinel.environment import STREAM_END, Environment, cost_matrix, following_rows
from medward.agents.sentinel.replay import Replay, fold
from medward.flows.scaling import Scaler


class TrainingTraffic(NamedTuple):
    """What one hospital learns from.

    Args:
        encoded: every row as `Scaler.encode` returns it.
        environment: the streams that the rows form.
        replay: the rows that may be drawn.
    """

    encoded: Float[Array, "rows width"]
    environment: Environment
    replay: Replay


def traffic_of(
    x: NDArray[np.float32],
    y: NDArray[np.int32],
    stream: NDArray[np.int32],
    order: NDArray[np.float64] | None,
    scaler: Scaler,
    classes: int,
    costs: Costs,
    size: int | None = None,
    trust: NDArray[np.float32] | None = None,
) -> TrainingTraffic:
    """Return rows as the learner takes them.

    Args:
        x: the raw feature matrix of the rows.
        y: their classes, 0 benign.
        stream: for each row its stream.
        order: each row's place in its stream; None for the order of the rows.
        scaler: fitted on training rows.
        classes: how many classes there are.
        costs: what decisions cost.
        size: pad to this many rows, so that hospitals of like size share a compiled program; padding is never drawn.
        trust: how often each row counts, in (0, 1]; None for once each.
    """
    total = len(y)
    rest = 0 if size is None else size - total
    own = np.arange(total)
    following = following_rows(own, stream, order, total)
    return TrainingTraffic(
        encoded=jnp.asarray(np.pad(scaler.encode(x), ((0, rest), (0, 0)))),
        environment=Environment(
            label=jnp.asarray(np.pad(y, (0, rest))),
            following=jnp.asarray(np.pad(following, (0, rest), constant_values=STREAM_END)),
            cost=jnp.asarray(cost_matrix(classes, costs)),
            escalation=jnp.float32(costs.escalation),
        ),
        replay=fold(x, y, own, size, trust),
    )
