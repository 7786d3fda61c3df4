"""Judging a model on labelled rows: decisions, measures, cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.agents.costs import Costs
from medward.agents.metrics import expected_cost, measures
from medward.agents.sentinel.model import SentinelModel
from medward.agents.sentinel.scorer import Scores

UNKNOWN = "unknown to the model"


@dataclass(frozen=True)
class Judgement:
    """How a model did on some rows.

    Args:
        metrics: as `medward.agents.metrics.measures` returns them.
        expected_cost: the mean cost of a window.
        escalation_rate: the share of windows whose evidence was bought.
        classes: the classes that the confusion matrix counts.
    """

    metrics: dict[str, Any]
    expected_cost: float
    escalation_rate: float
    classes: tuple[str, ...]


def judge(model: SentinelModel, x: NDArray[np.float32], y: NDArray[np.int32]) -> Judgement:
    """Let a model decide labelled rows, and judge it.

    Args:
        model: the model.
        x: rows of its feature space.
        y: their classes as its schema numbers them; classes it does not know count as attacks it cannot name.
    """
    return judge_scores(model.scorer().score(x), model.labels(y), model.classes, model.recipe.costs)


def judge_scores(scores: Scores, labels: NDArray[np.int32], classes: tuple[str, ...], costs: Costs) -> Judgement:
    """Judge what any model made of labelled rows.

    Args:
        scores: what it made of them.
        labels: their classes as the model numbers them; `len(classes)` for one that it does not know.
        classes: the model's classes, the benign one first.
        costs: what decisions cost.
    """
    if (labels == len(classes)).any():
        classes += (UNKNOWN,)
    return Judgement(
        metrics=measures(labels, scores.decision, scores.suspicion, classes),
        expected_cost=expected_cost(labels, scores.decision, scores.escalated, costs),
        escalation_rate=float(np.mean(scores.escalated)),
        classes=classes,
    )
