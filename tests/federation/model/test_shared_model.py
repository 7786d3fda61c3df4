"""The shared model: the surveys fit what pooled rows would fit, and one model has one encoding."""

from dataclasses import replace

import pytest

from medward.federation.errors import FederationError
from medward.federation.model.shared_model_format import decode_model, encode_model
from tests.federation.conftest import Start


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
