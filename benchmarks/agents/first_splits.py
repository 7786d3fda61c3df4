"""Measure on the splits of the first study, where the floors in docs/results/tables.md come from, with recipes of now.

    python benchmarks/agents/first_splits.py run DATA... [--without-fingerprints]  run
    python benchmarks/agents/first_splits.py run ciciomt2024 --method "Sentinel, federated" --draws 5
    python benchmarks/agents/first_splits.py table                              floors, Sentinel, boosting side by side
    python benchmarks/agents/first_splits.py draws                              what the training's own draws change

Before Sentinel was written, a study of its data sets measured trees and networks on three splits (seeds 0, 1 and 2) of
contiguous blocks, looked at their test rows while it chose, and set floors a little below what it found. Here those
three splits are drawn again, row for row: blocks cut much as in `medward.flows.splits.honest_split`, dealt by another
draw. Training draws from a split's own number; with `--draws`, again from others: its first weights, its batches, and
which hospital holds which block. Finished runs stay in benchmarks/agents/results/first-splits.jsonl.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from held_rows import spread
from results import published_runs

from medward.cli._data import open_data
from medward.flows.datasets import Dataset
from medward.flows.prepared import prepare_split
from medward.flows.schema import Flows
from medward.flows.splits import Split
from medward.report.tables import COLUMNS
from medward.report.targets import TARGETS, Floor, Rival, verdicts
from medward.studies.finished_runs import keep_run, kept_runs
from medward.studies.study import OF_THREE, WITHOUT, Study, left_out, run_method

RESULTS = Path(__file__).parent / "results" / "first-splits.jsonl"
SEEDS = range(3)
FEDERATED = "Sentinel, federated"
METHODS = (FEDERATED, "Sentinel, pooled", "XGBoost", "LightGBM")
CHOICES = (*METHODS, OF_THREE)
#: The federated Sentinel, and what a federation may choose besides.
FEDERATIONS = (FEDERATED, OF_THREE)
SHORTEST_BLOCK, LEAST_BLOCKS, HELD = 5, 20, 0.15
LEAST_DRAWS = 2
# The study cut short captures into shorter blocks in this data set only; medward does in all.
CUT_SHORT = ("ciciomt2024",)


def first_split(flows: Flows, dataset: Dataset, seed: int) -> Split:
    """Deal a data set's blocks as the first study did.

    It went through the captures in the order of their names with one generator, shuffled the numbers of each one's
    blocks, and gave the first 15 % to validation, the next 15 % to the test, and the rest to training.
    """
    rng = np.random.default_rng(seed)
    block, part = np.empty(len(flows), np.int32), np.empty(len(flows), np.int8)
    begun = 0
    for capture in np.argsort(np.array(flows.sources)):
        rows = np.flatnonzero(flows.source == capture)
        if flows.order is not None and flows.schema.history:
            rows = rows[np.argsort(flows.order[rows], kind="stable")]
        length = dataset.block_rows
        if dataset.name in CUT_SHORT:
            length = max(SHORTEST_BLOCK, min(length, len(rows) // LEAST_BLOCKS))
        own = np.arange(len(rows)) // length
        dealt = np.arange(own[-1] + 1)
        rng.shuffle(dealt)
        held = max(1, round(HELD * len(dealt)))
        role = np.zeros(len(dealt), np.int8)
        role[dealt[:held]], role[dealt[held : 2 * held]] = 1, 2
        block[rows], part[rows] = begun + own, role[own]
        begun += len(dealt)
    train, validation, test = (np.flatnonzero(part == number) for number in range(3))
    return Split(train, validation, test, block.copy() if flows.schema.history else None, block)


def run(data: str, without_fingerprints: bool, seeds: Sequence[int], methods: Sequence[str]) -> None:
    """Run what is missing on one data set; a training's seed is its split's, plus a multiple of how many splits are."""
    dataset, flows = open_data(data, 0, without_fingerprints=without_fingerprints)
    study = Study("honest", seeds, methods, without_fingerprints=without_fingerprints)
    done = kept_runs(RESULTS)
    for seed in seeds:
        prepared = None
        for method in [method for method in methods if left_out(method, dataset) is None]:
            key = f"first splits|{study.key(dataset.name, seed, method)}"
            if key in done:
                continue
            if prepared is None:
                number = seed % len(SEEDS)
                prepared = prepare_split(dataset, flows, first_split(flows, dataset, number), "honest", number)
            found = {"key": key, **run_method(study, prepared, method, seed)}
            keep_run(RESULTS, found)
            print(key, [round(found["metrics"][group][name], 4) for group, name in COLUMNS.values()], flush=True)


def table() -> None:
    """Print every target that came from the first study beside what its own splits give with the code of now."""
    runs = [run for run in kept_runs(RESULTS).values() if run["seed"] in SEEDS]
    fresh = published_runs()
    print(f"| target | {' | '.join(METHODS)} | there | on fresh splits |")
    print("|---" * (len(METHODS) + 3) + "|")
    for target in TARGETS:
        own = [run for run in runs if (run["data"], run["protocol"]) == (target.data, target.protocol)]
        if not own or target.method != FEDERATED or (isinstance(target, Rival) and target.rival != "LightGBM"):
            continue
        if isinstance(target, Rival) and not target.margin:
            continue
        for method in FEDERATIONS:
            by_method = {name: _values(own, name, target.measure) for name in (method, *METHODS[1:])}
            if not by_method[method]:
                continue
            cells = [spread(list(values.values())) for values in by_method.values()]
            [later] = verdicts(fresh, [replace(target, method=method)])
            words = _words(target) + method.removeprefix(FEDERATED)
            print(f"| {words} | {' | '.join(cells)} | {_verdict(target, by_method, method)} | {later.verdict} |")


def draws() -> None:
    """Print what the federated Sentinel reaches by each of its training's draws, where there are several."""
    print(f"| target | draw | {' | '.join(f'split {number}' for number in SEEDS)} | mean |")
    print("|---" * (len(SEEDS) + 3) + "|")
    kept = kept_runs(RESULTS).values()
    for target, method in [(target, method) for target in TARGETS for method in FEDERATIONS]:
        if not isinstance(target, Floor) or target.method != FEDERATED:
            continue
        own = [run for run in kept if (run["data"], run["protocol"]) == (target.data, target.protocol)]
        values = _values(own, method, target.measure)
        begun = range(0, max(values, default=-1) + 1, len(SEEDS))
        whole = [first for first in begun if values.keys() >= {number + first for number in SEEDS}]
        rows = [[values[number + first] for number in SEEDS] for first in whole]
        if len(rows) < LEAST_DRAWS:
            continue
        means, words = [fmean(row) for row in rows], _words(target) + method.removeprefix(FEDERATED)
        for number, (row, mean) in enumerate(zip(rows, means, strict=True), 1):
            print(f"| {words} | {number} | {' | '.join(f'{value:.3f}' for value in row)} | {mean:.3f} |")
        over_draws = [f"{fmean(by_draw):.3f}" for by_draw in zip(*rows, strict=True)]
        print(f"| {words} | all | {' | '.join(over_draws)} | {spread(means)} |")


