"""The surveys: what their sums tell, and which sums lead to no model."""

from dataclasses import replace

import numpy as np
import pytest

from medward.agents.sentinel.central import fitted_scaler
from medward.federation.errors import FederationError
from medward.federation.model.hospital import Hospital, training_rows
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.survey import SIZES
from medward.federation.simulation.training import FederatedTraining
from medward.flows.schema import UNLABELLED
from tests.federation.conftest import Start, surveyed


def test_summed_surveys_fit_the_scaler_of_the_pooled_rows(federation: Start) -> None:
    training = surveyed(federation())
    prepared = training.prepared
    pooled = fitted_scaler(prepared.space, prepared.x[prepared.split.train], training.plan.recipe)
    for name, value in vars(pooled).items():
        np.testing.assert_array_equal(getattr(training.shared.census.scaler, name), value, err_msg=name)


def test_survey_bounds_the_largest_hospital(federation: Start) -> None:
    training = surveyed(federation())
    largest = max(len(rows) for rows in training.shares)
    assert largest <= training.shared.census.most_rows < 2 * largest


def test_classes_nobody_holds_are_left_out(federation: Start) -> None:
    training = federation()
    flows = training.prepared.flows
    fewer = replace(training.prepared, flows=replace(flows, y=np.where(flows.y == 1, 0, flows.y).astype(np.int32)))
    trained = surveyed(FederatedTraining(fewer, training.plan.recipe, training.options))
    assert trained.shared.census.classes == (0, 2)
    assert trained.model().classes == ("benign", "tamper")


def test_skipped_survey_trains_on_what_was_surveyed(federation: Start) -> None:
    training = federation()
    unsurveyed = decode_model(training.plan, encode_model(training.shared.skip()))
    census = unsurveyed.census
    assert (unsurveyed.task, census.rows, census.most_rows, census.hospitals) == ("train", 1, 1, 1)
    training._simulation.run_round()
    assert training.plan.recipe.scaling.surveys > 1
    shared = decode_model(training.plan, encode_model(training.shared)).skip()
    assert (shared.task, shared.round, shared.census.hospitals) == ("train", 0, 4)
    assert shared.next is not None


def test_survey_with_negative_counts_leads_to_no_model(federation: Start) -> None:
    shared = federation().shared
    total = np.ones(shared.counts, np.int64)
    total[7] = -1
    with pytest.raises(FederationError, match="did not send what it counted"):
        shared.advance(total)


def test_survey_of_rows_that_are_all_alike_leads_to_no_model(federation: Start) -> None:
    shared = federation().shared
    total = np.zeros(shared.counts, np.int64)
    total[np.cumsum([0, *(len(edges) + 1 for edges in shared.grid.edges)])[:-1]] = 100
    total[shared.grid.size] = total[-2] = 100
    with pytest.raises(FederationError, match="No feature takes more than one value"):
        shared.advance(total)


def test_survey_whose_liar_takes_all_hospitals_away_leads_to_no_model(federation: Start) -> None:
    """A liar knows from the survey before how many there are of each size, and can send as many less."""
    training = federation()
    shared = training.shared
    total = sum(hospital.work(shared, 0) for hospital in training.hospitals)
    sizes = slice(shared.grid.size + 3, shared.grid.size + 3 + SIZES)
    assert total[sizes].sum() == len(training.hospitals)
    assert shared.advance(total, 0, (4, 4)).census.hospitals == 4
    total[sizes] = 0
    with pytest.raises(FederationError, match="counts no hospital"):
        shared.advance(total, 0, (4, 4))


def test_largest_hospital_is_bounded_by_the_highest_cell_that_is_counted(federation: Start) -> None:
    shared = federation().shared
    total = np.ones(shared.counts, np.int64)
    sizes = shared.grid.size + 3
    for cell in (0, 1, SIZES - 1):
        total[sizes:] = 0
        total[sizes + cell] = 2
        census = shared.advance(total, 0, (2, 2)).census
        assert (census.most_rows, census.hospitals) == (1 << cell, 2)


def test_hospital_counts_itself_once_whatever_it_holds(federation: Start) -> None:
    """Rows of a hospital: none, one, a power of two, one more; those without a class count for the scaler alone."""
    training = federation()
    shared = training.shared
    rows = training.prepared
    for held, cell in ((0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (300, 9)):
        own = training_rows(rows.flows, rows.x, rows.stream, np.arange(held, dtype=np.intp))
        counted = Hospital(b"secret", own).work(shared, 0)
        sizes = counted[shared.grid.size + 3 :]
        assert (sizes.sum(), sizes[cell]) == (1, 1)
        assert counted[shared.grid.size : shared.grid.size + 3].sum() == held
        unlabelled = replace(own, y=np.full(held, UNLABELLED, np.int32))
        counted = Hospital(b"secret", unlabelled).work(shared, 0)
        assert counted[shared.grid.size : shared.grid.size + 3].tolist() == [0, 0, 0]
        assert (len(counted), counted[shared.grid.size + 3]) == (shared.counts, 1)
