"""The meter beside others: which rows there are, and ratios above 1 where medward is better."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medward.bench.rows import BenchmarkRow
from medward.bench.traffic import measures
from medward.bench.traffic.others import OtherMeter

FIGURES = """#!/bin/sh
# The meter takes 2 s, 4 s where it looks into payload, and 100 MiB; the other 1.5 s to start, then 6 s, and 300 MiB.
case "$*" in
*meter_program*" 1048576 1") echo '{"seconds": 9.0, "mebibytes": 128.0}';;
*meter_program*" 0") echo '{"seconds": 2.0, "mebibytes": 50.0}';;
*meter_program*" 1") echo '{"seconds": 4.0, "mebibytes": 100.0}';;
*tiny.pcap*) echo '{"seconds": 1.5, "mebibytes": 10.0}';;
*) echo '{"seconds": OTHER, "mebibytes": 300.0}';;
esac
"""
Rows = dict[str, BenchmarkRow]


@pytest.fixture
def rows_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Rows]]:
    """Rows of meters that take given seconds: a script stands for the interpreter of the programs that are timed."""

    def measure(other: float) -> Rows:
        path = tmp_path / "python"
        path.write_text(FIGURES.replace("OTHER", str(other)))
        path.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr(measures, "compile_meter", lambda: None)
        monkeypatch.setattr(measures, "MILLION", 100)
        monkeypatch.setattr(measures, "installed_meters", lambda: [OtherMeter("Suricata 7.0", ("it", "CAPTURE"))])
        return {row.what: row for row in measures.all_rows(1000, 2, told.append)}

    told: list[str] = []
    yield measure
    assert [line for line in told if "left out" in line] == [
        "Argus is not installed and is left out (Debian's package argus-server)"
    ]


def test_what_a_meter_takes_to_start_is_taken_off(rows_with: Callable[[float], Rows]) -> None:
    rows = rows_with(7.5)
    mixture, flood = rows["a ward's mixture, all columns"], rows["a SYN flood, each packet a flow, cheap columns"]
    assert (mixture.ours, mixture.other, mixture.ratio) == (250.0, pytest.approx(1000 / 6), pytest.approx(1.5))
    assert (flood.ours, flood.other, flood.ratio) == (150.0, 50.0, pytest.approx(3.0))
    assert {row.other_name for row in rows.values()} == {"Suricata 7.0", "the limit"}


def test_memory_is_better_where_it_is_less(rows_with: Callable[[float], Rows]) -> None:
    rows = rows_with(7.5)
    peak, million = rows["a ward's mixture, peak memory"], rows["peak memory at a million flows"]
    assert (peak.ours, peak.other, peak.ratio) == (100.0, 300.0, 3.0)
    assert (million.ours, million.other, million.ratio) == (128.0, 256.0, 2.0)


def test_a_capture_that_takes_no_longer_than_starting_gives_a_rate_all_the_same(
    rows_with: Callable[[float], Rows],
) -> None:
    assert rows_with(1.25)["a ward's mixture, cheap columns"].other == pytest.approx(1e6)


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


@pytest.mark.release
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
