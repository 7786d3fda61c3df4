"""Sequences: whose flows stand in them, and that the networks over them learn what only earlier flows tell."""

import numpy as np
import pytest
from numpy.typing import NDArray

from medward.agents.baselines.sequences import (
    LOOKBACK,
    ConvolutionalNetwork,
    RecurrentNetwork,
    SequenceClassifier,
    Sequences,
    features_in_order,
    last_flows,
)
from medward.agents.baselines.tabular import BASELINES, run_baseline
from medward.flows.datasets import NSLKDD, WUSTL
from medward.flows.prepared import PreparedData
from medward.studies.study import left_out
from tests.agents.conftest import RECIPE


def test_sequence_holds_the_last_flows_of_the_rows_own_stream() -> None:
    own = np.arange(1, 7, dtype=np.float32)[:, None]
    stream = np.array([7, 3, 7, 3, 7, 7], np.int32)
    order = np.array([4, 1, 2, 5, 3, 1], np.float64)
    read = last_flows(own, np.zeros((6, 0), np.float32), stream, order)
    assert read.steps.shape == (6, LOOKBACK, 2)
    # Stream 7 in its order: rows 6, 3, 5, 1 (counted from 1); stream 3: rows 2, 4.
    assert list(read.steps[0, :, 0]) == [0, 0, 0, 0, 6, 3, 5, 1]
    assert list(read.steps[0, :, 1]) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert list(read.steps[3, :, 0]) == [0, 0, 0, 0, 0, 0, 2, 4]
    assert list(read.steps[5, :, 0]) == [0, 0, 0, 0, 0, 0, 0, 6]


def test_sequence_goes_back_no_further_than_eight_flows() -> None:
    own = np.arange(20, dtype=np.float32)[:, None]
    read = last_flows(own, np.zeros((20, 0), np.float32), np.zeros(20, np.int32), np.arange(20.0))
    assert list(read.steps[19, :, 0]) == list(range(12, 20))


def test_features_in_order_are_a_sequence_of_one_channel() -> None:
    own = np.arange(6, dtype=np.float32).reshape(2, 3)
    read = features_in_order(own, np.zeros((2, 0), np.float32))
    assert read.steps.shape == (2, 3, 1)
    assert list(read.steps[1, :, 0]) == [3, 4, 5]


def _told_by_the_third_last_flow(rows: int, seed: int) -> tuple[Sequences, NDArray[np.int32]]:
    rng = np.random.default_rng(seed)
    own = rng.choice([-1.0, 1.0], (rows, 1)).astype(np.float32)
    y = np.where(np.roll(own[:, 0], 2) > 0, 4, 1).astype(np.int32)
    return last_flows(own, np.zeros((rows, 0), np.float32), np.zeros(rows, np.int32), np.arange(float(rows))), y


@pytest.mark.slow
@pytest.mark.parametrize("network", [ConvolutionalNetwork, RecurrentNetwork])
def test_network_learns_what_only_an_earlier_flow_tells(network: type) -> None:
    x, y = _told_by_the_third_last_flow(1000, 0)
    fitted = SequenceClassifier(network, 0, learning_rate=1e-2, weight_decay=1e-4).fit(x, y)
    assert list(fitted.classes_) == [1, 4]
    unseen, truth = _told_by_the_third_last_flow(1000, 1)
    chance = fitted.predict_proba(unseen)
    assert chance.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.mean(fitted.classes_[chance.argmax(axis=1)][8:] == truth[8:]) > 0.97


@pytest.mark.release
def test_same_seed_gives_the_same_classifier() -> None:
    x, y = _told_by_the_third_last_flow(200, 0)
    first, second, other = (
        SequenceClassifier(RecurrentNetwork, seed, learning_rate=1e-3, weight_decay=0.0).fit(x, y).predict_proba(x)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_cannot_be_done_is_refused() -> None:
    x, y = _told_by_the_third_last_flow(20, 0)
    classifier = SequenceClassifier(RecurrentNetwork, 0, learning_rate=1e-3, weight_decay=0.0)
    with pytest.raises(ValueError, match="before it was fitted"):
        classifier.predict_proba(x)
    with pytest.raises(ValueError, match="no sample weights"):
        classifier.fit(x, y, np.ones(20))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CNN", "GRU"])
def test_baseline_learns_the_toy_problem(prepared: PreparedData, name: str) -> None:
    baseline = next(baseline for baseline in BASELINES if baseline.name == name)
    result = run_baseline(baseline, prepared, RECIPE, 0)
    assert result.setting in baseline.grid
    assert result.metrics["multiclass"]["macro_f1"] > 0.85


def test_only_what_recurs_is_left_out_where_there_is_no_history() -> None:
    assert left_out("GRU", NSLKDD) == "has no history to recur over"
    assert left_out("CNN", NSLKDD) is None
    assert left_out("GRU", WUSTL) is None
