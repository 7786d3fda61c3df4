"""Baselines on rows: trained on the same rows and features as Sentinel, tuned on the same validation rows.

Each method has a small grid; the setting with the best macro-F1 over the classes on validation rows is kept. Where a
method takes weights and its leaves need no number of rows, repeated training rows are folded into one with a weight,
which leaves the objective as it is. Trees take missing values as they are (the forest as a far-off constant); the
linear model and the networks take the columns that Sentinel's scaler encodes, fitted on training rows only. The
convolutional and the recurrent network also see the flows before (sequences.py). XGBoost and LightGBM are used where
they are installed (`pip install 'medward[bench-trees]'`).

Where Sentinel's recipe has an alert bias, since attacks come that training never saw, those that take a row as it
is stand a second time with a bias of their own (`CAUTIOUS`), chosen in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier

from medward.agents.baselines.sequences import (
    ConvolutionalNetwork,
    RecurrentNetwork,
    SequenceClassifier,
    Sequences,
    features_in_order,
    last_flows,
)
from medward.agents.metrics import measures
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.recipe import Recipe
from medward.flows.datasets import Dataset
from medward.flows.prepared import PreparedData
from medward.flows.scaling import Scaler

FeatureMatrix = NDArray[np.float32]
_FAR_OFF = -999.0


class Classifier(Protocol):
    """What scikit-learn's classifiers have in common; `x` is a matrix, or `Sequences` for those that read them."""

    classes_: NDArray[np.int32]

    def fit(self, x: Any, y: NDArray[np.int32], sample_weight: NDArray[np.float64] | None = None) -> Any:
        """Fit to rows."""

    def predict_proba(self, x: Any) -> NDArray[np.float64]:
        """Return each row's probability of each class."""


@dataclass(frozen=True)
class Baseline:
    """One method.

    Args:
        name: how tables call it.
        make: returns an unfitted classifier for a setting and a seed.
        grid: the settings that are tried.
        encoded: whether it takes the scaler's columns instead of the raw matrix.
        weighted: whether a row with a weight is to it what so many equal rows are; repeats are kept unfolded otherwise.
        sequences: whether it takes sequences (medward.agents.baselines.sequences).
        recurs: whether it can do nothing where a data set has no history.
        quick: what replaces parts of the first setting for a first look (`medward reproduce --quick`).
        package: the optional package that it needs, None for scikit-learn, which is always there.
        alert_bias: for each data set what is taken from the logarithm of the benign class's probability before
            deciding; data sets that are not named are not run with it. None is for methods without one.
    """

    name: str
    make: Callable[[dict[str, Any], int], Classifier]
    grid: Sequence[dict[str, Any]]
    encoded: bool = False
    weighted: bool = True
    sequences: bool = False
    recurs: bool = False
    quick: Mapping[str, Any] = field(default_factory=dict)
    package: str | None = None
    alert_bias: Mapping[str, float] | None = None

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return self.package is None or find_spec(self.package) is not None

    def needs(self, dataset: Dataset) -> str | None:
        """Say what the data set lacks that the method cannot do without; None if there is nothing."""
        if self.recurs and not dataset.schema.history:
            return "has no history to recur over"
        if self.alert_bias is not None and dataset.name not in self.alert_bias:
            return "asks for no caution"
        return None


class Consecutive:
    """A classifier that wants the classes 0, 1, ... without a gap, for class numbers that have gaps.

    Args:
        wrapped: the classifier; XGBoost's is one such.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self.classes_ = np.zeros(0, np.int32)

    def fit(self, x: FeatureMatrix, y: NDArray[np.int32], sample_weight: NDArray[np.float64] | None = None) -> Any:
        """Fit to rows."""
        self.classes_, numbered = np.unique(y, return_inverse=True)
        self._wrapped.fit(x, numbered, sample_weight=sample_weight)
        return self

    def predict_proba(self, x: FeatureMatrix) -> NDArray[np.float64]:
        """Return each row's probability of each class."""
        chance: NDArray[np.float64] = self._wrapped.predict_proba(x)
        return chance


def _xgboost(setting: dict[str, Any], seed: int) -> Classifier:
    make = import_module("xgboost").XGBClassifier
    return Consecutive(make(tree_method="hist", subsample=0.8, n_jobs=1, random_state=seed, **setting))


def _lightgbm(setting: dict[str, Any], seed: int) -> Classifier:
    made: Classifier = import_module("lightgbm").LGBMClassifier(
        n_jobs=1, random_state=seed, verbose=-1, reg_lambda=3.0, **setting
    )
    return made


