"""The training rounds: how a sum of updates moves the weights, whoever lies in it."""

from dataclasses import replace

import numpy as np
import pytest

from medward.agents.sentinel.model import Provenance
from medward.federation.errors import FederationError
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.train import LARGEST_MEAN
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start, surveyed


@pytest.mark.slow
def test_final_model_is_the_average_of_the_last_rounds(federation: Start) -> None:
    training = surveyed(federation(rounds=5))
    weights = []
    while not training.shared.done:
        training._simulation.run_round()
        weights.append(training.shared.weights)
    assert training.shared.averaged == 1
    np.testing.assert_allclose(training.shared.tail, weights[-1])


@pytest.mark.slow
def test_recipe_says_how_many_of_the_last_rounds_are_averaged(prepared: PreparedData) -> None:
    recipe = RECIPE.change(averaged_share=0.6, alert_bias=2.0)
    training = surveyed(FederatedTraining(prepared, recipe, Options(4, 5, protect="none", seed=1)))
    weights = []
    while not training.shared.done:
        training._simulation.run_round()
        weights.append(training.shared.weights)
    assert training.shared.averaged == 3
    np.testing.assert_allclose(training.shared.tail, sum(weights[-3:]), rtol=1e-6)
    # What goes on guard is that average with the recipe's alert bias.
    average = training.shared.network((training.shared.tail / 3).astype(np.float32)).advantage.bias
    np.testing.assert_allclose(average - training.model().weights.advantage_bias, [2.0, 0.0, 0.0, 0.0], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("federated", "taken"), [(None, 2.0), (0.0, 0.0), (7.0, 7.0)])
def test_a_federation_may_have_an_alert_bias_of_its_own(
    prepared: PreparedData, federated: float | None, taken: float
) -> None:
    recipe = RECIPE.change(alert_bias=2.0, federated_alert_bias=federated)
    shared = surveyed(FederatedTraining(prepared, recipe, Options(4, 1, protect="none", seed=1))).shared
    bias = shared.network().advantage.bias
    guard = shared.guard(Provenance("federated", 0, 4, "none", True, 1))
    np.testing.assert_allclose(bias - guard.weights.advantage_bias, [taken, 0.0, 0.0, 0.0], atol=1e-6)


def test_survey_without_rows_leads_to_no_model(federation: Start) -> None:
    shared = surveyed(federation()).shared
    shared = replace(shared, census=replace(shared.census, rows=0))
    with pytest.raises(FederationError, match="no training rows"):
        shared.advance(np.ones(shared.counts + shared.values, np.int64))


def test_mean_divides_by_the_rows_that_were_surveyed_whoever_contributed(federation: Start) -> None:
    """Row counts are no part of a training sum: successive ones would subtract to a hospital's number of rows."""
    training = surveyed(federation())
    shared = training.shared
    assert shared.counts == 0
    assert (shared.census.rows, shared.census.hospitals) == (sum(map(len, training.shares)), 4)
    total = np.random.default_rng(3).integers(-99, 100, shared.values)
    whole, fewer = (shared.advance(total, turnout=(4, contributed)) for contributed in (4, 3))
    assert encode_model(whole) == encode_model(fewer)
    invited = shared.advance(total, turnout=(2, 2))
    np.testing.assert_allclose(
        invited.weights - shared.weights, 2 * (whole.weights - shared.weights), rtol=1e-3, atol=1e-6
    )


def test_skipping_leads_to_another_model_and_another_again(federation: Start) -> None:
    shared = surveyed(federation()).shared
    models = [shared, shared.skip(), shared.skip().skip()]
    trained = shared.advance(np.random.default_rng(3).integers(-99, 100, shared.values))
    models += [trained, trained.skip(), trained.skip().skip()]
    weights = {model.weights.tobytes() for model in models}
    assert len(weights) == len(models)
    assert {model.round for model in models} == {0, 1}
    for model in models:
        assert encode_model(decode_model(shared.plan, encode_model(model))) == encode_model(model)


def test_each_refused_model_halves_the_step_and_leaves_the_momentum(federation: Start) -> None:
    shared = surveyed(federation()).shared
    total = np.random.default_rng(7).integers(-99, 100, shared.counts + shared.values)
    whole = shared.advance(total)
    assert np.any(whole.weights != shared.weights)
    for refused in (1, 2):
        after = shared.advance(total, refused)
        expected = shared.weights + (whole.weights - shared.weights) / 2**refused
        assert np.allclose(after.weights, expected, rtol=1e-5, atol=1e-8)
        assert np.array_equal(after.momentum, whole.momentum)


def test_mean_that_a_liar_made_large_is_bounded(federation: Start) -> None:
    shared = surveyed(federation()).shared
    total = np.full(shared.counts + shared.values, 10**9, np.int64)
    recipe, before = shared.plan.recipe, shared.weights
    after = shared.advance(total).weights
    most = recipe.federation.server_rate * (1 - recipe.federation.server_momentum) * LARGEST_MEAN * shared.plan.clip(0)
    np.testing.assert_allclose(after - before, most, rtol=1e-3)
