"""Training traffic: rows encoded, streams kept apart, and padding that leads nowhere and is never drawn."""

import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.environment import STREAM_END
from medward.agents.sentinel.traffic import TrainingTraffic, traffic_of
from medward.flows.prepared import PreparedData
from medward.flows.scaling import Scaler
from tests.agents.conftest import RECIPE

ROWS, PADDED = 60, 75


@pytest.fixture(scope="module")
def scaler(prepared: PreparedData) -> Scaler:
    return fitted_scaler(prepared.space, prepared.x, RECIPE)


def traffic(prepared: PreparedData, scaler: Scaler, order: bool = True, **changes: object) -> TrainingTraffic:
    words: dict[str, object] = {"size": PADDED, **changes}
    place = np.arange(ROWS)[::-1].astype(np.float64) if order else None
    stream = np.repeat(np.array([4, 9], np.int32), ROWS // 2)
    y = prepared.flows.y[:ROWS]
    return traffic_of(prepared.x[:ROWS], y, stream, place, scaler, 3, Costs(escalation=0.25), **words)  # type: ignore[arg-type]


def test_padding_leads_nowhere_and_is_never_drawn(prepared: PreparedData, scaler: Scaler) -> None:
    made = traffic(prepared, scaler)
    assert made.encoded.shape == (PADDED, scaler.width)
    assert (np.asarray(made.environment.following)[ROWS:] == STREAM_END).all()
    assert made.environment.label.shape == made.environment.following.shape == (PADDED,)
    reach, row = np.asarray(made.replay.reach), np.asarray(made.replay.row)
    drawn = np.diff(reach, prepend=0.0) > 0
    assert drawn.any()
    assert row[drawn].max() < ROWS
    assert row.max() < ROWS, "also an entry that rounding reaches is a row"


def test_rows_are_encoded_as_the_scaler_says(prepared: PreparedData, scaler: Scaler) -> None:
    made = traffic(prepared, scaler)
    np.testing.assert_array_equal(made.encoded[:ROWS], scaler.encode(prepared.x[:ROWS]))
    np.testing.assert_array_equal(made.environment.label[:ROWS], prepared.flows.y[:ROWS])
    assert made.environment.escalation == np.float32(0.25)
    exact = traffic(prepared, scaler, size=None)
    assert len(exact.encoded) == len(exact.environment.label) == ROWS
    np.testing.assert_array_equal(exact.encoded, made.encoded[:ROWS])


def test_streams_go_on_in_their_order_and_not_into_each_other(prepared: PreparedData, scaler: Scaler) -> None:
    backwards = np.asarray(traffic(prepared, scaler).environment.following)
    assert backwards[:ROWS].tolist() == [STREAM_END if row in (0, ROWS // 2) else row - 1 for row in range(ROWS)], (
        "places count down"
    )
    by_file = np.asarray(traffic(prepared, scaler, order=False).environment.following)
    ends = (ROWS // 2 - 1, ROWS - 1)
    assert by_file[:ROWS].tolist() == [STREAM_END if row in ends else row + 1 for row in range(ROWS)]


def test_rows_that_are_trusted_less_count_less(prepared: PreparedData, scaler: Scaler) -> None:
    trust = np.where(np.arange(ROWS) < ROWS // 2, 0.25, 1.0).astype(np.float32)
    made = traffic(prepared, scaler, trust=trust)
    chance = np.diff(np.asarray(made.replay.reach), prepend=0.0) * np.asarray(made.replay.weight)
    row = np.asarray(made.replay.row)
    # Entries past the distinct rows have no chance.
    less, more = (chance[(row < ROWS // 2) == first].sum() for first in (True, False))
    assert less / more == pytest.approx(0.25, rel=1e-4)
