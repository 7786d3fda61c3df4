"""Print the tables of docs/results/ from the runs that `medward reproduce --results` kept.

    python benchmarks/agents/results.py tables       Sentinel beside its baselines, by protocol and data set
    python benchmarks/agents/results.py over-time    the comparisons over time
    python benchmarks/agents/results.py over-time-prices  the same at several prices of a byte of evidence
    python benchmarks/agents/results.py over-time-parts  what Sentinel's parts are worth over time
    python benchmarks/agents/results.py targets      what was set out to be reached, and whether it was
    python benchmarks/agents/results.py classes      the classes on which gradient boosting is furthest ahead
    python benchmarks/agents/results.py hospitals    hospitals alone and together, and the one that is served worst
    python benchmarks/agents/results.py measures     the measures that the tables have no room for
    python benchmarks/agents/results.py protocols    each protocol's numbers beside the honest ones
    python benchmarks/agents/results.py times        how long the runs took
    python benchmarks/agents/results.py plots        draw the pictures of docs/results/ into docs/images

The runs stand in benchmarks/agents/results/reproduce-*.jsonl and were made by, for example,

    medward reproduce --data wustl-ehms-2020/ --seeds 5 --results reproduce-wustl-ehms-2020.jsonl
    medward reproduce --data wustl-ehms-2020/ --protocol random --results reproduce-random-....jsonl
    medward reproduce --data ward --over-time --results reproduce-over-time-ward.jsonl

Those at other prices of a byte stand beside them in over-time-prices-*.jsonl, made by --byte-price 0 --byte-price ...
(the sparing rules, at the usual price too, by --method "two-threshold rule, sparing" and its like), less what each
method does under limits of false alarms (`limited`, `blocks_free`), which nothing prints of them.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from medward.flows.datasets import DATASETS
from medward.report.comparisons import classes_table, hospitals_table
from medward.report.plots import (
    costs_described,
    draw_costs,
    draw_prices,
    draw_scores,
    prices_described,
    scores_described,
)
from medward.report.tables import markdown_table, measures_table
from medward.report.targets import TargetVerdict, over_time_verdicts, paired, verdict_table, verdicts
from medward.studies.study import METHODS, OF_THREE, left_out
from medward.studies.watch_study import WHOLE, interval, limits_table, price_table, several_prices, watch_table

FOLDER = Path(__file__).parent / "results"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
OVER_TIME = "over time"
#: As many seeds as `medward reproduce` takes where none are named.
SEEDS = 5
PROTOCOLS = ("honest", "honest, without fingerprints", "random", "paper", OVER_TIME)


def compared(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs of those seeds that at least half of a comparison's methods have.

    A pair of methods may have more, as a target asks for; their means would stand beside means over other splits.
    """
    found = []
    for _, group in groupby(runs, key=lambda run: (run["protocol"], run["data"])):
        own = list(group)
        having = Counter(run["seed"] for run in own)
        methods = len({run["method"] for run in own})
        found += [run for run in own if 2 * having[run["seed"]] >= methods]
    return found


def tables(runs: list[dict[str, Any]]) -> None:
    """Print a table for each protocol and data set."""
    for (protocol, name), group in groupby(runs, key=lambda run: (run["protocol"], run["data"])):
        everything = list(group)
        if protocol == OVER_TIME:
            continue
        own = compared(everything)
        kind, _, rest = protocol.partition(", ")
        seeds = len({run["seed"] for run in own})
        repeated = fmean(run["repeated_share"] for run in own)
        print(f"### {DATASETS[name].schema.title}, {kind} protocol{', ' + rest if rest else ''}{_synthetic(name)}\n")
        many = "seeds" if seeds > 1 else "seed"
        print(f"{seeds} {many}; {repeated:.1%} of the test rows repeat the features of a training row.")
        few = {method: count for method, count in _seeds(own).items() if count < seeds}
        if few:
            print("Fewer seeds: " + ", ".join(f"{method} {count}" for method, count in few.items()) + ".")
        more = {method: count for method, count in _seeds(everything).items() if count > seeds}
        if more:
            counts = ", ".join(f"{method} {count}" for method, count in more.items())
            print(f"More seeds in pairs under [targets](#targets): {counts}.")
        if protocol == "honest":
            about = "Each method's macro-F1: seeds, means and standard deviations; the table below has the numbers"
            print(f"\n![{about}](../images/{_score_plot(name)})")
        print(f"\n{markdown_table(own)}\n")


