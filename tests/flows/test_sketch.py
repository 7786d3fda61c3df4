import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medward.flows.sketch import Grid, coarse_grid, column_counts, count, keys_of, refine, values_of

LARGEST = np.finfo(np.float32).max
SUBNORMAL = np.float32(1e-45)
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
NUMBER = st.floats(width=32, allow_nan=False, allow_infinity=False)
MATRIX = arrays(np.float32, st.tuples(st.integers(0, 40), st.just(3)), elements=ANY)


def array(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def surveyed(x: np.ndarray, cells: int, surveys: int = 3) -> tuple[Grid, np.ndarray]:
    """A refined grid and the counts in it."""
    grid = coarse_grid(x.shape[1])
    counts = count(x, grid)
    for _ in range(surveys - 1):
        grid = refine(grid, counts, cells)
        counts = count(x, grid)
    return grid, counts


@given(st.lists(NUMBER, min_size=2, max_size=50))
@example([0.0, -0.0, float(SUBNORMAL), -float(SUBNORMAL), float(LARGEST), -float(LARGEST), 1.0, 1.0000001])
@settings(deadline=None, max_examples=200)
def test_keys_keep_the_order_of_all_float32_values(values: list[float]) -> None:
    numbers = array(values)
    keys = keys_of(numbers)
    np.testing.assert_array_equal(keys[:, None] < keys, numbers[:, None] < numbers)
    np.testing.assert_array_equal(keys[:, None] == keys, numbers[:, None] == numbers)


@given(st.lists(NUMBER, min_size=1, max_size=50))
@example([float(SUBNORMAL), -float(SUBNORMAL), 1.1754942e-38, -1.1754942e-38, float(LARGEST), -float(LARGEST)])
@settings(deadline=None, max_examples=200)
def test_keys_give_back_every_float32_value(values: list[float]) -> None:
    numbers = array(values)
    back = values_of(keys_of(numbers))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, numbers)
    assert not np.signbit(back[numbers == 0]).any()


def test_neighbouring_floats_have_neighbouring_keys() -> None:
    for start in (-LARGEST, np.float32(-1), np.float32(0), SUBNORMAL, np.float32(1e-38), np.float32(1)):
        pair = array([start, np.nextafter(np.float32(start), np.float32(np.inf))])
        assert np.diff(keys_of(pair)).tolist() == [1]


def test_infinities_are_counted_and_come_back_as_the_largest_numbers() -> None:
    ends = array([-np.inf, np.inf])
    assert values_of(keys_of(ends)).tolist() == [-LARGEST, LARGEST]
    every = values_of(np.array([-(1 << 31), (1 << 31) - 1, 1 << 31]))
    assert every.tolist() == [-LARGEST, LARGEST, LARGEST]
    grid = coarse_grid(1)
    assert count(ends[:, None], grid)[:-1].sum() == 2


@given(MATRIX, MATRIX)
@settings(deadline=None, max_examples=60)
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(one: np.ndarray, other: np.ndarray) -> None:
    whole = np.concatenate([one, other])
    grid = coarse_grid(3)
    for cells in (0, 40, 300):
        if cells:
            grid = refine(grid, count(whole, grid), cells)
        summed = count(one, grid) + count(other, grid)
        assert summed.dtype == np.int64
        np.testing.assert_array_equal(summed, count(whole, grid))
        assert len(summed) == grid.size
        shuffled = whole[np.random.default_rng(0).permutation(len(whole))]
        np.testing.assert_array_equal(summed, count(shuffled, grid))


@given(MATRIX, st.integers(2, 500))
@settings(deadline=None, max_examples=60)
def test_every_value_falls_into_the_cell_whose_bounds_hold_it(x: np.ndarray, cells: int) -> None:
    grid, counts = surveyed(x, cells)
    for j, (own, missing) in enumerate(column_counts(grid, counts)):
        values = x[:, j]
        assert missing == np.isnan(values).sum()
        assert own.sum() == (~np.isnan(values)).sum()
        keys = np.sort(keys_of(values[~np.isnan(values)]))
        ends = np.append(grid.edges[j][1:], 1 << 31)
        expected = [((keys >= low) & (keys < high)).sum() for low, high in zip(grid.edges[j], ends, strict=True)]
        np.testing.assert_array_equal(own, expected)


@given(MATRIX, st.integers(2, 500))
@settings(deadline=None, max_examples=60)
def test_a_refined_grid_covers_all_keys_and_keeps_to_its_budget(x: np.ndarray, cells: int) -> None:
    before, counts = coarse_grid(3), count(x, coarse_grid(3))
    for _ in range(3):
        grid = refine(before, counts, cells)
        again = count(x, grid)
        for j, (own, missing) in enumerate(column_counts(grid, again)):
            edges = grid.edges[j]
            assert edges[0] == -(1 << 31)
            assert (np.diff(edges) > 0).all()
            assert edges[-1] < 1 << 31
            occupied = int((column_counts(before, counts)[j][0] > 0).sum())
            # Empty stretches between the occupied cells come on top of the budget.
            assert len(edges) <= max(cells, occupied) + occupied + 1
            assert (own.sum(), missing) == (len(x) - missing, np.isnan(x[:, j]).sum())
        before, counts = grid, again


def test_what_was_told_apart_stays_told_apart() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (3000, 1)).astype(np.float32)
    before = coarse_grid(1)
    counts = count(x, before)
    after = refine(before, counts, 400)
    starts = before.edges[0][:-1][(counts[:-2] > 0)]
    assert set(starts.tolist()) <= set(after.edges[0].tolist())


def test_refinement_splits_heavy_cells_more_than_light_ones() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(1, 1.4, 10_000), rng.uniform(100, 110, 100)]).astype(np.float32)[:, None]
    grid = coarse_grid(1)
    counts = count(x, grid)
    fine = refine(grid, counts, 80)
    values = values_of(fine.edges[0])
    heavy, light = ((values >= 1) & (values < 1.5)).sum(), ((values >= 96) & (values < 128)).sum()
    assert heavy >= 4 * light > 0
    own = column_counts(fine, count(x, fine))[0][0]
    assert own.max() < 10_000 / 16


def test_three_surveys_tell_close_values_apart() -> None:
    values = np.arange(1000, 1040, dtype=np.float32)
    x = np.repeat(values, 50)[:, None]
    grid, counts = surveyed(x, 1024)
    own = column_counts(grid, counts)[0][0]
    assert (own[own > 0] == 50).all()
    assert (own > 0).sum() == 40
    lows = values_of(grid.edges[0][own > 0])
    np.testing.assert_allclose(lows, values, rtol=1e-3)


@pytest.mark.parametrize("cells", [1, 17, 1024])
def test_refinement_is_a_function_of_the_sums_alone(cells: int) -> None:
    rng = np.random.default_rng(1)
    x = (rng.normal(0, 1, (2000, 4)) ** 5).astype(np.float32)
    one, other = x[:700], x[700:]
    grid = coarse_grid(4)
    pooled = refine(grid, count(x, grid), cells)
    federated = refine(grid, count(other, grid) + count(one, grid), cells)
    for a, b in zip(pooled.edges, federated.edges, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_rows_are_counted_as_nothing() -> None:
    grid, counts = surveyed(np.zeros((0, 2), np.float32), 64)
    assert counts.tolist() == [0] * grid.size
    assert [edges.tolist() for edges in grid.edges] == [[-(1 << 31)]] * 2
