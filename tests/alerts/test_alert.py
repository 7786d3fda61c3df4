"""The watch: windows in, alerts out, and what it counts adds up; confidence is a probability."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.alerts.alert import Alert, Watch
from medward.alerts.deciding import DecidedWindow
from medward.alerts.errors import UnusableModel
from medward.alerts.incidents import IncidentReport
from medward.alerts.techniques import threat_of
from medward.traffic.columns import TICK_SECONDS
from medward.traffic.payload.evidence import buy_evidence
from tests.alerts.hand_made import CLASSES, FORGER, SCANNER, SERVER, foreign_schema, hand_made_model, ward
from tests.alerts.test_deciding import windows_of


def alert(suspicion: float) -> Alert:
    window = DecidedWindow(
        "02:00:00:00:00:09", "10.0.0.9", 1e9, CLASSES[1], suspicion, False, 0, np.zeros(1, np.float32)
    )
    return Alert(IncidentReport("0", 1e9, 1, 0, window), threat_of(CLASSES[1]), (), "sha256:00", synthetic=True)


@given(st.floats(allow_nan=False))
def test_confidence_is_between_none_and_all(suspicion: float) -> None:
    assert 0.0 < alert(suspicion).confidence <= 1.0
    assert alert(suspicion).confidence + alert(-suspicion).confidence == pytest.approx(1.0)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_more_suspicion_is_never_less_confidence(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert alert(low).confidence <= alert(high).confidence


def test_alert_ends_with_its_window() -> None:
    assert alert(0.0).end == 1e9 + TICK_SECONDS
    assert alert(0.0).confidence == 0.5


def test_watch_tells_of_each_attacker_and_counts_what_it_did() -> None:
    watch = Watch(hand_made_model(), "model")
    assert not any(watch.counters.values())
    tables, ring = windows_of(ward())
    alerts = [one for table in tables for one in watch.step(table, lambda windows: buy_evidence(ring, windows))]
    assert {one.report.window.device for one in alerts} == {SCANNER, FORGER, SERVER}
    assert {one.model for one in alerts} == {hand_made_model().name}
    assert all(one.reasons for one in alerts)
    counters = watch.counters
    assert counters["alerts"] == len(alerts)
    assert counters["windows"] == sum(len(table.device) for table in tables)
    assert counters["windows"] > counters["escalated"] > 0
    assert len({one.report.identifier for one in alerts}) == counters["incidents"]


def test_no_windows_raise_no_alerts() -> None:
    watch = Watch(hand_made_model(), "model")
    tables, ring = windows_of(ward(attacks=False))
    assert [one for table in tables for one in watch.step(table, lambda w: buy_evidence(ring, w))] == []
    assert watch.counters["alerts"] == watch.counters["incidents"] == 0


def test_model_of_other_rows_is_refused_with_its_place() -> None:
    with pytest.raises(UnusableModel, match=r"^models/icu "):
        Watch(hand_made_model(foreign_schema()), "models/icu")
