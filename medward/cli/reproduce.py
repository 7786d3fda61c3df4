"""`medward reproduce`: Sentinel beside tuned baselines, on the same rows, over several seeds."""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from medward.cli._console import errors, print_json, say, use_one_thread_per_operation
from medward.cli._data import DATA_HELP, SCHEMA_HELP, open_data, warn_of
from medward.errors import BadUsage, Stopped

if TYPE_CHECKING:
    from medward.flows.datasets import Dataset
    from medward.flows.prepared import Protocol
    from medward.flows.schema import Flows
    from medward.report.targets import TargetVerdict


def reproduce(
    data: list[str] = typer.Option(["ward"], help=DATA_HELP + " May be given several times."),
    schema: Path | None = typer.Option(None, help=SCHEMA_HELP),
    protocol: str = typer.Option(
        "honest",
        help="honest; random: train on a file, test on rows drawn at random from the same capture; or paper: the "
        "literature's random split and all columns.",
    ),
    over_time: bool = typer.Option(
        False, "--over-time", help="Compare over time instead: costs of whole streams, an analyst's queue, delay."
    ),
    byte_price: list[float] = typer.Option(
        [],
        help="With --over-time: what a byte of evidence costs, in missed attack windows; 0.00025 where none is given. "
        "May be given several times.",
    ),
    seeds: int = typer.Option(0, help="How many seeds: 0, 1, ...; 5 where none is given, 1 with --quick."),
    method: list[str] = typer.Option(
        [], help="Only this method: federated, pooled, alone, boosting, xgboost, ...; may be given several times."
    ),
    without_fingerprints: bool = typer.Option(
        False,
        "--without-fingerprints",
        help="Leave out the features that identify the attack tool (`medward data show` names them).",
    ),
    quick: bool = typer.Option(False, "--quick", help="Fewer epochs and rounds, untuned baselines."),
    jobs: int = typer.Option(
        0, help="How many runs side by side, each on one core; the numbers are the same. All cores where none is given."
    ),
    results: Path | None = typer.Option(None, help="Keep finished runs in this file, and do not repeat them."),
    plots: Path | None = typer.Option(None, help="Draw the comparison into this folder, a file for each data set."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Compare Sentinel, federated, pooled and alone, with majority, linear, forest, boosting and neural baselines.

    XGBoost and LightGBM are among them where they are installed: pip install 'medward[bench-trees]'.

    Example: `medward reproduce --data wustl-ehms-2020/ --seeds 5 --results runs.jsonl --plots plots/`
    """
    use_one_thread_per_operation()
    say("loading the program", at_once=True)
    chosen = _protocol(protocol)
    _refuse_negative(seeds=seeds, jobs=jobs)
    seeds = seeds or (1 if quick else 5)
    _make_folders(results, plots)
    _refuse_schema(schema, data, over_time)
    if over_time:
        _refuse_over_time(chosen, without_fingerprints, jobs)
        _over_time(data, seeds, method, byte_price, quick, results, plots, as_json)
        return
    if byte_price:
        raise BadUsage("--byte-price is for --over-time: say that too, or leave it out.")
    from medward.studies.side_by_side import Source, cores, run_studies
    from medward.studies.study import DEFAULT_METHODS, WITHOUT, Study, left_out

    method = _methods(method)
    if protocol == "paper":
        errors().print(
            "paper protocol: neighbours of every test row are training rows and leaking columns are features; these "
            "numbers say nothing about traffic that was not seen."
        )
    study = Study(chosen, range(seeds), method or DEFAULT_METHODS, quick, results, without_fingerprints)
    document: dict[str, Any] = {"protocol": protocol, "quick": quick, "data": {}}
    sources, cautions = [], {}
    for name in data:
        dataset, flows = open_data(name, 0, chosen, without_fingerprints=without_fingerprints, schema=schema)
        cautions[dataset.name] = warn_of(dataset, flows)
        if without_fingerprints and not dataset.fingerprints:
            raise BadUsage(f"{dataset.schema.title} has no fingerprints to leave out.")
        for one in (one for one in method if left_out(one, dataset)):
            errors().print(f"{one} is left out: {dataset.schema.title} {left_out(one, dataset)}.")
        load = partial(open_data, name, protocol=chosen, without_fingerprints=without_fingerprints, schema=schema)
        sources.append(Source(dataset, len(flows.y), load))
    try:
        runs = run_studies(study, sources, jobs or cores(), _say, _say_begun)
    except KeyboardInterrupt:
        raise Stopped(_how_to_go_on(results)) from None
    kind = protocol + (WITHOUT if without_fingerprints else "") + (", quick" if quick else "")
    for dataset in (source.dataset for source in sources):
        own = runs[dataset.name]
        told = list(cautions[dataset.name])
        document["data"][dataset.name] = {"synthetic": dataset.schema.synthetic, "cautions": told, "runs": own}
        title = _title(dataset, kind)
        if not as_json:
            _print_tables(title, own, told)
        if plots:
            from medward.report.plots import draw_scores

            _plot(plots, kind, dataset.name, partial(draw_scores, title=title, runs=own))
    if as_json:
        print_json(document)
    else:
        _print_comparisons([run for own in runs.values() for run in own], quick)


def _title(dataset: "Dataset", kind: str) -> str:
    return f"{dataset.schema.title} ({kind}{', synthetic' if dataset.schema.synthetic else ''})"


def _print_tables(title: str, runs: list[dict[str, Any]], cautions: list[str]) -> None:
    """Print what was measured on one data set, and what that is worth."""
    from medward.report.tables import markdown_table, measures_table, recall_table

    parts = *(f"Caution: {one}" for one in cautions), markdown_table(runs), measures_table(runs)
    _print("\n\n".join((f"\n### {title}", *parts, "Recall of each class:", recall_table(runs))))


def _print_comparisons(runs: list[dict[str, Any]], quick: bool) -> None:
    """Print where Sentinel is behind, what hospitals have of each other, and which targets are reached."""
    from medward.report.comparisons import classes_table, hospitals_table
    from medward.report.targets import verdicts

    if table := classes_table(runs):
        _print(f"\n### Classes on which boosting is furthest ahead\n\n{table}")
    if table := hospitals_table(runs):
        _print(f"\n### Hospitals alone and together\n\n{table}")
    # What is trained for a first look is not what the targets are for.
    if not quick:
        _print_targets(verdicts(runs))


def _print_targets(rows: "Sequence[TargetVerdict]") -> None:
    """Print what became of the targets whose runs are there."""
    from medward.report.targets import NOT_RUN, verdict_table

    if judged := [row for row in rows if row.verdict != NOT_RUN]:
        _print(f"\n### Targets\n\n{verdict_table(judged)}")


def _plot(folder: Path, kind: str, name: str, draw: Callable[[Path], bool]) -> None:
    """Draw a data set's comparison into a file that is named after both."""
    path = folder / f"{kind.replace(',', '').replace(' ', '-')}-{name}.svg"
    errors().print(f"Drawn: {path}" if draw(path) else f"Nothing to draw in {path}: other runs are needed for it.")


def _print(text: str) -> None:
    Console(soft_wrap=True).print(text, markup=False)


def _protocol(word: str) -> "Protocol":
    if word == "honest":
        return "honest"
    if word == "random":
        return "random"
    if word == "paper":
        return "paper"
    raise BadUsage(f"--protocol takes honest, random or paper, not {word}.")


def _refuse_negative(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise BadUsage(f"--{name} takes 1 or more, not {count}.")


def _make_folders(results: Path | None, plots: Path | None) -> None:
    """Make the folders that are written to, so that none is found missing after the first run."""
    for option, folder in (("--results", results.parent if results else None), ("--plots", plots)):
        if folder is None:
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadUsage(f"{option}: the folder {folder} cannot be made ({error.strerror}): name another.") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise BadUsage(f"{option}: the folder {folder} cannot be written to: name another.")


def _refuse_schema(schema: Path | None, data: list[str], over_time: bool) -> None:
    """Refuse what does not go with --schema."""
    if schema is not None and len(data) > 1:
        raise BadUsage("--schema describes one table: give one --data with it.")
    if schema is not None and over_time:
        raise BadUsage("--over-time compares on data sets that medward knows: leave out --schema.")


def _refuse_over_time(protocol: "Protocol", without_fingerprints: bool, jobs: int) -> None:
    """Refuse what does not go with --over-time."""
    if protocol != "honest":
        raise BadUsage("--over-time compares on honest splits only: leave out --protocol.")
    if without_fingerprints:
        raise BadUsage("--over-time compares with all features only: leave out --without-fingerprints.")
    if jobs:
        raise BadUsage("--over-time makes one run after the other: leave out --jobs.")


def _how_to_go_on(results: Path | None) -> str:
    if results is None:
        return "stopped; with --results FILE finished runs are kept, and the same command goes on after them"
    return f"stopped; finished runs are kept in {results}, and the same command goes on after them"


def _methods(words: list[str]) -> list[str]:
    """Return the methods of these names, short or full; refuse those that do not exist or cannot be run here."""
    from medward.agents.baselines.tabular import BASELINES
    from medward.studies.study import METHODS

    methods = _named(words, METHODS, "")
    absent = [baseline.name for baseline in BASELINES if baseline.name in methods and not baseline.installed]
    if absent:
        raise BadUsage(f"{absent[0]} is not installed: pip install 'medward[bench-trees]'.")
    return methods


def _named(words: list[str], known: Sequence[str], where: str) -> list[str]:
    """Return the methods of these names; say where there is none of one."""
    from medward.studies.study import method_named, short_name

    found = []
    for word in words:
        method = method_named(word, known)
        if method is None:
            raise BadUsage(f"There is no method {word}{where}: use one of {', '.join(map(short_name, known))}.")
        found.append(method)
    return found


def _over_time(
    data: list[str],
    seeds: int,
    method: list[str],
    byte_prices: list[float],
    quick: bool,
    results: Path | None,
    plots: Path | None,
    as_json: bool,
) -> None:
    """Print the comparison over time."""
    from medward.agents.watch.network import WatchRecipe
    from medward.report.targets import over_time_verdicts
    from medward.studies.watch_study import (
        BASE,
        LEARNED,
        METHODS,
        PRICE,
        RULES,
        WatchStudy,
        at_price,
        run_watch_study,
    )

    known = (*RULES, *LEARNED)
    method = _named(method, known, " over time")
    for price in byte_prices:
        if not 0 <= price < math.inf:
            raise BadUsage(f"--byte-price takes 0 or more, not {price}.")
    # Every difference is to the rule, so the rule is always there.
    methods = list(dict.fromkeys([BASE, *method])) if method else METHODS
    recipe = WatchRecipe(updates=1000) if quick else WatchRecipe()
    study = WatchStudy(range(seeds), methods, recipe, results, list(dict.fromkeys(byte_prices)) or (PRICE,))
    say("comparing over time")
    document: dict[str, Any] = {"over_time": True, "quick": quick, "data": {}}
    kind, everything = "over time" + (", quick" if quick else ""), []
    for name in data:
        dataset, flows = open_data(name, 0)
        runs = run_watch_study(study, dataset, partial(_rows, name, flows), _say_over_time)
        document["data"][dataset.name] = {"synthetic": dataset.schema.synthetic, "runs": runs}
        everything += at_price(runs)
        title = _title(dataset, kind)
        if not as_json:
            _print_over_time(title, runs)
        if plots:
            _plot_over_time(plots, kind, dataset.name, title, runs)
    if as_json:
        print_json(document)
        return
    if not quick:
        _print_targets(over_time_verdicts(everything))


def _print_over_time(title: str, runs: list[dict[str, Any]]) -> None:
    """Print one data set's comparison over time: at its only price of a byte, or at the usual one and then at all."""
    from medward.studies.watch_study import comparison, limits_table, price_table, watch_table

    _print(f"\n### {title}")
    if own := comparison(runs):
        _print(f"\n{watch_table(own)}")
        if limited := limits_table(own):
            _print(f"\nAll held to the same false alarms in 1,000 benign validation windows:\n\n{limited}")
    if prices := price_table(runs):
        _print(f"\nAt each price of a byte of evidence:\n\n{prices}")


def _plot_over_time(folder: Path, kind: str, name: str, title: str, runs: list[dict[str, Any]]) -> None:
    """Draw what is printed of one data set's comparison over time."""
    from medward.report.plots import draw_costs, draw_prices
    from medward.studies.watch_study import comparison, several_prices

    if own := comparison(runs):
        _plot(folder, kind, name, partial(draw_costs, title=title, runs=own))
    if several_prices(runs):
        _plot(folder, f"{kind}, prices", name, partial(draw_prices, title=title, runs=runs))


def _say_over_time(run: dict[str, Any]) -> None:
    from medward.studies.watch_study import at_price

    cost = sum(run["blocks"]["cost"]) / sum(run["blocks"]["windows"])
    price = "" if at_price([run]) else f", {run['byte_price']:g} a byte"
    errors().print(
        f"{run['data']}, over time{price}, seed {run['seed']}, {run['method']}: cost of 1000 windows "
        f"{1000 * cost:.2f} ({run['seconds']} s)"
    )


def _rows(name: str, flows: "Flows", seed: int) -> "Flows":
    """Return the rows for a seed: the ward is drawn anew for each, real data is what it is."""
    return open_data(name, seed)[1] if name == "ward" else flows


def _say_begun(name: str, before: int, every: int) -> None:
    say(f"run {before + 1} of {every}: {name}")


def _say(run: dict[str, Any]) -> None:
    binary = run["metrics"]["binary"]["macro_f1"]
    multiclass = run["metrics"]["multiclass"]["macro_f1"]
    errors().print(
        f"{run['data']}, {run['protocol']}, seed {run['seed']}, {run['method']}: binary macro-F1 {binary:.4f}, "
        f"multi-class {multiclass:.4f} ({run['seconds']} s)"
    )
