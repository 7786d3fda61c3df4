"""Try recipes and baselines for NSL-KDD on attack types that training is not shown; print what each finds of them.

    python benchmarks/agents/new_attacks.py DATA [--seeds 3] [--idea NAME ...]     run what is not in the results yet
    python benchmarks/agents/new_attacks.py --print                                the table of docs/results/tried.md

NSL-KDD's test file holds attacks that its training file lacks, so validation rows drawn from the training file say
little. Here the attack types of the *training file* are dealt to four folds. A run trains on the training rows without
one fold's types and is measured on the validation rows together with all rows of those types. The test file is never
looked at. Each type of ten rows or more counts the same: a new attack is a type, not a row.

What is minimised was stated before any run: with as many attack windows as benign ones, half of them of known types and
half of new ones, the share of windows that are decided wrongly,

    error = 1/2 false alarms + 1/4 known types' share missed + 1/4 new types' share missed.

Ideas that begin with "federated" train four hospitals in the open, all others train in one place; those named like a
baseline of `medward reproduce` are that baseline, tuned on known types' validation rows. Each is measured with several
cautions (`DeploymentSettings.alert_bias`, `Baseline.caution`).
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.agents.baselines.tabular import BASELINES, fit_baseline
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.recipe import LearningSettings, Recipe
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.prepared import PreparedData, prepare
from medward.flows.reading import read_flows, recognise
from medward.studies.study import SITES

KEPT = Path(__file__).parent / "results" / "new-attacks.jsonl"
FOLDS = 4
LEAST_ROWS = 10
FEDERATED = "federated"
CAUTIONS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, *range(4, 13), 14.0, 16.0, 20.0, 24.0, 32.0)
#: What the ideas change: the recipe before any of them helped.
NOW = Recipe(learning=LearningSettings(epochs=15, naming_weight=1.0, class_power=0.5))
IDEAS: dict[str, dict[str, Any]] = {
    "now": {},
    "no naming loss, no class weights": {"naming_weight": 0.0, "class_power": 0.0},
    "naming loss, no class weights": {"class_power": 0.0},
    "dropout .3": {"dropout": 0.3},
    "columns hidden, .2": {"column_dropout": 0.2},
    "columns hidden, .4": {"column_dropout": 0.4},
    "mixup .2": {"mixup": 0.2},
    "8 bins": {"bins": 8},
    "standard scaling, no embedding": {"scaler": "standard", "embedding": 0},
    "5 epochs": {"epochs": 5},
    "weight decay 1e-2": {"weight_decay": 1e-2},
    "adversarial sampler, half": {"adversary": 0.5},
    "32 wide": {"hidden": (32, 32)},
    "columns hidden, .2, dropout .3": {"column_dropout": 0.2, "dropout": 0.3},
    "standard, columns hidden, .2": {"scaler": "standard", "embedding": 0, "column_dropout": 0.2},
    "standard, dropout .3": {"scaler": "standard", "embedding": 0, "dropout": 0.3},
    "standard, columns hidden, .2, dropout .3": {
        "scaler": "standard",
        "embedding": 0,
        "column_dropout": 0.2,
        "dropout": 0.3,
    },
    "columns hidden, .4, dropout .3": {"column_dropout": 0.4, "dropout": 0.3},
    "no embedding": {"embedding": 0},
    "no embedding, 16 wide": {"embedding": 0, "hidden": (16, 16)},
    "no embedding, one layer of 16": {"embedding": 0, "hidden": (16,)},
    "no embedding, weight decay 1e-1": {"embedding": 0, "weight_decay": 1e-1},
    "no embedding, mixup .2": {"embedding": 0, "mixup": 0.2},
    "no embedding, columns hidden, .2": {"embedding": 0, "column_dropout": 0.2},
    "no embedding, mixup 1": {"embedding": 0, "mixup": 1.0},
    "standard scaling, no embedding, mixup .2": {"scaler": "standard", "embedding": 0, "mixup": 0.2},
    "federated": {},
    "federated, 12 rounds": {"rounds": 12},
    "federated, 6 rounds": {"rounds": 6},
    "federated, 12 rounds, columns hidden, .2": {"rounds": 12, "column_dropout": 0.2},
    "federated, columns hidden, .2": {"column_dropout": 0.2},
    "federated, 15 steps": {"local_steps": 15},
    "federated, 200 rounds of 15 steps": {"rounds": 200, "local_steps": 15},
    "federated, server rate 1, no momentum": {"server_rate": 1.0, "server_momentum": 0.0},
    "federated, average of half the rounds": {"averaged_share": 0.5},
    "federated, learning rate 1e-3": {"learning_rate": 1e-3},
    "federated, no class weights": {"class_power": 0.0},
    "federated, dropout .3": {"dropout": 0.3},
    "federated, mixup .2": {"mixup": 0.2},
    "federated, no embedding, mixup .2": {"embedding": 0, "mixup": 0.2},
    "federated, no embedding, mixup 1": {"embedding": 0, "mixup": 1.0},
    "federated, no embedding, mixup .2, 12 rounds": {"embedding": 0, "mixup": 0.2, "rounds": 12},
    "federated, weight decay 1e-2": {"weight_decay": 1e-2},
}
#: Baselines that take a row as it is, and learn in seconds or a minute.
RIVALS = ("logistic regression", "random forest", "histogram gradient boosting", "XGBoost", "LightGBM", "MLP")


def run(path: Path, seeds: int, wanted: list[str]) -> None:
    dataset = recognise(path)
    schema = dataset.schema
    types = tuple(sorted(schema.aliases))
    fine = replace(dataset, schema=replace(schema, classes=(schema.benign, *types), aliases={}))
    kind = read_flows(fine, path).y
    flows = read_flows(dataset, path)
    known = {(r["idea"], r["seed"], r["fold"]) for r in _kept()}
    for seed in range(seeds):
        prepared = prepare(dataset, flows, "honest", seed)
        fold_of = folds(kind, flows.y, prepared, seed)
        for idea in (*IDEAS, *RIVALS):
            for fold in range(FOLDS):
                if (idea, seed, fold) in known or (wanted and idea not in wanted):
                    continue
                began = perf_counter()
                new = np.isin(kind, np.flatnonzero(fold_of == fold))
                shown, chosen = prepared.split.train, prepared.split.validation
                split = replace(prepared.split, train=shown[~new[shown]], validation=chosen[~new[chosen]])
                held = np.concatenate([chosen, shown[new[shown]]])
                alerts = learned(replace(prepared, split=split), idea, seed, held)
                found: dict[str, Any] = {
                    "idea": idea,
                    "seed": seed,
                    "fold": fold,
                    "types": [types[k - 1] for k in np.flatnonzero(fold_of == fold)],
                    "cautions": {f"{c:g}": judged(alerts(c), kind[held], new[held]) for c in CAUTIONS},
                    "seconds": round(perf_counter() - began, 1),
                }
                with KEPT.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
                print(idea, seed, fold, found["cautions"]["0"], found["cautions"]["3"], found["seconds"], flush=True)


def learned(
    prepared: PreparedData, idea: str, seed: int, rows: NDArray[np.intp]
) -> Callable[[float], NDArray[np.bool_]]:
    """Train one idea, and return a function from an alert bias to which of the rows it alerts on."""
    if idea in RIVALS:
        fitted = fit_baseline(next(b for b in BASELINES if b.name == idea), prepared, NOW, seed)
        chance = fitted.chance(rows)
        return lambda bias: fitted.decided(chance, bias) > 0
    model = trained(prepared, NOW.change(**IDEAS[idea]), seed, idea.startswith(FEDERATED))
    return lambda bias: biased(model, bias).scorer().score(prepared.x[rows]).decision > 0


def trained(prepared: PreparedData, recipe: Recipe, seed: int, federated: bool) -> SentinelModel:
    """Train on the split's training rows, in one place or by hospitals that sum in the open."""
    if federated:
        options = Options(SITES, recipe.federation.rounds, protect="none", seed=seed)
        return FederatedTraining(prepared, recipe, options).run(None, lambda report: None)
    provenance = Provenance("central", None, 1, "none", prepared.flows.schema.synthetic, seed)
    return train_centrally(prepared, prepared.split.train, recipe, provenance)


