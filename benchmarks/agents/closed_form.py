"""A model in closed form, of one sum of second moments, beside Sentinel's fifty rounds.

    python benchmarks/agents/closed_form.py run DATA... [--seeds 0 1] [--features 512]   run what is missing
    python benchmarks/agents/closed_form.py times DATA... [--features 512]               one hospital's seconds
    python benchmarks/agents/closed_form.py table                                        the table

For every data set and seed, four hospitals make a model in one round under encrypted sums, from blocks of the honest
split, and it is measured on test rows. The same rows in one place must lead to the same bytes, or the run is refused.
Sentinel's figures are those that `medward reproduce --results` kept, on the seeds that both have. Bytes are those of
`medward.federation.model.wire`, without the surveys, which both need; Sentinel's are a round's times the recipe's
rounds. Seconds are those that a hospital's processor spends on its moments and on the regression; Sentinel's are those
of its training alone, as `encryption_price.py` kept them. Finished runs are kept in FILE (JSON lines), not run again.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, median, pstdev
from time import process_time
from typing import Any

import numpy as np
from results import FOLDER

from medward.agents.closed_form.own_rows import rows_of_large_classes
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.recipe import RECIPES
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.federation.model.gram import ClosedForm, Gather
from medward.federation.model.wire import sum_bytes
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import prepare
from medward.report.targets import FEDERATED

SITES = 4
TIMES = FOLDER / "closed-form-times.jsonl"
MEASURES = ("binary_macro_f1", "multiclass_macro_f1", "expected_cost", "false_alarm_rate", "escalation_rate")


def measure(data: str, seed: int, features: int) -> dict[str, Any]:
    """Make one model and return what the table needs."""
    dataset, flows = open_data(data, seed)
    prepared = prepare(dataset, flows, "honest", seed)
    options = Options(SITES, 1, seed=seed, features=features)
    training = FederatedTraining(prepared, RECIPES[dataset.name], options)
    model = training.run(None, lambda report: None)
    _check_equal(training)
    test = prepared.split.test
    result = judge(model, prepared.x[test], prepared.flows.y[test])
    return {
        "data": dataset.name, "seed": seed, "features": features, "rounds": len(training.reports), "model": model.name,
        "binary_macro_f1": result.metrics["binary"]["macro_f1"],
        "multiclass_macro_f1": result.metrics["multiclass"]["macro_f1"],
        "false_alarm_rate": result.metrics["binary"]["false_alarm_rate"],
        "expected_cost": result.expected_cost, "escalation_rate": result.escalation_rate,
        "counts": _before(training).counts,
    }  # fmt: skip


def _before(training: FederatedTraining) -> Gather:
    """Return the shared model before the sum of moments."""
    after = training.shared
    assert isinstance(after, ClosedForm)
    return Gather(after.plan, after.step - 1, after.census)


def timed(data: str, features: int) -> dict[str, Any]:
    """Return the processor's seconds that one of four hospitals spends, its program being loaded and compiled."""
    dataset, flows = open_data(data, 0)
    options = Options(SITES, 1, protect="none", features=features)
    training = FederatedTraining(prepare(dataset, flows, "honest", 0), RECIPES[dataset.name], options)
    training.run(None, lambda report: None)
    before, x, y = _before(training), training.prepared.x, training.prepared.flows.y
    share = training.shares[0]
    began = process_time()
    own = before.contribution(x[share], y[share])
    middle = process_time()
    before.advance(own)
    ended = process_time()
    return {"data": dataset.name, "features": features, "moments": middle - began, "regression": ended - middle}


def _seconds(data: str, features: int) -> str:
    kept = [json.loads(line) for line in TIMES.read_text().splitlines()] if TIMES.exists() else []
    own = [row for row in kept if row["data"] == data and row["features"] == features]
    return f"{own[-1]['moments'] + own[-1]['regression']:.1f}" if own else ""


