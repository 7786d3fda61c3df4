"""Baselines: chosen on validation rows, judged on test rows, and an absent package is told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from medward.agents.baselines import BASELINES, Baseline, Classifier, Consecutive, run_baseline
from medward.flows.prepared import Prepared
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
def test_trees_learn_the_toy_problem(prepared: Prepared, name: str) -> None:
    baseline = _baseline(name)
    if not baseline.installed:
        pytest.skip(f"{baseline.package} is not installed")
    setting = {key: 20 if key == "n_estimators" else value for key, value in baseline.grid[0].items()}
    result = run_baseline(replace(baseline, grid=[setting]), prepared, RECIPE, 0)
    assert result.metrics["multiclass"]["macro_f1"] > 0.85


def test_setting_is_the_one_that_is_best_on_validation_rows(prepared: Prepared) -> None:
    forest = replace(
        _baseline("random forest"), grid=[{"max_depth": 1, "max_features": 1}, {"max_depth": 12}, {"max_depth": 2}]
    )
    result = run_baseline(forest, prepared, RECIPE, 0)
    assert result.setting == {"max_depth": 12}
