"""Copies of training rows with a thinner past, and the split that they are meant for."""

from dataclasses import replace

import numpy as np
import pytest

from medward.flows.datasets import Cut, Dataset
from medward.flows.history import FeatureSpace, streams_of
from medward.flows.partition import partition_rows
from medward.flows.prepared import PreparedData, prepare
from tests.agents.conftest import SCHEMA, toy_flows

DATASET = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20)
FLOWS = toy_flows(2000, 3)


def _prepared(densities: tuple[float, ...], protocol: str = "honest") -> PreparedData:
    return prepare(DATASET, FLOWS, protocol, 0, densities)  # type: ignore[arg-type]


def test_without_densities_nothing_is_added() -> None:
    assert len(_prepared(()).flows) == 2000
    assert len(prepare(DATASET, FLOWS, "honest", 0).flows) == 2000


def test_copies_are_training_rows_with_their_originals_features_class_and_block() -> None:
    plain, thinned = _prepared(()), _prepared((0.5, 0.25))
    own = plain.split.train
    assert len(thinned.split.train) == 3 * len(own)
    np.testing.assert_array_equal(thinned.split.test, plain.split.test)
    np.testing.assert_array_equal(thinned.x[:2000], plain.x)
    width = len(SCHEMA.columns)
    for copy in (slice(2000, 2000 + len(own)), slice(2000 + len(own), None)):
        np.testing.assert_array_equal(thinned.x[copy, :width], plain.x[own, :width])
        np.testing.assert_array_equal(thinned.flows.y[copy], plain.flows.y[own])
        np.testing.assert_array_equal(thinned.split.block[copy], plain.split.block[own])


def test_copies_remember_only_rows_of_their_own_block() -> None:
    """Other blocks' rows, test rows among them, may be anything: the copies stay what they are."""
    plain, thinned = _prepared(()), _prepared((0.25,))
    changed = FLOWS.x.copy()
    changed[plain.split.test] = 99.0
    other = prepare(DATASET, replace(FLOWS, x=changed), "honest", 0, (0.25,))
    np.testing.assert_array_equal(thinned.x[2000:], other.x[2000:])


def test_history_at_density_one_is_the_originals() -> None:
    plain, thinned = _prepared(()), _prepared((1.0,))
    np.testing.assert_array_equal(thinned.x[2000:], plain.x[plain.split.train])


def test_thinner_pasts_are_farther_back() -> None:
    plain, thinned = _prepared(()), _prepared((0.1,))
    since = [i for i, column in enumerate(plain.space.columns) if column.name.endswith("(since)")]
    assert thinned.x[2000:, since].mean() > 2 * plain.x[plain.split.train][:, since].mean()


@pytest.mark.parametrize("how", ["blocks", "dirichlet"])
def test_hospital_that_holds_a_row_holds_its_copies_and_nobody_else_does(how: str) -> None:
    thinned = _prepared((0.5, 0.25))
    split = thinned.split
    shares = partition_rows(thinned.flows, split.train, split.block, 3, how, 0)  # type: ignore[arg-type]
    times = [set(thinned.flows.order[rows]) for rows in shares]  # type: ignore[index]
    assert sum(map(len, times)) == len(set.union(*times)) == len(split.train) // 3
    assert sum(map(len, shares)) == len(split.train)


def test_random_rows_are_scored_as_a_file_of_their_own() -> None:
    prepared = _prepared((), "random")
    test = prepared.split.test
    assert len(test) == pytest.approx(0.15 * 2000, abs=3)
    for label in range(3):
        assert (FLOWS.y[test] == label).mean() == pytest.approx((FLOWS.y == label).mean(), abs=0.01)
    alone = FLOWS.take(test)
    space = FeatureSpace(SCHEMA, True)
    np.testing.assert_array_equal(prepared.x[test], space.build(alone, streams_of(alone)))


def test_what_trains_beside_random_rows_never_remembers_them() -> None:
    prepared = _prepared((), "random")
    changed = FLOWS.x.copy()
    changed[np.concatenate([prepared.split.test, prepared.split.validation])] = 99.0
    other = prepare(DATASET, replace(FLOWS, x=changed), "random", 0)
    train = prepared.split.train
    np.testing.assert_array_equal(prepared.x[train], other.x[train])
