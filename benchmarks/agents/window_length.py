"""How much of what is reached on CICIoMT2024 is the length of the windows that its authors cut.

    python benchmarks/agents/window_length.py run CICIOMT2024 [--seeds 5]     run what is missing
    python benchmarks/agents/window_length.py facts                           what tells the length, by class
    python benchmarks/agents/window_length.py table                           what is reached where it is hidden

Each published row is the mean of a window's packets, and the window was chosen per class: 100 packets for the MQTT
floods, 10 for all other traffic. `Number` and `Weight` say so and are no features; but `Tot sum` over `AVG` says it
too, and so does the resolution of every count and share, which ten packets give in tenths. Two ways to hide it:

- *tenths*: what ten packets would give in tenths is rounded to a tenth, up with the probability of the remainder, and
  `Tot sum` is left out. Rows of windows of ten packets stay as they are.
- *100 packets*: ten consecutive rows of every other class, of one capture and one block, are averaged, which is what a
  window of 100 packets would have published. Splits deal the same blocks.

Finished runs stay in results/window-length.jsonl; those on the rows as they are published are `medward
reproduce`'s.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from held_rows import spread
from numpy.typing import NDArray
from results import published_runs

from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.flows.datasets import CICIOMT, Dataset
from medward.flows.prepared import PreparedData, prepare_split
from medward.flows.schema import Flows
from medward.flows.splits import Split, honest_split
from medward.studies.finished_runs import keep_run, kept_runs
from medward.studies.study import Study, run_method

RESULTS = Path(__file__).parent / "results" / "window-length.jsonl"
METHODS = ("Sentinel, federated", "XGBoost")
RATIO_OF_FLOODS = (8.0, 13.0)
SHORT = 10
LEFT_OUT = "Tot sum"
FACTS = "window length|facts"


def is_flood(classes: Sequence[str]) -> NDArray[np.bool_]:
    """Tell for each class whether its windows were cut at 100 packets."""
    return np.array([name.startswith("MQTT") and name.endswith("Flood") for name in classes])


def in_tenths(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell for each value whether it is a multiple of a tenth, as far as single precision and the file can say."""
    tenths = values.astype(np.float64) * SHORT
    return np.asarray(np.abs(tenths - np.round(tenths)) < 2e-3 + 1e-5 * np.abs(tenths))


def columns_in_tenths(flows: Flows) -> NDArray[np.intp]:
    """Return the columns that windows of ten packets give in tenths."""
    short = ~is_flood(flows.schema.classes)[flows.y]
    return np.flatnonzero(in_tenths(flows.x[short]).mean(axis=0) > 0.99)


def tenths(dataset: Dataset, flows: Flows, split: Split, seed: int) -> PreparedData:
    """Return the rows as windows of ten packets would resolve them, without `LEFT_OUT`."""
    rng = np.random.default_rng([seed, 0x7E27])
    x = flows.x.copy()
    for column in columns_in_tenths(flows):
        exact = x[:, column].astype(np.float64) * SHORT
        drawn = np.floor(exact) + (rng.random(len(exact)) < exact - np.floor(exact))
        x[:, column] = np.where(in_tenths(x[:, column]), x[:, column], drawn / SHORT)
    kept = [number for number, column in enumerate(flows.schema.columns) if column.name != LEFT_OUT]
    reduced = dataset.without([LEFT_OUT])
    return prepare_split(reduced, replace(flows, schema=reduced.schema, x=x[:, kept]), split, "honest", seed)


