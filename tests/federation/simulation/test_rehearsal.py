"""What Courier learns on is what happens: a rehearsal has the models, bytes and decisions of a secure federation."""

import numpy as np
import pytest

from medward.agents.courier.exploring import Exploring
from medward.agents.courier.observation import ONE, Decision, Observation
from medward.agents.courier.policies import Every, read_policy
from medward.federation.errors import FederationError
from medward.federation.model import courier
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.wire import parts, record_bytes, sum_set
from medward.federation.simulation.rehearsal import Rehearsal
from medward.federation.simulation.training import FederatedTraining
from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start

#: Models of all rounds have the same size.
ALL_AVERAGED = RECIPE.change(averaged_share=1.0)

MENU = tuple(Decision(periods) for periods in (0, 1, 2, 4))


def _rehearsal(training: FederatedTraining) -> Rehearsal:
    return Rehearsal(training.hospitals, training.shared)


def _quiet(_: object) -> None:
    return


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["every:1:8", "event:-1024", "random:2"])
def test_rehearsal_is_the_encrypted_federation_bit_for_bit_and_byte_for_byte(federation: Start, policy: str) -> None:
    secure = federation(ALL_AVERAGED, rounds=4, courier=policy, protect="aggregate")
    secure.run(None, _quiet)
    episode = _rehearsal(federation(ALL_AVERAGED, rounds=4, courier="every:1")).play(read_policy(policy))
    np.testing.assert_array_equal(episode.shared.weights, secure.shared.weights)
    assert episode.spent == secure.shared.signals.spent > 0
    trained = [report for report in secure.reports if report.task == "train"]
    assert len(trained) == sum(1 for step in episode.steps if step.sent)
    sites = secure.options.sites
    for report, step in zip(trained, episode.steps, strict=True):
        blobs = parts(sum_set(step.decision.bits, sites), courier.COUNTS, len(episode.shared.weights))
        stored = sites * (blobs.contribution + blobs.response + blobs.answer)
        # What was stored once goes to every other member; the next model is made by each member and never sent.
        assert step.sent == (sites - 1) * stored + record_bytes(sites)
        models = (sites + 1) * len(encode_model(secure.shared))
        assert abs(report.bytes_up - stored - models) <= (sites + 1) * 16


@pytest.mark.slow
def test_gains_sum_up_to_what_the_training_gained(federation: Start) -> None:
    rehearsal = _rehearsal(federation(rounds=6, courier="every:1"))
    first, second = rehearsal.play(Every(2)), rehearsal.play(Every(6))
    starts = [sum(step.gain for step in episode.steps) + episode.cost for episode in (first, second)]
    assert starts[0] == pytest.approx(starts[1], abs=1e-12)
    assert [step.ended for step in first.steps] == [False, False, True]
    price = 1e-9
    total = sum(step.reward(price) for step in first.steps)
    assert total == pytest.approx(starts[0] - first.cost - price * first.spent, abs=1e-12)


@pytest.mark.slow
def test_same_policy_plays_the_same_training_again(federation: Start) -> None:
    rehearsal = _rehearsal(federation(rounds=4, courier="every:1"))
    first = rehearsal.play(Every(2))
    rehearsal.play(Every(1))
    assert encode_model(rehearsal.play(Every(2)).shared) == encode_model(first.shared)


@pytest.mark.slow
def test_observations_rewards_and_features_stay_in_their_ranges(federation: Start) -> None:
    training = federation(rounds=8, courier="every:1")
    rehearsal, highest = _rehearsal(training), 1.0
    for seed in range(4):
        for step in rehearsal.play(Exploring(Every(1), MENU, (1, 3, 3, 3), 100, seed)).steps:
            for seen in (step.seen, step.then):
                assert 0 <= seen.progress <= ONE
                assert 0 <= seen.covered <= 4
                assert 0 <= seen.left <= ONE
                assert all(abs(feature) <= 4 * ONE for feature in seen.features())
            assert -highest - 0.01 <= step.gain <= highest + 0.01
            assert (step.sent > 0) == (step.decision.periods > 0)
            assert step.reward(1e-9) == step.gain - 1e-9 * step.sent


@pytest.mark.slow
def test_stopping_sends_nothing_and_ends_the_training(federation: Start) -> None:
    class Once:
        def decide(self, seen: Observation) -> Decision:
            return Decision(2 if seen.progress == 0 else 0)

        def text(self) -> str:
            return "once"

    episode = _rehearsal(federation(rounds=6, courier="every:1")).play(Once())
    assert [step.decision.periods for step in episode.steps] == [2, 0]
    assert episode.steps[1].sent == 0
    assert episode.steps[1].gain == 0
    assert episode.steps[1].ended
    assert episode.shared.round == 2


def test_plan_without_courier_or_validation_rows_cannot_be_rehearsed(federation: Start) -> None:
    with pytest.raises(FederationError, match="Courier"):
        _rehearsal(federation())
    training = federation(courier="every:1")
    for hospital in training.hospitals:
        hospital._validation = None
    with pytest.raises(FederationError, match="validation rows"):
        _rehearsal(training)
