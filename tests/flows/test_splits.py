from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.flows.datasets import CICIOMT, DATASETS, NSLKDD, WARD, WUSTL, XIOMT, Dataset, ward
from medward.flows.errors import BadSplit
from medward.flows.schema import Flows
from medward.flows.splits import Split, honest_split, paper_split, unseen_rows
from tests.flows.flow_files import made_flows

REAL = ("wustl-ehms-2020", "x-iomt", "ciciomt2024")


def parts(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.validation, split.test


def part_of(split: Split, rows: int) -> np.ndarray:
    """For each row 0, 1 or 2; fails unless every row is in exactly one part."""
    out = np.full(rows, -1)
    for number, part in enumerate(parts(split)):
        assert (np.diff(part) > 0).all()
        assert (out[part] == -1).all()
        out[part] = number
    assert (out >= 0).all()
    return out


def mixed(rows: int, captures: int, seed: int, dataset: Dataset, classes: int = 3) -> Flows:
    """Rows of several captures, of mixed classes, in any order of capture and of key."""
    rng = np.random.default_rng(seed)
    return made_flows(
        rng.normal(0, 1, (rows, 2)),
        y=rng.integers(0, classes, rows),
        source=rng.integers(0, captures, rows),
        device=rng.integers(0, 3, rows),
        order=rng.permutation(rows),
        dataset=dataset,
    )


@given(rows=st.integers(600, 3000), captures=st.integers(1, 5), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("dataset", [WUSTL, XIOMT, CICIOMT], ids=lambda dataset: dataset.name)
def test_whole_blocks_of_neighbours_are_dealt_seventy_to_fifteen_to_fifteen(
    dataset: Dataset, rows: int, captures: int, seed: int
) -> None:
    flows = mixed(rows, captures, seed, dataset)
    split = honest_split(flows, dataset, seed)
    part = part_of(split, rows)
    assert flows.order is not None
    for block in np.unique(split.block):
        own = np.flatnonzero(split.block == block)
        assert len(set(part[own])) == 1
        assert len(set(flows.source[own])) == 1
        assert len(own) <= dataset.block_rows
        # Nothing of the same capture stands between a block's first row and its last.
        key = flows.order if dataset.schema.history else np.arange(rows)
        capture = np.flatnonzero(flows.source == flows.source[own[0]])
        between = (key[capture] >= key[own].min()) & (key[capture] <= key[own].max())
        assert between.sum() == len(own)
    shares = np.bincount(part, minlength=3) / rows
    # A capture has 20 blocks or more: each of the held parts is rounded by half of one, and may hold a short one.
    np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=0.1)
    for capture_number in range(captures):
        assert set(part[flows.source == capture_number]) == {0, 1, 2}


@pytest.mark.parametrize("rows", [2000, 10_007])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_ward_is_cut_in_time_within_each_device(rows: int, seed: int) -> None:
    flows = ward.generate(rows, seed)
    shuffled = flows.take(np.random.default_rng(seed).permutation(rows))
    split = honest_split(shuffled, WARD, seed)
    part = part_of(split, rows)
    assert shuffled.order is not None
    for device in range(len(flows.devices)):
        own = np.flatnonzero(shuffled.device == device)
        own = own[np.argsort(shuffled.order[own])]
        assert (np.diff(part[own]) >= 0).all()
        assert set(part[own]) == {0, 1, 2}
    np.testing.assert_allclose(np.bincount(part) / rows, [0.7, 0.15, 0.15], atol=0.03)
    other = honest_split(shuffled, WARD, seed + 1)
    np.testing.assert_array_equal(other.test, split.test)


@pytest.mark.parametrize("dataset", [WUSTL, WARD], ids=lambda dataset: dataset.name)
def test_no_stream_of_history_crosses_from_part_to_part_or_device_to_device(dataset: Dataset) -> None:
    flows = ward.generate(3000, 0) if dataset is WARD else mixed(3000, 3, 0, dataset)
    split = honest_split(flows, dataset, 5)
    part = part_of(split, 3000)
    assert split.stream is not None
    for stream in np.unique(split.stream):
        own = split.stream == stream
        assert len(set(part[own])) == 1
        assert len(set((flows.device if dataset is WARD else flows.source)[own])) == 1
    if dataset is WARD:
        assert len(np.unique(split.stream)) == 3 * len(flows.devices)


def test_data_without_honest_history_has_no_streams() -> None:
    for dataset in (XIOMT, CICIOMT):
        assert honest_split(mixed(2000, 2, 0, dataset), dataset, 0).stream is None
        assert paper_split(mixed(2000, 2, 0, dataset), dataset, 0).stream is None


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("seed", [0, 11, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))])
def test_every_class_of_a_real_data_set_is_in_every_part(
    name: str, seed: int, real_flows: Callable[[str], Flows]
) -> None:
    flows, dataset = real_flows(name), DATASETS[name]
    split = honest_split(flows, dataset, seed)
    part = part_of(split, len(flows))
    shares = np.bincount(part) / len(flows)
    np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=0.02)
    for number in range(3):
        assert set(flows.y[part == number]) == set(flows.y)
    pairs = {(int(block), int(own)) for block, own in zip(split.block, part, strict=True)}
    assert len(pairs) == len(np.unique(split.block))
    for source in range(len(flows.sources)):
        assert set(part[flows.source == source]) == {0, 1, 2}


