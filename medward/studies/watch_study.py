"""The comparison over time: the learned watch beside tuned rules and one without foresight, on the same episodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import recipe_of
from medward.agents.watch.costs import WatchCosts, evidence_bytes
from medward.agents.watch.environment import SIGHTS, Watched, watched
from medward.agents.watch.episodes import Episodes, episodes_of
from medward.agents.watch.judgement import (
    Margins,
    Tuned,
    WatchPolicy,
    learned_policy,
    rule_policy,
    tuned_margins,
    tuned_rule,
    walk,
)
from medward.agents.watch.learner import learn
from medward.agents.watch.network import WatchNetwork, WatchRecipe
from medward.agents.watch.perception import cross_fitted
from medward.agents.watch.rules import Rule, TuningGrid
from medward.flows.datasets import DATASETS, Dataset
from medward.flows.prepared import PreparedData, prepare
from medward.flows.schema import Flows, Schema
from medward.studies.finished_runs import keep_run, kept_runs

# Whether a rule buys evidence by lack of confidence, and the settings that are tried.
_SPARING = TuningGrid(spare=(False, True))
RULES: dict[str, tuple[bool, TuningGrid]] = {
    "two-threshold rule": (False, TuningGrid()),
    "confidence rule": (True, TuningGrid()),
    # With twice the settings: they may also buy no evidence while they are quiet, which pays where bytes are dear.
    "two-threshold rule, sparing": (False, _SPARING),
    "confidence rule, sparing": (True, _SPARING),
}
BASE, WHOLE, SHORTSIGHTED = "two-threshold rule", "Sentinel over time", "Sentinel, discount 0"
LEARNED: dict[str, dict[str, Any]] = {
    WHOLE: {},
    SHORTSIGHTED: {"discount": 0.0, "steps": 1},
    "Sentinel, one-step returns": {"steps": 1},
    "Sentinel, 16 quantiles": {"quantiles": 16},
    "Sentinel, every class's logits": {"sees": SIGHTS},
    "Sentinel, blind to the queue": {"sees": ("suspicion", "evidence", "alerts")},
    "Sentinel, blind to its alerts": {"sees": ("suspicion", "evidence", "queue")},
    "Sentinel, quaternion": {"layer": "quaternion", "hidden": (128, 128)},
}
METHODS = (BASE, "confidence rule", WHOLE, SHORTSIGHTED)
# An episode's windows: the ward's test part has 150 windows a device, WUSTL-EHMS's blocks have 200.
WINDOWS = {"ward": 150}
#: False alarms a benign window that all methods are held to on validation episodes, one after the other.
LIMITS = (0.0, 0.0005, 0.001, 0.002, 0.005)
#: What a byte of evidence costs where nobody says otherwise.
PRICE = WatchCosts().byte_price
# What a tally counts, and for how many of what.
_COST, _ALARMS, _BOUGHT = ("cost", "windows"), ("false_alarms", "benign"), ("escalations", "windows")
_FOLDS = 2
_COMPOSITIONS = {"train": 8, "validation": 4, "test": 4}


@dataclass(frozen=True)
class WatchStudy:
    """What is compared over time.

    Args:
        seeds: each gives a split, window networks, episodes and a watch of its own.
        methods: which of `RULES` and `LEARNED`.
        recipe: how watches learn.
        results: a file of JSON lines; runs that stand there are not repeated.
        byte_prices: what a byte of evidence costs, in missed attack windows; all is learned and tuned at each price.
    """

    seeds: Sequence[int]
    methods: Sequence[str] = METHODS
    recipe: WatchRecipe = field(default_factory=WatchRecipe)
    results: Path | None = None
    byte_prices: Sequence[float] = (PRICE,)

    def at(self, price: float) -> "WatchStudy":
        """Return the same study at one price of a byte."""
        costs = replace(self.recipe.costs, byte_price=price)
        return replace(self, recipe=replace(self.recipe, costs=costs), byte_prices=(price,))

    def key(self, dataset: str, seed: int, method: str, price: float) -> str:
        """Name one run."""
        updates, usual = self.recipe.updates, WatchRecipe().updates
        shorter = "" if updates == usual else f"|{updates} updates"
        return f"{dataset}|over time|{seed}|{method}{shorter}" + ("" if price == PRICE else f"|{price:g} a byte")


@dataclass(frozen=True)
class Stage:
    """One seed's episodes, as the environment takes them.

    Args:
        train: composed of or cut from training rows, seen by networks that never learned from them.
        validation: for tuning.
        test: for the figures.
        block: for each test episode what intervals resample.
    """

    train: Watched
    validation: Watched
    test: Watched
    block: NDArray[np.int32]

    def at(self, costs: WatchCosts, schema: Schema) -> "Stage":
        """Return the same episodes with evidence at the price that `costs` puts on its bytes."""
        price = jnp.float32(costs.escalation(schema))
        parts = {name: getattr(self, name)._replace(escalation=price) for name in _COMPOSITIONS}
        return replace(self, **parts)


def run_watch_study(
    study: WatchStudy, dataset: Dataset, load: Callable[[int], Flows], on_run: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Run what is not finished yet of a comparison over time on one data set.

    Returns:
        All runs: key, data, seed, method, byte_price, setting, validation (cost and false alarms a window), and
        `blocks`: for each of the test part's blocks the sums of medward.agents.watch.judgement.Tally and its number of
        windows. A rule is the cheapest there is, a learned watch the cheapest with no more false alarms on validation
        episodes than the two-threshold rule; `blocks_free` is what the cheapest does, and `limited` what each does
        under `LIMITS`.
    """
    done = kept_runs(study.results)
    runs = []
    for seed in study.seeds:
        stage = None
        for price in study.byte_prices:
            own, base = study.at(price), None
            for method in study.methods:
                key = study.key(dataset.name, seed, method, price)
                run = done.get(key)
                if run is None:
                    stage = stage or staged(prepare(dataset, load(seed), "honest", seed), study.recipe.costs)
                    here = stage.at(own.recipe.costs, dataset.schema)
                    base = base or _tuned(BASE, here, own.recipe.costs)
                    began = perf_counter()
                    run = {"key": key, "data": dataset.name, "seed": seed, "method": method, "byte_price": price}
                    run |= _measured(own, here, base, method, seed)
                    run["seconds"] = round(perf_counter() - began, 1)
                    keep_run(study.results, run)
                runs.append(run)
                on_run(run)
    return runs