def hundred_packets(dataset: Dataset, flows: Flows, split: Split, seed: int) -> PreparedData:
    """Return the rows as windows of 100 packets would have given them; what is left of a block is dropped."""
    flood = is_flood(flows.schema.classes)[flows.y]
    part = np.zeros(len(flows), np.int8)
    part[split.validation], part[split.test] = 1, 2
    rows, values = [], []
    for block in np.unique(split.block):
        own = np.flatnonzero(split.block == block)
        if flood[own[0]]:
            rows.append(own)
            values.append(flows.x[own])
        else:
            whole = own[: len(own) // SHORT * SHORT]
            rows.append(whole[::SHORT])
            values.append(flows.x[whole].reshape(-1, SHORT, flows.x.shape[1]).mean(axis=1, dtype=np.float64))
    order = np.argsort(np.concatenate(rows), kind="stable")
    row = np.concatenate(rows)[order]
    longer = replace(flows.take(row), x=np.concatenate(values)[order].astype(np.float32))
    train, validation, test = (np.flatnonzero(part[row] == number) for number in range(3))
    return prepare_split(dataset, longer, Split(train, validation, test, None, split.block[row]), "honest", seed)


_Hidden = Callable[[Dataset, Flows, Split, int], PreparedData]
HIDDEN: dict[str, _Hidden] = {"tenths": tenths, "100 packets": hundred_packets}


def run(data: str, seeds: Sequence[int]) -> None:
    """Run what is missing."""
    dataset, flows = open_data(data, 0)
    study, done = Study("honest", seeds, METHODS), kept_runs(RESULTS)
    if FACTS not in done:
        keep_run(RESULTS, {"key": FACTS, "classes": signs(flows)})
    for seed in seeds:
        for case, hide in HIDDEN.items():
            missing = [method for method in METHODS if _key(case, seed, method) not in done]
            if not missing:
                continue
            prepared = hide(dataset, flows, honest_split(flows, dataset, seed), seed)
            for method in missing:
                found = {"key": _key(case, seed, method), "case": case, **run_method(study, prepared, method, seed)}
                keep_run(RESULTS, found)
                print(found["key"], *(round(value, 4) for value in _measures(found).values()), flush=True)


def _key(case: str, seed: int, method: str) -> str:
    return f"window length|{case}|{seed}|{method}"


def _measures(run: dict[str, Any]) -> dict[str, float]:
    """Return how many rows are put on the right side, floods or the rest, and the two macro-F1s."""
    multiclass = run["metrics"]["multiclass"]
    confusion = np.array(multiclass["confusion"])
    # A Sentinel counts the classes that it was trained on, in the schema's order: all that the test rows have.
    present = tuple(multiclass["per_class_recall"])
    classes = CICIOMT.schema.classes if len(confusion) == len(CICIOMT.schema.classes) else present
    flood = is_flood(classes)
    apart = confusion[np.ix_(flood, flood)].sum() + confusion[np.ix_(~flood, ~flood)].sum()
    return {
        "told apart": float(apart / confusion.sum()),
        "binary": run["metrics"]["binary"]["macro_f1"],
        "multi-class": multiclass["macro_f1"],
    }


def signs(flows: Flows) -> list[dict[str, Any]]:
    """Return for each class the shares of its rows that the two signs call windows of 100 packets."""
    columns = [column.name for column in flows.schema.columns]
    total, mean = (flows.x[:, columns.index(name)].astype(np.float64) for name in (LEFT_OUT, "AVG"))
    ratio = np.divide(total, mean, out=np.zeros_like(total), where=mean > 0)
    by_ratio = np.asarray((ratio > RATIO_OF_FLOODS[0]) & (ratio < RATIO_OF_FLOODS[1]))
    by_resolution = np.asarray(~in_tenths(flows.x[:, columns_in_tenths(flows)]).all(axis=1))
    found = []
    for number in np.unique(flows.y):
        own = flows.y == number
        shares = {"ratio": float(by_ratio[own].mean()), "resolution": float(by_resolution[own].mean())}
        found.append({"class": flows.schema.classes[number], "rows": int(own.sum()), **shares})
    return found


def facts() -> None:
    """Print for each class how many of its rows the two signs call windows of 100 packets."""
    lowest, highest = RATIO_OF_FLOODS
    print(f"| class | rows | {LEFT_OUT} / AVG between {lowest:g} and {highest:g} | finer than tenths |")
    print("|---|---|---|---|")
    for own in kept_runs(RESULTS)[FACTS]["classes"]:
        print(f"| {own['class']} | {own['rows']} | {own['ratio']:.3f} | {own['resolution']:.3f} |")


def table() -> None:
    """Print what is reached on the rows as they are published, and where the length is hidden, on the same splits."""
    hidden = [run for run in kept_runs(RESULTS).values() if run["key"] != FACTS]
    seeds = {run["seed"] for run in hidden}
    published = [run for run in published_runs() if (run["data"], run["protocol"]) == (CICIOMT.name, "honest")]
    runs = [{"case": "as published", **run} for run in published if run["seed"] in seeds] + hidden
    print("| rows | method | seeds | floods told from the rest | binary macro-F1 | multi-class macro-F1 |")
    print("|---|---|---|---|---|---|")
    for case in ("as published", *HIDDEN):
        for method in METHODS:
            own = [_measures(run) for run in runs if (run["case"], run["method"]) == (case, method)]
            cells = [f"{fmean(found['told apart'] for found in own):.4f}"]
            cells += [spread([found[name] for found in own]) for name in ("binary", "multi-class")]
            print(f"| {case} | {method} | {len(own)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("run", "facts", "table"))
    parser.add_argument("data", nargs="?", default=CICIOMT.name)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    use_one_thread_per_operation()
    if options.part == "run":
        run(options.data, range(options.seeds))
    elif options.part == "facts":
        facts()
    else:
        table()
