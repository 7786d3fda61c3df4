"""Print the tables of docs/results.md from the runs that `medward reproduce --results` kept.

    python benchmarks/results.py [FILE ...]        default: benchmarks/results/reproduce-*.jsonl
    python benchmarks/results.py --targets         what was set out to be reached, and whether it was

The runs themselves are made by, for example,

    medward reproduce --data wustl-ehms-2020/ --seeds 5 --results benchmarks/results/reproduce-wustl-ehms-2020.jsonl
    medward reproduce --data wustl-ehms-2020/ --protocol random --results benchmarks/results/reproduce-random-....jsonl
    medward reproduce --data ward --over-time --results benchmarks/results/reproduce-over-time-ward.jsonl
"""

import json
import sys
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from medward.flows.datasets import DATASETS
from medward.report.study import markdown_table
from medward.report.targets import Verdict, over_time_verdicts, paired, verdict_table, verdicts
from medward.report.watch_study import watch_table

FOLDER = Path(__file__).parent / "results"


def main(files: list[Path]) -> None:
    runs = _runs(files)
    runs.sort(key=lambda run: (run["protocol"], list(DATASETS).index(run["data"])))
    for (protocol, name), group in groupby(runs, key=lambda run: (run["protocol"], run["data"])):
        own = list(group)
        schema = DATASETS[name].schema
        synthetic = ", synthetic data" if schema.synthetic else ""
        seeds = len({run["seed"] for run in own})
        if protocol == "over time":
            print(f"### {schema.title}, over time{synthetic}\n\n{_extent(own)}\n\n{watch_table(own)}\n")
            continue
        repeated = fmean(run["repeated_share"] for run in own)
        kind, _, rest = protocol.partition(", ")
        print(f"### {schema.title}, {kind} protocol{', ' + rest if rest else ''}{synthetic}\n")
        print(f"{seeds} seeds; {repeated:.1%} of the test rows repeat the features of a training row.\n")
        print(markdown_table(own))
        print()


def targets() -> None:
    """Print what was set out to be reached, and whether the kept runs reach it."""
    runs = _runs(sorted(FOLDER.glob("reproduce-*.jsonl")))
    over_time = [run for run in runs if run["protocol"] == "over time"]
    prices = [json.loads(line) for line in (FOLDER / "encryption-price.jsonl").read_text().splitlines()]
    rows = [run for run in runs if run["protocol"] != "over time"]
    print(verdict_table([*verdicts(rows), *_prices(prices), *over_time_verdicts(over_time)]))


def _prices(runs: list[dict[str, Any]]) -> list[Verdict]:
    """Hold the runs of benchmarks/encryption_price.py to a price of 0.2 points of accuracy, paired by seed."""
    found = []
    for data in dict.fromkeys(run["data"] for run in runs):
        accuracy = {
            (run["protect"], run["bits"], run["seed"]): 100 * run["binary_accuracy"]
            for run in runs
            if run["data"] == data
        }
        for bits in (16, 8):
            seeds = [seed for protect, width, seed in accuracy if (protect, width) == ("aggregate", bits)]
            mean, low, high = paired(
                [accuracy["aggregate", bits, seed] for seed in seeds], [accuracy["none", 32, seed] for seed in seeds]
            )
            target = f"{data}: accuracy encrypted with {bits} bits within 0.2 points of the open federation"
            measured = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] points, {len(seeds)} seeds"
            found.append(Verdict(target, measured, "met" if mean >= -0.2 else f"missed by {-0.2 - mean:.3f}"))
    return found


def _runs(files: list[Path]) -> list[dict[str, Any]]:
    runs = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    for run in runs:
        run.setdefault("protocol", "over time")
    return runs


def _extent(runs: list[dict[str, Any]]) -> str:
    by_seed = {run["seed"]: run["blocks"] for run in runs}
    windows = sum(sum(blocks["windows"]) for blocks in by_seed.values())
    attacks = sum(sum(blocks["runs"]) for blocks in by_seed.values())
    groups = sum(len(blocks["windows"]) for blocks in by_seed.values())
    return f"{len(by_seed)} seeds, {groups} blocks, {windows:.0f} test windows with {attacks:.0f} attacks in them."


if __name__ == "__main__":
    if sys.argv[1:] == ["--targets"]:
        targets()
    else:
        main([Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("reproduce-*.jsonl")))
