"""The comparison of docs/results.md: Sentinel, federated, pooled and alone, beside tuned baselines, seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from medward.agents.baselines.tabular import BASELINES, run_baseline
from medward.agents.metrics import measures
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.recipe import ENSEMBLES, Recipe, recipe_of
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.datasets import Dataset
from medward.flows.errors import BadSplit
from medward.flows.prepared import PreparedData, Protocol
from medward.flows.splits import unseen_rows
from medward.studies.hospitals import alone, decided, mean, trained_alone, worst_hospital

SITES = 4
_INCAUTIOUS = ", without caution"
#: Each hospital for itself, on the rows that it has in the federation (medward.studies.hospitals).
ALONE = "Sentinel, alone"
SENTINELS = ("Sentinel, federated", ALONE, "Sentinel, pooled", "Sentinel, pooled" + _INCAUTIOUS)
#: Run only where the user names it: its updates are three times as large.
OF_THREE = "Sentinel, federated, three members"
METHODS = (*SENTINELS, OF_THREE, *(baseline.name for baseline in BASELINES))
#: What is run where the user names no method: XGBoost and LightGBM only if they are installed.
DEFAULT_METHODS = (*SENTINELS, *(baseline.name for baseline in BASELINES if baseline.installed))
WITHOUT = ", without fingerprints"
_SHORT = {
    ALONE: "alone",
    OF_THREE: "three-members",
    "Sentinel, federated": "federated",
    "Sentinel, pooled": "pooled",
    "logistic regression": "logistic",
    "random forest": "forest",
    "histogram gradient boosting": "boosting",
}


def short_name(method: str) -> str:
    """Return the word by which a person names a method: "federated", "xgboost-cautious"."""
    if method in _SHORT:
        return _SHORT[method]
    head, comma, rest = method.rpartition(", ")
    return f"{short_name(head)}-{rest.replace(' ', '-')}" if comma else method.lower().replace(" ", "-")


def method_named(word: str, methods: Sequence[str]) -> str | None:
    """Return the method of a short or a full name, None if there is none."""
    return next((one for one in methods if word == one or word.lower() == short_name(one)), None)


@dataclass(frozen=True)
class Study:
    """What is compared, and where finished runs are kept.

    Args:
        protocol: "honest", "random" or "paper".
        seeds: the seeds; each gives a split, shares and a training of its own.
        methods: which of `METHODS`.
        quick: fewer epochs and rounds, and baselines untuned, for a first look.
        results: a file of JSON lines; runs that stand there are not repeated.
        without_fingerprints: leave out the features that identify the attack tool (`Dataset.fingerprints`).
    """

    protocol: Protocol
    seeds: Sequence[int]
    methods: Sequence[str] = DEFAULT_METHODS
    quick: bool = False
    results: Path | None = None
    without_fingerprints: bool = False

    def key(self, dataset: str, seed: int, method: str) -> str:
        """Name one run."""
        kind = ("quick" if self.quick else "full") + (WITHOUT if self.without_fingerprints else "")
        return "|".join((dataset, self.protocol, kind, str(seed), method))


def left_out(method: str, dataset: Dataset) -> str | None:
    """Say why a method of `METHODS` makes no sense on a data set, or None if it does: "has no history ..."."""
    if method.endswith(_INCAUTIOUS):
        return None if recipe_of(dataset.name).deployment.alert_bias else "asks for no caution"
    if method == OF_THREE:
        return None if dataset.name in ENSEMBLES else "has no recipe of several members"
    return next((baseline.needs(dataset) for baseline in BASELINES if baseline.name == method), None)


def run_method(study: Study, prepared: PreparedData, method: str, seed: int) -> dict[str, Any]:
    """Train a method on a split data set and measure it on its test rows.

    Args:
        study: which protocol, how long and on which features.
        prepared: the split data set.
        method: one of `METHODS` that is not `left_out`.
        seed: what its training draws from.

    Returns:
        What `medward.studies.side_by_side.run_studies` returns of a run, but its key. Of hospitals, together or alone,
        `worst_hospital` besides (medward.studies.hospitals.worst_hospital), and of those alone `worst`.
    """
    began, used = perf_counter(), process_time()
    name = prepared.dataset.name
    recipe = ENSEMBLES[name] if method == OF_THREE else recipe_of(name, study.without_fingerprints)
    if study.quick:
        recipe = recipe.change(epochs=max(3, recipe.learning.epochs // 5), rounds=10)
    if method.startswith("Sentinel, pooled"):
        outcome = _sentinel(_pooled(prepared, method, recipe, seed), prepared)
    elif method.startswith("Sentinel"):
        outcome = _hospitals(prepared, method, recipe, seed)
    else:
        baseline = next(baseline for baseline in BASELINES if baseline.name == method)
        if study.quick:
            baseline = replace(baseline, grid=[{**baseline.grid[0], **baseline.quick}])
        result = run_baseline(baseline, prepared, recipe, seed)
        outcome = {"metrics": result.metrics, "setting": result.setting, "validation": result.validation}
        outcome["unseen"] = _unseen(prepared, result.decision, None)
    return {
        "data": prepared.dataset.name,
        "protocol": study.protocol + (WITHOUT if study.without_fingerprints else ""),
        "seed": seed,
        "method": method,
        **outcome,
        "repeated_share": 1.0 - float(_is_unseen(prepared).mean()),
        "seconds": round(perf_counter() - began, 1),
        "processor_seconds": round(process_time() - used, 1),
    }


def _pooled(prepared: PreparedData, method: str, recipe: Recipe, seed: int) -> SentinelModel:
    if method.endswith(_INCAUTIOUS):
        recipe = recipe.change(alert_bias=0.0)
    provenance = Provenance("central", None, 1, "none", prepared.flows.schema.synthetic, seed, prepared.protocol)
    return train_centrally(prepared, prepared.split.train, recipe, provenance)


def _hospitals(prepared: PreparedData, method: str, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Measure hospitals that train together, or alone on the same shares."""
    training = FederatedTraining(prepared, recipe, Options(SITES, recipe.federation.rounds, protect="none", seed=seed))
    if method == ALONE:
        models = trained_alone(prepared, training.shares, recipe, seed)
        outcome = alone(models, prepared)
        outcome["unseen"] = mean([_unseen(prepared, *decided(m, prepared, prepared.split.test)) for m in models])
    else:
        model = training.run(None, lambda report: None)
        models, outcome = [model] * SITES, _sentinel(model, prepared)
    try:
        outcome["worst_hospital"] = worst_hospital(models, prepared, training.test_shares())
    except BadSplit:  # The test part has too few blocks to give each hospital one.
        outcome["worst_hospital"] = None
    return outcome


