from collections.abc import Callable
from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.agents.sentinel.central import fitted_scaler, train_centrally
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import RECIPES, Recipe
from medward.flows.datasets import DATASETS, WARD, ward
from medward.flows.errors import FlowsError
from medward.flows.history import FeatureSpace
from medward.flows.prepared import prepare
from medward.flows.scaling import FARTHEST_SD, QUANTILES, Scaler, ScalerKind, fit_scaler
from medward.flows.schema import Column, Flows, Group
from medward.flows.sketch import coarse_grid, count, refine

KINDS: tuple[ScalerKind, ...] = get_args(ScalerKind)
LARGEST = float(np.finfo(np.float32).max)


def fitted(x: np.ndarray, kind: ScalerKind = "quantile", indicators: tuple[int, ...] = (), bins: int = 16) -> Scaler:
    columns = [Column(f"c{j}", Group.CHEAP, indicator=j in indicators) for j in range(x.shape[1])]
    grid = coarse_grid(x.shape[1])
    counts = count(x, grid)
    for _ in range(2):
        grid = refine(grid, counts, 1024)
        counts = count(x, grid)
    return fit_scaler(columns, grid, counts, kind, bins)


def numbers(*columns: object) -> np.ndarray:
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def content(scaler: Scaler) -> list[object]:
    values = [getattr(scaler, field.name) for field in fields(scaler)]
    return [(v.dtype, v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values]


@pytest.mark.parametrize("protocol", ["honest", "paper"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scaler_knows_training_rows_only(protocol: str, kind: ScalerKind) -> None:
    recipe = Recipe().change(scaler=kind, cells=64)
    flows = ward.generate(2000, seed=1)
    prepared = prepare(WARD, flows, "paper" if protocol == "paper" else "honest", 3)
    before = fitted_scaler(prepared.space, prepared.x[prepared.split.train], recipe)
    held_out = np.concatenate([prepared.split.validation, prepared.split.test])
    x = flows.x.copy()
    x[held_out] = np.random.default_rng(0).normal(0, 1e6, (len(held_out), x.shape[1]))
    again = prepare(WARD, replace(flows, x=x), prepared.protocol, 3)
    np.testing.assert_array_equal(again.split.train, prepared.split.train)
    after = fitted_scaler(again.space, again.x[again.split.train], recipe)
    if protocol == "honest":
        assert content(after) == content(before)
    else:
        # The paper's habit lets history run across parts: there the test rows do show, which is why it is no result.
        assert content(after) != content(before)
    x = flows.x.copy()
    x[prepared.split.train] += np.float32(1)
    moved = prepare(WARD, replace(flows, x=x), prepared.protocol, 3)
    assert content(fitted_scaler(moved.space, moved.x[moved.split.train], recipe)) != content(before)


@pytest.mark.parametrize("name", ["wustl-ehms-2020", "ciciomt2024", "nsl-kdd"])
def test_a_real_data_sets_scaler_knows_training_rows_only(name: str, real_flows: Callable[[str], Flows]) -> None:
    flows, dataset = real_flows(name), DATASETS[name]
    prepared = prepare(dataset, flows, "honest", 1)
    x = flows.x.copy()
    x[prepared.split.validation] = -x[prepared.split.validation] - 7
    x[prepared.split.test] = 1e9
    again = prepare(dataset, replace(flows, x=x), "honest", 1)
    train = prepared.split.train
    assert again.x[train].tobytes() == prepared.x[train].tobytes()
    recipe = RECIPES[name].change(cells=64)
    one = fitted_scaler(prepared.space, prepared.x[train], recipe)
    other = fitted_scaler(again.space, again.x[train], recipe)
    assert content(one) == content(other)
    assert np.isfinite(one.encode(again.x)).all()


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e6, 1e35]), whole=st.booleans())
@settings(deadline=None, max_examples=40)
def test_places_are_monotone_and_within_zero_and_one(seed: int, scale: float, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(2, 400).clip(-300, 300) * scale
    x = numbers(np.round(values / scale) if whole else values)
    scaler = fitted(x)
    unseen = np.concatenate([x[:, 0], rng.normal(0, 10 * scale, 200), [0.0, LARGEST, -LARGEST, np.inf, -np.inf]])
    unseen = np.sort(unseen.astype(np.float32))
    places = scaler.encode(unseen[:, None])
    assert places.dtype == np.float32
    assert places.shape == (len(unseen), 2)
    assert (np.diff(places[:, 0]) >= 0).all()
    assert (places[[0, -1], 0] == [0, 1]).all()
    assert (places[:, 1] == 1).all()
    seen = scaler.encode(x)[:, 0]
    assert len(np.unique(seen)) > min(len(np.unique(x)), QUANTILES) / 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [1e-40, 1e-12, 1.0, 1e12, 3e38, LARGEST])
