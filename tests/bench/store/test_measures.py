"""Figures of the store: one for each promise, and within the memory that is promised."""

import sys
from pathlib import Path

import pytest

from medward.bench.store.measures import all_rows
from medward.store.errors import StoreError
from tests.store.conftest import kubo_program


@pytest.mark.slow
def test_the_benchmark_measures_each_promise_and_stays_within_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDWARD_KUBO", str(tmp_path / "no-kubo"))
    said: list[str] = []
    rows = {row.what: row for row in all_rows(50_000_000, 1, said.append)}
    assert len(rows) == 5
    assert rows["additional memory, durable add"].ours < 64
    assert rows["additional memory, verified fetch"].ours < 64
    assert all(row.ours > 0 for row in rows.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.engines
def test_the_store_is_measured_beside_a_real_kubo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDWARD_KUBO", str(kubo_program()))
    rows = {row.what: row for row in all_rows(3_000_000, 2, lambda _: None)}
    assert len(rows) == 6
    for what in ("verified fetch (mutual TLS, loopback)", "durable add of bytes in memory"):
        assert str(rows[what].other_name).startswith("Kubo ")
        assert rows[what].ratio == pytest.approx(rows[what].other / rows[what].ours)
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_ends_before_it_serves_is_told_of_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StoreError, match="ended before it served"):
        all_rows(1000, 1, lambda _: None)
    assert list(tmp_path.iterdir()) == []
