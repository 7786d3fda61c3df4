"""Hospitals alone and together: each one's Sentinel alone, and the hospital that is served worst."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.agents.metrics import measures
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.recipe import Recipe
from medward.flows.errors import BadSplit
from medward.flows.prepared import PreparedData

_KEPT = {"binary_macro_f1": "binary", "multiclass_macro_f1": "multiclass"}


def trained_alone(
    prepared: PreparedData, shares: Sequence[NDArray[np.intp]], recipe: Recipe, seed: int
) -> list[SentinelModel]:
    """Train a Sentinel in each hospital, on its own rows and nothing else.

    Args:
        prepared: the data set.
        shares: each hospital's training rows.
        recipe: how to train in one place; scaler, bins and network are the hospital's own.
        seed: what the networks' own seeds derive from: seed times the number of hospitals, and one more for each.

    Returns:
        The models; each names only the classes that its hospital holds.

    Raises:
        BadSplit: a hospital holds no attacks, or nothing else.
    """
    models = []
    for number, rows in enumerate(shares):
        attack = prepared.flows.y[rows] > 0
        if attack.all() or not attack.any():
            raise BadSplit(
                f"Hospital {number} holds rows of one kind only and cannot train alone: ask for fewer sites."
            )
        own = len(shares) * seed + number
        synthetic = prepared.flows.schema.synthetic
        provenance = Provenance("local", None, 1, "none", synthetic, own, prepared.protocol)
        models.append(train_centrally(prepared, rows, recipe, provenance))
    return models


def alone(models: Sequence[SentinelModel], prepared: PreparedData) -> dict[str, Any]:
    """Measure each hospital's own model on the whole test part.

    Returns:
        metrics: the means over the hospitals, as `measures` names them; a class that a hospital does not hold counts as
        one that it never finds. worst: the measures of the hospital whose binary macro-F1 is the lowest. Besides the
        means of the expected cost, of the share of windows whose evidence was bought, and of the macro-F1 over the
        classes on the whole validation part.
    """
    test, validation, y = prepared.split.test, prepared.split.validation, prepared.flows.y
    found = [measured(model, prepared, test) for model in models]
    judged = [judge(model, prepared.x[test], y[test]) for model in models]
    chosen = [measured(model, prepared, validation)["multiclass"]["macro_f1"] for model in models]
    return {
        "metrics": mean(found),
        "worst": min(found, key=lambda metrics: metrics["binary"]["macro_f1"]),
        "expected_cost": fmean(one.expected_cost for one in judged),
        "escalation_rate": fmean(one.escalation_rate for one in judged),
        "validation": fmean(chosen),
    }


def worst_hospital(
    models: Sequence[SentinelModel], prepared: PreparedData, shares: Sequence[NDArray[np.intp]]
) -> dict[str, float] | None:
    """Return the lowest binary and the lowest multi-class macro-F1 among hospitals, each on its own test rows.

    Args:
        models: the model that each hospital has on guard.
        prepared: the data set.
        shares: each hospital's test rows; those without attacks, or without anything else, are left out.

    Returns:
        The two, which may be of different hospitals; None if no hospital has rows of both kinds.
    """
    found = [measured(model, prepared, rows) for model, rows in zip(models, shares, strict=True)]
    both = [metrics for metrics in found if metrics["binary"]["macro_f1"] is not None]
    return (
        {name: min(metrics[group]["macro_f1"] for metrics in both) for name, group in _KEPT.items()} if both else None
    )


def measured(model: SentinelModel, prepared: PreparedData, rows: NDArray[np.intp]) -> dict[str, Any]:
    """Measure a model on rows of its data set, over the classes of the schema, those it cannot name among them."""
    decision, suspicion = decided(model, prepared, rows)
    return measures(prepared.flows.y[rows], decision, suspicion, prepared.flows.schema.classes)


def decided(
    model: SentinelModel, prepared: PreparedData, rows: NDArray[np.intp]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return a model's decision on each row, in the schema's numbers, and its suspicion."""
    scores = model.scorer().score(prepared.x[rows])
    place = np.array([prepared.flows.schema.classes.index(name) for name in model.classes], np.int32)
    return place[scores.decision], scores.suspicion


def mean(found: Sequence[Any]) -> Any:
    """Return the means of numbers, of lists, or of all that stands at the same place in dictionaries; None of None."""
    first = found[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {name: mean([one[name] for one in found]) for name in first}
    if isinstance(first, list):
        return np.mean(found, axis=0).tolist()
    return fmean(found)
