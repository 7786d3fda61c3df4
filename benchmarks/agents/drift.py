"""What a trained Sentinel does on traffic that its training rows do not stand for.

    python benchmarks/agents/drift.py ward|CICIOMT2024 [--seeds 5]        run what is missing
    python benchmarks/agents/drift.py --print                             the table

ward: trained on one ward, scored on the test part of that ward and of another one: other devices, patients and
attacks, drawn from the next seed. CICIoMT2024: trained without the rows of some classes, scored on test rows of those
classes (attacks that no hospital has seen) and on the rest. A file of another data set altogether is refused, since its
columns are others. Finished runs stay in benchmarks/agents/results/drift.jsonl and are not repeated.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from held_rows import spread

from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.recipe import RECIPES
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.flows.prepared import PreparedData, prepare

RESULTS = Path(__file__).parent / "results" / "drift.jsonl"
#: Classes that are kept from training, by the beginning of their names.
UNSEEN = {"no MQTT attacks": "MQTT", "no reconnaissance": "Recon", "no ARP spoofing": "ARP"}
MEASURES = ("macro_f1", "attack_recall", "false_alarm_rate", "auroc")


def of_wards(seed: int) -> Iterator[dict[str, Any]]:
    """Train on one ward, and score that ward's test part and another ward's."""
    wards = []
    for number in (seed, seed + 1):
        dataset, flows = open_data("ward", number)
        wards.append(prepare(dataset, flows, "honest", number))
    own, other = wards
    model = _trained(own, own.split.train)
    yield _scored(model, own, own.split.test, "the same ward")
    yield _scored(model, other, other.split.test, "another ward")


def of_unseen_classes(data: str, seed: int) -> Iterator[dict[str, Any]]:
    """Train with all classes, then without some; score the rows of those classes among benign ones, and the rest."""
    dataset, flows = open_data(data, seed)
    prepared = prepare(dataset, flows, "honest", seed)
    split, y, classes = prepared.split, flows.y, flows.schema.classes
    whole = _trained(prepared, split.train)
    for name, prefix in UNSEEN.items():
        kept_out = np.isin(y, [k for k, label in enumerate(classes) if label.startswith(prefix)])
        model = _trained(prepared, split.train[~kept_out[split.train]])
        those = split.test[kept_out[split.test] | (y[split.test] == 0)]
        yield _scored(whole, prepared, those, f"{name}: those attacks, had they been in training")
        yield _scored(model, prepared, those, f"{name}: those attacks")
        yield _scored(model, prepared, split.test[~kept_out[split.test]], f"{name}: the other attacks")


def _trained(prepared: PreparedData, rows: Any) -> SentinelModel:
    provenance = Provenance("central", None, 1, "none", prepared.flows.schema.synthetic, prepared.seed)
    return train_centrally(prepared, rows, RECIPES[prepared.dataset.name], provenance)


def _scored(model: SentinelModel, prepared: PreparedData, rows: Any, case: str) -> dict[str, Any]:
    found = judge(model, prepared.x[rows], prepared.flows.y[rows]).metrics["binary"]
    return {"case": case, **{name: found[name] for name in MEASURES}}


def run(data: str, seeds: int) -> None:
    """Run what is missing on one data set."""
    name = Path(data).name
    done = {(row["source"], row["seed"]) for row in kept()}
    for seed in range(seeds):
        if (name, seed) in done:
            continue
        rows = list(of_wards(seed) if name == "ward" else of_unseen_classes(data, seed))
        with RESULTS.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"source": name, "seed": seed, **row}) + "\n" for row in rows)
        print(name, seed, rows, flush=True)


def kept() -> list[dict[str, Any]]:
    """Return the finished runs."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def show() -> None:
    """Print the table: means and standard deviations over the seeds."""
    runs = kept()
    print("| data set | case | seeds | binary macro-F1 | recall of these attacks | false alarms | AUROC |")
    print("|---|---|---|---|---|---|---|")
    for source, case in dict.fromkeys((run["source"], run["case"]) for run in runs):
        own = [run for run in runs if (run["source"], run["case"]) == (source, case)]
        cells = [spread([run[name] for run in own]) for name in MEASURES]
        print(f"| {source} | {case} | {len(own)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--print", action="store_true", dest="show")
    options = parser.parse_args()
    use_one_thread_per_operation()
    if options.data:
        run(options.data, options.seeds)
    if options.show:
        show()