def _words(target: Floor | Rival) -> str:
    where = target.data + (" (without fingerprints)" if target.protocol.endswith(WITHOUT) else "")
    if isinstance(target, Floor):
        return f"{where}: {target.measure} of {target.least:g}"
    return f"{where}: {target.measure} within {target.margin:g} of {target.rival}"


def _verdict(target: Floor | Rival, by_method: dict[str, dict[int, float]], method: str) -> str:
    own = by_method[method]
    if isinstance(target, Floor):
        short, places = target.least - fmean(own.values()), 3
    else:
        other = by_method.get(target.rival, {})
        if set(own) != set(other):
            return "not run"
        short, places = fmean(other[seed] - own[seed] for seed in own) - target.margin, 4
    return "met" if round(short, places) <= 0 else f"missed by {short:.{places}f}"


def _values(runs: list[dict[str, Any]], method: str, measure: str) -> dict[int, float]:
    own = {run["seed"]: run["metrics"] for run in runs if run["method"] == method}
    if measure in COLUMNS:
        group, name = COLUMNS[measure]
        return {seed: found[group][name] for seed, found in own.items()}
    label = measure.removeprefix("recall of ")
    return {seed: found["multiclass"]["per_class_recall"][label] for seed, found in own.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("run", "table", "draws"))
    parser.add_argument("data", nargs="*")
    parser.add_argument("--without-fingerprints", action="store_true")
    parser.add_argument("--method", action="append", choices=CHOICES, help="default: what the table names")
    parser.add_argument("--draws", type=int, default=1, help="how often each split is trained on (default: once)")
    options = parser.parse_args()
    for data in options.data:
        seeds = range(options.draws * len(SEEDS))
        run(data, options.without_fingerprints, seeds, options.method or METHODS)
    if options.part == "table":
        table()
    elif options.part == "draws":
        draws()
