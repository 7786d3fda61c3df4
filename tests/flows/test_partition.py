from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.flows.datasets import WARD, WUSTL, ward
from medward.flows.errors import BadSplit
from medward.flows.partition import PARTITIONS, Partition, partition_rows
from medward.flows.schema import Flows
from medward.flows.splits import honest_split
from tests.flows.flow_files import made_flows

WAYS: tuple[Partition, ...] = get_args(Partition)


def made(rows: int, seed: int, classes: int = 3, devices: int = 12) -> tuple[Flows, np.ndarray]:
    rng = np.random.default_rng(seed)
    flows = made_flows(np.ones((rows, 1)), y=rng.integers(0, classes, rows), device=rng.integers(0, devices, rows))
    return flows, (np.arange(rows) // 25).astype(np.int32)


@given(
    rows=st.integers(400, 1500),
    sites=st.integers(1, 8),
    how=st.sampled_from(WAYS),
    seed=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=60)
def test_every_training_row_goes_to_exactly_one_hospital(rows: int, sites: int, how: Partition, seed: int) -> None:
    flows, block = made(rows, seed)
    train = np.flatnonzero(np.random.default_rng(seed).random(rows) < 0.7)
    try:
        shares = partition_rows(flows, train, block, sites, how, seed)
    except BadSplit:
        assert how == "dirichlet"  # a draw may leave a hospital without rows
        return
    assert len(shares) == sites
    assert all(len(share) and (np.diff(share) > 0).all() for share in shares)
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), train)
    again = partition_rows(flows, train, block, sites, how, seed)
    assert all(np.array_equal(one, other) for one, other in zip(shares, again, strict=True))


@pytest.mark.parametrize("how", ["blocks", "devices"])
@given(sites=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_blocks_and_devices_stay_whole_and_are_dealt_evenly(how: Partition, sites: int, seed: int) -> None:
    flows, block = made(1000, seed)
    shares = partition_rows(flows, np.arange(1000), block, sites, how, seed)
    unit = block if how == "blocks" else flows.device
    held = [set(unit[share].tolist()) for share in shares]
    assert sum(map(len, held)) == len(set(unit.tolist()))
    assert max(map(len, held)) - min(map(len, held)) <= 1


@pytest.mark.parametrize("how", WAYS)
def test_another_seed_deals_otherwise(how: Partition) -> None:
    flows, block = made(1500, 0)
    one = partition_rows(flows, np.arange(1500), block, 3, how, 0)
    other = partition_rows(flows, np.arange(1500), block, 3, how, 1)
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def spread(flows: Flows, shares: list[np.ndarray]) -> float:
    """How far the hospitals' class shares lie from those of all rows, on average."""
    classes = int(flows.y.max()) + 1
    mix = [np.bincount(flows.y[share], minlength=classes) / len(share) for share in shares]
    return float(np.abs(np.array(mix) - np.bincount(flows.y) / len(flows)).sum(axis=1).mean())


def test_a_dirichlet_draw_skews_the_classes_and_blocks_do_not() -> None:
    flows, block = made(6000, 0)
    rows = np.arange(6000)
    skewed, even = (
        np.mean([spread(flows, partition_rows(flows, rows, block, 4, how, seed)) for seed in range(5)])
        for how in ("dirichlet", "blocks")
    )
    assert skewed > 0.3
    assert even < 0.1


def test_a_dirichlet_draw_keeps_a_classs_runs_in_one_hospital() -> None:
    flows, block = made(3000, 1)
    shares = partition_rows(flows, np.arange(3000), block, 4, "dirichlet", 3)
    site = np.empty(3000, int)
    for number, share in enumerate(shares):
        site[share] = number
    for label in range(3):
        assert (np.diff(site[flows.y == label]) >= 0).all()


@pytest.mark.parametrize(("how", "units"), [("blocks", 40), ("devices", 12)])
def test_more_hospitals_than_units_are_refused_in_one_sentence(how: Partition, units: int) -> None:
    flows, block = made(1000, 0)
    assert len(partition_rows(flows, np.arange(1000), block, units, how, 0)) == units
    with pytest.raises(BadSplit) as caught:
        partition_rows(flows, np.arange(1000), block, units + 1, how, 0)
    text = str(caught.value)
    assert f"has {units} {how} for {units + 1} hospitals" in text
    assert len(text.splitlines()) == 1


def test_more_hospitals_than_rows_are_refused_in_one_sentence() -> None:
    flows, block = made(5, 0)
    with pytest.raises(BadSplit, match="would get no rows") as caught:
        partition_rows(flows, np.arange(5), block, 6, "dirichlet", 0)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("sites", [2, 4, 7])
def test_the_wards_training_rows_are_dealt_by_device_and_by_block(sites: int) -> None:
    flows = ward.generate(4000, 0)
    split = honest_split(flows, WARD, 0)
    for how in ("blocks", "devices"):
        shares = partition_rows(flows, split.train, split.block, sites, how, 1)
        np.testing.assert_array_equal(np.sort(np.concatenate(shares)), split.train)


def test_real_wustl_blocks_are_dealt_whole(real_flows: Callable[[str], Flows]) -> None:
    flows = real_flows("wustl-ehms-2020")
    split = honest_split(flows, WUSTL, 0)
    shares = partition_rows(flows, split.train, split.block, 5, "blocks", 0)
    held = [set(split.block[share].tolist()) for share in shares]
    assert sum(map(len, held)) == len(set.union(*held))
    sizes = [len(share) for share in shares]
    assert max(sizes) <= min(sizes) + 2 * WUSTL.block_rows


def test_every_way_has_a_name() -> None:
    assert set(PARTITIONS) == {"blocks", "devices", "dirichlet"}
