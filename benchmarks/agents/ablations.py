"""Take Sentinel apart: quaternion layers, what it observes, how hospitals' shares differ, how many hospitals there are.

    python benchmarks/agents/ablations.py DATA [--seeds 5] [--part network|observation|federation]  run what is missing
    python benchmarks/agents/ablations.py --print                                                   the tables

Everything is measured on the VALIDATION rows of a seed's honest split; test rows are not looked at. Bytes are those of
one encrypted sum of updates (16 bits, with shares and records) over four hospitals, all hospitals together. Finished
runs stay in results/ablations.jsonl and are not repeated.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

import equinox as eqx
import jax
import numpy as np

from medward.agents.sentinel.central import fitted_scaler, train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import layout_of, weights_of
from medward.agents.sentinel.recipe import RECIPES, Recipe
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.federation.model.courier import COUNTS
from medward.federation.model.wire import sum_bytes
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import PreparedData, prepare
from medward.flows.schema import Column, Group

RESULTS = Path(__file__).parent / "results" / "ablations.jsonl"
MEMBERS, BITS = 4, 16


def networks(prepared: PreparedData, recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipe with real and quaternion layers, of equal widths and of equal weights."""
    scaler = fitted_scaler(prepared.space, prepared.x[prepared.split.train], recipe)
    layout, classes = layout_of(prepared.space, scaler), len(prepared.flows.schema.classes)

    def weights(layer: Any, width: int) -> int:
        own = recipe.change(layer=layer, hidden=(width,) * len(recipe.network.hidden))
        # Shapes only: hundreds of widths are tried.
        shapes = eqx.filter_eval_shape(new_network, layout, classes, own, 0)
        return sum(leaf.size for leaf in jax.tree.leaves(shapes) if hasattr(leaf, "size"))

    width = recipe.network.hidden[0]
    full, quarter = weights("real", width), weights("quaternion", width)
    wide = min(range(width, 4 * width, 4), key=lambda w: abs(weights("quaternion", w) - full))
    narrow = min(range(4, width), key=lambda w: abs(weights("real", w) - quarter))
    real, quaternion = recipe.change(layer="real"), recipe.change(layer="quaternion")
    depth = len(recipe.network.hidden)
    return {
        "real": real,
        "quaternion, as many weights": quaternion.change(hidden=(wide,) * depth),
        "quaternion, as wide": quaternion,
        "real, as few weights as that": real.change(hidden=(narrow,) * depth),
    }


def _event(column: Column) -> bool:
    return column.name.startswith("Flgs")


#: What is hidden from Sentinel, in training and afterwards: the columns for which this is true.
HIDDEN: dict[str, Callable[[Column], bool]] = {
    "everything is seen": lambda column: False,
    "no history": lambda column: column.history,
    "no history but the last flow": lambda column: column.history and not column.name.endswith("(last)"),
    "no evidence to buy": lambda column: column.group is Group.EXPENSIVE,
    "no flow features": lambda column: column.group is Group.CHEAP and not _event(column),
    "no events (Flgs)": _event,
}


#: How rows are dealt, how many hospitals there are, and what share of them a round invites.
FEDERATIONS: dict[str, tuple[str, int, float]] = {
    "4 hospitals, whole blocks": ("blocks", 4, 1.0),
    "4 hospitals, whole devices": ("devices", 4, 1.0),
    "4 hospitals, Dirichlet 0.5 over classes": ("dirichlet", 4, 1.0),
    "10 hospitals, whole blocks": ("blocks", 10, 1.0),
    "50 hospitals, whole blocks, 10 of them a round": ("blocks", 50, 0.2),
}


def hidden_from(prepared: PreparedData, hides: Callable[[Column], bool]) -> PreparedData:
    """Return the data with some columns missing everywhere: numbers absent, indicators 0."""
    x = prepared.x.copy()
    for place, column in enumerate(prepared.space.columns):
        if hides(column):
            x[:, place] = 0.0 if column.indicator else np.nan
    return replace(prepared, x=x)


def pooled(prepared: PreparedData, recipe: Recipe) -> SentinelModel:
    """Train on all training rows in one place."""
    provenance = Provenance("central", None, 1, "none", prepared.flows.schema.synthetic, prepared.seed)
    return train_centrally(prepared, prepared.split.train, recipe, provenance)


def federated(prepared: PreparedData, recipe: Recipe, how: tuple[Any, int, float]) -> SentinelModel:
    """Train in a federation that protects nothing: encrypted, it would end with the same model."""
    partition, sites, sample = how
    options = Options(sites, recipe.federation.rounds, partition, sample, protect="none", seed=prepared.seed)
    return FederatedTraining(prepared, recipe, options).run(None, lambda report: None)