def over_time(runs: list[dict[str, Any]]) -> None:
    """Print a table over time for each data set."""
    for name, group in groupby([run for run in runs if run["protocol"] == OVER_TIME], key=lambda run: run["data"]):
        own = list(group)
        print(
            f"### {DATASETS[name].schema.title}, over time{_synthetic(name)}\n\n{_extent(own)}\n\n{watch_table(own)}\n"
        )
        if limited := limits_table(own):
            print(f"All held to the same number of false alarms in 1,000 benign validation windows:\n\n{limited}\n")
        if costs_described(own):
            about = "Cost over false alarms under each limit; the table above has the numbers"
            print(f"![{about}](../images/{_cost_plot(name)})\n")


def over_time_prices(runs: list[dict[str, Any]]) -> None:
    """Print what methods buy and cost over time at each price of a byte of evidence, for data sets with several."""
    for name, own in _at_prices(runs).items():
        print(f"#### {DATASETS[name].schema.title}, by the price of a byte{_synthetic(name)}\n\n{price_table(own)}\n")
        about = "Cost and evidence bought over the price of a byte; the table above has the numbers"
        print(f"![{about}](../images/{_price_plot(name)})\n")


def _at_prices(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the runs over time of each data set that has several prices of a byte."""
    lines = [line for file in sorted(FOLDER.glob("over-time-prices-*.jsonl")) for line in file.read_text().splitlines()]
    everything = [*(run for run in runs if run["protocol"] == OVER_TIME), *map(json.loads, lines)]
    found = {name: [run for run in everything if run["data"] == name] for name in DATASETS}
    return {name: own for name, own in found.items() if several_prices(own)}


def over_time_parts(runs: list[dict[str, Any]]) -> None:
    """Print what changing one part of Sentinel over time does to its cost and false alarms, on the same seeds."""
    streams = [run for run in runs if run["protocol"] == OVER_TIME and run["method"].startswith("Sentinel")]
    print(
        "| data set | variant | seeds | cost of 1000 windows, more than the whole [95 %] | false alarms in 1000, more |"
    )
    print("|---|---|---|---|---|")
    for name in dict.fromkeys(run["data"] for run in streams):
        by_method: dict[str, dict[int, dict[str, Any]]] = {}
        for run in streams:
            if run["data"] == name:
                by_method.setdefault(run["method"], {})[run["seed"]] = run
        whole = by_method.pop(WHOLE, {})
        for method, found in by_method.items():
            seeds = sorted(set(found) & set(whole))
            pair = [found[seed] for seed in seeds], [whole[seed] for seed in seeds]
            cells = []
            for counted, per in (("cost", "windows"), ("false_alarms", "benign")):
                mean, low, high = (1000 * value for value in interval(*pair, counted, per))
                cells.append(f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]")
            print(f"| {name} | {method} | {len(seeds)} | {' | '.join(cells)} |")


def classes(runs: list[dict[str, Any]]) -> None:
    """Print each data set's three classes on which gradient boosting's recall is furthest ahead of Sentinel's."""
    print(classes_table([run for run in compared(runs) if run["protocol"] == "honest"]))


def hospitals(runs: list[dict[str, Any]]) -> None:
    """Print what each hospital's own Sentinel scores beside the federation's, and how the worst hospital is served."""
    print(hospitals_table([run for run in runs if run["protocol"] == "honest"]))


def measures(runs: list[dict[str, Any]]) -> None:
    """Print the measures that the tables have no room for, honest protocol, means over the seeds."""
    print(measures_table([run for run in compared(runs) if run["protocol"] == "honest"]))


def protocols(runs: list[dict[str, Any]]) -> None:
    """Print what the same methods score under each protocol, where the random or the paper protocol was run."""
    runs = compared(runs)
    kinds = PROTOCOLS[0], PROTOCOLS[2], PROTOCOLS[3]
    shown = [f"{measure}, {kind}" for measure in ("binary macro-F1", "multi-class macro-F1") for kind in kinds]
    print(f"| data set | method | {' | '.join(shown)} |\n{'|---' * (2 + len(shown))}|")
    for name in DATASETS:
        own = [run for run in runs if run["data"] == name and run["protocol"] in kinds]
        for method in dict.fromkeys(run["method"] for run in own if run["protocol"] != "honest"):
            found: dict[tuple[str, str], list[float]] = {}
            for run in own:
                if run["method"] == method:
                    for group in ("binary", "multiclass"):
                        found.setdefault((group, run["protocol"]), []).append(run["metrics"][group]["macro_f1"])
            if len(found) > 2:
                cells = [_mean(found.get((group, kind), [])) for group in ("binary", "multiclass") for kind in kinds]
                print(f"| {name} | {method} | {' | '.join(cells)} |")


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.3f}" if values else "–"


