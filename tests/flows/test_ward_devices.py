"""The devices of the synthetic ward: as many as their streams allow, on a clock that runs, within what is possible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.flows.datasets._ward_devices import (
    KINDS,
    MOST_DEVICES,
    VITALS,
    benign_traffic,
    clock,
    drift,
    measured,
    night,
    roster,
    rounds,
)


@given(st.integers(1, 20_000))
def test_devices_are_as_many_as_their_streams_allow_and_have_names_of_their_own(rows: int) -> None:
    devices = roster(rows)
    assert 1 <= len(devices) <= min(rows, MOST_DEVICES)
    assert len(set(devices.names)) == len(devices) == len(devices.kind) == len(devices.ward)
    if rows >= len(KINDS):
        assert set(devices.kind) == set(range(len(KINDS)))
    assert all(name.startswith("synthetic-") for name in devices.names)


@given(st.integers(0, 2**32), st.integers(1, 50))
def test_clock_runs_forward_on_every_device(seed: int, windows: int) -> None:
    time = clock(np.random.default_rng(seed), 3, windows)
    assert (np.diff(time, axis=1) > 0).all()
    assert (time > 0).all()


def test_drift_has_the_stated_spread_and_memory() -> None:
    found = drift(np.random.default_rng(0), (2.0, 20.0), 400, 300)
    assert found.shape == (2, 400, 300)
    # 400 streams of 300 windows: the estimates are within a few hundredths.
    assert np.abs(found.std(axis=(1, 2)) - 1).max() < 0.05
    for process, memory in zip(found, (2.0, 20.0), strict=True):
        neighbours = np.corrcoef(process[:, :-1].ravel(), process[:, 1:].ravel())[0, 1]
        assert neighbours == pytest.approx(np.exp(-1 / memory), abs=0.02)


def test_night_is_dark_and_rounds_come_every_two_hours() -> None:
    hours = 3600.0 * np.arange(0, 48, 0.25)
    dark = night(hours)
    assert ((dark >= 0) & (dark <= 1)).all()
    assert dark.max() > 0.99
    assert dark.min() < 0.01
    busy = rounds(hours[None], np.zeros(1, int))
    np.testing.assert_allclose(busy[:, 8:], busy[:, :-8], atol=1e-9)
    assert 0 <= busy.min() < busy.max() <= 1


@pytest.mark.parametrize("rows", [1, 7, 400])
def test_traffic_is_possible_and_vital_signs_are_of_devices_that_measure_them(rows: int) -> None:
    devices, rng = roster(rows), np.random.default_rng(rows)
    traffic = benign_traffic(rng, devices, clock(rng, len(devices), 40))
    for name, values in vars(traffic).items():
        assert np.isfinite(values).all() or name == "vitals", name
    for name in ("packets_up", "packets_down", "size_up", "size_down", "rtt", "loss", "peers", "ports"):
        assert (getattr(traffic, name) >= 0).all(), name
    assert traffic.vitals.shape == (len(devices), 40, len(VITALS))
    assert measured(devices).shape == (len(devices), len(VITALS))