def folds(kind: NDArray[np.int32], family: NDArray[np.int32], prepared: PreparedData, seed: int) -> NDArray[np.int64]:
    """Return for each type its fold, -1 for those that the training file lacks: dealt like cards, family by family."""
    rows = np.concatenate([prepared.split.train, prepared.split.validation])
    own = np.unique(kind[rows][kind[rows] > 0])
    family_of = np.array([family[rows][kind[rows] == k][0] for k in own])
    order = np.random.default_rng([seed, 0xF01D]).permutation(len(own))
    dealt = order[np.argsort(family_of[order], kind="stable")]
    fold = np.full(int(kind.max()) + 1, -1)
    fold[own[dealt]] = np.arange(len(own)) % FOLDS
    return fold


def biased(model: SentinelModel, alert_bias: float) -> SentinelModel:
    """Return a model that was trained without alert bias with some."""
    bias = model.weights.advantage_bias.copy()
    bias[0] -= alert_bias
    return replace(model, weights=replace(model.weights, advantage_bias=bias))


def judged(alert: NDArray[np.bool_], kind: NDArray[np.int32], new: NDArray[np.bool_]) -> dict[str, float]:
    """Return false alarms, and the mean recall of known and of new types of ten rows or more."""
    recall: dict[bool, list[float]] = {False: [], True: []}
    for k in np.unique(kind[kind > 0]):
        rows = kind == k
        if rows.sum() >= LEAST_ROWS:
            recall[bool(new[rows][0])].append(float(alert[rows].mean()))
    measured = {"false_alarms": float(alert[kind == 0].mean())}
    measured |= {"known": fmean(recall[False]), "new": fmean(recall[True])}
    measured["error"] = measured["false_alarms"] / 2 + (1 - measured["known"]) / 4 + (1 - measured["new"]) / 4
    return {name: round(value, 4) for name, value in measured.items()}