def times(runs: list[dict[str, Any]]) -> None:
    """Print how long the runs of each protocol and data set took, and those of each protocol's one command."""
    print("| protocol | data set | runs | minutes | longest run, minutes |\n|---|---|---|---|---|")
    for (protocol, name), group in groupby(runs, key=lambda run: (run["protocol"], run["data"])):
        spent = [_spent(run) / 60 for run in group]
        print(f"| {protocol} | {name} | {len(spent)} | {sum(spent):.0f} | {max(spent):.1f} |")
    for protocol, group in groupby(runs, key=lambda run: run["protocol"]):
        own = list(group)
        print(f"| **{protocol}** | all | {len(own)} | {sum(map(_spent, own)) / 60:.0f} | |")
    print()
    for protocol in ("honest", "paper"):
        own = [run for run in runs if run["protocol"] == protocol]
        wanted = {
            (name, seed, method)
            for name, dataset in DATASETS.items()
            for seed in range(SEEDS)
            for method in METHODS
            if not dataset.own and method != OF_THREE and left_out(method, dataset) is None
        }
        made = [run for run in own if (run["data"], run["seed"], run["method"]) in wanted]
        minutes = sum(map(_spent, made)) / 60
        kept = f"Of the {len(wanted)} runs of the {protocol} protocol's one command {len(made)} are kept"
        print(f"{kept}: {minutes:.0f} minutes of processor time, {minutes / 2:.0f} minutes with two cores.")
    quick = [json.loads(line) for line in (FOLDER / "quick.jsonl").read_text().splitlines()]
    minutes = sum(run["processor_seconds"] for run in quick) / 60
    sets = len({run["data"] for run in quick})
    both = f"{minutes:.0f} minutes of processor time, {minutes / 2:.0f} minutes with two cores, reading not counted"
    print(f"With --quick, one seed on {sets} data sets, {len(quick)} runs: {both}.")


def _spent(run: dict[str, Any]) -> float:
    """Return a run's seconds: of processor time where they were kept, else of the clock."""
    spent: float = run.get("processor_seconds", run["seconds"])
    return spent


def plots(runs: list[dict[str, Any]]) -> None:
    """Draw the pictures of docs/results/, and name them."""
    for name, (title, description, draw) in pictures(runs).items():
        draw(IMAGES / name)
        print(f"docs/images/{name}: {title}. {description}")


