"""Models in closed form: the regression is that of the rows, and the network decides as the regression does."""

import numpy as np
import pytest

from medward.agents.closed_form.features import UNIT, RandomFeatures, inputs_of, random_features
from medward.agents.closed_form.model import Regression, network_of, recipe_in_closed_form, regress
from medward.agents.closed_form.moments import ImpossibleMoments, Moments, moments_of
from medward.agents.costs import Costs
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.scorer import Scorer
from medward.flows.history import FeatureSpace
from medward.flows.prepared import PreparedData
from medward.flows.scaling import Scaler
from medward.flows.schema import Group
from tests.agents.conftest import RECIPE, SCHEMA

COUNTS = 24


@pytest.fixture(scope="module")
def scaler(prepared: PreparedData) -> Scaler:
    return fitted_scaler(prepared.space, prepared.x[prepared.split.train], recipe_in_closed_form(RECIPE))


def test_network_decides_as_the_regression_does(prepared: PreparedData, scaler: Scaler) -> None:
    """In both states the logits are 4 (1/2 - cost), but for the rounding of the features that are regressed on."""
    states = random_features(prepared.space, scaler, COUNTS, 3, 255)
    inputs, y, costs = inputs_of(scaler, prepared.x), prepared.flows.y, Costs()
    found = regress(moments_of(states, inputs, y, 3), 255)
    scorer = Scorer(prepared.space, scaler, network_of(states, found, scaler, costs), costs.highest)
    table = np.array([[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]])
    for number, bought in enumerate((False, True)):
        exact = np.maximum(inputs @ states[number].matrix + states[number].bias, 0) * 255 / states[number].divisor
        chances = np.concatenate([np.full((len(inputs), 1), 255.0), exact], axis=1) @ found.coefficients[number]
        q, _ = scorer.q_values(prepared.x, bought)
        expected = 1 / (1 + np.exp(-4 * (0.5 - chances @ table))) - 1
        assert np.abs(q[:, :3] - expected).max() < 0.01


def _features(largest: int = 90) -> RandomFeatures:
    rng = np.random.default_rng(1)
    matrix, bias = rng.integers(-5, 6, (3, 4)).astype(float), rng.integers(-UNIT, UNIT, 4).astype(float)
    return RandomFeatures(matrix, bias, UNIT * np.maximum(matrix, 0).sum(axis=0) + UNIT, largest)


def test_regression_is_that_of_the_rows_and_its_shortfall_their_squared_error() -> None:
    rng, state = np.random.default_rng(2), _features()
    x, y = np.rint(UNIT * rng.random((200, 3))), rng.integers(0, 3, 200)
    found = regress(moments_of([state], x, y, 3), 90, penalty=1e-4)
    phi = np.concatenate([np.full((200, 1), 90.0), state.of(x)], axis=1)
    whole = phi.T @ phi
    strength = 1e-4 * np.trace(whole) / 5
    expected = np.linalg.solve(whole + strength * np.eye(5), phi.T @ np.eye(3)[y])
    np.testing.assert_allclose(found.coefficients[0], expected, rtol=1e-8, atol=1e-12)
    error = np.eye(3)[y] - phi @ expected
    assert found.shortfall == pytest.approx((error**2).sum() / 400)


def test_shortfall_of_two_states_is_that_of_the_one_with_the_evidence() -> None:
    rng, state = np.random.default_rng(3), _features()
    x, y = np.rint(UNIT * rng.random((100, 3))), rng.integers(0, 3, 100)
    one, other = (moments_of([state], x[:, order], y, 3) for order in ([0, 1, 2], [2, 0, 1]))
    both = Moments(one.rows, np.concatenate([one.sums, other.sums]), np.concatenate([one.squares, other.squares]))
    assert regress(both, 90).shortfall == regress(other, 90).shortfall != regress(one, 90).shortfall


def test_sum_that_passed_as_moments_and_is_of_no_rows_is_refused() -> None:
    """Two features whose difference would have a negative square; each number alone is within its bounds."""
    squares = np.array([[[100, 100, 0], [100, 100, 100], [0, 100, 100]]])
    lie = Moments(np.array([10, 10]), np.zeros((1, 3, 2), np.int64), squares)
    lie.check(90)
    with pytest.raises(ImpossibleMoments, match="not positive definite"):
        regress(lie, 90)


