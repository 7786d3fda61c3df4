"""The figures of `medward bench traffic`: packets a CPU-second on generated captures, each meter in turn.

What a meter takes to start is taken off: for others by a run on a capture of ten packets, for medward by starting the
clock when its kernels are loaded. All have their default settings, but for the memory of a million flows, which wants
places for as many. Others write their flows nowhere (Argus) or with their default outputs (Suricata).
"""

import json
import tempfile
from pathlib import Path
from statistics import median

from medward.bench.programs import output_of
from medward.bench.rows import BenchmarkRow, Progress
from medward.bench.traffic.generation import write_flood, write_ward
from medward.bench.traffic.others import OtherMeter, Spent, installed_meters
from medward.traffic.meter import MeterSettings, compile_meter

MEMORY_LIMIT_MIB = 256.0
MILLION = 1_000_000
_MILLION_PLACES = 1 << 20


def all_rows(packets: int, repeats: int, progress: Progress) -> list[BenchmarkRow]:
    """Return every row, for captures of so many packets (a flood of three tenths as many); medians of `repeats`."""
    others = installed_meters()
    for name, package in (("Argus", "argus-server"), ("Suricata", "suricata")):
        if not any(other.name.startswith(name) for other in others):
            progress(f"{name} is not installed and is left out (Debian's package {package})")
    with tempfile.TemporaryDirectory(prefix="medward-bench-") as folder:
        where = Path(folder)
        progress("generating captures")
        tiny, ward, flood = (where / f"{name}.pcap" for name in ("tiny", "ward", "flood"))
        write_ward(tiny, 10)
        write_ward(ward, packets)
        write_flood(flood, packets * 3 // 10)
        progress("compiling kernels")
        compile_meter()
        starts = {other.name: other.measure(tiny, where / "logs").seconds for other in others}
        rows = []
        for what, capture, count in (
            ("a ward's mixture", ward, packets),
            ("a SYN flood, each packet a flow", flood, packets * 3 // 10),
        ):
            progress(what)
            rows += _rate_rows(what, capture, count, repeats, others, starts, where / "logs")
        progress("memory at a million flows")
        write_flood(flood, MILLION)
        peak = _measure_ours(flood, inspect=True, flows=_MILLION_PLACES).mebibytes
    what = "peak memory at a million flows"
    return [*rows, BenchmarkRow(what, peak, MEMORY_LIMIT_MIB, "the limit", MEMORY_LIMIT_MIB / peak, "MiB")]


def _rate_rows(
    what: str,
    capture: Path,
    packets: int,
    repeats: int,
    others: list[OtherMeter],
    starts: dict[str, float],
    logs: Path,
) -> list[BenchmarkRow]:
    ours: dict[str, list[float]] = {"cheap columns": [], "all columns": []}
    theirs: dict[str, list[Spent]] = {other.name: [] for other in others}
    for _ in range(repeats):
        for which, seconds in ours.items():
            seconds.append(_measure_ours(capture, inspect=which == "all columns").seconds)
        for other in others:
            theirs[other.name].append(other.measure(capture, logs))
    rows = []
    for which, seconds in ours.items():
        rate = packets / median(seconds)
        label = f"{what}, {which}"
        for name, spent in theirs.items():
            # A capture that takes no longer than starting does says nothing of a meter's rate.
            took = max(median(one.seconds for one in spent) - starts[name], 1e-3)
            rows.append(BenchmarkRow(label, rate, packets / took, name, rate * took / packets, "packets/CPU-second"))
        if not theirs:
            rows.append(BenchmarkRow(label, rate, None, None, None, "packets/CPU-second"))
    for name, spent in theirs.items():
        peak = median(one.mebibytes for one in spent)
        mine = _measure_ours(capture, inspect=True).mebibytes
        rows.append(BenchmarkRow(f"{what}, peak memory", mine, peak, name, peak / mine, "MiB"))
    return rows


def _measure_ours(capture: Path, inspect: bool, flows: int = MeterSettings.flows) -> Spent:
    found = json.loads(output_of("the meter", "medward.bench.traffic.meter_program", capture, flows, int(inspect)))
    return Spent(found["seconds"], found["mebibytes"])