def pictures(runs: list[dict[str, Any]]) -> dict[str, tuple[str, str, Callable[[Path], bool]]]:
    """Return for each picture's file name its title, its numbers in words, and what draws it."""
    found: dict[str, tuple[str, str, Callable[[Path], bool]]] = {}
    scored = compared([run for run in runs if run["protocol"] == "honest"])
    for name, group in groupby(scored, key=lambda run: run["data"]):
        own, title = list(group), f"{DATASETS[name].schema.title}, honest protocol{_synthetic(name)}"
        found[_score_plot(name)] = title, scores_described(own), partial(draw_scores, title=title, runs=own)
    streams = [run for run in runs if run["protocol"] == OVER_TIME]
    for name, group in groupby(streams, key=lambda run: run["data"]):
        own, title = list(group), f"{DATASETS[name].schema.title}, over time{_synthetic(name)}"
        if described := costs_described(own):
            found[_cost_plot(name)] = title, described, partial(draw_costs, title=title, runs=own)
    for name, own in _at_prices(runs).items():
        title = f"{DATASETS[name].schema.title}, by the price of a byte{_synthetic(name)}"
        found[_price_plot(name)] = title, prices_described(own), partial(draw_prices, title=title, runs=own)
    return found


def _score_plot(name: str) -> str:
    return f"honest-{name}.svg"


def _cost_plot(name: str) -> str:
    return f"over-time-{name}.svg"


def _price_plot(name: str) -> str:
    return f"over-time-prices-{name}.svg"


def _seeds(runs: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for run in runs:
        counts[run["method"]] = counts.get(run["method"], 0) + 1
    return counts


def _synthetic(name: str) -> str:
    return ", synthetic data" if DATASETS[name].schema.synthetic else ""


def targets(runs: list[dict[str, Any]]) -> None:
    """Print what was set out to be reached, and whether the kept runs reach it."""
    prices = [json.loads(line) for line in (FOLDER / "encryption-price.jsonl").read_text().splitlines()]
    streams = [run for run in runs if run["protocol"] == OVER_TIME]
    rows = [run for run in runs if run["protocol"] != OVER_TIME]
    print(verdict_table([*verdicts(rows), *encryption_verdicts(prices), *over_time_verdicts(streams)]))


def encryption_verdicts(runs: list[dict[str, Any]]) -> list[TargetVerdict]:
    """Hold the runs of benchmarks/agents/encryption_price.py to a price of 0.2 points of accuracy, paired by seed."""
    found = []
    for data in dict.fromkeys(run["data"] for run in runs):
        accuracy = {
            (run["protect"], run["bits"], run["seed"]): 100 * run["binary_accuracy"]
            for run in runs
            if run["data"] == data
        }
        for bits in (16, 8):
            seeds = [seed for protect, width, seed in accuracy if (protect, width) == ("aggregate", bits)]
            mean, low, high = paired(
                [accuracy["aggregate", bits, seed] for seed in seeds], [accuracy["none", 32, seed] for seed in seeds]
            )
            target = f"{data}: accuracy encrypted with {bits} bits within 0.2 points of the open federation"
            measured = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] points, {len(seeds)} seeds"
            found.append(TargetVerdict(target, measured, "met" if mean >= -0.2 else f"missed by {-0.2 - mean:.3f}"))
    return found


def published_runs() -> list[dict[str, Any]]:
    """Return all kept runs, by protocol and data set."""
    lines = [line for file in sorted(FOLDER.glob("reproduce-*.jsonl")) for line in file.read_text().splitlines()]
    runs = [{"protocol": OVER_TIME, **json.loads(line)} for line in lines]
    return sorted(runs, key=lambda run: (PROTOCOLS.index(run["protocol"]), list(DATASETS).index(run["data"])))


def _extent(runs: list[dict[str, Any]]) -> str:
    by_seed = {run["seed"]: run["blocks"] for run in runs}
    windows = sum(sum(blocks["windows"]) for blocks in by_seed.values())
    attacks = sum(sum(blocks["runs"]) for blocks in by_seed.values())
    groups = sum(len(blocks["windows"]) for blocks in by_seed.values())
    return f"{len(by_seed)} seeds, {groups} blocks, {windows:.0f} test windows with {attacks:.0f} attacks in them."


PARTS = {
    "tables": tables,
    "over-time": over_time,
    "over-time-prices": over_time_prices,
    "over-time-parts": over_time_parts,
    "targets": targets,
    "classes": classes,
    "hospitals": hospitals,
    "protocols": protocols,
    "measures": measures,
    "times": times,
    "plots": plots,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    PARTS[parser.parse_args().part](published_runs())