@pytest.mark.parametrize("split_by", [honest_split, paper_split])
@pytest.mark.parametrize("dataset", [WUSTL, CICIOMT], ids=lambda dataset: dataset.name)
def test_the_same_seed_gives_the_same_split_and_another_seed_another(
    split_by: Callable[[Flows, Dataset, int], Split], dataset: Dataset
) -> None:
    flows = mixed(3000, 3, 0, dataset)
    one, again, other = (split_by(flows, dataset, seed) for seed in (1, 1, 2))
    for a, b in zip(parts(one), parts(again), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.block, again.block)
    assert one.test.tolist() != other.test.tolist()


def test_nsl_kdd_keeps_its_official_test_file() -> None:
    official = np.repeat([0, 1, 0], [1000, 500, 1000]).astype(np.int8)
    flows = replace(mixed(2500, 1, 0, NSLKDD), official=official)
    split = honest_split(flows, NSLKDD, 0)
    part = part_of(split, 2500)
    np.testing.assert_array_equal(part == 2, official == 1)
    assert (part == 1).sum() == 300
    assert honest_split(flows, NSLKDD, 1).validation.tolist() != split.validation.tolist()


def test_real_nsl_kdd_tests_on_the_official_test_file(real_flows: Callable[[str], Flows]) -> None:
    flows = real_flows("nsl-kdd")
    split = honest_split(flows, NSLKDD, 2)
    part_of(split, len(flows))
    assert flows.official is not None
    assert (flows.official[split.test] == 1).all()
    assert len(split.test) == 15780
    assert len(split.validation) == round(0.15 * 25192)


@pytest.mark.parametrize("official", [None, 0, 1])
def test_one_official_file_alone_is_refused(official: int | None) -> None:
    flows = mixed(500, 1, 0, NSLKDD)
    flows = flows if official is None else replace(flows, official=np.full(500, official, np.int8))
    with pytest.raises(BadSplit, match="holds both") as caught:
        honest_split(flows, NSLKDD, 0)
    assert len(str(caught.value).splitlines()) == 1


@given(rows=st.integers(300, 2000), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_the_papers_split_is_a_stratified_eighty_to_twenty(rows: int, seed: int) -> None:
    flows = mixed(rows, 3, seed, WUSTL)
    split = paper_split(flows, WUSTL, seed)
    part = part_of(split, rows)
    for label in range(3):
        own = part[flows.y == label]
        assert abs((own == 2).sum() - 0.2 * len(own)) <= 0.5
        assert abs((own == 1).sum() - 0.15 * (own != 2).sum()) <= 0.5
    # Test rows have training rows as neighbours: that is the habit's fault, and what it is shown for.
    inner = split.test[(split.test > 0) & (split.test < rows - 1)]
    assert ((part[inner - 1] == 0) | (part[inner + 1] == 0)).mean() > 0.7
    assert split.stream is not None
    np.testing.assert_array_equal(split.stream, flows.device)


@pytest.mark.parametrize("split_by", [honest_split, paper_split])
@pytest.mark.parametrize("y", [0, 1])
@pytest.mark.parametrize("rows", [1, 3, 40, 2000])
def test_a_part_of_one_side_only_is_refused_in_one_sentence(
    split_by: Callable[[Flows, Dataset, int], Split], y: int, rows: int
) -> None:
    flows = made_flows(np.ones((rows, 1)), y=np.full(rows, y), order=np.arange(rows))
    with pytest.raises(BadSplit, match="WUSTL") as caught:
        split_by(flows, WUSTL, 0)
    assert len(str(caught.value).splitlines()) == 1


def test_attacks_in_the_test_part_only_are_refused() -> None:
    flows = ward.generate(2000, 0)
    split = honest_split(flows, WARD, 0)
    y = np.zeros(2000, np.int32)
    y[split.test[::3]] = 1
    with pytest.raises(BadSplit, match="training part"):
        honest_split(replace(flows, y=y), WARD, 0)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_unseen_rows_are_those_whose_vector_stands_on_no_training_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([0, -0.0, 1, np.nan, 1e-45, np.inf], np.float32)
    x = rng.choice(values, (80, 3)).astype(np.float32)
    order = rng.permutation(80)
    train, rows = order[:30], order[30:]

    def alike(a: np.ndarray, b: np.ndarray) -> bool:
        return all(p == q or (np.isnan(p) and np.isnan(q)) for p, q in zip(a, b, strict=True))

    expected = [not any(alike(x[row], x[other]) for other in train) for row in rows]
    assert unseen_rows(x, train, rows).tolist() == expected
    assert unseen_rows(np.asfortranarray(x), train, rows).tolist() == expected
    assert unseen_rows(x, train[:0], rows).all()


def test_most_test_rows_of_x_iomt_repeat_a_training_row(real_flows: Callable[[str], Flows]) -> None:
    flows = real_flows("x-iomt")
    split = honest_split(flows, XIOMT, 0)
    assert 0.8 < 1 - unseen_rows(flows.x, split.train, split.test).mean() < 0.95
