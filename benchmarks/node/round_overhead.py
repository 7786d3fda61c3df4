"""What a round costs beside the training, with every hospital a real node on this machine.

    python benchmarks/node/round_overhead.py [--sites 4 7 10] [--rounds 5] [--data DATA] [--homes DIR] [--out FILE]

For each number of hospitals a federation of node processes trains by encrypted sums. Each node counts every second of a
round for one activity (medward/federation/stopwatch.py). From the training rounds after the first, which compiles what
it trains with: medians over rounds of the means over nodes.

    encryption         encrypt, check, share, combine
    ledger and store   order records, put blobs into the store and get them from it and from peers
    waiting            nothing of one's own to do: others are not ready, with their training as with anything else

Beside them stands the processor time that a hospital's whole process takes outside of learning: where every hospital
has a machine of its own, with a core or more, a round takes that much longer, and what network and disk take.

All nodes share this machine's cores, so every hospital's work stands in every other's way: ten hospitals on two cores
do in turn what hospitals do beside each other, and write to one disk. Hospitals with machines of their own wait less,
but for their network. How fast that disk is at what a store asks of it is measured before each run. With homes in
memory (`--homes /dev/shm`) what the disk costs is left out.

A FILE keeps the figures of other numbers of hospitals that it holds already.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from medward.bench.rows import machine_description
from medward.federation.simulation.machines import member_names
from medward.node.training.data import ParticipantSettings, plan_of, read_data
from medward.node.trial.launcher import Launcher
from medward.node.trial.trial import Trial, TrialOptions
from medward.report.federation_page import FAMILIES
from medward.store.local import open_directory

TRAINING_SECONDS = 10.0
BLOB_BYTES = 1_200_000


def disk_speed(folder: Path) -> float:
    """Return how many bytes a second a store in this folder takes, each blob durable before the next one."""
    blobs = [os.urandom(BLOB_BYTES) for _ in range(16)]
    with open_directory(folder / "speed") as store:
        began = perf_counter()
        for blob in blobs:
            store.add(blob, pin="speed")
        return sum(map(len, blobs)) / (perf_counter() - began)


def measure(sites: int, rounds: int, data: str, rows: int, folder: Path) -> dict[str, Any]:
    """Run one federation and return its figures."""
    settings = ParticipantSettings(data=data, rounds=rounds, rows=rows, sites=sites)
    prepared = read_data(settings)
    trial = Trial(folder, TrialOptions(settings, member_names(sites)), plan_of(prepared, settings))
    reports: list[dict[str, Any]] = []
    memory: list[float] = []
    launcher = trial.found()

    asyncio.run(
        trial.run(
            launcher,
            lambda statuses: memory.append(_memory(launcher)),
            lambda report, model: reports.append(report),
        )
    )
    trained = [report for report in reports if report["task"] == "train" and report["outcome"] == "final"]
    trained = trained[1:] or trained
    families = {
        family: median(sum(report["seconds"].get(a, 0.0) for a in activities) for report in trained)
        for family, activities in FAMILIES.items()
    }
    return {
        "sites": sites,
        "rounds": len(trained),
        "seconds": families,
        "activities": {
            a: median(report["seconds"].get(a, 0.0) for report in trained) for f in FAMILIES.values() for a in f
        },
        "ledger_and_store_added_to_10_s": families["ledger and store"] / TRAINING_SECONDS,
        "all_added_to_10_s": sum(s for family, s in families.items() if family != "learning") / TRAINING_SECONDS,
        "processor_beside_learning": median(
            sum(s for a, s in report["processor"].items() if a not in FAMILIES["learning"]) for report in trained
        ),
        "bytes_up_a_hospital": median(report["bytes_up"] for report in trained) / sites,
        "bytes_down_a_hospital": median(report["bytes_down"] for report in trained) / sites,
        "memory_of_all_nodes": max(memory),
    }


def _memory(launcher: Launcher) -> float:
    """Return the bytes of memory that the nodes hold together, what they share divided among them."""
    total = 0.0
    for name in launcher.homes:
        pid = launcher.pid(name)
        if pid is not None:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += 1024 * int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    return total


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as a table."""
    lines = [
        "| hospitals | encryption, s a round | ledger and store, s | waiting, s | ledger and store, added to 10 s of "
        "training | all of them, added to 10 s | processor s beside learning | MB up a hospital | MB down | "
        "GB of memory, all nodes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows.values(), key=lambda row: int(row["sites"])):
        spent = row["seconds"]
        lines.append(
            f"| {row['sites']} | {spent['encryption']:.2f} | {spent['ledger and store']:.2f} | "
            f"{spent['waiting']:.2f} | "
            f"{row['ledger_and_store_added_to_10_s']:.1%} | {row['all_added_to_10_s']:.1%} | "
            f"{row['processor_beside_learning']:.2f} | "
            f"{row['bytes_up_a_hospital'] / 1e6:.2f} | {row['bytes_down_a_hospital'] / 1e6:.2f} | "
            f"{row['memory_of_all_nodes'] / 1e9:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure each number of hospitals and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, nargs="*", default=[4, 7, 10])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", default="ward")
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--homes", type=Path, help="the folder for the nodes' homes, on the disk that is to be used")
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    kept = words.out is not None and words.out.exists()
    rows: dict[str, Any] = json.loads(words.out.read_text())["rows"] if kept else {}
    for sites in words.sites:
        with tempfile.TemporaryDirectory(prefix="medward-", dir=words.homes) as folder:
            speed = disk_speed(Path(folder))
            found = measure(sites, words.rounds, words.data, words.rows, Path(folder) / "homes")
        rows[str(sites)] = {"data": Path(words.data).name, "store_takes_bytes_a_second": speed, **found}
        if words.out is not None:
            document = {"machine": machine_description(), "rows": rows}
            words.out.write_text(json.dumps(document, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
