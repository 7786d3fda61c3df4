"""Try changes to Sentinel's recipes on VALIDATION rows, and print what each gained or lost there.

Groups that end in "federated" train four hospitals in the open, as `medward reproduce` does; those that end in the name
of a baseline give it an alert bias, as Sentinel has one; all others train in one place. Groups "first splits" have the
splits of benchmarks/agents/first_splits.py.

    python benchmarks/agents/results_ideas.py DATA [--seeds 5] [--idea NAME ...]     run what is not in the results yet
    python benchmarks/agents/results_ideas.py --print                                the tables of docs/results/tried.md

A run trains on the training rows of a seed's honest split and is measured on its validation rows; the test rows are
never looked at. What is tried stands in ideas.py. Finished runs stay in results/ideas-*.jsonl and are not repeated.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

import numpy as np
from first_splits import SEEDS, first_split
from first_study import differing
from ideas import IDEAS
from new_attacks import biased, trained
from sklearn.metrics import f1_score

from medward.agents.baselines.tabular import BASELINES, fit_baseline
from medward.agents.metrics import expected_cost
from medward.agents.sentinel.model import SentinelModel
from medward.agents.sentinel.recipe import RECIPES, Recipe
from medward.cli._data import open_data
from medward.flows.prepared import PreparedData, prepare, prepare_split

WITHOUT = "without fingerprints"
FIRST_SPLITS, FIRST = "first splits", len(SEEDS)
RIVALS = ("XGBoost", "LightGBM", "histogram gradient boosting", "random forest")
# The recipes that "now" means where ideas were taken up that the kept runs set out from.
BEFORE = {
    **RECIPES,
    "ciciomt2024": Recipe(),
    "x-iomt": RECIPES["x-iomt"].change(training_costs=None, federated_alert_bias=None),
}
FOLDER = Path(__file__).parent / "results"


def run(group: str, seeds: int, wanted: list[str]) -> None:
    data, *kinds = group.split(", ")
    kind, federated = kinds[0] if kinds else "", kinds[-1:] == ["federated"]
    protocol: Any = "random" if kind == "random rows" else "honest"
    path = FOLDER / f"ideas-{group.replace(', ', '-').replace(' ', '-')}.jsonl"
    done = {(r["idea"], r["seed"]) for r in map(json.loads, path.read_text().splitlines())} if path.exists() else set()
    flows, drawn, made = None, None, None
    made_before: dict[Any, Any] = {}
    for seed in range(seeds):
        prepared = None
        made_before.clear()
        for idea, changes in IDEAS[group].items():
            if (idea, seed) in done or (wanted and idea not in wanted):
                continue
            if flows is None or (data == "ward" and drawn != seed):
                (dataset, flows), drawn = open_data(data, seed, without_fingerprints=kind == WITHOUT), seed
            densities = changes.get("densities", ())
            if prepared is None or densities != made:
                if kind == FIRST_SPLITS:
                    split = first_split(flows, dataset, seed % FIRST)
                    prepared = prepare_split(dataset, flows, split, "honest", seed % FIRST, densities)
                else:
                    prepared = prepare(dataset, flows, protocol, seed, densities)
                made = densities
            began = perf_counter()
            if kind in RIVALS:
                found = rival(prepared, kind, changes.get("alert_bias", 0.0), seed, made_before)
            else:
                recipe = changed(BEFORE[data], changes)
                drawn_from = seed // FIRST if kind == FIRST_SPLITS else seed
                parts = changes.get("parts", ())
                with differing(parts):
                    model = tried(prepared, recipe, drawn_from, federated, made_before, parts)
                found = judged(model, prepared)
            found = {"idea": idea, "seed": seed, **found, "seconds": round(perf_counter() - began, 1)}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            print(group, found, flush=True)


def judged(model: SentinelModel, prepared: PreparedData) -> dict[str, Any]:
    """Measure a model on validation rows."""
    rows = prepared.split.validation
    scorer, y = model.scorer(), model.labels(prepared.flows.y[rows])
    own = scorer.score(prepared.x[rows])
    informed = scorer.q_values(prepared.x[rows], True)[0].argmax(axis=1)
    return {
        "accuracy": round(float(np.mean((y > 0) == (own.decision > 0))), 4),
        "binary": _f1(y > 0, own.decision > 0),
        "multiclass": _f1(y, own.decision),
        "binary_informed": _f1(y > 0, informed > 0),
        "multiclass_informed": _f1(y, informed),
        "expected_cost": expected_cost(y, own.decision, own.escalated, RECIPES[prepared.dataset.name].costs),
        "escalation_rate": float(own.escalated.mean()),
    }


def rival(prepared: PreparedData, name: str, alert_bias: float, seed: int, before: dict[Any, Any]) -> dict[str, Any]:
    """Measure a tuned baseline with an alert bias on validation rows; it is fitted once for all of them."""
    data, rows = prepared.dataset.name, prepared.split.validation
    if name not in before:
        fitted = fit_baseline(next(b for b in BASELINES if b.name == name), prepared, RECIPES[data], seed)
        before[name] = fitted, fitted.chance(rows)
    fitted, chance = before[name]
    y, decision = prepared.flows.y[rows], fitted.decided(chance, alert_bias)
    binary, multiclass = _f1(y > 0, decision > 0), _f1(y, decision)
    cost = expected_cost(y, decision, np.zeros(len(y), np.bool_), RECIPES[data].costs)
    return {
        "accuracy": round(float(np.mean((y > 0) == (decision > 0))), 4),
        "binary": binary,
        "multiclass": multiclass,
        "binary_informed": binary,
        "multiclass_informed": multiclass,
        "expected_cost": cost,
        "escalation_rate": 0.0,
    }


def tried(
    prepared: PreparedData,
    recipe: Recipe,
    seed: int,
    federated: bool,
    before: dict[Any, SentinelModel],
    parts: Sequence[str],
) -> SentinelModel:
    """Train a model, or take one of `before` that differs in alert bias alone, which training knows nothing of.

    A federation's own bias is left out: ideas name theirs.
    """
    plain = recipe.change(alert_bias=0.0, federated_alert_bias=None)
    key = (plain, prepared.x.shape, parts)
    if key not in before:
        before[key] = trained(prepared, plain, seed, federated)
    return replace(biased(before[key], recipe.deployment.alert_bias), recipe=recipe)


def changed(recipe: Any, changes: dict[str, Any]) -> Any:
    costs = {
        name: value for name, value in changes.items() if name in ("miss", "false_alarm", "wrong_class", "escalation")
    }
    rest = {name: value for name, value in changes.items() if name not in (*costs, "densities", "parts")}
    return recipe.change(training_costs=replace(recipe.costs, **costs) if costs else None, **rest)


def _f1(y: Any, decision: Any) -> float:
    return round(float(f1_score(y, decision, labels=np.unique(y), average="macro", zero_division=0.0)), 4)


def show() -> None:
    for path in sorted(FOLDER.glob("ideas-*.jsonl")):
        runs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        now = {run["seed"]: run for run in runs if run["idea"] == "now"}
        print(f"\n#### {path.stem.removeprefix('ideas-')}, validation rows\n")
        print("| idea | seeds | binary macro-F1 | multi-class macro-F1 | expected cost | escalated | all evidence |")
        print("|---|---|---|---|---|---|---|")
        for idea in dict.fromkeys(run["idea"] for run in runs):
            own = [run for run in runs if run["idea"] == idea and (run["seed"] in now)]
            before = [now[run["seed"]] for run in own]
            cells = [_cell([r[k] for r in own], [r[k] for r in before], idea) for k in ("binary", "multiclass")]
            rest = {"expected_cost": ".4f", "escalation_rate": ".2f", "multiclass_informed": ".4f"}
            cells += [format(fmean(run[name] for run in own), form) for name, form in rest.items()]
            print(f"| {idea} | {len(own)} | {' | '.join(cells)} |")


def _cell(values: list[float], before: list[float], idea: str) -> str:
    if idea == "now":
        return f"{fmean(values):.4f}"
    change = [a - b for a, b in zip(values, before, strict=True)]
    spread = f" ± {stdev(change):.4f}" if len(change) > 1 else ""
    return f"{fmean(values):.4f} ({fmean(change):+.4f}{spread})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--idea", action="append", default=[])
    parser.add_argument("--print", action="store_true", dest="show")
    options = parser.parse_args()
    if options.data:
        run(options.data, options.seeds, options.idea)
    if options.show:
        show()