def at_price(runs: Sequence[dict[str, Any]], price: float = PRICE) -> list[dict[str, Any]]:
    """Return the runs at one price of a byte; those kept before prices were named are at the usual one."""
    return [run for run in runs if run.get("byte_price", PRICE) == price]


def staged(prepared: PreparedData, costs: WatchCosts) -> Stage:
    """Train window networks on a seed's training rows, and return its episodes as they see them."""
    name, flows, seed = prepared.dataset.name, prepared.flows, prepared.seed
    known = np.unique(flows.y[prepared.split.train])
    classes = tuple(flows.schema.classes[k] for k in known)
    provenance = Provenance("central", None, 1, "none", flows.schema.synthetic, seed)
    model = train_centrally(prepared, prepared.split.train, recipe_of(name), provenance)
    glance = cross_fitted(prepared, recipe_of(name), model, _FOLDS, classes)
    parts: dict[str, Episodes] = {}
    for number, (part, times) in enumerate(_COMPOSITIONS.items()):
        rows = getattr(prepared.split, part)
        made = episodes_of(prepared, rows, WINDOWS.get(name, 200), costs, 10 * seed + number, times)
        # Classes as the glances' actions number them; one that training lacks is an attack that no alert names.
        place = np.searchsorted(known, made.label)
        place = np.where(np.isin(made.label, known), place, len(known))
        parts[part] = replace(made, label=place.astype(np.int32))
    price = costs.escalation(flows.schema)
    train, validation, test = (watched(parts[part], glance, price) for part in _COMPOSITIONS)
    return Stage(train, validation, test, parts["test"].block)


def _tuned(rule: str, stage: Stage, costs: WatchCosts) -> list[Tuned]:
    """Tune one of `RULES` for the lowest cost, and then under each of `LIMITS`."""
    by_confidence, grid = RULES[rule]
    return tuned_rule(by_confidence, stage.validation, costs, (None, *LIMITS), grid)


def _measured(study: WatchStudy, stage: Stage, base: Sequence[Tuned], method: str, seed: int) -> dict[str, Any]:
    costs, within = study.recipe.costs, stage.validation
    if method in RULES:
        free, *limited = base if method == BASE else _tuned(method, stage, costs)
        chosen, weights = free, 0

        def make(setting: Any) -> WatchPolicy:
            return rule_policy(Rule(*setting))

    else:
        recipe = replace(study.recipe, **LEARNED[method])
        network = learn(stage.train, recipe, seed).network
        # At no more false alarms on validation episodes than the rule there, and at whatever is cheapest.
        limits = (base[0].false_alarm_rate, None, *LIMITS)
        chosen, free, *limited = tuned_margins(network, within, recipe, limits)
        weights = _weights(network)

        def make(setting: Any) -> WatchPolicy:
            return learned_policy(network, Margins(*setting), recipe)

    blocks = {tuned.setting: _by_block(make(tuned.setting), stage, costs) for tuned in (chosen, free, *limited)}
    return {
        "setting": list(chosen.setting),
        "tried": chosen.tried,
        "validation": {"cost": chosen.cost, "false_alarm_rate": chosen.false_alarm_rate},
        "weights": weights,
        "blocks": blocks[chosen.setting],
        **({} if method in RULES else {"blocks_free": blocks[free.setting]}),
        "limited": [
            {
                "limit": limit,
                "setting": list(tuned.setting),
                "validation": {"cost": tuned.cost, "false_alarm_rate": tuned.false_alarm_rate},
                "blocks": blocks[tuned.setting],
            }
            for limit, tuned in zip(LIMITS, limited, strict=True)
        ],
    }


