"""Print the tables of docs/results.md from the runs that `medward reproduce --results` kept.

    python benchmarks/results.py [FILE ...]        default: benchmarks/results/reproduce-*.jsonl

The runs themselves are made by, for example,

    medward reproduce --data wustl-ehms-2020/ --seeds 5 --results benchmarks/results/reproduce-wustl-ehms-2020.jsonl
"""

import json
import sys
from itertools import groupby
from pathlib import Path
from statistics import fmean

from medward.flows.datasets import DATASETS
from medward.report.study import markdown_table


def main(files: list[Path]) -> None:
    runs = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    runs.sort(key=lambda run: (run["protocol"], list(DATASETS).index(run["data"])))
    for (protocol, name), group in groupby(runs, key=lambda run: (run["protocol"], run["data"])):
        own = list(group)
        schema = DATASETS[name].schema
        synthetic = ", synthetic data" if schema.synthetic else ""
        repeated = fmean(run["repeated_share"] for run in own)
        seeds = len({run["seed"] for run in own})
        print(f"### {schema.title}, {protocol} protocol{synthetic}\n")
        print(f"{seeds} seeds; {repeated:.1%} of the test rows repeat the features of a training row.\n")
        print(markdown_table(own))
        print()


if __name__ == "__main__":
    folder = Path(__file__).parent / "results"
    main([Path(name) for name in sys.argv[1:]] or sorted(folder.glob("reproduce-*.jsonl")))
