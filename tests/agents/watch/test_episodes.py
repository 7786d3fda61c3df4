"""Episodes: nothing crosses the split, attacks begin where they are said to."""

from dataclasses import replace

import numpy as np
import pytest

from medward.agents.watch.costs import WatchCosts, evidence_bytes
from medward.agents.watch.episodes import LONGEST_RUN, episodes_of
from medward.flows.datasets import Cut, Dataset
from medward.flows.errors import BadSplit
from medward.flows.prepared import PreparedData, prepare
from tests.agents.conftest import SCHEMA, toy_flows

COSTS = WatchCosts(background=0.1)


@pytest.fixture(scope="module")
def pooled() -> PreparedData:
    """A data set without streams: every capture holds one class."""
    flows = toy_flows(6000, 1)
    schema = replace(SCHEMA, history=False, device=None, order=None)
    flows = replace(flows, schema=schema, source=flows.y.copy(), sources=("a", "b", "c"), order=None)
    return prepare(Dataset(schema=schema, home="nowhere", cut=Cut.BLOCKS, block_rows=50), flows, "honest", 0)


def test_pieces_of_a_stream_keep_its_order_and_stay_in_their_part(prepared: PreparedData) -> None:
    part = prepared.split.train
    episodes = episodes_of(prepared, part, 10, COSTS, 0)
    assert set(episodes.row.ravel()) <= set(part)
    assert (np.diff(episodes.row, axis=1) == 1).all()
    assert (prepared.split.block[episodes.row] == episodes.block[:, None]).all()


def test_composed_episodes_take_rows_of_their_part_only(pooled: PreparedData) -> None:
    for part in (pooled.split.train, pooled.split.validation, pooled.split.test):
        assert set(episodes_of(pooled, part, 100, COSTS, 0, times=3).row.ravel()) <= set(part)


def test_composed_episodes_of_two_groups_share_no_row(pooled: PreparedData) -> None:
    episodes = episodes_of(pooled, pooled.split.test, 100, COSTS, 0, times=5)
    rows = [set(episodes.row[episodes.block == name].ravel()) for name in np.unique(episodes.block)]
    assert len(rows) > 2
    assert sum(map(len, rows)) == len(set.union(*rows))


def test_composed_episodes_begin_quietly_and_attacks_come_in_runs(pooled: PreparedData) -> None:
    episodes = episodes_of(pooled, pooled.split.train, 200, COSTS, 0, times=4)
    attack = episodes.label > 0
    assert not attack[:, 0].any()
    assert 0.1 < attack.mean() < 0.5
    assert episodes.onset.max() < LONGEST_RUN
    assert (episodes.onset[episodes.begins] == 0).all()
    first = attack & ~np.concatenate([np.zeros((len(attack), 1), bool), attack[:, :-1]], axis=1)
    np.testing.assert_array_equal(episodes.begins, first)


def test_onsets_are_random_and_the_seed_decides_them(pooled: PreparedData) -> None:
    one, same, other = (episodes_of(pooled, pooled.split.train, 100, COSTS, seed, times=2) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.row, same.row)
    assert not np.array_equal(one.row, other.row)
    assert len(np.unique(one.begins.argmax(axis=1))) > 10


def test_part_without_a_whole_episode_is_refused(prepared: PreparedData) -> None:
    with pytest.raises(BadSplit, match="No stream of 500 windows"):
        episodes_of(prepared, prepared.split.test, 500, COSTS, 0)


def test_evidence_is_paid_by_the_byte() -> None:
    assert evidence_bytes(SCHEMA) == 4
    assert WatchCosts(kept=5, byte_price=0.01).escalation(SCHEMA) == pytest.approx(0.2)