def test_shortfall_of_crafted_moments_stays_a_share() -> None:
    """Sums that their squares leave no room for would make the error negative, and evidence cost less than nothing."""
    lie = Moments(np.array([10, 10]), np.full((1, 1, 2), 900), np.array([[[1000]]]))
    lie.check(90)
    with pytest.raises(ImpossibleMoments):
        regress(lie, 90)
    lie = Moments(np.array([10, 10]), np.array([[[900, 0]]]), np.array([[[40_600]]]))
    lie.check(90)
    assert regress(lie, 90).shortfall == 0.0


@pytest.mark.parametrize("costs", [Costs(), Costs(miss=3.0, false_alarm=2.0, wrong_class=1.0, escalation=0.25)])
def test_escalation_costs_its_price_and_what_stays_in_doubt(
    prepared: PreparedData, scaler: Scaler, costs: Costs
) -> None:
    states = random_features(prepared.space, scaler, COUNTS, 3, 90)
    found = Regression(np.zeros((2, 1 + COUNTS, 3)), 0.125)
    q, _ = Scorer(prepared.space, scaler, network_of(states, found, scaler, costs), costs.highest).q_values(
        prepared.x[:5], bought=False
    )
    expected = costs.highest * (1 / (1 + np.exp(-4 * (0.5 - costs.escalation / costs.highest - 0.125))) - 1)
    np.testing.assert_allclose(q[:, 3], expected, atol=1e-5)


def test_costs_of_each_mistake_stand_where_it_is_made(prepared: PreparedData, scaler: Scaler) -> None:
    """Each row is surely of one class: what an action costs is then its entry alone."""
    states, costs = random_features(prepared.space, scaler, COUNTS, 3, 90), Costs(1.0, 0.25, 0.125, 0.01)
    table = np.array([[0, 0.25, 0.25], [1, 0, 0.125], [1, 0.125, 0]])
    for kind in range(3):
        sure = np.zeros((2, 1 + COUNTS, 3))
        sure[:, 0, kind] = 1 / 90
        weights = network_of(states, Regression(sure, 0.0), scaler, costs)
        for bought in (False, True):
            q, _ = Scorer(prepared.space, scaler, weights, costs.highest).q_values(prepared.x[:3], bought)
            np.testing.assert_allclose(q[:, :3] + 1, [1 / (1 + np.exp(-4 * (0.5 - table[kind])))] * 3, atol=1e-5)


def test_network_without_evidence_for_sale_has_one_state() -> None:
    dear = [feature.name for feature in SCHEMA.features if feature.group is Group.EXPENSIVE]
    space = FeatureSpace(SCHEMA.without(dear, "is left out"), history=False)
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(60, len(space.columns))).astype(np.float32), rng.integers(0, 3, 60)
    x[:, 2:4] = np.eye(2)[rng.integers(0, 2, 60)]
    scaler = fitted_scaler(space, x, recipe_in_closed_form(RECIPE))
    states = random_features(space, scaler, 16, 3, 90)
    found = regress(moments_of(states, inputs_of(scaler, x), y, 3), 90)
    scorer = Scorer(space, scaler, network_of(states, found, scaler, Costs()), 1.0)
    above = np.maximum(inputs_of(scaler, x) @ states[0].matrix + states[0].bias, 0)
    phi = np.concatenate([np.full((60, 1), 90.0), above * 90 / states[0].divisor], axis=1)
    table = np.array([[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]])
    expected = 1 / (1 + np.exp(-4 * (0.5 - phi @ found.coefficients[0] @ table))) - 1
    for bought in (False, True):
        assert np.abs(scorer.q_values(x, bought)[0][:, :3] - expected).max() < 0.01


def test_recipe_in_closed_form_biases_no_alerts_and_keeps_its_costs_of_deciding() -> None:
    costs = Costs(miss=3.0)
    recipe = recipe_in_closed_form(
        RECIPE.change(scaler="standard", ensemble=3, alert_bias=-8.0, federated_alert_bias=-2.0, costs=costs)
    )
    assert (recipe.scaling.scaler, recipe.network.ensemble, recipe.network.embedding) == ("quantile", 1, 0)
    assert (recipe.deployment.alert_bias, recipe.deployment.federated_alert_bias) == (0.0, None)
    assert recipe.costs == costs