_PLAIN: tuple[Baseline, ...] = (
    Baseline("majority", lambda setting, seed: DummyClassifier(strategy="prior"), [{}]),
    Baseline(
        "logistic regression",
        lambda setting, seed: LogisticRegression(max_iter=300, tol=1e-3, **setting),
        [{"C": 1.0}, {"C": 30.0}],
        encoded=True,
    ),
    Baseline(
        "random forest",
        lambda setting, seed: RandomForestClassifier(150, n_jobs=1, random_state=seed, **setting),
        [{"min_samples_leaf": 1}, {"min_samples_leaf": 1, "max_features": 0.3}],
    ),
    Baseline(
        "histogram gradient boosting",
        lambda setting, seed: HistGradientBoostingClassifier(
            max_features=0.5, l2_regularization=3.0, early_stopping=False, random_state=seed, **setting
        ),
        [{"max_iter": 200, "learning_rate": 0.1}, {"max_iter": 250, "learning_rate": 0.05, "max_leaf_nodes": 15}],
        # Twenty rows a leaf and quantiles of rows: folded, it cannot learn what repeats, 86 % of X-IoMT.
        weighted=False,
    ),
    Baseline(
        "XGBoost",
        _xgboost,
        [
            {"n_estimators": 200, "learning_rate": 0.1, "max_depth": 8, "colsample_bytree": 0.5},
            {"n_estimators": 250, "learning_rate": 0.1, "max_depth": 5, "colsample_bytree": 0.5},
        ],
        package="xgboost",
    ),
    Baseline(
        "LightGBM",
        _lightgbm,
        [
            {"n_estimators": 200, "learning_rate": 0.1, "colsample_bytree": 0.5},
            {"n_estimators": 250, "learning_rate": 0.05, "num_leaves": 15, "colsample_bytree": 0.5},
        ],
        weighted=False,
        package="lightgbm",
    ),
    Baseline(
        "MLP",
        lambda setting, seed: MLPClassifier(
            (96, 96), batch_size=512, early_stopping=True, max_iter=40, random_state=seed, **setting
        ),
        [{"alpha": 1e-4, "learning_rate_init": 3e-3}, {"alpha": 1e-2, "learning_rate_init": 1e-3}],
        encoded=True,
        weighted=False,
    ),
    Baseline(
        "CNN",
        lambda setting, seed: SequenceClassifier(ConvolutionalNetwork, seed, **setting),
        [{"weight_decay": 1e-4, "learning_rate": 3e-3}, {"weight_decay": 1e-2, "learning_rate": 1e-3}],
        weighted=False,
        sequences=True,
        quick={"epochs": 2},
    ),
    Baseline(
        "GRU",
        lambda setting, seed: SequenceClassifier(RecurrentNetwork, seed, **setting),
        [{"weight_decay": 1e-4, "learning_rate": 3e-3}, {"weight_decay": 1e-2, "learning_rate": 1e-3}],
        weighted=False,
        sequences=True,
        quick={"epochs": 2},
        recurs=True,
    ),
)
CAUTIOUS = ", cautious"
#: Chosen by benchmarks/agents/new_attacks.py, on attack types that training was not shown.
_ALERT_BIAS: dict[str, dict[str, float]] = {
    "logistic regression": {"nsl-kdd": 2.0},
    "random forest": {"nsl-kdd": 5.0},
    "histogram gradient boosting": {"nsl-kdd": 7.0},
    "XGBoost": {"nsl-kdd": 6.0},
    "LightGBM": {"nsl-kdd": 7.0},
    "MLP": {"nsl-kdd": 4.0},
}
BASELINES: tuple[Baseline, ...] = (
    *_PLAIN,
    *(replace(b, name=b.name + CAUTIOUS, alert_bias=_ALERT_BIAS[b.name]) for b in _PLAIN if b.name in _ALERT_BIAS),
)


@dataclass(frozen=True)
class BaselineResult:
    """How a tuned baseline did.

    Args:
        setting: the setting that validation chose.
        validation: macro-F1 over the classes on validation rows.
        metrics: the measures on test rows.
        decision: its decisions on test rows.
    """

    setting: dict[str, Any]
    validation: float
    metrics: dict[str, Any]
    decision: NDArray[np.int32]


