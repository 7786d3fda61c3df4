"""Try changes to Sentinel's recipes on VALIDATION rows, and print what each gained or lost there.

Groups that end in "federated" train four hospitals in the open, as `medward reproduce` does; those that end in the name
of a baseline give it a caution, as Sentinel has one; all others train in one place. Groups "first splits" have the
splits of benchmarks/first_splits.py.

    python benchmarks/results_ideas.py DATA [--seeds 5] [--idea NAME ...]     run what is not in the results yet
    python benchmarks/results_ideas.py --print                                the tables of docs/results.md

A run trains on the training rows of a seed's honest split and is measured on its validation rows; the test rows are
never looked at. Finished runs stay in benchmarks/results/ideas-*.jsonl and are not repeated.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any
from unittest.mock import patch

import jax.numpy as jnp
import numpy as np
from first_splits import SEEDS, first_split
from sklearn.metrics import f1_score

from medward.agents import central, traffic
from medward.agents.baselines import BASELINES, fit_baseline
from medward.agents.central import fitted_scaler, train_centrally
from medward.agents.environment import ALLOW
from medward.agents.metrics import expected_cost
from medward.agents.model import Provenance, SentinelModel
from medward.agents.recipe import RECIPES, Recipe
from medward.agents.replay import Replay
from medward.cli._data import open_data
from medward.federation.training import FederatedTraining, Options
from medward.flows.history import FeatureSpace
from medward.flows.prepared import Prepared, prepare, prepare_split
from medward.flows.scaling import QUANTILES, Scaler, _bin_edges, _padded
from medward.report.study import SITES

WITHOUT = "without fingerprints"
FIRST_SPLITS, FIRST = "first splits", len(SEEDS)
RIVALS = ("XGBoost", "LightGBM", "histogram gradient boosting", "random forest")
CAUTIONS: dict[str, dict[str, Any]] = {"now": {}} | {
    f"caution {text}": {"caution": float(text)} for text in ("-1", "-.5", ".5", "1")
}
# The recipes that "now" means where ideas were taken up that the kept runs set out from.
BEFORE = {
    **RECIPES,
    "ciciomt2024": replace(RECIPES["ciciomt2024"], taught=None),
    "x-iomt": replace(RECIPES["x-iomt"], taught=None, federated_caution=None),
}
FOLDER = Path(__file__).parent / "results"
# For each data set and idea what it changes in the recipe; "now" is the recipe before any of them. The recipes of
# WUSTL-EHMS, NSL-KDD and CICIoMT2024 have since taken up what helped; their first tables are of the recipes before.
IDEAS: dict[str, dict[str, dict[str, Any]]] = {
    "ciciomt2024": {
        "now": {},
        "caution -1": {"caution": -1.0},
        "caution -.5": {"caution": -0.5},
        "caution .5": {"caution": 0.5},
        "caution 1": {"caution": 1.0},
        "96 bins of width 3": {"bins": 96, "embedding": 3},
        "wrong class costs 1": {"wrong_class": 1.0},
        "75 % of states informed": {"informed_share": 0.75},
        "naming loss": {"naming_weight": 1.0},
        "twice as long": {"epochs": 40},
        "average of .998": {"average": 0.998},
        "class weights ^-.25": {"class_power": 0.25},
        "mixup .2": {"mixup": 0.2},
        "96 bins, naming, 75 %": {"bins": 96, "embedding": 3, "naming_weight": 1.0, "informed_share": 0.75},
        "75 % informed, wrong class 1": {"informed_share": 0.75, "wrong_class": 1.0},
        "dropout .1": {"dropout": 0.1},
        "75 % informed, wrong class 1, dropout .1": {"informed_share": 0.75, "wrong_class": 1.0, "dropout": 0.1},
        "adversarial sampler, half": {"adversary": 0.5},
        "adversarial sampler, all": {"adversary": 1.0},
        "weight decay 1e-2": {"weight_decay": 1e-2},
        "32 bins": {"bins": 32},
        "192 wide, dropout .2": {"hidden": (192, 192), "dropout": 0.2},
        "three layers": {"hidden": (96, 96, 96)},
        "batch of 256": {"batch": 256},
        "columns hidden, .1": {"column_dropout": 0.1},
        "three members": {"members": 3},
        "three members of 64 x 2": {"members": 3, "hidden": (64, 64)},
        "batch of 256, two members of 56 x 2": {"batch": 256, "members": 2, "hidden": (56, 56)},
    },
    # On the splits of the first study (benchmarks/first_splits.py), to learn where its network's lead came from: each
    # idea is one thing in which that network differed, or what followed. Seed s is split s mod 3, training seed s // 3.
    "ciciomt2024, first splits": {
        "now": {},
        "wrong class costs 1": {"wrong_class": 1.0},
        "wrong class costs .75": {"wrong_class": 0.75},
        "naming loss": {"naming_weight": 1.0},
        "value stream not learned": {"value_weight": 0.0},
        "repeated rows as they are": {"parts": ("rows as they are",)},
        "knots at exact quantiles": {"parts": ("exact knots",)},
    },
    "ciciomt2024, first splits, federated": {
        "now": {},
        "caution -1": {"caution": -1.0},
        "caution -.5": {"caution": -0.5},
        "wrong class costs 1": {"wrong_class": 1.0},
        "wrong class costs 1, caution -.5": {"wrong_class": 1.0, "caution": -0.5},
        "wrong class costs 1, caution -1": {"wrong_class": 1.0, "caution": -1.0},
        "wrong class costs 1, batch of 256": {"wrong_class": 1.0, "batch": 256},
        "wrong class costs 1, batch of 256, caution -.5": {"wrong_class": 1.0, "batch": 256, "caution": -0.5},
        "wrong class costs 1, repeated rows as they are": {"wrong_class": 1.0, "parts": ("rows as they are",)},
        "wrong class costs 1, evidence .003": {"wrong_class": 1.0, "escalation": 0.003},
    },
    # What only a federation has, and what helped in one place. Each can be computed on encrypted sums as now.
    "ciciomt2024, federated": {
        "now": {},
        "caution -1": {"caution": -1.0},
        "caution -.5": {"caution": -0.5},
        "caution .5": {"caution": 0.5},
        "caution 1": {"caution": 1.0},
        "average of all the last half": {"averaged_share": 0.5},
        "momentum .9": {"server_momentum": 0.9},
        "no momentum": {"server_momentum": 0.0},
        "server rate 1": {"server_rate": 1.0},
        "batch of 256": {"batch": 256},
        "100 rounds of 30": {"rounds": 100, "local_steps": 30},
        "100 rounds": {"rounds": 100},
        "rounds of 20": {"local_steps": 20},
        "rounds of 30": {"local_steps": 30},
        "weight decay 1e-2": {"weight_decay": 1e-2},
        "learning rate 1.5e-3": {"learning_rate": 1.5e-3},
        "rounds of 20, dropout .1": {"local_steps": 20, "dropout": 0.1},
        "rounds of 20, momentum .9": {"local_steps": 20, "server_momentum": 0.9},
        "dropout .1": {"dropout": 0.1},
        "naming loss": {"naming_weight": 1.0},
        "75 % of states informed": {"informed_share": 0.75},
        "wrong class costs 1": {"wrong_class": 1.0},
        "wrong class costs 1, caution -.5": {"wrong_class": 1.0, "caution": -0.5},
        "wrong class costs 1, caution -1": {"wrong_class": 1.0, "caution": -1.0},
        "wrong class costs 1, evidence .003": {"wrong_class": 1.0, "escalation": 0.003},
        "columns hidden, .1": {"column_dropout": 0.1},
        "three members": {"members": 3},
        "batch of 256, caution -.5": {"batch": 256, "caution": -0.5},
        "batch of 256, caution -1": {"batch": 256, "caution": -1.0},
        # Two networks whose weights fit into one ciphertext.
        "batch of 256, two members of 56 x 2": {"batch": 256, "members": 2, "hidden": (56, 56)},
        "batch of 256, two members of 56 x 2, caution -1": {
            "batch": 256,
            "members": 2,
            "hidden": (56, 56),
            "caution": -1.0,
        },
        "batch of 256, three members": {"batch": 256, "members": 3},
        "batch of 256, three members, caution -.5": {"batch": 256, "members": 3, "caution": -0.5},
        "batch of 256, three members, caution -1": {"batch": 256, "members": 3, "caution": -1.0},
        "wrong class costs 1, batch of 256": {"wrong_class": 1.0, "batch": 256},
        "wrong class costs 1, batch of 256, three members": {"wrong_class": 1.0, "batch": 256, "members": 3},
        "wrong class costs 1, batch of 256, three members, caution -.5": {
            "wrong_class": 1.0,
            "batch": 256,
            "members": 3,
            "caution": -0.5,
        },
    },
    # At a quarter of the recipe's epochs, "now" included: a full training takes a minute.
    "x-iomt, a quarter of the epochs": {
        "now": {"epochs": 15},
        "caution -1": {"epochs": 15, "caution": -1.0},
        "caution -.5": {"epochs": 15, "caution": -0.5},
        "caution .5": {"epochs": 15, "caution": 0.5},
        "caution 1": {"epochs": 15, "caution": 1.0},
        "naming loss": {"epochs": 15, "naming_weight": 1.0},
        "75 % of states informed": {"epochs": 15, "informed_share": 0.75},
        "wrong class costs 1": {"epochs": 15, "wrong_class": 1.0},
        "64 bins": {"epochs": 15, "bins": 64},
        "average of .998": {"epochs": 15, "average": 0.998},
        "class weights ^-.25": {"epochs": 15, "class_power": 0.25},
        "mixup .2": {"epochs": 15, "mixup": 0.2},
        "dropout .1": {"epochs": 15, "dropout": 0.1},
        "192 wide": {"epochs": 15, "hidden": (192, 192)},
        "three layers": {"epochs": 15, "hidden": (96, 96, 96)},
        "batch of 256": {"epochs": 15, "batch": 256},
        "adversarial sampler, half": {"epochs": 15, "adversary": 0.5},
    },
    "x-iomt, federated": {
        "now": {},
        "caution -1": {"caution": -1.0},
        "caution -.5": {"caution": -0.5},
        "caution .5": {"caution": 0.5},
        "caution 1": {"caution": 1.0},
        "wrong class costs 1": {"wrong_class": 1.0},
        "wrong class costs 1, caution .25": {"wrong_class": 1.0, "caution": 0.25},
        "wrong class costs 1, caution .5": {"wrong_class": 1.0, "caution": 0.5},
        "wrong class costs 1, caution 1": {"wrong_class": 1.0, "caution": 1.0},
        "100 rounds": {"rounds": 100},
        "64 bins": {"bins": 64},
        "192 wide": {"hidden": (192, 192)},
    },
    "x-iomt, XGBoost": CAUTIONS,
    "ciciomt2024, XGBoost": CAUTIONS,
    "x-iomt": {
        "now": {},
        "naming loss": {"naming_weight": 1.0},
        "64 bins": {"bins": 64},
        "batch of 256": {"batch": 256},
    },
    "wustl-ehms-2020": {
        "now": {},
        "naming loss": {"naming_weight": 1.0},
        "wrong class costs 1": {"wrong_class": 1.0},
        "75 % of states informed": {"informed_share": 0.75},
        "twice as long": {"epochs": 80},
        "mixup .2": {"mixup": 0.2},
        "average of .998": {"average": 0.998},
        "quantile scaling": {"scaler": "quantile"},
        "8 bins of width 2": {"scaler": "quantile", "bins": 8, "embedding": 2},
        "dropout .4": {"dropout": 0.4},
        "class weights ^-.25": {"class_power": 0.25},
        "average .998, dropout .4": {"average": 0.998, "dropout": 0.4},
        "average .998, mixup .2": {"average": 0.998, "mixup": 0.2},
        "average .998, dropout .4, mixup .2": {"average": 0.998, "dropout": 0.4, "mixup": 0.2},
        "average .998, wrong class 1, 75 %": {"average": 0.998, "wrong_class": 1.0, "informed_share": 0.75},
        "average .998, quantile": {"average": 0.998, "scaler": "quantile"},
    },
    "ward": {
        "now": {},
        "caution -1": {"caution": -1.0},
        "caution -.5": {"caution": -0.5},
        "caution .5": {"caution": 0.5},
        "caution 1": {"caution": 1.0},
        "naming loss": {"naming_weight": 1.0},
        "wrong class costs 1": {"wrong_class": 1.0},
        "75 % of states informed": {"informed_share": 0.75},
        "quantile scaling": {"scaler": "quantile"},
        "wider": {"hidden": (128, 128)},
        "mixup .2": {"mixup": 0.2},
        "dropout .1": {"dropout": 0.1},
        "class weights ^-.25": {"class_power": 0.25},
        "naming, 75 %": {"naming_weight": 1.0, "informed_share": 0.75},
        "naming, 75 %, class weights ^-.25": {"naming_weight": 1.0, "informed_share": 0.75, "class_power": 0.25},
        "average .998": {"average": 0.998},
        "adversarial sampler, half": {"adversary": 0.5},
        "adversarial sampler, all": {"adversary": 1.0},
        "three layers": {"hidden": (64, 64, 64)},
    },
    # Changes to the recipe that the ideas above led to.
    "wustl-ehms-2020, second pass": {
        "now": {},
        "caution -1": {"caution": -1.0},
        "caution -.5": {"caution": -0.5},
        "caution .5": {"caution": 0.5},
        "caution 1": {"caution": 1.0},
        "adversarial sampler, half": {"adversary": 0.5},
        "adversarial sampler, all": {"adversary": 1.0},
        "quantile scaling": {"scaler": "quantile"},
        "wrong class costs 1": {"wrong_class": 1.0},
        "75 % of states informed": {"informed_share": 0.75},
        "wider": {"hidden": (128, 128)},
        "columns hidden, .1": {"column_dropout": 0.1},
    },
    # Without Flgs, which marks most attacks: gradient boosting finds much there that this recipe does not.
    "wustl-ehms-2020, without fingerprints": {
        "now": {},
        "caution .5": {"caution": 0.5},
        "caution 1": {"caution": 1.0},
        "dropout .2": {"dropout": 0.2},
        "average of .995": {"average": 0.995},
        "three members": {"members": 3},
        "quantile scaling": {"scaler": "quantile"},
        "quantile, 8 bins of width 2": {"scaler": "quantile", "bins": 8, "embedding": 2},
        "quantile, 8 bins of width 2, caution -.5": {
            "scaler": "quantile",
            "bins": 8,
            "embedding": 2,
            "caution": -0.5,
        },
        "quantile, 8 bins of width 2, caution -1": {
            "scaler": "quantile",
            "bins": 8,
            "embedding": 2,
            "caution": -1.0,
        },
        "quantile, 8 bins of width 2, three members": {
            "scaler": "quantile",
            "bins": 8,
            "embedding": 2,
            "members": 3,
        },
        "quantile, 8 bins of width 2, three members, caution -1": {
            "scaler": "quantile",
            "bins": 8,
            "embedding": 2,
            "members": 3,
            "caution": -1.0,
        },
        "quantile, 16 bins of width 4": {"scaler": "quantile", "bins": 16, "embedding": 4},
        "quantile, dropout .2": {"scaler": "quantile", "dropout": 0.2},
        "quantile, dropout .2, 128 wide": {"scaler": "quantile", "dropout": 0.2, "hidden": (128, 128)},
        "quantile, twice as long": {"scaler": "quantile", "epochs": 80},
        "quantile, class weights ^-.5": {"scaler": "quantile", "class_power": 0.5},
        "quantile, adversarial sampler, half": {"scaler": "quantile", "adversary": 0.5},
        "quantile, 90 % of states informed": {"scaler": "quantile", "informed_share": 0.9},
        "quantile, naming loss": {"scaler": "quantile", "naming_weight": 1.0},
    },
    "nsl-kdd, second pass": {
        "now": {},
        "adversarial sampler, half": {"adversary": 0.5},
        "adversarial sampler, all": {"adversary": 1.0},
        "dropout .2": {"dropout": 0.2},
        "192 wide": {"hidden": (192, 192)},
        "weight decay 1e-2": {"weight_decay": 1e-2},
        "average .998": {"average": 0.998},
    },
    # Rows drawn at random from the capture: most of a stream is missing where it is scored.
    "wustl-ehms-2020, random rows": {
        "now": {},
        "thinned to 1/2": {"densities": (0.5,)},
        "thinned to 1/7": {"densities": (1 / 7,)},
        "thinned to 1/2 and 1/7": {"densities": (0.5, 1 / 7)},
        "thinned to 1/2 and 1/7, a quarter of the epochs": {"densities": (0.5, 1 / 7), "epochs": 20},
        "thinned to 1/4, 1/7, 1/7": {"densities": (1 / 4, 1 / 7, 1 / 7)},
        "no history dropout": {"history_dropout": 0.0},
        "thinned to 1/2 and 1/7, average .998": {"densities": (0.5, 1 / 7), "average": 0.998},
        "thinned to 1/2 and 1/7, dropout .4": {"densities": (0.5, 1 / 7), "dropout": 0.4},
    },
    # The same changes where whole blocks are held out.
    "wustl-ehms-2020, thinned": {
        "now": {},
        "thinned to 1/2 and 1/7": {"densities": (0.5, 1 / 7)},
        "thinned to 1/2 and 1/7, a quarter of the epochs": {"densities": (0.5, 1 / 7), "epochs": 20},
        "thinned to 1/7": {"densities": (1 / 7,)},
    },
    "ward, thinned": {
        "now": {},
        "thinned to 1/2 and 1/7, a third of the epochs": {"densities": (0.5, 1 / 7), "epochs": 10},
    },
    "ward, random rows": {
        "now": {},
        "thinned to 1/2 and 1/7, a third of the epochs": {"densities": (0.5, 1 / 7), "epochs": 10},
    },
    "nsl-kdd": {
        "now": {},
        "shorter": {"epochs": 5},
        "naming loss": {"naming_weight": 1.0},
        "dropout .2": {"dropout": 0.2},
        "mixup .2": {"mixup": 0.2},
        "class weights ^-.5": {"class_power": 0.5},
        "8 bins": {"bins": 8},
        "naming, class weights ^-.5": {"naming_weight": 1.0, "class_power": 0.5},
        "class weights ^-.25": {"class_power": 0.25},
    },
}


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
                found = rival(prepared, kind, changes.get("caution", 0.0), seed, made_before)
            else:
                recipe = changed(BEFORE[data], changes)
                drawn_from = seed // FIRST if kind == FIRST_SPLITS else seed
                parts = changes.get("parts", ())
                with differing(parts):
                    model = trained(prepared, recipe, drawn_from, federated, made_before, parts)
                found = judged(model, prepared)
            found = {"idea": idea, "seed": seed, **found, "seconds": round(perf_counter() - began, 1)}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            print(group, found, flush=True)


@contextmanager
def differing(parts: Sequence[str]) -> Iterator[None]:
    """Put parts of the first study in the place of medward's own."""
    with ExitStack() as stack:
        for part in parts:
            module, name, other = PARTS[part]
            stack.enter_context(patch.object(module, name, other))
        yield


