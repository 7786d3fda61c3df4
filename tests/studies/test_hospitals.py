"""Hospitals alone: own rows only, measured on everybody's; and the hospital that is served worst."""

from dataclasses import replace

import numpy as np
import pytest

from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import SentinelModel
from medward.agents.sentinel.recipe import Recipe
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.datasets import DATASETS, ward
from medward.flows.errors import BadSplit
from medward.flows.prepared import PreparedData, prepare
from medward.studies.hospitals import alone, measured, trained_alone, worst_hospital
from medward.studies.study import SITES

RECIPE = Recipe().change(scaler="standard", cells=64, surveys=2, embedding=0, hidden=(8,), batch=64, epochs=2)


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    return prepare(DATASETS["ward"], ward.generate(6000, 3), "honest", 3)


@pytest.fixture(scope="module")
def training(prepared: PreparedData) -> FederatedTraining:
    return FederatedTraining(prepared, RECIPE, Options(SITES, 1, protect="none", seed=3))


@pytest.fixture(scope="module")
def models(prepared: PreparedData, training: FederatedTraining) -> list[SentinelModel]:
    return trained_alone(prepared, training.shares, RECIPE, 3)


@pytest.mark.slow
def test_hospital_knows_its_own_classes_and_rows_only(
    prepared: PreparedData, training: FederatedTraining, models: list[SentinelModel]
) -> None:
    names = prepared.flows.schema.classes
    for model, share in zip(models, training.shares, strict=True):
        assert model.classes == tuple(names[k] for k in np.unique(prepared.flows.y[share]))
    assert [model.provenance.seed for model in models] == [12, 13, 14, 15]
    others = np.concatenate(training.shares[1:])
    y, x = prepared.flows.y.copy(), prepared.x.copy()
    y[others], x[others] = np.where(y[others] > 0, 0, 1), 0.0
    spoilt = replace(prepared, flows=replace(prepared.flows, y=y), x=x)
    (again,) = trained_alone(spoilt, training.shares[:1], RECIPE, 12)
    assert again.name == models[0].name


@pytest.mark.slow
def test_metrics_are_means_over_hospitals_and_worst_is_one_of_them(
    prepared: PreparedData, models: list[SentinelModel]
) -> None:
    found = alone(models, prepared)
    each = [measured(model, prepared, prepared.split.test) for model in models]
    binary = [metrics["binary"]["macro_f1"] for metrics in each]
    assert found["metrics"]["binary"]["macro_f1"] == pytest.approx(np.mean(binary))
    assert found["worst"] == each[int(np.argmin(binary))]
    benign = prepared.flows.schema.classes[0]
    recall = [metrics["multiclass"]["per_class_recall"][benign] for metrics in each]
    assert found["metrics"]["multiclass"]["per_class_recall"][benign] == pytest.approx(np.mean(recall))
    assert np.sum(found["metrics"]["multiclass"]["confusion"]) == pytest.approx(len(prepared.split.test))


@pytest.mark.slow
def test_class_that_a_hospital_lacks_counts_as_never_found(prepared: PreparedData, training: FederatedTraining) -> None:
    y, share = prepared.flows.y, training.shares[0]
    lacking = int(y[prepared.split.test].max())
    (model,) = trained_alone(prepared, [share[y[share] != lacking]], RECIPE, 3)
    name = prepared.flows.schema.classes[lacking]
    found = measured(model, prepared, prepared.split.test)
    assert found["multiclass"]["per_class_recall"][name] == 0.0
    judged = judge(model, prepared.x[prepared.split.test], y[prepared.split.test]).metrics
    assert found["binary"] == judged["binary"]


@pytest.mark.slow
def test_worst_hospital_is_the_least_over_shares_with_both_kinds(
    prepared: PreparedData, models: list[SentinelModel]
) -> None:
    test, y = prepared.split.test, prepared.flows.y
    benign, halves = test[y[test] == 0], np.array_split(test, 2)
    found = worst_hospital(models[:3], prepared, [halves[0], benign, halves[1]])
    each = [measured(models[0], prepared, halves[0]), measured(models[2], prepared, halves[1])]
    assert found == {
        "binary_macro_f1": min(one["binary"]["macro_f1"] for one in each),
        "multiclass_macro_f1": min(one["multiclass"]["macro_f1"] for one in each),
    }
    assert worst_hospital(models[:1], prepared, [benign]) is None


@pytest.mark.slow
def test_hospital_without_attacks_cannot_train_alone(prepared: PreparedData, training: FederatedTraining) -> None:
    share = training.shares[1]
    with pytest.raises(BadSplit, match="Hospital 1 holds rows of one kind only"):
        trained_alone(prepared, [training.shares[0], share[prepared.flows.y[share] == 0]], RECIPE, 3)