@dataclass(frozen=True)
class FittedBaseline:
    """A baseline fitted to training rows, in the setting that validation rows chose.

    Args:
        setting: that setting.
        validation: its macro-F1 over the classes on validation rows, without alert bias.
        classifier: the fitted classifier.
        x: what it takes of all rows of the data set.
    """

    setting: dict[str, Any]
    validation: float
    classifier: Classifier
    x: FeatureMatrix | Sequences

    def chance(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the probability of each class, float64[rows, classes]; the classes are `classifier.classes_`."""
        return np.asarray(self.classifier.predict_proba(self.x[rows]), np.float64)

    def decided(self, chance: NDArray[np.float64], alert_bias: float) -> NDArray[np.int32]:
        """Return each row's decision, 0 for "no alert", where the benign class's log-probability is lowered so far.

        Args:
            chance: as `chance` returns it.
            alert_bias: 0 decides for the likeliest class.
        """
        weighed = np.where(self.classifier.classes_ == 0, chance * np.exp(-alert_bias), chance)
        decision: NDArray[np.int32] = self.classifier.classes_[weighed.argmax(axis=1)].astype(np.int32)
        return decision


def fit_baseline(baseline: Baseline, prepared: PreparedData, recipe: Recipe, seed: int) -> FittedBaseline:
    """Fit a baseline to training rows in each setting, and return the one that is best on validation rows."""
    split, y = prepared.split, prepared.flows.y
    x, rows, weight = _inputs(baseline, prepared, recipe)
    best: FittedBaseline | None = None
    for setting in baseline.grid:
        classifier = baseline.make(setting, seed)
        if baseline.weighted:
            classifier.fit(x[rows], y[rows], sample_weight=weight)
        else:
            classifier.fit(x[split.train], y[split.train])
        truth = y[split.validation]
        fitted = FittedBaseline(setting, 0.0, classifier, x)
        chosen = fitted.decided(fitted.chance(split.validation), 0.0)
        score = float(f1_score(truth, chosen, labels=np.unique(truth), average="macro", zero_division=0.0))
        if best is None or score > best.validation:
            best = replace(fitted, validation=score)
    assert best is not None
    return best


def run_baseline(baseline: Baseline, prepared: PreparedData, recipe: Recipe, seed: int) -> BaselineResult:
    """Tune a baseline on validation rows, and measure the chosen setting, with its alert bias if any, on test rows."""
    test, fitted = prepared.split.test, fit_baseline(baseline, prepared, recipe, seed)
    chance = fitted.chance(test)
    decision = fitted.decided(chance, (baseline.alert_bias or {}).get(prepared.dataset.name, 0.0))
    benign = chance[:, list(fitted.classifier.classes_).index(0)]
    y, classes = prepared.flows.y[test], prepared.flows.schema.classes
    metrics = measures(y, decision, (1.0 - benign).astype(np.float32), classes)
    return BaselineResult(fitted.setting, fitted.validation, metrics, decision)


def _inputs(
    baseline: Baseline, prepared: PreparedData, recipe: Recipe
) -> tuple[FeatureMatrix | Sequences, NDArray[np.intp], NDArray[np.float64]]:
    """Return what the method takes of all rows, and the distinct training rows with how often each occurred."""
    x, rows = prepared.x, prepared.split.train
    keyed = np.ascontiguousarray(np.concatenate([x[rows], prepared.flows.y[rows, None].astype(np.float32)], axis=1))
    vectors = keyed.view(np.dtype((np.void, keyed.shape[1] * 4))).ravel()
    _, first, count = np.unique(vectors, return_index=True, return_counts=True)
    if baseline.sequences:
        return _sequences(prepared, fitted_scaler(prepared.space, x[rows], recipe)), rows[first], count.astype(float)
    if baseline.encoded:
        x = fitted_scaler(prepared.space, x[rows], recipe).encode(x)
    elif baseline.name == "random forest":
        x = np.nan_to_num(x, nan=_FAR_OFF)
    return x, rows[first], count.astype(np.float64)


def _sequences(prepared: PreparedData, scaler: Scaler) -> Sequences:
    """Return the rows as sequences of their own columns, and beside them what memory sums up of their past."""
    encoded, train = scaler.encode(prepared.x), prepared.split.train
    history = np.array([column.history for column in prepared.space.columns])
    parts = (scaler.numbers, scaler.numbers, scaler.indicators, scaler.flags)
    past = np.concatenate([history[columns] for columns in parts])
    # "Is there" is the same for every row of most columns.
    varied = encoded[train].min(axis=0) < encoded[train].max(axis=0)
    own, memory = encoded[:, varied & ~past], encoded[:, varied & past]
    stream, order = prepared.split.stream, prepared.flows.order
    if stream is None or order is None:
        return features_in_order(own, memory)
    return last_flows(own, memory, stream, order)
