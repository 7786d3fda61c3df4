"""Random features: public and the same for all members, integers within their range, blind to what a state lacks."""

import numpy as np
import pytest

from medward.agents.closed_form.features import UNIT, inputs_of, random_features, states_of
from medward.agents.closed_form.model import recipe_in_closed_form
from medward.agents.sentinel.central import fitted_scaler
from medward.flows.history import FeatureSpace
from medward.flows.prepared import PreparedData
from medward.flows.scaling import Scaler
from medward.flows.schema import Group
from tests.agents.conftest import RECIPE, SCHEMA

COUNTS = 24


@pytest.fixture(scope="module")
def scaler(prepared: PreparedData) -> Scaler:
    return fitted_scaler(prepared.space, prepared.x[prepared.split.train], recipe_in_closed_form(RECIPE))


def test_the_same_seed_draws_the_same_and_every_number_counts(prepared: PreparedData, scaler: Scaler) -> None:
    drawn = random_features(prepared.space, scaler, 16, 3, 90)
    for one, other in zip(drawn, random_features(prepared.space, scaler, 16, 3, 90), strict=True):
        np.testing.assert_array_equal(one.matrix, other.matrix)
        np.testing.assert_array_equal(one.bias, other.bias)
    for changed in (
        random_features(prepared.space, scaler, 16, 4, 90),
        random_features(prepared.space, scaler, 20, 3, 90),
    ):
        assert not np.array_equal(drawn[0].matrix, changed[0].matrix[:, :16])


def test_all_that_is_drawn_is_an_integer_below_two_to_the_53(prepared: PreparedData, scaler: Scaler) -> None:
    for state in random_features(prepared.space, scaler, 16, 0, 4096):
        for array in (state.matrix, state.bias, state.divisor):
            assert (array == np.rint(array)).all()
        assert (state.divisor >= 1).all()
        assert state.divisor.max() * state.largest < 2**53


def test_rows_of_what_no_scaler_saw_stay_in_range(prepared: PreparedData, scaler: Scaler) -> None:
    x = np.full((6, prepared.x.shape[1]), np.nan, np.float32)
    x[1], x[2], x[3], x[4] = np.inf, -np.inf, 3e38, -3e38
    inputs = inputs_of(scaler, x)
    assert ((inputs >= 0) & (inputs <= UNIT) & (inputs == np.rint(inputs))).all()
    for state in random_features(prepared.space, scaler, 16, 1, 90):
        phi = state.of(inputs)
        assert ((phi >= 0) & (phi <= 90)).all()


def test_there_are_two_states_only_where_evidence_is_for_sale() -> None:
    assert states_of(FeatureSpace(SCHEMA, history=False)) == 2
    dear = [feature for feature in SCHEMA.features if feature.group is Group.EXPENSIVE]
    without = SCHEMA.without([feature.name for feature in dear], "is left out")
    assert states_of(FeatureSpace(without, history=False)) == 1


def test_no_feature_leaves_its_range_whatever_the_inputs(prepared: PreparedData, scaler: Scaler) -> None:
    rng = np.random.default_rng(0)
    for state in random_features(prepared.space, scaler, COUNTS, 3, 90):
        inputs = len(state.matrix)
        # The row that makes a feature largest, and rows at random corners.
        worst = UNIT * (state.matrix.T > 0).astype(float)
        rows = np.concatenate([worst, UNIT * rng.integers(0, 2, (500, inputs)).astype(float)])
        phi = state.of(rows)
        assert phi.min() >= 0
        assert phi.max() == 90
        assert (phi == np.rint(phi)).all()


def test_state_without_the_evidence_does_not_see_it(prepared: PreparedData, scaler: Scaler) -> None:
    x = prepared.x[:50].copy()
    other = x.copy()
    pulse = next(k for k, column in enumerate(prepared.space.columns) if column.name == "pulse")
    other[:, pulse] = 71.0
    without, with_it = random_features(prepared.space, scaler, COUNTS, 3, 90)
    assert states_of(prepared.space) == 2
    np.testing.assert_array_equal(without.of(inputs_of(scaler, x)), without.of(inputs_of(scaler, other)))
    assert (with_it.of(inputs_of(scaler, x)) != with_it.of(inputs_of(scaler, other))).any()
