"""Reasons for an alert: the measures that moved it and no others, in numbers that can be written down."""

import numpy as np
import pytest

from medward.alerts.deciding import DecidedWindow, WindowDecider
from medward.alerts.reasons import MOST_REASONS, reasons_for
from tests.alerts.hand_made import hand_made_model


@pytest.fixture(scope="module")
def decider() -> WindowDecider:
    return WindowDecider(hand_made_model(), "model")


def window(decider: WindowDecider, evidence: bool = False, **values: float) -> DecidedWindow:
    x = np.zeros(len(decider.features), np.float32)
    for name, value in values.items():
        x[decider.features.index(name)] = value
    return DecidedWindow("device", "", 0.0, "Recon-Port_Scan", 1.0, evidence, 0, x)


def test_only_the_measure_that_moved_the_decision_is_a_reason(decider: WindowDecider) -> None:
    (reason,) = reasons_for(decider, window(decider, syn_out=50.0, packets_up=900.0))
    assert (reason.feature, reason.value, reason.usual) == ("syn_out", 50.0, 0.0)
    assert reason.weight > 0.9


def test_window_as_usual_has_no_reason(decider: WindowDecider) -> None:
    assert reasons_for(decider, window(decider)) == ()


def test_evidence_is_a_reason_only_where_it_was_bought(decider: WindowDecider) -> None:
    def features(evidence: bool) -> list[str]:
        return [
            reason.feature for reason in reasons_for(decider, window(decider, evidence, rewritten=9.0, syn_out=9.0))
        ]

    assert features(True)[0] == "rewritten"
    assert features(False) == ["syn_out"]


def test_no_more_reasons_than_are_asked_for_and_the_strongest_first(decider: WindowDecider) -> None:
    moved = window(decider, True, rewritten=5.0, syn_out=90.0)
    reasons = reasons_for(decider, moved)
    assert 0 < len(reasons) <= MOST_REASONS
    weights = [reason.weight for reason in reasons]
    assert weights == sorted(weights, reverse=True)
    assert reasons_for(decider, moved, most=0) == ()
    assert len(reasons_for(decider, moved, most=1)) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_missing_or_extreme_value_of_a_measure_that_decides_nothing_is_no_reason(
    decider: WindowDecider, value: float
) -> None:
    reasons = reasons_for(decider, window(decider, syn_out=50.0, gap_up_mean=value))
    assert [reason.feature for reason in reasons] == ["syn_out"]
    assert np.isfinite(reasons[0].weight)