def trainings(
    part: str, prepared: PreparedData, recipe: Recipe
) -> dict[str, Callable[[], tuple[PreparedData, SentinelModel]]]:
    """Return the ways to train that a part compares, the reference first."""

    def hiding(name: str) -> tuple[PreparedData, SentinelModel]:
        own = hidden_from(prepared, HIDDEN[name])
        return own, pooled(own, recipe)

    columns = prepared.space.columns
    if part == "network":
        return {
            name: partial(lambda own: (prepared, pooled(prepared, own)), own)
            for name, own in networks(prepared, recipe).items()
        }
    if part == "observation":
        return {
            name: partial(hiding, name)
            for name, hides in HIDDEN.items()
            if name == "everything is seen" or any(hides(column) for column in columns)
        }
    devices = len(np.unique(prepared.flows.device[prepared.split.train]))
    return {
        name: partial(lambda how: (prepared, federated(prepared, recipe, how)), how)
        for name, how in FEDERATIONS.items()
        if how[0] != "devices" or devices >= how[1]
    }


def run(data: str, part: str, seeds: int) -> None:
    """Run what is missing of one part on one data set."""
    done = {(r["source"], r["part"], r["variant"], r["seed"]) for r in kept()}
    source = Path(data).name
    for seed in range(seeds):
        dataset, flows = open_data(data, seed)
        prepared = prepare(dataset, flows, "honest", seed)
        for variant, train in trainings(part, prepared, RECIPES[dataset.name]).items():
            if (source, part, variant, seed) in done:
                continue
            began = perf_counter()
            seen, model = train()
            rows = seen.split.validation
            found = judge(model, seen.x[rows], seen.flows.y[rows])
            weights = _weights(model)
            run = {
                "source": source,
                "data": dataset.name,
                "part": part,
                "variant": variant,
                "seed": seed,
                "binary": round(found.metrics["binary"]["macro_f1"], 5),
                "multiclass": round(found.metrics["multiclass"]["macro_f1"], 5),
                "expected_cost": round(found.expected_cost, 6),
                "escalated": round(found.escalation_rate, 4),
                "weights": weights,
                "seconds": round(perf_counter() - began, 1),
            }
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")
            print(run, flush=True)


def _weights(model: SentinelModel) -> int:
    """Return the trained weights of a model, as they are sent: quaternion layers by their four parts."""
    classes = len(model.classes)
    return weights_of(new_network(layout_of(model.space, model.scaler), classes, model.recipe, 0))


def kept() -> list[dict[str, Any]]:
    """Return the finished runs."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def show() -> None:
    """Print a table for each part and data set, with the paired change against the first variant."""
    runs = kept()
    for part, data in dict.fromkeys((run["part"], run["data"]) for run in runs):
        own = [run for run in runs if (run["part"], run["data"]) == (part, data)]
        first = {run["seed"]: run for run in own if run["variant"] == own[0]["variant"]}
        print(f"\n#### {data}: {part}, validation rows\n")
        head = ["variant", "seeds", "binary macro-F1", "multi-class macro-F1", "expected cost", "evidence bought"]
        head += ["weights", "bytes of a sum"] if part == "network" else []
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for variant in dict.fromkeys(run["variant"] for run in own):
            rows = [run for run in own if run["variant"] == variant]
            pairs = [(run, first[run["seed"]]) for run in rows if run["seed"] in first]
            cells = [_change(pairs, name) for name in ("binary", "multiclass")]
            cells += [f"{fmean(r['expected_cost'] for r in rows):.4f}", f"{fmean(r['escalated'] for r in rows):.2f}"]
            if part == "network":
                cells.append(f"{fmean(r['weights'] for r in rows):,.0f}")
                cells.append(f"{fmean(sum_bytes(BITS, MEMBERS, COUNTS, r['weights']) for r in rows):,.0f}")
            print(f"| {variant} | {len(rows)} | {' | '.join(cells)} |")


def _change(pairs: list[tuple[dict[str, Any], dict[str, Any]]], name: str) -> str:
    mean = fmean(run[name] for run, _ in pairs)
    if all(run is other for run, other in pairs):
        return f"{mean:.4f}"
    change = [run[name] - other[name] for run, other in pairs]
    spread = f" ± {stdev(change):.4f}" if len(change) > 1 else ""
    return f"{mean:.4f} ({fmean(change):+.4f}{spread})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--part", choices=("network", "observation", "federation"), default="network")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--print", action="store_true", dest="show")
    options = parser.parse_args()
    use_one_thread_per_operation()
    if options.data:
        run(options.data, options.part, options.seeds)
    if options.show:
        show()
