"""Which recipe moves best between wards: trained on the four earlier wards, scored on plain runs of the laboratory.

    python benchmarks/traffic/laboratory_recipes.py run RUNS --keep   train what is missing, measure
    python benchmarks/traffic/laboratory_recipes.py table             the table of docs/results/gateway.md
    python benchmarks/traffic/laboratory_recipes.py table --twelve    how sure models of twelve runs must be, there too

RUNS is as laboratory.py makes it, tables of the four earlier wards included. Plain runs of the seeds that laboratory.py
trains on are made where they are missing: devices, attacks and addresses that the earlier wards have not, and no run
of the tests. The recipe of medward-flow was chosen by this.
"""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from laboratory import command_line, judge, make_runs, meter, run_and_keep, summed, with_bias

import medward
from medward.agents.sentinel.recipe import DEFAULT, recipe_of

KEPT = Path(__file__).parent / "results" / "laboratory-recipes.json"
HIDDEN_AND_MIXED = {"column_dropout": 0.3, "mixup": 0.2}
#: What each is called, its settings, and the seeds it was trained from: what was nearly chosen, from three.
TRIED: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "the recipe before": ({}, (0,)),
    "dropout .5": ({"dropout": 0.5}, (0,)),
    "columns hidden, .3": ({"column_dropout": 0.3}, (0,)),
    "columns hidden, .5": ({"column_dropout": 0.5}, (0,)),
    "mixup .2": ({"mixup": 0.2}, (0,)),
    "columns hidden, .3, mixup .2": (HIDDEN_AND_MIXED, (0,)),
    "columns hidden, .5, mixup .2": ({"column_dropout": 0.5, "mixup": 0.2}, (0,)),
    "columns hidden, .3, mixup .2, an alert bias of .5": (HIDDEN_AND_MIXED | {"alert_bias": 0.5}, (0, 1, 2)),
    "columns hidden, .3, mixup .2, an alert bias of 1 (now)": (HIDDEN_AND_MIXED | {"alert_bias": 1.0}, (0, 1, 2)),
}


#: Runs that choose how far the alert bias of models of twelve runs may go.
CHOOSING = (121, 122, 123, 124)
BIASES = (0.5, 1.0, 2.0)
NOW = recipe_of("medward-flow").deployment.alert_bias


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train and score each recipe."""
    folder: Path = options.runs
    split = medward.split(medward.load(folder / "earlier"))
    every = np.arange(len(split.flows))
    seeds = list(range(1, options.runs_scored + 1))
    make_runs(folder / "plain", seeds, options.seconds, options.beside, "--plain")
    tests = {}
    for seed in seeds:
        labels = folder / "plain" / f"run-{seed}.labels.json"
        capture, table = labels.with_name(f"run-{seed}.pcap"), folder / "plain" / "train" / f"run-{seed}.parquet"
        tests[meter(capture, labels, table)] = labels
    rows = []
    for name, (settings, of_training) in TRIED.items():
        words = "-".join(f"{key}-{value}" for key, value in settings.items()) or "before"
        for seed in of_training:
            place = folder / "models" / f"recipe-{words}{f'-seed-{seed}' if seed else ''}"
            if not place.exists():
                medward.train(split, every, DEFAULT.change(**settings), seed=seed).save(place)
            model = medward.load_model(place)
            parts = [judge(model, table, labels) for table, labels in tests.items()]
            rows.append({"recipe": name, "seed": seed, "runs": len(tests), "test": summed(parts)})
            print(json.dumps(rows[-1]), file=sys.stderr)
    return {"machine": f"{platform.machine()}, {platform.system()}", "rows": rows, "twelve runs": _of_twelve(options)}


def _of_twelve(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Score the models of twelve runs with each alert bias, on wards with surroundings that nothing else has."""
    folder: Path = options.runs
    make_runs(folder, list(CHOOSING), options.seconds, options.beside)
    tests = {}
    for seed in CHOOSING:
        labels, table = folder / f"run-{seed}.labels.json", folder / "choosing" / f"run-{seed}.parquet"
        tests[meter(labels.with_name(f"run-{seed}.pcap"), labels, table)] = labels
    rows = []
    for bias in BIASES:
        for seed in (0, 1, 2):
            model = with_bias(folder / "models" / f"laboratory-runs-{seed}", NOW, bias)
            parts = [judge(model, table, labels) for table, labels in tests.items()]
            rows.append({"recipe": f"twelve runs, an alert bias of {bias:g}", "seed": seed, "test": summed(parts)})
            print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the table of the page from the kept results."""
    print("| recipe | seed | alerted | within 3 s | right class within 6 s | false alarms |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        test = row["test"]
        share = f"{test['false']} of {test['benign']} ({test['false'] / test['benign']:.2%})"
        counts = (f"{test[key]} of {test['attacks']}" for key in ("alerted", "within 3 s", "named within 6 s"))
        print(f"| {row['recipe']} | {row['seed']} | {' | '.join(counts)} | {share} |")


def main() -> None:
    parser, _, table = command_line(__doc__, KEPT, runs_scored=12, seconds=180, beside=4)
    table.add_argument("--twelve", action="store_true")
    options = parser.parse_args()
    if options.command == "table":
        print_table(json.loads(KEPT.read_text())["twelve runs" if options.twelve else "rows"])
        return
    run_and_keep(run, options, KEPT)


if __name__ == "__main__":
    main()
