"""Judging a model on labelled rows: decisions, measures, cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.agents.metrics import expected_cost, measures
from medward.agents.sentinel.model import SentinelModel

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
    scores = model.scorer().score(x)
    labels = model.labels(y)
    classes = model.classes + ((UNKNOWN,) if (labels == len(model.classes)).any() else ())
    return Judgement(
        metrics=measures(labels, scores.decision, scores.suspicion, classes),
        expected_cost=expected_cost(labels, scores.decision, scores.escalated, model.recipe.costs),
        escalation_rate=float(np.mean(scores.escalated)),
        classes=classes,
    )
