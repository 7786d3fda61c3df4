"""The shared model: the surveys fit what pooled rows would fit, and one model has one encoding."""

from dataclasses import replace

import numpy as np
import pytest

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.model import Provenance
from medward.federation.errors import FederationError
from medward.federation.model.hospital import Hospital, training_rows
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.train import LARGEST_MEAN
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start


def _surveyed(training: FederatedTraining) -> FederatedTraining:
    while training.shared.task == "survey":
        training._simulation.run_round()
    return training


def test_summed_surveys_fit_the_scaler_of_the_pooled_rows(federation: Start) -> None:
    training = _surveyed(federation())
    prepared = training.prepared
    pooled = fitted_scaler(prepared.space, prepared.x[prepared.split.train], training.plan.recipe)
    for name, value in vars(pooled).items():
        np.testing.assert_array_equal(getattr(training.shared.census.scaler, name), value, err_msg=name)


def test_encoding_round_trips_in_every_stage(federation: Start) -> None:
    training = federation(rounds=2)
    for _ in range(training.plan.steps):
        content = encode_model(training.shared)
        assert encode_model(decode_model(training.plan, content)) == content
        told: list[str] = []
        training._simulation.run_round(told.append)
        # Where a round stands is told at each record, not at its end alone.
        assert len(told) > 4 * len(training.hospitals)
        assert any("committing, record" in where for where in told)
    assert training.shared.done
    assert encode_model(decode_model(training.plan, encode_model(training.shared))) == encode_model(training.shared)


def test_model_of_another_plan_is_refused(federation: Start) -> None:
    training = federation()
    other = replace(training.plan, rounds=9)
    with pytest.raises(FederationError, match="another plan"):
        decode_model(other, encode_model(training.shared))


@pytest.mark.parametrize("keep", [0, 3, 40, 200])
def test_truncated_model_is_refused(federation: Start, keep: int) -> None:
    training = federation()
    with pytest.raises(FederationError, match="damaged"):
        decode_model(training.plan, encode_model(training.shared)[:keep])


@pytest.mark.slow
def test_final_model_is_the_average_of_the_last_rounds(federation: Start) -> None:
    training = _surveyed(federation(rounds=5))
    weights = []
    while not training.shared.done:
        training._simulation.run_round()
        weights.append(training.shared.weights)
    assert training.shared.averaged == 1
    np.testing.assert_allclose(training.shared.tail, weights[-1])


@pytest.mark.slow
def test_recipe_says_how_many_of_the_last_rounds_are_averaged(prepared: PreparedData) -> None:
    recipe = RECIPE.change(averaged_share=0.6, alert_bias=2.0)
    training = _surveyed(FederatedTraining(prepared, recipe, Options(4, 5, protect="none", seed=1)))
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
    shared = _surveyed(FederatedTraining(prepared, recipe, Options(4, 1, protect="none", seed=1))).shared
    bias = shared.network().advantage.bias
    guard = shared.guard(Provenance("federated", 0, 4, "none", True, 1))
    np.testing.assert_allclose(bias - guard.weights.advantage_bias, [taken, 0.0, 0.0, 0.0], atol=1e-6)


def test_survey_bounds_the_largest_hospital(federation: Start) -> None:
    training = _surveyed(federation())
    largest = max(len(rows) for rows in training.shares)
    assert largest <= training.shared.census.most_rows < 2 * largest


def test_classes_nobody_holds_are_left_out(federation: Start) -> None:
    training = federation()
    flows = training.prepared.flows
    fewer = replace(training.prepared, flows=replace(flows, y=np.where(flows.y == 1, 0, flows.y).astype(np.int32)))
    surveyed = _surveyed(FederatedTraining(fewer, training.plan.recipe, training.options))
    assert surveyed.shared.census.classes == (0, 2)
    assert surveyed.model().classes == ("benign", "tamper")


def test_survey_without_rows_leads_to_no_model(federation: Start) -> None:
    shared = _surveyed(federation()).shared
    shared = replace(shared, census=replace(shared.census, rows=0))
    with pytest.raises(FederationError, match="no training rows"):
        shared.advance(np.ones(shared.counts + shared.values, np.int64))


def test_mean_divides_by_the_rows_that_were_surveyed_whoever_contributed(federation: Start) -> None:
    """Row counts are no part of a training sum: successive ones would subtract to a hospital's number of rows."""
    training = _surveyed(federation())
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
    shared = _surveyed(federation()).shared
    models = [shared, shared.skip(), shared.skip().skip()]
    trained = shared.advance(np.random.default_rng(3).integers(-99, 100, shared.values))
    models += [trained, trained.skip(), trained.skip().skip()]
    weights = {model.weights.tobytes() for model in models}
    assert len(weights) == len(models)
    assert {model.round for model in models} == {0, 1}
    for model in models:
        assert encode_model(decode_model(shared.plan, encode_model(model))) == encode_model(model)


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


def test_each_refused_model_halves_the_step_and_leaves_the_momentum(federation: Start) -> None:
    shared = _surveyed(federation()).shared
    total = np.random.default_rng(7).integers(-99, 100, shared.counts + shared.values)
    whole = shared.advance(total)
    assert np.any(whole.weights != shared.weights)
    for refused in (1, 2):
        after = shared.advance(total, refused)
        expected = shared.weights + (whole.weights - shared.weights) / 2**refused
        assert np.allclose(after.weights, expected, rtol=1e-5, atol=1e-8)
        assert np.array_equal(after.momentum, whole.momentum)


def test_survey_with_negative_counts_leads_to_no_model(federation: Start) -> None:
    shared = federation().shared
    total = np.ones(shared.counts, np.int64)
    total[7] = -1
    with pytest.raises(FederationError, match="did not send what it counted"):
        shared.advance(total)


def test_mean_that_a_liar_made_large_is_bounded(federation: Start) -> None:
    shared = _surveyed(federation()).shared
    total = np.full(shared.counts + shared.values, 10**9, np.int64)
    recipe, before = shared.plan.recipe, shared.weights
    after = shared.advance(total).weights
    most = recipe.federation.server_rate * (1 - recipe.federation.server_momentum) * LARGEST_MEAN * shared.plan.clip(0)
    np.testing.assert_allclose(after - before, most, rtol=1e-3)


@pytest.mark.slow
def test_hospital_that_missed_the_surveys_trains_on_the_classes_that_are_known(federation: Start) -> None:
    training = federation()
    flows = training.prepared.flows
    fewer = replace(training.prepared, flows=replace(flows, y=np.where(flows.y == 1, 0, flows.y).astype(np.int32)))
    shared = _surveyed(FederatedTraining(fewer, training.plan.recipe, training.options)).shared
    assert 1 not in shared.census.classes
    rows = training_rows(flows, training.prepared.x, training.prepared.stream, np.arange(300, dtype=np.intp))
    others = training_rows(flows, training.prepared.x, training.prepared.stream, np.flatnonzero(flows.y[:300] != 1))
    assert 0 < len(others) < len(rows)
    update = Hospital(b"secret", rows).work(shared, 9)
    np.testing.assert_array_equal(update, Hospital(b"secret", others).work(shared, 9))