def as_they_are(x: Any, y: Any, rows: Any, size: int | None = None) -> Replay:
    """Return a replay that draws every row alike, repeated or not; see `medward.agents.replay.fold`."""
    entries = len(rows) if size is None else size
    reach, drawn, weight = np.ones(entries), np.full(entries, rows[-1], np.int32), np.zeros(entries, np.float32)
    reach[: len(rows) - 1] = np.arange(1, len(rows)) / len(rows)
    drawn[: len(rows)], weight[: len(rows)] = rows, 1.0
    return Replay(jnp.asarray(drawn), jnp.asarray(reach, jnp.float32), jnp.asarray(weight))


def exactly_scaled(space: FeatureSpace, x: Any, recipe: Recipe) -> Scaler:
    """Return a scaler whose knots and bins are at the quantiles of the values themselves, not of cells' counts."""
    near = fitted_scaler(space, x, recipe)
    knots, bins = [], []
    at = np.linspace(0, 1, QUANTILES)
    for column in near.numbers:
        values = x[~np.isnan(x[:, column]), column].astype(np.float64)
        both = [np.quantile(values, at), np.quantile(np.unique(values), at)]
        knots.append(np.unique(np.concatenate(both).astype(np.float32)).astype(np.float64))
        scaled = np.interp(values, knots[-1], np.linspace(0, 1, len(knots[-1])))
        bins.append(_bin_edges(np.sort(scaled), np.ones(len(scaled), np.int64), recipe.bins))
    counts = [np.array([len(row) - less for row in rows], np.int64) for rows, less in ((knots, 0), (bins, 1))]
    return replace(near, knots=_padded(knots), knot_count=counts[0], bins=_padded(bins), bin_count=counts[1])


