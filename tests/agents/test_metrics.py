"""Measures against numbers worked out by hand."""

import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.metrics import expected_cost, measures

CLASSES = ("benign", "flood", "scan")
Y = np.array([0, 0, 0, 0, 1, 1, 2, 2], np.int32)
DECISION = np.array([0, 0, 0, 1, 1, 2, 2, 0], np.int32)
SUSPICION = np.array([0.1, 0.2, 0.3, 0.6, 0.9, 0.8, 0.7, 0.4], np.float32)


def test_binary_measures() -> None:
    binary = measures(Y, DECISION, SUSPICION, CLASSES)["binary"]
    assert binary["accuracy"] == 6 / 8
    assert binary["attack_recall"] == 3 / 4
    assert binary["false_alarm_rate"] == 1 / 4
    assert binary["macro_f1"] == pytest.approx(0.75)
    assert binary["auroc"] == pytest.approx(15 / 16)
    assert binary["recall_at_0.1%_false_alarms"] == 3 / 4


def test_multiclass_measures() -> None:
    multiclass = measures(Y, DECISION, SUSPICION, CLASSES)["multiclass"]
    assert multiclass["accuracy"] == 5 / 8
    assert multiclass["per_class_recall"] == {"benign": 0.75, "flood": 0.5, "scan": 0.5}
    assert multiclass["confusion"] == [[3, 1, 0], [0, 1, 1], [1, 0, 1]]
    assert multiclass["macro_f1"] == pytest.approx((0.75 + 0.5 + 0.5) / 3)


def test_absent_classes_do_not_count_in_macro_f1() -> None:
    y = np.array([0, 0, 1, 1], np.int32)
    assert measures(y, y, y.astype(np.float32), CLASSES)["multiclass"]["macro_f1"] == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_undefined_measures_are_none(label: int) -> None:
    y = np.full(3, label, np.int32)
    binary = measures(y, np.zeros(3, np.int32), np.zeros(3, np.float32), CLASSES)["binary"]
    assert binary["auroc"] is None
    assert binary["macro_f1"] is None
    assert (binary["attack_recall"] is None) == (label == 0)
    assert (binary["false_alarm_rate"] is None) == (label == 1)


def test_expected_cost_adds_decisions_and_escalations() -> None:
    escalated = np.array([True, True] + [False] * 6)
    costs = Costs(miss=8.0, false_alarm=4.0, wrong_class=2.0, escalation=1.0)
    assert expected_cost(Y, DECISION, escalated, costs) == (8.0 + 4.0 + 2.0 + 2.0) / 8
