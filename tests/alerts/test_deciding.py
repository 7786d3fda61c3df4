"""Windows are decided at a glance, and with evidence where Sentinel asks for it and it is there."""

import numpy as np
import pytest

from medward.alerts.deciding import DecidedWindow, WindowDecider
from medward.alerts.errors import UnusableModel
from medward.alerts.reasons import reasons_for
from medward.flows.datasets import CICIOMT, MEDWARD_FLOW
from medward.traffic.meter import Meter, MeterSettings, WindowTable
from medward.traffic.payload.evidence import BoughtEvidence, EvidenceRing, buy_evidence
from tests.alerts.hand_made import CLASSES, FORGER, MONITOR, SCANNER, SERVER, foreign_schema, hand_made_model, ward
from tests.traffic.captures import Timed, batch


def windows_of(packets: list[Timed]) -> tuple[list[WindowTable], EvidenceRing]:
    meter, ring = Meter(MeterSettings(1024, 64, 64, 64, inspect=False)), EvidenceRing(1, 4096)
    part = batch(packets)
    ring.add(part)
    return [*meter.step(part), *meter.finish()], ring


def decided(packets: list[Timed], sell: bool = True) -> tuple[list[DecidedWindow], WindowDecider, list[str]]:
    """Decide the windows of packets; also return the devices whose evidence was asked for."""
    tables, ring = windows_of(packets)
    decider, asked = WindowDecider(hand_made_model(), "model"), list[str]()

    def buy(windows: np.ndarray) -> BoughtEvidence:
        asked.extend(WindowTable(windows, np.zeros((0, 0), np.float32)).device)
        return buy_evidence(ring if sell else EvidenceRing(1, 16), windows)

    return [window for table in tables for window in decider.decide(table, buy)], decider, asked


def test_scan_is_seen_at_a_glance_and_alteration_in_evidence_that_is_bought() -> None:
    found, decider, asked = decided(ward())
    scans = [window for window in found if window.name == CLASSES[1]]
    altered = [window for window in found if window.name == CLASSES[2]]
    assert {window.device for window in scans} == {SCANNER}
    assert {window.device for window in altered} == {FORGER, SERVER}
    assert not any(window.evidence or window.octets for window in scans)
    assert all(window.evidence and window.octets > 100 for window in altered)
    assert set(asked) == {MONITOR, SERVER, FORGER}
    assert decider.escalated == len(asked) < decider.windows
    assert decider.octets >= sum(window.octets for window in altered)


def test_quiet_ward_raises_nothing() -> None:
    found, decider, _ = decided(ward(attacks=False))
    assert found == []
    assert decider.windows == 20
    columns = decider.features
    assert decider.usual[columns.index("mqtt")] > 0


def test_where_evidence_is_gone_the_glance_has_to_do() -> None:
    found, decider, asked = decided(ward(), sell=False)
    assert {window.name for window in found} == {CLASSES[1]}
    assert decider.without_packets == len(asked) > 0
    assert decider.octets == 0


def test_reasons_name_the_measure_that_moved_the_decision() -> None:
    found, decider, _ = decided(ward())
    scan = next(window for window in found if window.name == CLASSES[1])
    (reason,) = reasons_for(decider, scan)
    assert reason.feature.startswith("syn_out")
    assert (reason.value or 0) > reason.usual
    assert reason.weight > 0.5
    altered = next(window for window in found if window.name == CLASSES[2])
    assert "rewritten" in {reason.feature.split("_")[0] for reason in reasons_for(decider, altered)}


def test_model_of_other_rows_is_refused_in_one_sentence() -> None:
    for schema in (CICIOMT.schema, foreign_schema()):
        with pytest.raises(UnusableModel) as caught:
            WindowDecider(hand_made_model(schema), "models/icu")
        assert f"models/icu was trained on {schema.dataset}" in str(caught.value)
        assert "medward flows" in str(caught.value)


def test_model_of_some_of_the_columns_is_of_use() -> None:
    others = [feature.name for feature in MEDWARD_FLOW.schema.features if feature.name.endswith("_60s")]
    decider = WindowDecider(hand_made_model(MEDWARD_FLOW.schema.without(others, "is left out")), "model")
    tables, ring = windows_of(ward())
    names = {w.name for table in tables for w in decider.decide(table, lambda windows: buy_evidence(ring, windows))}
    assert names == set(CLASSES[1:])