PARTS: dict[str, tuple[Any, str, Any]] = {
    "rows as they are": (traffic, "fold", as_they_are),
    "exact knots": (central, "fitted_scaler", exactly_scaled),
}


def judged(model: SentinelModel, prepared: Prepared) -> dict[str, Any]:
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


def rival(prepared: Prepared, name: str, caution: float, seed: int, before: dict[Any, Any]) -> dict[str, Any]:
    """Measure a tuned baseline with a caution on validation rows; it is fitted once for all of them."""
    data, rows = prepared.dataset.name, prepared.split.validation
    if name not in before:
        fitted = fit_baseline(next(b for b in BASELINES if b.name == name), prepared, RECIPES[data], seed)
        before[name] = fitted, fitted.chance(rows)
    fitted, chance = before[name]
    y, decision = prepared.flows.y[rows], fitted.decided(chance, caution)
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


def trained(
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    federated: bool,
    before: dict[Any, SentinelModel],
    parts: Sequence[str],
) -> Any:
    """Train a model, or take one of `before` that differs in caution alone, which training knows nothing of.

    A federation's own caution is left out: ideas name theirs.
    """
    plain = replace(recipe, caution=0.0, federated_caution=None)
    key = (plain, prepared.x.shape, parts)
    if key not in before:
        if federated:
            training = FederatedTraining(prepared, plain, Options(SITES, plain.rounds, protect="none", seed=seed))
            before[key] = training.run(None, lambda report: None)
        else:
            provenance = Provenance("central", None, 1, "none", prepared.flows.schema.synthetic, seed)
            before[key] = train_centrally(prepared, prepared.split.train, plain, provenance)
    model = before[key]
    bias = model.weights.advantage_bias.copy()
    bias[ALLOW] -= recipe.caution
    return replace(model, recipe=recipe, weights=replace(model.weights, advantage_bias=bias))


def changed(recipe: Any, changes: dict[str, Any]) -> Any:
    costs = {
        name: value for name, value in changes.items() if name in ("miss", "false_alarm", "wrong_class", "escalation")
    }
    rest = {name: value for name, value in changes.items() if name not in (*costs, "densities", "parts")}
    return replace(recipe, taught=replace(recipe.costs, **costs) if costs else None, **rest)


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
