"""Sentinel's environment: a device's stream of windows, evidence that can be bought, and the cost of each choice.

A state is a window (a row) and whether its expensive evidence was bought. The actions are

    0           ALLOW
    k > 0       ALERT as class k
    classes     ESCALATE: buy the evidence; the same window is then decided with it, and cannot be escalated again

ALLOW and ALERT move on to the stream's next window. Rewards are negative costs. Every outcome of every action is known
from logged traffic, because escalating only unmasks what was logged anyway: the counterfactuals are exact.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from medward.agents.costs import Costs

ALLOW = 0
STREAM_END = -1


class StreamState(NamedTuple):
    """Where a batch of streams stands.

    Args:
        row: the window's row number.
        bought: whether its evidence was bought.
    """

    row: Int[Array, " batch"]
    bought: Bool[Array, " batch"]


class StepOutcome(NamedTuple):
    """What an action brings.

    Args:
        reward: the negative cost.
        state: where the stream stands then; at a stream's end its last state, which no value may be taken from.
        ended: whether the stream has no further window.
        waited: whether a window went by, so that what follows is discounted.
    """

    reward: Float[Array, " batch"]
    state: StreamState
    ended: Bool[Array, " batch"]
    waited: Bool[Array, " batch"]


class Environment(NamedTuple):
    """Logged streams of windows.

    Args:
        label: for each row its class, 0 benign.
        following: for each row the next row of its stream, STREAM_END at the end.
        cost: for each class and decision (ALLOW, ALERT as k) what it costs.
        escalation: what ESCALATE costs.
    """

    label: Int[Array, " rows"]
    following: Int[Array, " rows"]
    cost: Float[Array, "classes classes"]
    escalation: Float[Array, ""]

    @property
    def escalate(self) -> int:
        """The action that buys evidence: the last one."""
        return int(self.cost.shape[1])

    def step(self, state: StreamState, action: Int[Array, " batch"]) -> StepOutcome:
        """Return what `action` brings in `state`. ESCALATE with the evidence already bought is no action."""
        escalates = action == self.escalate
        decision = jnp.minimum(action, self.escalate - 1)
        reward = -jnp.where(escalates, self.escalation, self.cost[self.label[state.row], decision])
        following = self.following[state.row]
        ended = ~escalates & (following == STREAM_END)
        row = jnp.where(escalates | ended, state.row, following)
        return StepOutcome(reward, StreamState(row, escalates | (ended & state.bought)), ended, ~escalates)


def cost_matrix(classes: int, costs: Costs) -> NDArray[np.float32]:
    """Return what each decision (columns: ALLOW, ALERT as 1, 2, ...) costs on a window of each class (rows)."""
    cost = np.full((classes, classes), costs.wrong_class, np.float32)
    cost[0, :], cost[:, 0] = costs.false_alarm, costs.miss
    np.fill_diagonal(cost, 0.0)
    return cost


def following_rows(
    rows: NDArray[np.intp], stream: NDArray[np.int32], order: NDArray[np.float64] | None, total: int
) -> NDArray[np.int32]:
    """Return for each row of the data set the next one of its stream among `rows`.

    Args:
        rows: the rows that make up the streams; others get STREAM_END.
        stream: for each row of the data set its stream.
        order: for each row its place in the stream; None for the order of the rows.
        total: how many rows the data set has.
    """
    key = order[rows] if order is not None else rows
    ordered = rows[np.lexsort((key, stream[rows]))]
    following = np.full(total, STREAM_END, np.int32)
    joined = stream[ordered[:-1]] == stream[ordered[1:]]
    following[ordered[:-1][joined]] = ordered[1:][joined]
    return following
