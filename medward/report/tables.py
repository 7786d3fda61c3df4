"""The tables of a comparison in Markdown: the main one, the measures that it has no room for, each class's recall."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

COLUMNS = {
    "binary accuracy": ("binary", "accuracy"),
    "binary macro-F1": ("binary", "macro_f1"),
    "attack recall": ("binary", "attack_recall"),
    "false alarms": ("binary", "false_alarm_rate"),
    "AUROC": ("binary", "auroc"),
    "multi-class macro-F1": ("multiclass", "macro_f1"),
}
MEASURES = {
    "multi-class accuracy": ("multiclass", "accuracy"),
    "AUPRC": ("binary", "auprc"),
    "recall at 0.1 % false alarms": ("binary", "recall_at_0.1%_false_alarms"),
    "recall at 1 % false alarms": ("binary", "recall_at_1%_false_alarms"),
}
_COSTS = {"expected cost": "expected_cost", "evidence bought": "escalation_rate"}
_WORST = {"worst hospital, binary": "binary_macro_f1", "worst hospital, multi-class": "multiclass_macro_f1"}


def markdown_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return one table: a row for each method, mean and spread (standard deviation) over the seeds."""
    seen = [run["unseen"] for run in runs if run["unseen"]]
    unseen = {"unseen binary": "binary_macro_f1", "unseen multi-class": "multiclass_macro_f1"} if seen else {}
    head = ["method", *COLUMNS, *unseen]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for method, own in by_method(runs).items():
        cells = [spread([run["metrics"][group][name] for run in own]) for group, name in COLUMNS.values()]
        cells += [spread([run["unseen"][name] if run["unseen"] else None for run in own]) for name in unseen.values()]
        lines.append(f"| {' | '.join([method, *cells])} |")
    return "\n".join(lines)


def measures_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return a table of more measures, means over the seeds: a row for each method, on each of several data sets.

    What costs and evidence are is in spec/sentinel.md, and so is the worst hospital, by its two macro-F1s; methods that
    have none show a dash.
    """
    names = list(dict.fromkeys(run["data"] for run in runs))
    several = len(names) > 1
    head = [*(["data set"] if several else []), "method", "seeds", *MEASURES, *_COSTS, *_WORST]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in names:
        for method, own in by_method([run for run in runs if run["data"] == name]).items():
            cells = [_mean([run["metrics"][group][key] for run in own]) for group, key in MEASURES.values()]
            cells += [_mean([run.get(key) for run in own]) for key in _COSTS.values()]
            cells += [_mean([(run.get("worst_hospital") or {}).get(key) for run in own]) for key in _WORST.values()]
            lines.append(f"| {' | '.join([*([name] if several else []), method, str(len(own)), *cells])} |")
    return "\n".join(lines)


def recall_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return a table of the recall of each class on one data set, means over the seeds: a row for each method."""
    recall = {
        method: [run["metrics"]["multiclass"]["per_class_recall"] for run in own]
        for method, own in by_method(runs).items()
    }
    classes = list(dict.fromkeys(name for found in recall.values() for one in found for name in one))
    lines = [f"| method | {' | '.join(classes)} |", "|" + "---|" * (1 + len(classes))]
    for method, found in recall.items():
        lines.append(f"| {' | '.join([method, *(_mean([one.get(name) for one in found]) for name in classes)])} |")
    return "\n".join(lines)


def by_method(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of each method, the methods in the order in which they come."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        found[run["method"]].append(run)
    return found


def _mean(values: Sequence[float | None]) -> str:
    """Return the mean of what is known."""
    known = [value for value in values if value is not None]
    return f"{fmean(known):.3f}" if known else "–"


def spread(values: Sequence[float | None]) -> str:
    """Return the mean of what is known and, of several, the standard deviation; a dash of nothing."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{fmean(known):.3f}" + (f" ± {stdev(known):.3f}" if len(known) > 1 else "")