def show() -> None:
    runs = _kept()
    measured = "new types found | known types | false alarms | error"
    print(f"| idea | seeds | {measured} | caution | {measured} |")
    print("|---" * 11 + "|")
    for idea in dict.fromkeys(run["idea"] for run in runs):
        own = [run for run in runs if run["idea"] == idea]
        tried = [c for c in own[0]["cautions"] if all(c in run["cautions"] for run in own)]
        best = min(tried, key=lambda c: fmean(run["cautions"][c]["error"] for run in own))
        seeds = sorted({run["seed"] for run in own})
        cells = [_cells(own, seeds, caution) for caution in ("0", best)]
        print(f"| {idea} | {len(seeds)} | {cells[0]} | {best} | {cells[1]} |")


def _cells(runs: list[dict[str, Any]], seeds: list[int], caution: str) -> str:
    cells = [f"{fmean(r['cautions'][caution][name] for r in runs):.3f}" for name in ("new", "known", "false_alarms")]
    by_seed = [fmean(r["cautions"][caution]["error"] for r in runs if r["seed"] == seed) for seed in seeds]
    spread = f" ± {stdev(by_seed):.4f}" if len(by_seed) > 1 else ""
    return " | ".join([*cells, f"{fmean(by_seed):.4f}{spread}"])


def _kept() -> list[dict[str, Any]]:
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()] if KEPT.exists() else []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--idea", action="append", default=[])
    parser.add_argument("--print", action="store_true", dest="show")
    options = parser.parse_args()
    if options.data:
        run(options.data, options.seeds, options.idea)
    if options.show:
        show()