def test_unseen_extremes_stay_finite(kind: ScalerKind, spread: float) -> None:
    rng = np.random.default_rng(0)
    for values in (rng.uniform(-1, 1, 500), np.repeat([-1.0, 1.0], 50), np.repeat([-1.0, 0.0, 1.0], 50)):
        scaler = fitted(numbers(values * spread), kind)
        extremes = [0, 1, -1, LARGEST, -LARGEST, np.inf, -np.inf, 1e-45, -1e-45, 1e38, -1e38, np.nan]
        encoded = scaler.encode(numbers(extremes))
        assert np.isfinite(encoded).all()
        assert (np.abs(encoded) <= (1 if kind == "quantile" else FARTHEST_SD)).all()


def test_a_few_distinct_values_take_evenly_spaced_places() -> None:
    rng = np.random.default_rng(0)
    for levels in ([0, 1, 2, 3, 4], [-5, 0, 1e-3, 2, 4000], [60, 64, 128, 255], [0, 1e30]):
        common = rng.choice(levels, 3000, p=[0.9] + [0.1 / (len(levels) - 1)] * (len(levels) - 1))
        scaler = fitted(numbers(np.concatenate([common, levels])))
        places = scaler.encode(numbers(levels))[:, 0]
        np.testing.assert_allclose(places, np.linspace(0, 1, len(levels)), atol=0.01)


def test_places_follow_quantiles_and_leave_room_for_rare_ranges() -> None:
    rng = np.random.default_rng(0)
    even = fitted(numbers(rng.uniform(1, 2, 20_000))).encode(numbers(np.linspace(1, 2, 9)))[:, 0]
    np.testing.assert_allclose(even, np.linspace(0, 1, 9), atol=0.05)
    rare = np.concatenate([rng.choice([0.0, 0.5, 1.0], 20_000), rng.uniform(1000, 2000, 200)])
    places = fitted(numbers(rare)).encode(numbers([1.0, 1000.0, 1250.0, 1500.0, 1750.0, 2000.0]))[:, 0]
    assert (np.diff(places[1:]) > 0.1).all()


