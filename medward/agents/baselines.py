"""What Sentinel is compared with: trained on the same rows and features, tuned on the same validation rows.

Each method has a small grid; the setting with the best macro-F1 over the classes on validation rows is kept. Repeated
training rows are folded into one with a weight, which leaves every objective as it is. Trees take missing values as
they are (the forest as a far-off constant); the linear model and the networks take the columns that Sentinel's
scaler encodes, fitted on training rows only. The convolutional and the recurrent network also see the flows before
(medward.agents.sequences). XGBoost and LightGBM are used where they are installed
(`pip install 'medward[bench-trees]'`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

from medward.agents.central import fitted_scaler
from medward.agents.metrics import measures
from medward.agents.recipe import Recipe
from medward.agents.sequences import (
    ConvolutionalNetwork,
    RecurrentNetwork,
    SequenceClassifier,
    Sequences,
    features_in_order,
    last_flows,
)
from medward.flows.prepared import Prepared
from medward.flows.scaling import Scaler

Matrix = NDArray[np.float32]
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
        weighted: whether its fit takes sample weights; repeats are kept unfolded otherwise.
        sequences: whether it takes sequences (medward.agents.sequences).
        recurs: whether it can do nothing where a data set has no history.
        quick: what replaces parts of the first setting for a first look (`medward reproduce --quick`).
        package: the optional package that it needs, None for scikit-learn, which is always there.
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

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return self.package is None or find_spec(self.package) is not None


class Consecutive:
    """A classifier that wants the classes 0, 1, ... without a gap, for class numbers that have gaps.

    Args:
        wrapped: the classifier; XGBoost's is one such.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self.classes_ = np.zeros(0, np.int32)

    def fit(self, x: Matrix, y: NDArray[np.int32], sample_weight: NDArray[np.float64] | None = None) -> Any:
        """Fit to rows."""
        self.classes_, numbered = np.unique(y, return_inverse=True)
        self._wrapped.fit(x, numbered, sample_weight=sample_weight)
        return self

    def predict_proba(self, x: Matrix) -> NDArray[np.float64]:
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


BASELINES: tuple[Baseline, ...] = (
    Baseline("majority", lambda setting, seed: DummyClassifier(strategy="prior"), [{}]),
    Baseline(
        "logistic regression",
        lambda setting, seed: LogisticRegression(max_iter=300, tol=1e-3, **setting),
        [{"C": 1.0}, {"C": 30.0}],
        encoded=True,
    ),
    Baseline(
        "random forest",
        lambda setting, seed: RandomForestClassifier(150, n_jobs=-1, random_state=seed, **setting),
        [{"min_samples_leaf": 1}, {"min_samples_leaf": 1, "max_features": 0.3}],
    ),
    Baseline(
        "histogram gradient boosting",
        lambda setting, seed: HistGradientBoostingClassifier(
            max_features=0.5, l2_regularization=3.0, early_stopping=False, random_state=seed, **setting
        ),
        [{"max_iter": 200, "learning_rate": 0.1}, {"max_iter": 250, "learning_rate": 0.05, "max_leaf_nodes": 15}],
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


def run_baseline(baseline: Baseline, prepared: Prepared, recipe: Recipe, seed: int) -> BaselineResult:
    """Tune a baseline on validation rows, and measure the chosen setting on test rows."""
    split, y = prepared.split, prepared.flows.y
    x, rows, weight = _inputs(baseline, prepared, recipe)
    best: tuple[float, dict[str, Any], Classifier] | None = None
    for setting in baseline.grid:
        fitted = baseline.make(setting, seed)
        if baseline.weighted:
            fitted.fit(x[rows], y[rows], sample_weight=weight)
        else:
            fitted.fit(x[split.train], y[split.train])
        truth = y[split.validation]
        chosen = fitted.classes_[fitted.predict_proba(x[split.validation]).argmax(axis=1)]
        score = float(f1_score(truth, chosen, labels=np.unique(truth), average="macro", zero_division=0.0))
        if best is None or score > best[0]:
            best = (score, setting, fitted)
    assert best is not None
    score, setting, fitted = best
    chance = fitted.predict_proba(x[split.test])
    decision = fitted.classes_[chance.argmax(axis=1)].astype(np.int32)
    benign = chance[:, list(fitted.classes_).index(0)]
    metrics = measures(y[split.test], decision, (1.0 - benign).astype(np.float32), prepared.flows.schema.classes)
    return BaselineResult(setting, score, metrics, decision)


def _inputs(
    baseline: Baseline, prepared: Prepared, recipe: Recipe
) -> tuple[Matrix | Sequences, NDArray[np.intp], NDArray[np.float64]]:
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


def _sequences(prepared: Prepared, scaler: Scaler) -> Sequences:
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
