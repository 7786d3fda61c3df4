"""The environment: what each action costs and where it leads."""

import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.sentinel.environment import STREAM_END, Environment, StreamState, cost_matrix, following_rows

COSTS = Costs(miss=5.0, false_alarm=2.0, wrong_class=1.0, escalation=0.25)


def _environment() -> Environment:
    return Environment(
        label=jnp.array([0, 1, 2]),
        following=jnp.array([1, 2, STREAM_END]),
        cost=jnp.asarray(cost_matrix(3, COSTS)),
        escalation=jnp.float32(COSTS.escalation),
    )


def _step(row: int, bought: bool, action: int) -> tuple[float, int, bool, bool, bool]:
    out = _environment().step(StreamState(jnp.array([row]), jnp.array([bought])), jnp.array([action]))
    return (
        float(out.reward[0]),
        int(out.state.row[0]),
        bool(out.state.bought[0]),
        bool(out.ended[0]),
        bool(out.waited[0]),
    )


@pytest.mark.parametrize(
    ("row", "action", "reward"),
    [(0, 0, 0.0), (0, 1, -2.0), (0, 2, -2.0), (1, 0, -5.0), (1, 1, 0.0), (1, 2, -1.0), (2, 1, -1.0), (2, 2, 0.0)],
)
def test_decisions_cost_what_the_matrix_says(row: int, action: int, reward: float) -> None:
    assert _step(row, False, action)[0] == reward


def test_decision_moves_to_the_next_window_without_its_evidence() -> None:
    assert _step(0, True, 0)[1:] == (1, False, False, True)


def test_escalation_stays_in_the_window_and_buys_its_evidence() -> None:
    assert _step(0, False, 3) == (-0.25, 0, True, False, False)


def test_stream_ends_after_the_decision_on_its_last_window() -> None:
    assert _step(2, False, 1)[3]
    assert not _step(2, False, 3)[3]


def test_following_rows_keep_to_streams_and_to_the_given_rows() -> None:
    stream = np.array([7, 7, 9, 7, 9, 9], np.int32)
    order = np.array([3.0, 1.0, 1.0, 2.0, 3.0, 2.0])
    following = following_rows(np.array([0, 1, 2, 3, 4]), stream, order, 6)
    assert following.tolist() == [STREAM_END, 3, 4, 0, STREAM_END, STREAM_END]


def test_following_rows_without_an_order_key_follow_the_file() -> None:
    following = following_rows(np.array([0, 1, 3]), np.zeros(4, np.int32), None, 4)
    assert following.tolist() == [1, 3, STREAM_END, STREAM_END]
