"""Plots of a comparison as SVG files: what each method scores, and what each costs over time.

A file says in its metadata, in words, every number that is drawn in it, so that it can be held to the runs that it
was drawn from.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medward.report.charts import drawing
from medward.report.tables import by_method, spread
from medward.studies.watch_study import by_price, held_to_limits, several_prices

#: Below the scale of everything else: it would squeeze the others together.
_LEFT_OUT = "majority"
_PANELS = (("binary macro-F1", "binary"), ("multi-class macro-F1", "multiclass"))
_SENTINEL, _OTHER = "#0b6e99", "#6b6b6b"
# The rules and the watches come in pairs, which differ in dash as well as in mark.
_STYLES = (("-", "o"), ("--", "s"), ("-", "^"), ("--", "D"), (":", "v"), ("-.", "P"))
_WIDTH_INCHES, _ROW_INCHES, _FRAME_INCHES = 8.4, 0.26, 0.9
# Untyped keys: matplotlib's newer stubs know each by name, its older ones none.
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 1.0,
}


def scores_described(runs: Sequence[dict[str, Any]]) -> str:
    """Return in words what `draw_scores` draws: each method's macro-F1s, best in naming attacks first."""
    sentences = []
    for method, own in _ranked(runs):
        parts = [f"{label} {spread(_scores(own, group))}" for label, group in _PANELS]
        sentences.append(f"{method}: {', '.join(parts)}.")
    return " ".join(sentences)


def draw_scores(path: Path, title: str, runs: Sequence[dict[str, Any]]) -> bool:
    """Draw each method's binary and multi-class macro-F1 on one data set: each seed, the mean, the standard deviation.

    Args:
        path: the file to write.
        title: what the runs are of.
        runs: as `medward.studies.side_by_side.run_studies` returns them, of one data set and protocol.

    Returns:
        Whether there was something to draw: the majority's scores are left out, since they lie far below all others.
    """
    ranked = _ranked(runs)
    if not ranked:
        return False
    with drawing(_SETTINGS, path.stem):
        figure = Figure(figsize=(_WIDTH_INCHES, _FRAME_INCHES + _ROW_INCHES * len(ranked)), layout="constrained")
        figure.suptitle(title, fontsize=10)
        for axes, (label, group) in zip(figure.subplots(1, 2, sharey=True), _PANELS, strict=True):
            _draw_panel(axes, [(method, _scores(own, group)) for method, own in ranked])
            axes.set_xlabel(f"{label}, test rows")
        _write(figure, path, title, scores_described(runs))
    return True


def costs_described(runs: Sequence[dict[str, Any]]) -> str:
    """Return in words what `draw_costs` draws; empty if there is nothing to draw."""
    sentences = []
    for method, spots in _spots(runs).items():
        words = [f"{cost:.2f} at {alarms:.2f}" for cost, alarms in spots]
        sentences.append(f"{method}: cost {', '.join(words)} false alarms.")
    return " ".join(sentences)


def draw_costs(path: Path, title: str, runs: Sequence[dict[str, Any]]) -> bool:
    """Draw what each method costs over time, and its false alarms, under each of `medward.studies.watch_study.LIMITS`.

    Args:
        path: the file to write.
        title: what the runs are of.
        runs: as `medward.studies.watch_study.run_watch_study` returns them, of one data set.

    Returns:
        Whether there was something to draw: it takes runs of every method of `medward.studies.watch_study.METHODS`, and
        a limit that changes what one of them does.
    """
    lines = _spots(runs)
    if not lines:
        return False
    with drawing(_SETTINGS, path.stem):
        figure = Figure(figsize=(_WIDTH_INCHES / 2, 3.4), layout="constrained")
        axes = figure.subplots()
        for (method, spots), (dash, mark) in zip(lines.items(), _STYLES, strict=False):
            costs, alarms = zip(*spots, strict=True)
            axes.plot(alarms, costs, color=_colour(method), linestyle=dash, marker=mark, markersize=5, label=method)
        axes.set(xlabel="false alarms in 1,000 benign windows", ylabel="cost of 1,000 windows")
        axes.set_xlim(left=0)
        axes.set_title(title, fontsize=10)
        axes.legend(fontsize=8)
        _write(figure, path, title, costs_described(runs))
    return True


