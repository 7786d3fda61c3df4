"""Training in one place: on rows that somebody chose, or on all; what cannot be trained on is told in one sentence."""

from typing import Any

import numpy as np
import pytest

import medward
from medward.api.training import chosen_rows
from medward.errors import BadUsage
from tests.api.conftest import QUICK


def test_rows_without_both_kinds_are_refused(split: Any) -> None:
    benign = np.flatnonzero(split.flows.y == 0)
    with pytest.raises(medward.MedwardError, match="0 are attacks"):
        medward.train(split, benign)
    with pytest.raises(medward.MedwardError, match="by their numbers"):
        medward.train(split, split.flows.y == 0)
    with pytest.raises(medward.MedwardError, match="rows from 0 to 2999"):
        medward.train(split, [1, 3000])


@pytest.mark.slow
def test_model_says_on_whose_rows_it_was_trained(split: Any) -> None:
    half = split.split.train[::2]
    assert medward.train(split, half, recipe=QUICK).provenance.how == "local"
    assert medward.train(split, split.split.train, recipe=QUICK).provenance.how == "central"


def test_model_in_closed_form_is_of_the_rows_that_were_chosen(split: Any) -> None:
    train = split.split.train
    whole, again, half, other = (
        medward.train(split, rows, seed=seed, features=16)
        for rows, seed in ((None, 1), (train[::-1], 1), (train[::2], 1), (None, 2))
    )
    assert (whole.provenance.how, half.provenance.how) == ("central", "local")
    assert whole.provenance.seed == 1
    assert whole.name == again.name, "a sum has no order"
    assert len({whole.name, half.name, other.name}) == 3
    assert whole.evaluate(split).metrics["binary"]["macro_f1"] > 0.6


@pytest.mark.parametrize("features", [30, 8, 4096, -4])
def test_features_that_there_are_not_are_refused(split: Any, features: int) -> None:
    with pytest.raises(medward.MedwardError, match="features"):
        medward.train(split, features=features)


@pytest.mark.parametrize(
    "rows",
    [[], np.array([], int), [[1, 2]], [[1], [2, 3]], [0.0, 1.0], ["1"], [True, False], 5, [2**70], [None], {"a": 1}],
)
def test_rows_that_are_no_numbers_of_rows_are_refused(split: Any, rows: Any) -> None:
    with pytest.raises(BadUsage, match="by their numbers"):
        chosen_rows(split, rows)


@pytest.mark.parametrize("rows", [[-1], [0, 3000], np.array([2**64 - 1], np.uint64), [-(2**63)]])
def test_rows_that_the_table_has_not_are_refused(split: Any, rows: Any) -> None:
    with pytest.raises(BadUsage, match="rows from 0 to 2999"):
        chosen_rows(split, rows)


def test_rows_are_taken_in_any_kind_of_whole_number(split: Any) -> None:
    for rows in ([0, 2999], (0, 2999), np.array([0, 2999], np.uint16), np.array([[0, 2999]])[0]):
        np.testing.assert_array_equal(chosen_rows(split, rows), np.array([0, 2999], np.intp))