def _sentinel(model: SentinelModel, prepared: PreparedData) -> dict[str, Any]:
    test, validation = prepared.split.test, prepared.split.validation
    result = judge(model, prepared.x[test], prepared.flows.y[test])
    chosen = judge(model, prepared.x[validation], prepared.flows.y[validation])
    return {
        "metrics": result.metrics,
        "expected_cost": result.expected_cost,
        "escalation_rate": result.escalation_rate,
        "validation": chosen.metrics["multiclass"]["macro_f1"],
        "unseen": _unseen(prepared, *decided(model, prepared, test)),
    }


def _is_unseen(prepared: PreparedData) -> Any:
    return unseen_rows(prepared.x, prepared.split.train, prepared.split.test)


def _unseen(prepared: PreparedData, decision: Any, suspicion: Any) -> dict[str, Any] | None:
    """Return the macro-F1s on test rows whose features stand on no training row, where there are both kinds."""
    unseen = _is_unseen(prepared)
    y = prepared.flows.y[prepared.split.test][unseen]
    if len(np.unique(y > 0)) < 2:
        return None
    order = np.zeros(len(y), np.float32) if suspicion is None else suspicion[unseen]
    found = measures(y, decision[unseen], order, prepared.flows.schema.classes)
    return {"binary_macro_f1": found["binary"]["macro_f1"], "multiclass_macro_f1": found["multiclass"]["macro_f1"]}
