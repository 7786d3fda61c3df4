"""A data set made ready for learning: its parts do not mix, and each protocol keeps its own rules."""

from dataclasses import replace

import numpy as np
import pytest

from medward.flows.datasets import Cut, Dataset
from medward.flows.errors import BadSplit
from medward.flows.prepared import prepare, prepare_split
from medward.flows.schema import Flows
from medward.flows.splits import honest_split
from tests.agents.conftest import SCHEMA, toy_flows

DATASET = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20)
THINNED = replace(DATASET, densities=(0.5, 0.25))
FLOWS = toy_flows(1200, 3)


def _parts(flows: Flows, dataset: Dataset, protocol: str, **words: object) -> tuple[set[int], set[int], set[int]]:
    split = prepare(dataset, flows, protocol, 5, **words).split  # type: ignore[arg-type]
    return set(split.train.tolist()), set(split.validation.tolist()), set(split.test.tolist())


@pytest.mark.parametrize("protocol", ["honest", "random", "paper"])
def test_no_row_trains_and_tests_under_any_protocol(protocol: str) -> None:
    train, validation, test = _parts(FLOWS, DATASET, protocol)
    assert train
    assert test
    assert not train & test
    assert not validation & test


def test_same_seed_prepares_the_same_and_another_seed_something_else() -> None:
    one, again, other = (prepare(THINNED, FLOWS, "honest", seed) for seed in (1, 1, 2))
    assert np.array_equal(one.x, again.x, equal_nan=True)
    assert np.array_equal(one.split.train, again.split.train)
    assert not np.array_equal(one.split.test, other.split.test)


def test_thinned_copies_are_added_behind_all_rows_and_only_train() -> None:
    plain, thinned = (prepare(dataset, FLOWS, "honest", 5) for dataset in (DATASET, THINNED))
    assert len(thinned.flows) > len(plain.flows) == 1200
    assert np.array_equal(thinned.x[:1200], plain.x, equal_nan=True)
    assert np.array_equal(thinned.split.test, plain.split.test)
    assert np.array_equal(thinned.split.validation, plain.split.validation)
    added = set(thinned.split.train.tolist()) - set(plain.split.train.tolist())
    assert added == set(range(1200, len(thinned.flows)))
    assert len(thinned.x) == len(thinned.flows) == len(thinned.stream)


def test_densities_that_are_asked_for_go_before_the_data_set_s_own() -> None:
    assert len(prepare(THINNED, FLOWS, "honest", 5, ()).flows) == 1200
    assert len(prepare(DATASET, FLOWS, "honest", 5, (0.5,)).flows) > 1200


def test_paper_s_protocol_has_no_thinned_copies() -> None:
    assert len(prepare(THINNED, FLOWS, "paper", 5).flows) == 1200


def test_rows_without_history_are_not_thinned_and_follow_each_other_in_blocks() -> None:
    schema = replace(SCHEMA, history=False)
    flows = replace(FLOWS, schema=schema)
    prepared = prepare(replace(THINNED, schema=schema), flows, "honest", 5)
    assert len(prepared.flows) == 1200
    assert prepared.split.stream is None
    assert prepared.stream is prepared.split.block


def test_one_hospital_s_rows_of_one_kind_are_split_only_where_that_is_allowed() -> None:
    benign = replace(FLOWS, y=np.zeros_like(FLOWS.y))
    with pytest.raises(BadSplit):
        prepare(DATASET, benign, "honest", 5)
    prepared = prepare(DATASET, benign, "honest", 5, both_kinds=False)
    assert len(prepared.split.train)
    assert len(prepared.split.test)


def test_split_of_one_s_own_is_taken_as_it_is() -> None:
    split = honest_split(FLOWS, DATASET, 9)
    prepared = prepare_split(DATASET, FLOWS, split, "honest", 5)
    assert prepared.split == split
    assert (prepared.protocol, prepared.seed) == ("honest", 5)
