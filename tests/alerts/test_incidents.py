"""Windows of one device and class are one incident with a count, in bounded memory whatever comes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.alerts.deciding import DecidedWindow
from medward.alerts.incidents import MOST_INCIDENTS, QUIET_SECONDS, REPEAT_SECONDS, IncidentReport, Incidents


def window(start: float, device: str = "02:00:00:00:00:01", name: str = "Recon-Port_Scan") -> DecidedWindow:
    return DecidedWindow(device, "10.0.0.1", start, name, 2.0, True, 100, np.zeros(3, np.float32))


def test_count_grows_and_lines_become_rare() -> None:
    incidents, reports = Incidents(), list[IncidentReport]()
    for tick in range(100):
        reports += incidents.step([window(2.0 * tick)])
    assert [report.count for report in reports][:5] == [1, 2, 4, 8, 13]
    assert len({report.identifier for report in reports}) == 1
    assert reports[-1].octets == 100 * reports[-1].count
    assert len(reports) < 30
    assert incidents.begun == 1


def test_windows_of_several_ticks_in_one_step_are_counted_one_by_one() -> None:
    reports = Incidents().step([window(2.0 * tick) for tick in range(9)])
    assert [report.count for report in reports] == [1, 2, 4, 8, 9][: len(reports)]
    assert [report.window.start for report in reports] == [2.0 * (report.count - 1) for report in reports]


def test_other_device_other_class_and_a_quiet_minute_make_another_incident() -> None:
    incidents = Incidents()
    (first,) = incidents.step([window(0.0)])
    others = incidents.step([window(2.0, device="02:00:00:00:00:02"), window(2.0, name="ARP_Spoofing")])
    (later,) = incidents.step([window(QUIET_SECONDS + 2.0)])
    assert len({report.identifier for report in (first, *others, later)}) == 4
    assert all(report.count == 1 for report in (first, *others, later))
    (set_back,) = incidents.step([window(-1000.0)])
    assert set_back.count == 1


def test_after_a_pause_the_next_window_is_told_at_once() -> None:
    incidents = Incidents()
    incidents.step([window(0.0), window(2.0)])
    (report,) = incidents.step([window(2.0 + REPEAT_SECONDS)])
    assert report.count == 3


@given(
    seed=st.integers(0, 1000),
    places=st.integers(1, 20),
    devices=st.integers(1, 60),
)
@settings(deadline=None, max_examples=30)
def test_flood_of_devices_takes_no_more_than_its_places(seed: int, places: int, devices: int) -> None:
    rng = np.random.default_rng(seed)
    incidents = Incidents(places)
    counted = 0
    for tick in range(50):
        drawn = sorted({f"device {k}" for k in rng.integers(0, devices, 10)})
        reports = incidents.step([window(2.0 * tick, device) for device in drawn])
        counted += len(drawn)
        assert len(incidents) <= places
        assert len(reports) <= len(drawn)
        assert [report.window.device for report in reports] == sorted(report.window.device for report in reports)
    assert incidents.begun - incidents.forgotten >= len(incidents)
    assert incidents.begun <= counted


def test_incident_that_goes_on_is_not_driven_out_by_those_that_come_and_go() -> None:
    incidents = Incidents(8)
    for tick in range(64):
        reports = incidents.step([window(2.0 * tick), *(window(2.0 * tick, f"flood {tick} {k}") for k in range(6))])
    assert reports[0].window.device == "02:00:00:00:00:01"
    assert reports[0].count == 64
    assert incidents.forgotten > 100
    assert MOST_INCIDENTS >= 1024


def test_flood_of_incidents_fills_no_file_and_what_goes_on_is_reported_first() -> None:
    incidents = Incidents(most=5)
    incidents.step([window(0.0)])
    flood = [window(2.0, f"flood {k}") for k in range(1000)]
    reports = incidents.step([*flood, window(2.0)])
    assert [report.window.device for report in reports] == [*(f"flood {k}" for k in range(4)), "02:00:00:00:00:01"]
    assert incidents.unreported == 996
    (late,) = incidents.step([window(4.0, "flood 999")])
    assert late.count == 2
    assert late.first == 2.0
