"""Attacks and incidents of the synthetic ward: on devices that suit, in their share, also where rows are few."""

import numpy as np
import pytest

from medward.flows.datasets._ward_attacks import ATTACKS, apply_attacks, apply_incidents
from medward.flows.datasets._ward_devices import KINDS, WardTraffic, benign_traffic, clock, roster


def ward(rows: int, windows: int, seed: int = 0) -> tuple[WardTraffic, np.ndarray]:
    rng, devices = np.random.default_rng(seed), roster(rows)
    traffic = benign_traffic(rng, devices, clock(rng, len(devices), windows))
    apply_incidents(rng, traffic, devices)
    return traffic, apply_attacks(rng, traffic, devices)


def test_attacks_have_about_their_share_of_the_rows_and_happen_to_devices_that_suit() -> None:
    devices = roster(10_000)
    _, y = ward(10_000, 250)
    for code, plan in enumerate(ATTACKS.values(), start=1):
        hit = y == code
        assert hit.mean() == pytest.approx(plan.share, rel=0.35)
        assert {KINDS[kind].name for kind in devices.kind[hit.any(axis=1)]} <= set(plan.kinds)


@pytest.mark.parametrize(("rows", "windows"), [(1, 1), (5, 1), (5, 2), (6, 7), (40, 1)])
def test_short_recordings_do_no_harm(rows: int, windows: int) -> None:
    traffic, y = ward(rows, windows)
    assert y.shape == traffic.rtt.shape
    assert ((y >= 0) & (y <= len(ATTACKS))).all()


def test_incidents_leave_traffic_that_is_possible() -> None:
    traffic, _ = ward(2000, 50, seed=3)
    for name in ("packets_up", "packets_down", "size_up", "size_down", "rtt"):
        values = getattr(traffic, name)
        assert np.isfinite(values).all(), name
        assert (values > 0).all(), name


def test_the_same_seed_gives_the_same_ward() -> None:
    (one, first), (other, second) = ward(400, 20, seed=4), ward(400, 20, seed=4)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(one.packets_up, other.packets_up)
