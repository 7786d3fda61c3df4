from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.flows.datasets import DATASETS, WARD, WUSTL, ward
from medward.flows.history import FORGOTTEN, RATES, FeatureSpace, Memory, streams_of
from medward.flows.schema import Flows
from tests.flows.flow_files import made_flows

SPACE = FeatureSpace(WUSTL.schema, history=True)
NAMES = [column.name for column in SPACE.columns]
OWN = len(WUSTL.schema.columns)
FLAG = NAMES.index("Flgs=M")
RATE = NAMES.index("Rate")


def rows_of(seed: int, rows: int = 60, missing: float = 0.0) -> Flows:
    """Rows of two streams in random order, with gaps in the order key."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 100, (rows, OWN)).astype(np.float32)
    flags = [i for i, column in enumerate(WUSTL.schema.columns) if column.indicator]
    x[:, flags] = rng.random((rows, len(flags))) < 0.1
    x[rng.random(x.shape) < missing] = np.nan
    return made_flows(x, device=rng.integers(0, 2, rows), order=rng.choice(rows * 3, rows, replace=False))


def of(flows: Flows, name: str) -> np.ndarray:
    return SPACE.build(flows, flows.device)[:, NAMES.index(name)]


def one_stream(values: list[float], order: list[float] | None = None) -> Flows:
    x = np.zeros((len(values), OWN), np.float32)
    x[:, RATE] = values
    return made_flows(x, order=list(range(len(values))) if order is None else order)


@given(seed=st.integers(0, 500), row=st.integers(0, 59), value=st.floats(-1e6, 1e6, width=32))
@settings(deadline=None, max_examples=40)
def test_a_later_row_never_changes_an_earlier_rows_history(seed: int, row: int, value: float) -> None:
    flows = rows_of(seed, missing=0.1 if seed % 2 else 0.0)
    assert flows.order is not None
    before = SPACE.build(flows, flows.device)
    flows.x[row] = value
    after = SPACE.build(flows, flows.device)
    touched = (flows.device == flows.device[row]) & (flows.order >= flows.order[row])
    assert before[~touched].tobytes() == after[~touched].tobytes()
    # Rows that come later may as well be absent.
    cut = flows.take(~touched)
    assert SPACE.build(cut, cut.device).tobytes() == after[~touched].tobytes()


@given(seed=st.integers(0, 500))
@settings(deadline=None, max_examples=25)
def test_a_stream_knows_nothing_of_another(seed: int) -> None:
    flows = rows_of(seed, missing=0.1)
    whole = SPACE.build(flows, flows.device)
    for device in (0, 1):
        alone = flows.take(flows.device == device)
        expected = SPACE.build(alone, np.zeros(len(alone), np.int32))
        assert whole[flows.device == device].tobytes() == expected.tobytes()


@given(seed=st.integers(0, 500))
@settings(deadline=None, max_examples=25)
def test_the_order_of_rows_in_the_file_does_not_matter(seed: int) -> None:
    flows = rows_of(seed, missing=0.1)
    shuffle = np.random.default_rng(seed).permutation(len(flows))
    moved = flows.take(shuffle)
    assert SPACE.build(flows, flows.device)[shuffle].tobytes() == SPACE.build(moved, moved.device).tobytes()


def test_own_columns_come_first_and_as_they_are() -> None:
    flows = rows_of(1, missing=0.1)
    built = SPACE.build(flows, flows.device)
    assert built.shape == (60, len(SPACE.columns))
    assert built[:, :OWN].tobytes() == flows.x.tobytes()
    assert len(set(NAMES)) == len(NAMES)
    assert [column.history for column in SPACE.columns] == [False] * OWN + [True] * (len(NAMES) - OWN)
    for column in SPACE.columns[OWN:]:
        source = next(own for own in WUSTL.schema.columns if column.name.startswith(own.name + " ("))
        assert column.group is source.group


def test_the_first_row_of_a_stream_has_no_past() -> None:
    flows = rows_of(2)
    assert flows.order is not None
    built = SPACE.build(flows, flows.device)
    for device in (0, 1):
        rows = np.flatnonzero(flows.device == device)
        first = built[rows[np.argmin(flows.order[rows])]]
        for kind in ("last", "from slow"):
            assert all(np.isnan(first[i]) for i, name in enumerate(NAMES) if name.endswith(f"({kind})"))
        for i in SPACE.remembered:
            assert first[NAMES.index(f"{NAMES[i]} (slow)")] == first[i]
        for i in SPACE.events:
            assert first[NAMES.index(f"{NAMES[i]} (since)")] == (0 if first[i] else FORGOTTEN)


def test_last_is_the_row_before_and_from_slow_compares_with_the_past_only() -> None:
    flows = one_stream([1, 2, 4, 100])
    assert of(flows, "Rate (last)")[1:].tolist() == [1, 2, 4]
    slow = of(flows, "Rate (slow)")
    np.testing.assert_allclose(of(flows, "Rate (from slow)")[1:], np.array([2, 4, 100]) - slow[:-1], rtol=1e-6)


def test_averages_are_even_at_first_and_exponential_later() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 200).astype(np.float32).astype(float).tolist()
    flows = one_stream(values)
    for kind, rate in zip(("fast", "middle", "slow"), RATES, strict=True):
        mean, means = 0.0, []
        for i, value in enumerate(values):
            mean += max(rate, 1 / (i + 1)) * (value - mean)
            means.append(mean)
        np.testing.assert_allclose(of(flows, f"Rate ({kind})"), means, rtol=1e-5, atol=1e-6)
    assert of(flows, "Rate (slow)")[9] == pytest.approx(np.mean(values[:10]), rel=1e-5)
    np.testing.assert_allclose(
        of(flows, "Rate (fast-slow)"), of(flows, "Rate (fast)") - of(flows, "Rate (slow)"), atol=1e-6
    )


def test_an_event_is_remembered_until_it_is_forgotten() -> None:
    x = np.zeros((120, OWN), np.float32)
    x[[5, 10], FLAG] = 1
    flows = made_flows(x, order=np.arange(120) * 2.0)
    since = of(flows, NAMES[FLAG] + " (since)")
    assert since[:5].tolist() == [FORGOTTEN] * 5
    assert since[[5, 6, 9, 10, 11, 20]].tolist() == [0, 2, 8, 0, 2, 20]
    assert since[40:].tolist() == [FORGOTTEN] * 80


def without_ageing(flows: Flows) -> Flows:
    """The same rows, with an order key that hides the gaps."""
    assert flows.order is not None
    return made_flows(flows.x, order=np.argsort(np.argsort(flows.order)).astype(float))


@pytest.mark.parametrize("kind", ["middle", "slow"])
def test_lost_rows_change_averages_less_than_if_gaps_did_not_count(kind: str) -> None:
    rng = np.random.default_rng(3)
    level = np.cumsum(rng.normal(0, 1, 4000))
    whole = one_stream((level + rng.normal(0, 0.3, 4000)).tolist())
    kept = np.sort(rng.choice(4000, 1200, replace=False))
    part = whole.take(kept)
    truth = of(whole, f"Rate ({kind})")[kept][100:]
    aged = np.abs(of(part, f"Rate ({kind})")[100:] - truth).mean()
    naive = np.abs(of(without_ageing(part), f"Rate ({kind})")[100:] - truth).mean()
    assert aged < 0.5 * naive


def test_after_a_long_gap_an_average_starts_anew() -> None:
    values = [5.0] * 50 + [9.0]
    flows = one_stream(values, [*range(50), 10_000.0])
    for kind in ("fast", "middle", "slow"):
        assert of(flows, f"Rate ({kind})")[-1] == pytest.approx(9.0, abs=1e-3)


def test_missing_values_neither_enter_nor_end_a_memory() -> None:
    flows = one_stream([3.0, np.nan, np.nan, 3.0, 7.0])
    for kind in ("fast", "middle", "slow"):
        assert of(flows, f"Rate ({kind})")[:4].tolist() == [3, 3, 3, 3]
    assert np.isnan(of(flows, "Rate (last)")).tolist() == [True, False, True, True, False]
    assert np.isnan(of(flows, "Rate (from slow)")).tolist() == [True, True, True, False, False]
    never = one_stream([np.nan] * 4)
    past = [i for i, name in enumerate(NAMES) if name.startswith("Rate (")]
    assert np.isnan(SPACE.build(never, never.device)[:, past]).all()


def test_without_stream_or_order_history_is_missing() -> None:
    flows = rows_of(4)
    keyless = made_flows(flows.x)
    for built in (SPACE.build(flows), SPACE.build(keyless, keyless.device)):
        assert built[:, :OWN].tobytes() == flows.x.tobytes()
        assert np.isnan(built[:, OWN:]).all()


def test_without_history_the_matrix_is_the_rows_own() -> None:
    flows = rows_of(5)
    space = FeatureSpace(WUSTL.schema, history=False)
    assert space.columns == WUSTL.schema.columns
    assert space.build(flows, flows.device).tobytes() == flows.x.tobytes()


def test_no_rows_have_no_history() -> None:
    flows = rows_of(6).take(np.zeros(0, np.intp))
    assert SPACE.build(flows, flows.device).shape == (0, len(NAMES))


def test_streams_are_known_only_with_device_and_order() -> None:
    flows = rows_of(7)
    assert streams_of(flows) is flows.device
    assert streams_of(made_flows(flows.x)) is None


def test_history_follows_numbers_and_events_but_not_what_a_device_is(real_flows: Callable[[str], Flows]) -> None:
    space = FeatureSpace(WARD.schema, history=True)
    assert not any(column.name.startswith("device_kind") for column in space.columns if column.history)
    assert any(column.name.startswith("heart_rate") for column in space.columns if column.history)
    for name in ("x-iomt", "ciciomt2024", "nsl-kdd"):
        assert not DATASETS[name].schema.history
    flows = real_flows("wustl-ehms-2020")
    built = SPACE.build(flows, streams_of(flows))
    assert np.isnan(built[:, OWN:]).any(axis=1).sum() == 1


def test_batches_give_the_history_of_the_whole() -> None:
    flows = ward.generate(3000, 3)
    flows = flows.take(np.argsort(flows.order, kind="stable"))
    space = FeatureSpace(ward.SCHEMA, history=True)
    memory = Memory(space)
    parts = [memory.build(flows.take(np.arange(start, min(start + 170, 3000)))) for start in range(0, 3000, 170)]
    np.testing.assert_array_equal(np.concatenate(parts), space.build(flows, streams_of(flows)))


def test_a_step_of_the_order_key_is_one_row() -> None:
    flows = ward.generate(2000, 3)
    flows = replace(flows, schema=replace(ward.SCHEMA, step=10.0))
    assert flows.order is not None
    seconds = FeatureSpace(flows.schema, history=True).build(flows, streams_of(flows))
    rows = replace(flows, schema=replace(ward.SCHEMA, step=1.0), order=flows.order / 10.0)
    np.testing.assert_array_equal(seconds, FeatureSpace(rows.schema, history=True).build(rows, streams_of(rows)))
