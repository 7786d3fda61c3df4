"""`medward bench traffic`: its captures are what they should be, and it runs with whatever is installed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from medward.bench.traffic import generation, measures, others
from medward.bench.traffic.others import OtherMeter
from medward.cli import main
from medward.errors import MedwardError
from medward.traffic import packets
from medward.traffic.parsing import parse
from medward.traffic.sources.capture import read_capture


def headers_of(path: Path) -> np.ndarray:
    return np.concatenate([parse(batch) for batch in read_capture(path)])


def test_flood_has_a_flow_for_each_packet(tmp_path: Path) -> None:
    generation.write_flood(tmp_path / "flood.pcap", 70_000)
    headers = headers_of(tmp_path / "flood.pcap")
    assert len(headers) == 70_000
    assert set(headers["flags"]) == {packets.SYN}
    assert not headers["trouble"].any()
    assert len(np.unique(headers[["source_low", "source_port"]])) == 70_000
    assert len(np.unique(headers["source_mac"])) > 40_000
    assert (headers["source_low"] & 0xFFFF == headers["source_mac"] & 0xFFFF).all()
    assert (np.diff(headers["time"]) > 0).all()


def test_ward_has_sound_packets_in_the_order_of_their_times(tmp_path: Path) -> None:
    generation.write_ward(tmp_path / "ward.pcap", 5000)
    headers = headers_of(tmp_path / "ward.pcap")
    assert len(headers) >= 5000
    assert not headers["trouble"].any()
    assert (np.diff(headers["time"]) >= 0).all()
    assert {1883, 2575, 104, 80, 443, 53} <= set(headers["target_port"].tolist())
    generation.write_ward(tmp_path / "again.pcap", 5000)
    assert (tmp_path / "again.pcap").read_bytes() == (tmp_path / "ward.pcap").read_bytes()


@pytest.mark.slow
def test_rows_stand_alone_where_nothing_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "installed_meters", list)
    monkeypatch.setattr(measures, "MILLION", 20_000)
    told: list[str] = []
    rows = measures.all_rows(2000, 1, told.append)
    assert [row.what for row in rows] == [
        "a ward's mixture, cheap columns",
        "a ward's mixture, all columns",
        "a SYN flood, each packet a flow, cheap columns",
        "a SYN flood, each packet a flow, all columns",
        "peak memory at a million flows",
    ]
    assert all(row.ours > 0 for row in rows)
    assert all(row.other is None and row.ratio is None for row in rows[:-1])
    assert "Argus is not installed and is left out (Debian's package argus-server)" in told


@pytest.mark.slow
def test_rows_stand_beside_another_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = OtherMeter("Other 1.0", (sys.executable, "-c", "sum(range(10**7))", "CAPTURE", "FOLDER"))
    monkeypatch.setattr(measures, "installed_meters", lambda: [slow])
    monkeypatch.setattr(measures, "MILLION", 20_000)
    rows = measures.all_rows(2000, 1, lambda _: None)
    assert {row.other_name for row in rows} == {"Other 1.0", "the limit"}
    for row in rows:
        assert row.ratio is not None
        assert row.other is not None
        better = row.ours / row.other if row.unit == "packets/CPU-second" else row.other / row.ours
        assert row.ratio == pytest.approx(better)


def test_a_meter_that_fails_is_told_of(tmp_path: Path) -> None:
    failing = OtherMeter("Other 1.0", (sys.executable, "-c", "raise SystemExit('no such option')"))
    with pytest.raises(MedwardError, match=r"Other 1.0 failed on .*: no such option"):
        failing.measure(tmp_path / "x.pcap", tmp_path / "logs")


def test_installed_meters_read_a_generated_capture(tmp_path: Path) -> None:
    found = others.installed_meters()
    if not found:
        pytest.skip("neither Argus nor Suricata is installed")
    generation.write_ward(tmp_path / "ward.pcap", 1000)
    for other in found:
        spent = other.measure(tmp_path / "ward.pcap", tmp_path / "logs")
        assert spent.seconds > 0
        assert spent.mebibytes > 1


@pytest.mark.slow
def test_command_prints_one_json_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["medward", "bench", "traffic", "--json", "--packets", "5000", "--repeats", "1"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert set(json.loads(capsys.readouterr().out)) == {"machine", "rows"}
