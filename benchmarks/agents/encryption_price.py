"""What encrypted sums cost a federation: accuracy, seconds and bytes, beside sums in the open.

    python benchmarks/agents/encryption_price.py DATA... [--seeds 5] [--rounds 10] [--out FILE]    run what is missing
    python benchmarks/agents/encryption_price.py                                                   the table

For every data set and seed, the same federation of four hospitals trains three times: without protection and without
quantisation (32 bits), and encrypted with updates of 16 and of 8 bits. The table has the binary macro-F1 on test rows,
the difference in points, what one hospital spends on average in a training round on everything that encryption adds
(encrypt and deal, check, answer, decrypt), that as a share of a round with 10 s of training, and
the bytes it stores: what it shows the others, and its own copy of the next model, which is not sent. Finished runs are
kept in FILE (JSON lines) and not run again.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.recipe import RECIPES
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.federation.model.train import Train
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import prepare

WAYS = (("none", 32), ("aggregate", 16), ("aggregate", 8))
TRAINING_SECONDS = 10.0


def measure(data: str, seed: int, rounds: int, protect: str, bits: int) -> dict[str, Any]:
    """Train one federation and return what the table needs."""
    dataset, flows = open_data(data, seed)
    prepared = prepare(dataset, flows, "honest", seed)
    options = Options(4, rounds, protect=protect, bits=bits, seed=seed)  # type: ignore[arg-type]
    training = FederatedTraining(prepared, RECIPES[dataset.name], options)
    model = training.run(None, lambda report: None)
    test = prepared.split.test
    result = judge(model, prepared.x[test], prepared.flows.y[test])
    trained = [report for report in training.reports if report.task == "train"]
    spent = [
        sum(s for activity, s in report.seconds.items() if activity in ("encrypt", "check", "share", "combine"))
        for report in trained
    ]
    shared = training.shared
    assert isinstance(shared, Train)
    return {
        "data": dataset.name, "seed": seed, "rounds": rounds, "protect": protect, "bits": bits,
        "weights": len(shared.weights),
        "binary_macro_f1": result.metrics["binary"]["macro_f1"],
        "binary_accuracy": result.metrics["binary"]["accuracy"],
        "multiclass_macro_f1": result.metrics["multiclass"]["macro_f1"],
        "seconds_a_round": median(spent),
        "training_seconds_a_round": median(report.seconds["train"] for report in trained),
        "bytes_a_round": median(report.bytes_up for report in trained) / 4,
    }  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| data set | updates | seeds | binary macro-F1 | accuracy, points off open | s a round and hospital | of 10 s"
        " training | bytes a round and hospital |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data in dict.fromkeys(row["data"] for row in rows):
        for protect, bits in WAYS:
            own = [row for row in rows if (row["data"], row["protect"], row["bits"]) == (data, protect, bits)]
            if not own:
                continue
            open_ = {row["seed"]: row for row in rows if (row["data"], row["protect"]) == (data, "none")}
            off = [100 * (row["binary_accuracy"] - open_[row["seed"]]["binary_accuracy"]) for row in own]
            f1 = [row["binary_macro_f1"] for row in own]
            spent = median(row["seconds_a_round"] for row in own)
            lines.append(
                f"| {data} | {'open' if protect == 'none' else 'encrypted'}, {bits} bits | {len(own)} | "
                f"{mean(f1):.4f} ± {pstdev(f1):.4f} | {mean(off):+.2f} ({min(off):+.2f} to {max(off):+.2f}) | "
                f"{spent:.3f} | {100 * spent / (TRAINING_SECONDS + spent):.1f} % | "
                f"{median(row['bytes_a_round'] for row in own):,.0f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "encryption-price.jsonl")
    words = parser.parse_args()
    use_one_thread_per_operation()
    rows = [json.loads(line) for line in words.out.read_text().splitlines()] if words.out.exists() else []
    done = {(row["source"], row["seed"], row["rounds"], row["protect"], row["bits"]) for row in rows}
    for seed in range(words.seeds):
        for data in words.data:
            for protect, bits in WAYS:
                source = Path(data).name
                if (source, seed, words.rounds, protect, bits) not in done:
                    row = {"source": source, **measure(data, seed, words.rounds, protect, bits)}
                    rows.append(row)
                    with words.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    print(_table(rows))


if __name__ == "__main__":
    main()
