"""Judging decisions: what they cost, how often evidence was bought, and classes that the model never knew."""

import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.sentinel.judgement import UNKNOWN, judge_scores
from medward.agents.sentinel.scorer import Scores

CLASSES = ("benign", "flood", "tamper")
COSTS = Costs(miss=4.0, false_alarm=2.0, wrong_class=1.0, escalation=0.5)


def scores(decision: list[int], escalated: list[bool] | None = None) -> Scores:
    made = np.array(decision, np.int32)
    bought = np.zeros(len(made), bool) if escalated is None else np.array(escalated)
    return Scores(made, bought, np.zeros((len(made), 4), np.float32), made.astype(np.float32))


def test_cost_is_the_mean_over_windows_of_what_was_decided_and_bought() -> None:
    labels = np.array([0, 0, 1, 1, 2], np.int32)
    found = judge_scores(scores([0, 1, 1, 0, 1], [False, False, True, False, True]), labels, CLASSES, COSTS)
    assert found.expected_cost == pytest.approx((0 + 2 + 0.5 + 4 + 1.5) / 5)
    assert found.escalation_rate == pytest.approx(2 / 5)
    assert found.classes == CLASSES
    assert found.metrics["binary"]["attack_recall"] == pytest.approx(2 / 3)
    assert found.metrics["binary"]["false_alarm_rate"] == pytest.approx(1 / 2)


def test_class_that_the_model_does_not_know_is_an_attack_without_a_name() -> None:
    labels = np.array([0, 3, 3, 1], np.int32)
    found = judge_scores(scores([0, 1, 0, 1]), labels, CLASSES, COSTS)
    assert found.classes == (*CLASSES, UNKNOWN)
    assert found.expected_cost == pytest.approx((0 + 1 + 4 + 0) / 4)
    confusion = np.array(found.metrics["multiclass"]["confusion"])
    assert confusion.shape == (4, 4)
    assert confusion[3].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_kind_have_no_measure_of_the_other(label: int) -> None:
    found = judge_scores(scores([0, 1]), np.full(2, label, np.int32), CLASSES, COSTS)
    binary = found.metrics["binary"]
    assert (binary["attack_recall"] is None) == (label == 0)
    assert (binary["false_alarm_rate"] is None) == (label == 1)
    assert binary["auroc"] is None
