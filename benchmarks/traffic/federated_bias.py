"""How sure a federation of laboratories must be before it alerts: its alert bias, chosen on runs that no model had.

    python benchmarks/traffic/federated_bias.py run RUNS --keep   score the federation's models with each bias
    python benchmarks/traffic/federated_bias.py table             the table of docs/results/gateway.md

RUNS is as federated_laboratories.py makes it, with the federation's models. Two more runs of each laboratory choose the
bias; with that one and without any the models are scored on the runs of the tests. The bias is taken off when a model
goes on guard, so one training serves for all of them.
"""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from federated_laboratories import LABORATORIES, SEEDS, TESTING, make_runs
from laboratory import command_line, judge, meter, run_and_keep, summed, with_bias

from medward.agents.sentinel.model import load_model
from medward.agents.sentinel.recipe import recipe_of

KEPT = Path(__file__).parent / "results" / "federated-bias.json"
CHOOSING = (81, 82)
TRIED = (0.0, -2.0, -4.0, -6.0, -8.0, -10.0, -12.0)
CHOSEN = recipe_of("medward-flow").deployment.bias_of_federated


def tables_of(folder: Path, numbers: tuple[int, ...], place: Path) -> dict[Path, Path]:
    """Meter runs of each laboratory, where it is still to do; return their tables, each with its labels."""
    tables = {}
    for first, _, _ in LABORATORIES.values():
        for number in numbers:
            labels = folder / f"run-{first + number}.labels.json"
            capture, table = labels.with_name(f"run-{first + number}.pcap"), place / f"run-{first + number}.parquet"
            tables[meter(capture, labels, table)] = labels
    return tables


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Score each model with each bias on the choosing runs, and with the chosen one and none on the tests."""
    folder: Path = options.runs
    make_runs(folder, options.seconds, options.beside, CHOOSING)
    parts = {
        "choosing": (tables_of(folder, CHOOSING, folder / "choosing"), TRIED),
        "test": (tables_of(folder, TESTING, folder / "test"), (0.0, CHOSEN)),
    }
    rows = []
    for seed in range(options.seeds):
        for part, (tables, biases) in parts.items():
            for bias in biases:
                place = folder / "models" / f"the-federation-{seed}"
                trained_with = load_model(place).recipe.deployment.bias_of_federated
                model = with_bias(place, trained_with, bias)
                found = summed([judge(model, table, labels) for table, labels in tables.items()])
                rows.append({"seed": seed, "part": part, "bias": bias, "found": found})
                print(json.dumps(rows[-1]), file=sys.stderr)
    return {"machine": f"{platform.machine()}, {platform.system()}", "rows": rows}


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the table of the page from the kept results."""
    print("| runs | alert bias | alerted | right class within 6 s | false alarms |")
    print("|---|---|---|---|---|")
    for part, called in (("choosing", "two more of each, to choose by"), ("test", "the tests")):
        for bias in dict.fromkeys(row["bias"] for row in rows if row["part"] == part):
            found = [row["found"] for row in rows if row["part"] == part and row["bias"] == bias]
            cells = (
                *(called, f"{bias:g}"),
                f"{', '.join(str(one['alerted']) for one in found)} of {found[0]['attacks']}",
                f"{', '.join(str(one['named within 6 s']) for one in found)} of {found[0]['attacks']}",
                ", ".join(f"{one['false'] / one['benign']:.2%}" for one in found),
            )
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser, *_ = command_line(__doc__, KEPT, seconds=180, seeds=SEEDS, beside=4)
    options = parser.parse_args()
    if options.command == "table":
        print_table(json.loads(KEPT.read_text())["rows"])
        return
    run_and_keep(run, options, KEPT)


if __name__ == "__main__":
    main()