def test_missing_is_zero_with_presence_zero_and_a_flag() -> None:
    rng = np.random.default_rng(0)
    x = numbers(rng.normal(50, 1, 300), rng.normal(0, 1, 300), rng.integers(0, 2, 300))
    x[:100, 0] = np.nan
    for kind in KINDS:
        scaler = fitted(x, kind, indicators=(2,))
        assert (scaler.numbers.tolist(), scaler.indicators.tolist(), scaler.flags.tolist()) == ([0, 1], [2], [0])
        encoded = scaler.encode(x)
        assert encoded.shape == (300, scaler.width)
        assert (encoded[:100, 0] == 0).all()
        np.testing.assert_array_equal(encoded[:, 2], ~np.isnan(x[:, 0]))
        assert (encoded[:, 3] == 1).all()
        np.testing.assert_array_equal(encoded[:, 4], x[:, 2])
        np.testing.assert_array_equal(encoded[:, 5], np.isnan(x[:, 0]))
        nothing = scaler.encode(np.full((1, 3), np.nan, np.float32))
        assert nothing.tolist() == [[0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_constant_columns_are_dropped(kind: ScalerKind) -> None:
    rng = np.random.default_rng(0)
    half = np.where(rng.random(200) < 0.5, 7.0, np.nan)
    x = numbers(np.full(200, 3.5), rng.normal(0, 1, 200), np.zeros(200), np.full(200, np.nan), np.ones(200), half)
    scaler = fitted(x, kind, indicators=(2, 4))
    # A value that is there or not tells something, even if it is always the same.
    assert scaler.numbers.tolist() == [1, 5]
    assert scaler.indicators.tolist() == []
    assert np.isfinite(scaler.encode(x)).all()


def test_rows_that_are_all_alike_are_refused_in_one_sentence() -> None:
    for rows in (0, 1, 50):
        with pytest.raises(FlowsError, match="more than one value") as caught:
            fitted(np.full((rows, 2), 4, np.float32))
        assert len(str(caught.value).splitlines()) == 1


@given(seed=st.integers(0, 1000), mean=st.sampled_from([0.0, -3.0, 1e4]), sd=st.sampled_from([0.5, 40.0, 1e5]))
@settings(deadline=None, max_examples=30)
def test_the_standard_kind_is_the_distance_from_the_mean_in_standard_deviations(
    seed: int, mean: float, sd: float
) -> None:
    rng = np.random.default_rng(seed)
    x = numbers(rng.normal(mean, sd, 3000), rng.exponential(sd, 3000))
    encoded = fitted(x, "standard").encode(x)[:, :2]
    expected = ((x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)).clip(-FARTHEST_SD, FARTHEST_SD)
    # Both come from counts in cells: an error in the mean moves all rows alike, one in the deviation far ones most.
    np.testing.assert_allclose(encoded, expected, rtol=0.002, atol=0.02)


@pytest.mark.parametrize("bins", [2, 3, 16, 32])
def test_bins_rise_from_zero_to_one_within_their_number(bins: int) -> None:
    rng = np.random.default_rng(0)
    x = numbers(
        rng.normal(0, 1, 3000), rng.integers(0, 3, 3000), np.where(rng.random(3000) < 0.99, 0, rng.random(3000))
    )
    scaler = fitted(x, bins=bins)
    for edges, many in zip(scaler.bins, scaler.bin_count, strict=True):
        assert 1 <= many <= bins
        own = edges[: many + 1]
        assert (own[0], own[-1]) == (0, 1)
        assert (np.diff(own) > 0).all()
        assert (edges[many + 1 :] == 1).all()


def test_summed_surveys_of_hospitals_fit_the_scaler_of_the_pooled_rows() -> None:
    flows = ward.generate(3000, seed=2)
    space = FeatureSpace(WARD.schema, history=False)
    sites = np.array_split(flows.x, [100, 1700])
    grid = coarse_grid(len(space.columns))
    for survey in range(3):
        counts = np.sum([count(site, grid) for site in sites], axis=0)
        if survey < 2:
            grid = refine(grid, counts, Recipe().scaling.cells)
    federated = fit_scaler(space.columns, grid, counts, "quantile", Recipe().scaling.bins)
    assert content(federated) == content(fitted_scaler(space, flows.x, Recipe()))


def test_encoding_does_not_depend_on_memory_layout_or_the_rows_beside() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (100, 4)).astype(np.float32)
    scaler = fitted(x)
    whole = scaler.encode(x)
    assert scaler.encode(np.asfortranarray(x)).tobytes() == whole.tobytes()
    assert np.concatenate([scaler.encode(row[None]) for row in x]).tobytes() == whole.tobytes()
    assert scaler.encode(x[:0]).shape == (0, scaler.width)


@pytest.mark.slow
def test_training_in_one_place_fits_its_scaler_on_the_rows_it_was_given() -> None:
    recipe = Recipe().change(cells=64, surveys=2, hidden=(4,), embedding=0, batch=64, epochs=1)
    prepared = prepare(WARD, ward.generate(1000, seed=1), "honest", 0)
    train = prepared.split.train
    model = train_centrally(prepared, train, recipe, Provenance("central", None, 1, "none", True, 0))
    assert content(model.scaler) == content(fitted_scaler(prepared.space, prepared.x[train], recipe))
    assert content(model.scaler) != content(fitted_scaler(prepared.space, prepared.x, recipe))
