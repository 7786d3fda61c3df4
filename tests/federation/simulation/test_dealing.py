"""Dealing rows to simulated hospitals: each row to one of them, and the same again for a seed."""

import numpy as np
import pytest

from medward.federation.simulation.dealing import deal, rows_of_hospitals
from medward.flows.errors import BadSplit
from medward.flows.partition import Partition
from medward.flows.prepared import PreparedData


@pytest.mark.parametrize(("partition", "sites"), [("blocks", 1), ("blocks", 4), ("dirichlet", 4), ("devices", 1)])
def test_each_row_goes_to_one_hospital(prepared: PreparedData, partition: Partition, sites: int) -> None:
    rows = prepared.split.train
    shares = deal(prepared, rows, sites, partition, 3)
    assert len(shares) == sites
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), np.sort(rows))
    blocks = [set(prepared.split.block[share].tolist()) for share in shares]
    # Of the rows of one block, classes may go to different hospitals where classes are dealt.
    assert partition == "dirichlet" or sum(map(len, blocks)) == len(set.union(*blocks))
    for one, other in zip(shares, deal(prepared, rows, sites, partition, 3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_more_hospitals_than_blocks_are_too_many(prepared: PreparedData) -> None:
    with pytest.raises(BadSplit):
        deal(prepared, prepared.split.train, 2000, "blocks", 3)


@pytest.mark.parametrize("sites", [2, 40])
def test_hospitals_have_their_rows_and_validate_on_none_where_there_are_too_few(
    prepared: PreparedData, sites: int
) -> None:
    shares = deal(prepared, prepared.split.train, sites, "blocks", 3)
    found = rows_of_hospitals(prepared, shares, "blocks", 3)
    assert len(found) == sites
    for (own, tried), share in zip(found, shares, strict=True):
        np.testing.assert_array_equal(own.x, prepared.x[share])
        np.testing.assert_array_equal(own.y, prepared.flows.y[share])
        assert (len(tried.x) > 0) == (sites == 2)