def _check_equal(training: FederatedTraining) -> None:
    """Refuse a model that the same rows in one place do not give, byte for byte."""
    after, prepared = training.shared, training.prepared
    assert isinstance(after, ClosedForm)
    before = _before(training)
    x, y = prepared.x, prepared.flows.y
    rows = np.concatenate([share[rows_of_large_classes(y[share])] for share in training.shares])
    pooled = before.advance(before.moments(x[rows], y[rows]))
    assert isinstance(pooled, ClosedForm)
    if pooled.found.coefficients.tobytes() != after.found.coefficients.tobytes():
        raise SystemExit("The rows in one place lead to another model than the encrypted sum: this must not be.")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = [
        "| data set | model | seeds | binary macro-F1 | multi-class macro-F1 | cost of a window | false alarms "
        "| escalations | MB a hospital sends in sums | seconds of a hospital |",
        "|---" * 10 + "|",
    ]
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        seeds = sorted({row["seed"] for row in own})
        for features in sorted({row["features"] for row in own}):
            runs = [row for row in own if row["features"] == features]
            sent = median(sum_bytes(16, SITES, row["counts"], row["counts"]) for row in runs) / SITES / 1e6
            spent = _seconds(data, features)
            cells = _cells([[row[name] for name in MEASURES] for row in runs])
            name = f"closed form, {features} features"
            lines.append(f"| {data} | {name} | {len(runs)} | {cells} | {sent:.1f} | {spent} |")
        kept = [run for run in _sentinel(data) if run["seed"] in seeds]
        if kept:
            price = _price(data)
            megabytes, seconds = (f"{price[0] / 1e6:.1f}", f"{price[1]:.0f}") if price else ("", "")
            cells = _cells([_measured(run) for run in kept])
            lines.append(f"| {data} | {FEDERATED}, all rounds | {len(kept)} | {cells} | {megabytes} | {seconds} |")
    return "\n".join(lines)


def _cells(rows: list[list[float]]) -> str:
    columns = list(zip(*rows, strict=True))
    first = [f"{mean(column):.4f} ± {pstdev(column):.4f}" for column in columns[:2]]
    return " | ".join([*first, *(f"{mean(column):.4f}" for column in columns[2:])])


def _measured(run: dict[str, Any]) -> list[float]:
    metrics = run["metrics"]
    binary, named = metrics["binary"], metrics["multiclass"]
    judged = [run["expected_cost"], binary["false_alarm_rate"], run["escalation_rate"]]
    return [binary["macro_f1"], named["macro_f1"], *judged]


def _sentinel(data: str) -> list[dict[str, Any]]:
    path = FOLDER / f"reproduce-{data}.jsonl"
    runs = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [run for run in runs if run["method"] == FEDERATED and run["protocol"] == "honest"]


def _price(data: str) -> tuple[float, float] | None:
    """Return the bytes of all of Sentinel's rounds at 16 bits, and the seconds of its training."""
    path = FOLDER / "encryption-price.jsonl"
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    own = [row for row in kept if row["data"] == data and row["protect"] == "aggregate" and row["bits"] == 16]
    if not own:
        return None
    rounds = RECIPES[data].federation.rounds
    sent = sum_bytes(16, SITES, 0, own[0]["weights"]) / SITES
    return rounds * sent, rounds * median(row["training_seconds_a_round"] for row in own)


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("run", "times", "table"))
    parser.add_argument("data", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--features", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--out", type=Path, default=FOLDER / "closed-form.jsonl")
    chosen = parser.parse_args()
    lines = chosen.out.read_text().splitlines() if chosen.out.exists() else []
    rows = [json.loads(line) for line in lines]
    if chosen.part == "table":
        print(table(rows))
        return
    use_one_thread_per_operation()
    if chosen.part == "times":
        for data in chosen.data:
            for features in chosen.features:
                with open(TIMES, "a") as out:
                    out.write(json.dumps(timed(data, features)) + "\n")
        return
    done = {(row["data"], row["seed"], row["features"]) for row in rows}
    for data in chosen.data:
        name = open_data(data, 0)[0].name
        for features in chosen.features:
            for seed in chosen.seeds:
                if (name, seed, features) not in done:
                    with open(chosen.out, "a") as out:
                        out.write(json.dumps(measure(data, seed, features)) + "\n")


if __name__ == "__main__":
    main()