def _weights(network: WatchNetwork) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(network))


def _by_block(policy: WatchPolicy, stage: Stage, costs: WatchCosts) -> dict[str, list[float]]:
    """Return what happened on test episodes, summed for each block."""
    tally = jax.jit(lambda logged: walk(policy, logged, jnp.arange(len(logged.row)), costs))(stage.test)
    blocks, place = np.unique(stage.block, return_inverse=True)
    each = {name: np.asarray(values, np.float64) for name, values in tally._asdict().items()}
    each["windows"] = np.full(len(place), float(stage.test.row.shape[1]))
    sums = {name: np.bincount(place, values, len(blocks)) for name, values in each.items()}
    return {name: [round(float(value), 4) for value in values] for name, values in sums.items()}


def interval(
    runs: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]], counted: str, per: str, resamples: int = 4000
) -> tuple[float, float, float]:
    """Return the mean difference of a rate between two methods, and the 95 % interval over resampled blocks.

    Args:
        runs: one method's runs, one a seed.
        base: the other's, of the same seeds.
        counted: a field of `blocks`.
        per: what it is divided by.
        resamples: how often blocks are drawn anew, within each seed.
    """
    rng = np.random.default_rng(0)
    draws = np.zeros(resamples)
    for own, other in zip(runs, base, strict=True):
        size = len(own["blocks"][counted])
        chosen = rng.integers(size, size=(resamples, size))
        chosen[0] = np.arange(size)
        rates = []
        for run in (own, other):
            above, below = (np.array(run["blocks"][name])[chosen].sum(axis=1) for name in (counted, per))
            rates.append(above / np.maximum(below, 1))
        draws += (rates[0] - rates[1]) / len(runs)
    low, high = np.quantile(draws[1:], (0.025, 0.975))
    return float(draws[0]), float(low), float(high)


def watch_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return one table: a row for each method, means over seeds, differences from the rule with their intervals."""
    by_method: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        by_method.setdefault(run["method"], {})[run["seed"]] = run
        if "blocks_free" in run:
            free = {**run, "blocks": run["blocks_free"]}
            by_method.setdefault(f"{run['method']} (any false alarms)", {})[run["seed"]] = free
    base, blind = by_method[BASE], by_method.get(SHORTSIGHTED, {})
    head = ["method", "seeds", "cost of 1000 windows", "less the two-threshold rule's [95 %]"]
    head += ["less that with discount 0 [95 %]", "false alarms in 1000 benign windows", "less the rule's [95 %]"]
    head += ["attacks found", "delay", "evidence bought"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for method, found in by_method.items():
        own = [found[seed] for seed in sorted(set(found) & set(base))]
        cells = [method, str(len(own)), f"{1000 * _mean_rate(own, *_COST):.2f}"]
        cells.append("–" if method == BASE else _less(own, base, *_COST))
        cells.append("–" if method == SHORTSIGHTED else _less(own, blind, *_COST))
        cells.append(f"{1000 * _mean_rate(own, *_ALARMS):.2f}")
        cells.append("–" if method == BASE else _less(own, base, *_ALARMS))
        cells += [f"{_mean_rate(own, 'found', 'runs'):.3f}", f"{_mean_rate(own, 'delay', 'found'):.2f}"]
        cells.append(f"{_mean_rate(own, *_BOUGHT):.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def several_prices(runs: Sequence[dict[str, Any]]) -> bool:
    """Say whether runs over time are at more than one price of a byte."""
    return len({run.get("byte_price", PRICE) for run in runs}) > 1


def comparison(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs of the comparison itself: those at its only price of a byte, or of several at the usual one."""
    return at_price(runs) if several_prices(runs) else list(runs)


class AtPrice(NamedTuple):
    """What a method did over time where a byte of evidence had one price; means over its runs on test episodes.

    Args:
        runs: one a seed, in their order.
        cost: of 1,000 windows, evidence included.
        evidence_bytes: bytes of evidence bought, a window.
    """

    runs: list[dict[str, Any]]
    cost: float
    evidence_bytes: float


