"""Print the tables of docs/results.md from the runs that `medward reproduce --results` kept.

    python benchmarks/results.py [FILE ...]        default: benchmarks/results/reproduce-*.jsonl

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
from medward.report.watch_study import watch_table


def main(files: list[Path]) -> None:
    runs = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    for run in runs:
        run.setdefault("protocol", "over time")
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
        print(f"### {schema.title}, {protocol} protocol{synthetic}\n")
        print(f"{seeds} seeds; {repeated:.1%} of the test rows repeat the features of a training row.\n")
        print(markdown_table(own))
        print()


def _extent(runs: list[dict[str, Any]]) -> str:
    by_seed = {run["seed"]: run["blocks"] for run in runs}
    windows = sum(sum(blocks["windows"]) for blocks in by_seed.values())
    attacks = sum(sum(blocks["runs"]) for blocks in by_seed.values())
    groups = sum(len(blocks["windows"]) for blocks in by_seed.values())
    return f"{len(by_seed)} seeds, {groups} blocks, {windows:.0f} test windows with {attacks:.0f} attacks in them."


if __name__ == "__main__":
    folder = Path(__file__).parent / "results"
    main([Path(name) for name in sys.argv[1:]] or sorted(folder.glob("reproduce-*.jsonl")))
