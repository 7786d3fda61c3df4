"""A hospital's private side: what it contributes, how it votes, and which rows it leaves out."""

from dataclasses import replace

import numpy as np
import pytest

from medward.federation.model.hospital import Hospital, training_rows
from medward.federation.simulation.training import FederatedTraining
from tests.federation.conftest import Start, surveyed


@pytest.mark.slow
def test_hospital_that_missed_the_surveys_trains_on_the_classes_that_are_known(federation: Start) -> None:
    training = federation()
    flows = training.prepared.flows
    fewer = replace(training.prepared, flows=replace(flows, y=np.where(flows.y == 1, 0, flows.y).astype(np.int32)))
    shared = surveyed(FederatedTraining(fewer, training.plan.recipe, training.options)).shared
    assert 1 not in shared.census.classes
    rows = training_rows(flows, training.prepared.x, training.prepared.stream, np.arange(300, dtype=np.intp))
    others = training_rows(flows, training.prepared.x, training.prepared.stream, np.flatnonzero(flows.y[:300] != 1))
    assert 0 < len(others) < len(rows)
    update = Hospital(b"secret", rows).work(shared, 9)
    np.testing.assert_array_equal(update, Hospital(b"secret", others).work(shared, 9))
