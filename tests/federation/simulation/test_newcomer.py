"""A hospital that comes after the surveys: what it holds was counted by nobody."""

from dataclasses import replace

import numpy as np
import pytest

from medward.federation.errors import NothingToTrain
from medward.federation.model.hospital import Hospital, TrainingRows
from medward.federation.model.shared_model import SharedModel
from medward.federation.simulation.training import FederatedTraining
from medward.fhe.packing import weighted
from tests.federation.conftest import Start

NUMBER = 9


def surveyed(federation: Start, *, without: int | None = None) -> tuple[SharedModel, TrainingRows]:
    """Return a shared model after the surveys, of members who hold no row of a class, and all rows of one member."""
    training = federation()
    flows = training.prepared.flows
    rows = training._hospitals[0]._rows
    if without is not None:
        kept = np.where(flows.y == without, 0, flows.y).astype(np.int32)
        fewer = replace(training.prepared, flows=replace(flows, y=kept))
        training = FederatedTraining(fewer, training.plan.recipe, training.options)
    while training.shared.task == "survey":
        training._simulation.run_round()
    return training.shared, rows


def some(rows: TrainingRows, which: np.ndarray) -> TrainingRows:
    order = None if rows.order is None else rows.order[which]
    return TrainingRows(rows.x[which], rows.y[which], rows.stream[which], order)


def test_rows_of_a_class_that_the_model_cannot_name_are_left_out(federation: Start) -> None:
    shared, rows = surveyed(federation, without=1)
    named = some(rows, np.flatnonzero(rows.y != 1))
    assert len(named) < len(rows)
    with_them, without = (Hospital(b"secret", own).work(shared, NUMBER) for own in (rows, named))
    np.testing.assert_array_equal(with_them, without)
    assert with_them.any()


def test_hospital_without_a_row_that_the_model_can_name_has_nothing_to_train_on(federation: Start) -> None:
    shared, rows = surveyed(federation, without=1)
    strange = some(rows, np.flatnonzero(rows.y == 1))
    with pytest.raises(NothingToTrain, match="a class that the shared model knows"):
        Hospital(b"secret", strange).work(shared, NUMBER)


@pytest.mark.slow
def test_hospital_with_more_rows_than_were_counted_weighs_as_the_largest_may(federation: Start) -> None:
    shared, rows = surveyed(federation)
    times = shared.census.most_rows // len(rows) + 1
    larger = some(rows, np.tile(np.arange(len(rows)), times))
    assert len(larger) > shared.census.most_rows
    update = np.linspace(-1, 1, 9)
    np.testing.assert_array_equal(weighted(update, len(larger), shared.census.most_rows), update)
    assert np.abs(Hospital(b"secret", larger).work(shared, NUMBER)).max() <= shared.quantiser(shared.dispatch).largest
