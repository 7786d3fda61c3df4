"""What growing trees costs a federation beside training, and a gateway that scores with them.

    python benchmarks/trees.py DATA... [--out benchmarks/results/trees.jsonl]

A federation of four hospitals trains by the data set's recipe, encrypted, and grows trees. The table has for both parts
how many sums were opened, their ciphertexts, the bytes that one hospital stored for them, the seconds that one hospital
spent on what encryption adds, those that all four together trained or counted, and how many flows a second the model
scores without and with the trees (median of nine passes over the test rows, in turns). Runs are kept in FILE.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from medward.agents.recipe import recipe_of
from medward.agents.trees import no_trees
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.federation.digits import BITS
from medward.federation.training import FederatedTraining, Options
from medward.federation.wire import sum_set
from medward.fhe.lanes import BlockLayout
from medward.flows.prepared import prepare
from medward.report.federation_page import FAMILIES

SITES, PASSES = 4, 9


def measure(data: str) -> dict[str, Any]:
    """Train one federation and return what the table needs."""
    dataset, flows = open_data(data, 0)
    prepared = prepare(dataset, flows, "honest", 0)
    recipe = recipe_of(dataset.name, trees=True)
    training = FederatedTraining(prepared, recipe, Options(SITES, recipe.rounds, seed=0))
    parameters = sum_set(BITS, SITES)
    found: dict[str, Any] = {"data": dataset.name, "columns": len(prepared.space.columns)}
    parts: dict[str, list[dict[str, float]]] = {"train": [], "grow": []}
    asked = {"blocks": 0}

    def on_round(report: Any) -> None:
        if report.task in parts:
            spent = sum(s for activity, s in report.seconds.items() if activity in FAMILIES["encryption"])
            parts[report.task].append(
                {
                    "ciphertexts": asked["blocks"],
                    "bytes": report.bytes_up / SITES,
                    "encryption": spent,
                    "work": report.seconds["train"],
                }
            )
        if not training.shared.done:
            asked["blocks"] = BlockLayout(parameters, training.shared.counts, training.shared.values).blocks

    model = training.run(None, on_round)
    for task, rounds in parts.items():
        found[task] = {"sums": len(rounds)} | {name: sum(one[name] for one in rounds) for name in rounds[0]}
    found["trees"], found["nodes"] = len(model.trees), len(model.trees.column)
    x = prepared.x[prepared.split.test]
    scorers = {"without": replace(model, trees=no_trees()).scorer(), "with": model.scorer()}
    passes: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(PASSES):
        for name, scorer in scorers.items():
            began = perf_counter()
            scorer.score(x)
            passes[name].append(len(x) / (perf_counter() - began))
    found["flows_a_second"] = {name: round(median(own)) for name, own in passes.items()}
    return found


def table(runs: list[dict[str, Any]]) -> None:
    """Print what was measured."""
    print(
        "| data set | columns | part | sums | ciphertexts | MB a hospital | encryption, s a hospital | "
        "training or counting, s | flows a second, after it |\n" + "|---" * 9 + "|"
    )
    for run in runs:
        for task, words, scored in (("train", "training", "without"), ("grow", f"{run['trees']} trees", "with")):
            part = run[task]
            figures = f"{part['bytes'] / 1e6:.0f} | {part['encryption']:.0f} | {part['work']:.0f}"
            print(
                f"| {run['data']} | {run['columns']} | {words} | {part['sums']} | {part['ciphertexts']} | {figures} |"
                f" {round(run['flows_a_second'][scored], -4):,} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "trees.jsonl")
    options = parser.parse_args()
    use_one_thread_per_operation()
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    kept = {run["data"]: run for run in map(json.loads, lines)}
    for name in options.data:
        kept[name] = measure(name)
        options.out.write_text("".join(json.dumps(run) + "\n" for run in kept.values()))
    table(list(kept.values()))