def prices_described(runs: Sequence[dict[str, Any]]) -> str:
    """Return in words what `draw_prices` draws; empty if there is nothing to draw."""
    sentences = []
    for method, spots in _over_prices(runs).items():
        words = [f"{cost:.2f} and {many:.2f} bytes at {price:g}" for price, cost, many in spots]
        sentences.append(f"{method}: cost {', '.join(words)}.")
    return " ".join(sentences)


def draw_prices(path: Path, title: str, runs: Sequence[dict[str, Any]]) -> bool:
    """Draw what each method costs over time, and the evidence it buys, over the price of a byte.

    Args:
        path: the file to write.
        title: what the runs are of.
        runs: as `medward.studies.watch_study.run_watch_study` returns them, of one data set and several prices.

    Returns:
        Whether there was something to draw: it takes two prices.
    """
    lines = _over_prices(runs)
    if not lines:
        return False
    with drawing(_SETTINGS, path.stem):
        figure = Figure(figsize=(_WIDTH_INCHES, 3.4), layout="constrained")
        figure.suptitle(title, fontsize=10)
        costs, bought = figure.subplots(1, 2)
        # Prices are stations: the first may be 0, and each of the others is a multiple of the one before.
        stations = sorted({price for spots in lines.values() for price, _, _ in spots})
        for (method, spots), (dash, mark) in zip(lines.items(), _STYLES, strict=False):
            look: dict[str, Any] = {"color": _colour(method), "linestyle": dash, "marker": mark, "markersize": 5}
            places = [stations.index(price) for price, _, _ in spots]
            costs.plot(places, [cost for _, cost, _ in spots], **look)
            bought.plot(places, [many for _, _, many in spots], label=method, **look)
        for axes in (costs, bought):
            axes.set_xticks(range(len(stations)), [f"{price:g}" for price in stations])
        costs.set(xlabel="price of a byte, in missed attack windows", ylabel="cost of 1,000 windows")
        bought.set(xlabel="price of a byte, in missed attack windows", ylabel="bytes of evidence a window")
        bought.set_ylim(bottom=0)
        bought.legend(fontsize=8, loc="upper right")
        _write(figure, path, title, prices_described(runs))
    return True


def _draw_panel(axes: Axes, scores: Sequence[tuple[str, Sequence[float]]]) -> None:
    for place, (method, values) in enumerate(reversed(scores)):
        colour = _colour(method)
        reach = stdev(values) if len(values) > 1 else 0.0
        axes.plot(values, [place] * len(values), "|", color=colour, alpha=0.5, markersize=7)
        axes.errorbar(fmean(values), place, xerr=reach, fmt="o", color=colour, markersize=4.5, linewidth=1.2)
    axes.set_yticks(range(len(scores)), [method for method, _ in reversed(scores)])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=(1, 2, 5, 10)))
    axes.tick_params(axis="y", length=0)


def _ranked(runs: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    shown = [(method, own) for method, own in by_method(runs).items() if method != _LEFT_OUT]
    return sorted(shown, key=lambda item: -fmean(_scores(item[1], "multiclass")))


def _spots(runs: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return each method's different costs and false alarms under the limits; empty if no method has two."""
    found = {method: list(dict.fromkeys(points)) for method, points in held_to_limits(runs).items()}
    return found if any(len(spots) > 1 for spots in found.values()) else {}


def _over_prices(runs: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float, float]]]:
    """Return each method's prices, costs and bytes; empty unless there are two prices."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for price, here in by_price(runs).items() if several_prices(runs) else ():
        for method, done in here.items():
            found.setdefault(method, []).append((price, done.cost, done.evidence_bytes))
    return found


def _scores(runs: Sequence[dict[str, Any]], group: str) -> list[float]:
    return [run["metrics"][group]["macro_f1"] for run in runs]


def _colour(method: str) -> str:
    return _SENTINEL if method.startswith("Sentinel") else _OTHER


def _write(figure: Figure, path: Path, title: str, description: str) -> None:
    # Left to itself, the file would carry a date and a version.
    words = {"Title": title, "Description": description, "Date": None, "Creator": None}
    figure.savefig(path, format="svg", facecolor="white", metadata=words)