def by_price(runs: Sequence[dict[str, Any]]) -> dict[float, dict[str, AtPrice]]:
    """Return what the rules and Sentinel, with and without foresight, did on one data set at each price, rising."""
    found: dict[float, dict[str, AtPrice]] = {}
    for price in sorted({run.get("byte_price", PRICE) for run in runs}):
        here = at_price(runs, price)
        for method in (*RULES, WHOLE, SHORTSIGHTED):
            own = sorted((run for run in here if run["method"] == method), key=lambda run: run["seed"])
            if own:
                each = WatchCosts.kept * evidence_bytes(DATASETS[own[0]["data"]].schema)
                done = AtPrice(own, 1000 * _mean_rate(own, *_COST), each * _mean_rate(own, *_BOUGHT))
                found.setdefault(price, {})[method] = done
    return found


def price_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return what one data set's methods buy and cost at each price of a byte; means over seeds, prices rising.

    Of the cost, what was paid for evidence stands in a column of its own. Differences are from the other methods at
    the same price. The table is empty if all runs have the same price.
    """
    if not several_prices(runs):
        return ""
    prices = by_price(runs)
    head = ["price of a byte", "method", "seeds", "bytes of evidence a window", "cost of 1000 windows"]
    head += ["of it evidence", "false alarms in 1000 benign windows", "attacks found"]
    rivals = (BASE, f"{BASE}, sparing", SHORTSIGHTED)
    others = [rival for rival in rivals if any(rival in methods for methods in prices.values())]
    head += [f"cost less {other}'s [95 %]" for other in others]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for price, methods in prices.items():
        seeds = {method: {run["seed"]: run for run in done.runs} for method, done in methods.items()}
        for method, (own, cost, many) in methods.items():
            cells = [f"{price:g}", method, str(len(own)), f"{many:.2f}", f"{cost:.2f}", f"{1000 * price * many:.2f}"]
            cells += [f"{1000 * _mean_rate(own, *_ALARMS):.2f}", f"{_mean_rate(own, 'found', 'runs'):.3f}"]
            for other in others:
                cells.append("–" if method == other else _less(own, seeds.get(other, {}), *_COST))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def limits_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return one table: a row for each of `LIMITS`, all methods held to it on validation episodes; means over seeds.

    Runs that were kept before there were limits are passed over; the table is empty if there are no others.
    """
    held = _held(runs)
    if not held:
        return ""
    others = [method for method in METHODS if method != WHOLE]
    head = ["false alarms allowed", *(f"{method}: cost (false alarms)" for method in METHODS)]
    head += [f"{WHOLE}, less {other}'s cost [95 %]" for other in others]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    points = held_to_limits(runs)
    for place, limit in enumerate(LIMITS):
        cells = [f"{1000 * limit:g}"]
        cells += [f"{cost:.2f} ({alarms:.2f})" for cost, alarms in (points[method][place] for method in METHODS)]
        own = list(held[WHOLE][place].values())
        cells += [_less(own, held[other][place], *_COST) for other in others]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def held_to_limits(runs: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return each method's cost of 1,000 windows and false alarms in 1,000 benign ones under each of `LIMITS`.

    Means over the seeds that all of `METHODS` have on test episodes; empty if there are none.
    """
    return {
        method: [
            (1000 * _mean_rate(list(own.values()), *_COST), 1000 * _mean_rate(list(own.values()), *_ALARMS))
            for own in limits
        ]
        for method, limits in _held(runs).items()
    }


def _held(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[int, dict[str, Any]]]]:
    """Return for each of `METHODS` and each of `LIMITS` what was kept of each seed that all methods have."""
    found: dict[str, dict[int, dict[str, Any]]] = {method: {} for method in METHODS}
    for run in runs:
        if "limited" in run and run["method"] in found:
            found[run["method"]][run["seed"]] = run
    seeds = sorted(set.intersection(*(set(own) for own in found.values())))
    if not seeds:
        return {}
    return {
        method: [
            {seed: {"seed": seed, **own[seed]["limited"][place]} for seed in seeds} for place in range(len(LIMITS))
        ]
        for method, own in found.items()
    }


def _less(own: Sequence[dict[str, Any]], other: dict[int, dict[str, Any]], counted: str, per: str) -> str:
    """Return the difference of two methods' rates, a thousand, with its interval, over the seeds that both have."""
    shared = [run for run in own if run["seed"] in other]
    if not shared:
        return "–"
    mean, low, high = interval(shared, [other[run["seed"]] for run in shared], counted, per)
    return f"{1000 * mean:+.2f} [{1000 * low:+.2f}, {1000 * high:+.2f}]"


def _mean_rate(runs: Sequence[dict[str, Any]], counted: str, per: str) -> float:
    return float(np.mean([sum(run["blocks"][counted]) / max(sum(run["blocks"][per]), 1) for run in runs]))
