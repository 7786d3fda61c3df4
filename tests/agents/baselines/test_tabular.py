"""Baselines: chosen on validation rows, judged on test rows, and an absent package is told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from medward.agents.baselines.tabular import (
    BASELINES,
    CAUTIOUS,
    Baseline,
    Classifier,
    Consecutive,
    fit_baseline,
    run_baseline,
)
from medward.agents.sentinel.recipe import ENSEMBLES, RECIPES, WITHOUT_FINGERPRINTS, recipe_of
from medward.flows.datasets import DATASETS
from medward.flows.prepared import PreparedData
from medward.studies.study import DEFAULT_METHODS, METHODS, OF_THREE, left_out
from tests.agents.conftest import RECIPE


def _baseline(name: str) -> Baseline:
    return next(baseline for baseline in BASELINES if baseline.name == name)


def test_package_that_is_not_there_is_told() -> None:
    absent = replace(_baseline("XGBoost"), package="no_such_package_of_trees")
    assert not absent.installed
    assert _baseline("random forest").installed


class _OnlyConsecutive(DummyClassifier):
    """Refuses class numbers with a gap, as XGBoost does."""

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        assert set(y) == set(range(len(set(y))))
        return super().fit(x, y, sample_weight)


def test_class_numbers_with_a_gap_come_back_as_they_were() -> None:
    y = np.array([0, 2, 2, 2, 5], np.int32)
    fitted: Classifier = Consecutive(_OnlyConsecutive(strategy="prior")).fit(np.zeros((5, 1), np.float32), y)
    assert list(fitted.classes_) == [0, 2, 5]
    chance = fitted.predict_proba(np.zeros((1, 1), np.float32))[0]
    assert chance == pytest.approx([0.2, 0.6, 0.2])


@pytest.mark.parametrize("name", ["XGBoost", "LightGBM", "random forest"])
def test_trees_learn_the_toy_problem(prepared: PreparedData, name: str) -> None:
    baseline = _baseline(name)
    if not baseline.installed:
        pytest.skip(f"{baseline.package} is not installed")
    setting = {key: 20 if key == "n_estimators" else value for key, value in baseline.grid[0].items()}
    result = run_baseline(replace(baseline, grid=[setting]), prepared, RECIPE, 0)
    assert result.metrics["multiclass"]["macro_f1"] > 0.85


def test_setting_is_the_one_that_is_best_on_validation_rows(prepared: PreparedData) -> None:
    forest = replace(
        _baseline("random forest"), grid=[{"max_depth": 1, "max_features": 1}, {"max_depth": 12}, {"max_depth": 2}]
    )
    result = run_baseline(forest, prepared, RECIPE, 0)
    assert result.setting == {"max_depth": 12}


def test_alert_bias_alerts_on_more_and_changes_nothing_else(prepared: PreparedData) -> None:
    forest = replace(_baseline("random forest"), grid=[{"max_depth": 3}])
    fitted = fit_baseline(forest, prepared, RECIPE, 0)
    chance = fitted.chance(prepared.split.test)
    plain, cautious = (fitted.decided(chance, bias) for bias in (0.0, 1.5))
    assert (plain == fitted.classifier.classes_[chance.argmax(axis=1)]).all()
    alerts = cautious > 0
    assert alerts.sum() > (plain > 0).sum()
    assert (plain[plain > 0] == cautious[plain > 0]).all()
    # What it alerts on: an attack class has more than e^-1.5 of the benign class's chance.
    benign = list(fitted.classifier.classes_).index(0)
    rest = np.delete(chance, benign, axis=1).max(axis=1)
    assert (alerts == (rest > chance[:, benign] * np.exp(-1.5))).all()


def test_a_baselines_alert_bias_is_that_of_the_data_set(prepared: PreparedData) -> None:
    forest = replace(_baseline("random forest"), grid=[{"max_depth": 3}])
    plain = run_baseline(forest, prepared, RECIPE, 0)
    cautious, elsewhere = (
        run_baseline(replace(forest, alert_bias=bias), prepared, RECIPE, 0)
        for bias in ({prepared.dataset.name: 1.5}, {"another": 1.5})
    )
    assert (elsewhere.decision == plain.decision).all()
    assert (cautious.decision > 0).sum() > (plain.decision > 0).sum()
    assert cautious.metrics["binary"]["auroc"] == plain.metrics["binary"]["auroc"]


def test_cautious_methods_run_where_sentinels_recipe_has_an_alert_bias() -> None:
    cautious = [name for name in METHODS if name.endswith(CAUTIOUS)]
    assert len(cautious) > 4
    for name in (*cautious, "Sentinel, pooled, without caution"):
        assert left_out(name, DATASETS["nsl-kdd"]) is None
        assert left_out(name, DATASETS["ciciomt2024"]) == "asks for no caution"
    assert "Sentinel, pooled, without caution" in DEFAULT_METHODS


def test_three_members_run_only_where_they_are_asked_for_and_have_a_recipe() -> None:
    assert OF_THREE in METHODS
    assert OF_THREE not in DEFAULT_METHODS
    assert left_out(OF_THREE, DATASETS["ciciomt2024"]) is None
    assert left_out(OF_THREE, DATASETS["ward"]) == "has no recipe of several members"
    assert ENSEMBLES["ciciomt2024"].network.ensemble == 3


def test_case_without_fingerprints_has_its_own_recipe_where_one_was_chosen() -> None:
    assert recipe_of("wustl-ehms-2020") == RECIPES["wustl-ehms-2020"]
    assert recipe_of("wustl-ehms-2020", True) == WITHOUT_FINGERPRINTS["wustl-ehms-2020"] != RECIPES["wustl-ehms-2020"]
    assert recipe_of("nsl-kdd", True) == RECIPES["nsl-kdd"]
    for name in WITHOUT_FINGERPRINTS:
        assert DATASETS[name].fingerprints
