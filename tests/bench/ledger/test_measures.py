"""The ledger beside its alternatives: which figures stand beside which, ratios above 1 where PBFT is better.

The systems are stand-ins here that reach given figures; test_pbft.py, test_etcd.py and others run the real ones.
"""

from pathlib import Path
from typing import Any

import pytest

from medward.bench.ledger import cometbft, etcd, measures, pbft, proof_of_work
from medward.bench.ledger.load import Figures
from medward.bench.rows import BenchmarkRow

SPENT = pbft.Shares(verifying=3.0, cpu=12.0, syncing=5.0, elapsed=20.0, checks=500, syncs=100)
NAN = float("nan")
Calls = list[tuple[Any, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What was measured; PBFT reaches 300, 100 and 200 in turn, and others what is below."""
    made: Calls = []

    async def replicas(
        members: int, payload: int, workers: int, seconds: float, *, latencies: bool = True
    ) -> tuple[Figures, pbft.Shares]:
        made.append(("PBFT", members, payload, workers, seconds, latencies))
        peak = {0: 300.0, 1: 100.0, 2: 200.0}[sum(one == made[-1] for one in made[:-1]) % 3]
        return Figures(peak, 4.0, 8.0, 0), SPENT

    async def raft(
        members: int, payload: int, workers: int, seconds: float, interface: str, *, latencies: bool = True
    ) -> Figures:
        made.append((interface, members, payload, workers, seconds, latencies))
        return Figures(100.0, 2.0, 16.0, 0) if latencies else Figures(50.0, NAN, NAN, 0)

    async def validators(program: Path, *rest: Any) -> Figures:
        made.append((program.name, *rest))
        return Figures(0.0, NAN, NAN, 9)

    monkeypatch.setattr(pbft, "run", replicas)
    monkeypatch.setattr(etcd, "run", raft)
    monkeypatch.setattr(etcd, "version", lambda: "3.5.9")
    monkeypatch.setattr(etcd, "interfaces", lambda: ("HTTP/JSON",))
    monkeypatch.setattr(cometbft, "run", validators)
    monkeypatch.setattr(measures, "find_program", lambda: Path("/x/cometbft-0.38.1"))
    monkeypatch.setattr(proof_of_work, "run", lambda *_: (10.0, 1000.0, 2000.0))
    return made


def rows_of(what: str, other: str | None) -> list[BenchmarkRow]:
    return [
        row
        for row in measures.measure_all(2.0, 128)
        if row.what.startswith(what) and (row.other_name or "None").startswith(str(other))
    ]


def test_the_turn_with_the_median_peak_stands_beside_the_others(calls: Calls) -> None:
    peak, p50, p99 = rows_of("n = 4, 200 B: ", "etcd")
    assert (peak.ours, peak.other, peak.ratio, peak.unit) == (200.0, 100.0, 2.0, "transactions/s")
    assert (p50.ours, p50.other, p50.ratio, p50.unit) == (4.0, 2.0, 0.5, "ms at half of peak")
    assert (p99.ours, p99.other, p99.ratio) == (8.0, 16.0, 2.0)
    assert peak.other_name == "etcd 3.5.9 over HTTP/JSON (Raft, 3 nodes, survives crashes but no liars)"


def test_few_and_many_loops_are_compared_at_their_peaks_alone(calls: Calls) -> None:
    rows = rows_of("n = 4, 200 B, ", "etcd")
    assert [row.what for row in rows] == [f"n = 4, 200 B, {loops} loops: peak" for loops in (32, 128, 512, 1024)]
    assert [row.other for row in rows] == [50.0, 100.0, 50.0, 50.0]
    assert {(one[3], one[-1]) for one in calls if one[0] == "HTTP/JSON"} == {
        (loops, loops == 128) for loops in (32, 128, 512, 1024)
    }


def test_systems_are_measured_by_turns(calls: Calls) -> None:
    rows_of("", None)
    turns = [one[0] for one in calls[: 2 * 4 * measures.TURNS]]
    assert turns == ["PBFT", "HTTP/JSON"] * 4 * measures.TURNS


def test_an_alternative_that_answered_nothing_has_no_ratio(calls: Calls) -> None:
    peak, *_ = rows_of("n = 4, 200 B: ", "cometbft-0.38.1, 4 validators")
    assert (peak.ours, peak.other, peak.ratio) == (200.0, 0.0, None)


def test_what_is_not_installed_is_left_out(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd, "interfaces", lambda: ())
    monkeypatch.setattr(measures, "find_program", lambda: None)
    names = {row.other_name for row in measures.measure_all(2.0, 128)}
    assert {str(name).split(",")[0] for name in names} == {"None", "proof of work"}
    assert {one[0] for one in calls} == {"PBFT"}


def test_finality_of_a_puzzle_is_compared_as_latency(calls: Calls) -> None:
    peak, p50, _ = rows_of("n = 4, 200 B: ", "proof of work, 20 bits")
    assert (peak.other, peak.ratio) == (10.0, 20.0)
    assert (p50.other, p50.ratio) == (1000.0, 250.0)


def test_shares_are_of_all_replicas_and_rates_of_a_second(calls: Calls) -> None:
    """Four replicas ran 20 s added up, so 5 s each."""
    rows = {row.what: (row.ours, row.unit) for row in measures.measure_all(2.0, 128)}
    assert rows["n = 4: CPU time in signature checks"] == (25.0, "%")
    assert rows["n = 4: time waiting for fsync"] == (25.0, "%")
    assert rows["n = 4: signature checks"] == (100.0, "checks/s")
    assert rows["n = 4: fsyncs of all replicas"] == (20.0, "fsyncs/s")
    assert rows["n = 10: fsyncs of all replicas"] == (50.0, "fsyncs/s")


def test_larger_memberships_and_other_payloads_are_measured_alone(calls: Calls) -> None:
    names = [row.what for row in measures.measure_all(2.0, 128) if row.what.endswith("peak") and row.other is None]
    assert names == [
        *[f"n = {members}, 200 B: peak" for members in (7, 10, 16)],
        *[f"n = 4, {payload} B: peak" for payload in (100, 1000, 10_000)],
    ]
    assert ("PBFT", 16, 200, 128, 2.0, True) in calls
    assert ("PBFT", 4, 10_000, 128, 2.0, True) in calls
