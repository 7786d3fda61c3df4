"""Two methods side by side: the classes on which Sentinel is behind, and hospitals alone beside their federation."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from medward.report.targets import BOOSTING, FEDERATED, paired
from medward.studies.study import ALONE

_GROUPS = (("binary", "binary"), ("multi-class", "multiclass"))
_BEHIND = 3


def classes_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return for each data set the three classes on which boosting's recall is furthest ahead of Sentinel's.

    Args:
        runs: as `medward.studies.side_by_side.run_studies` returns them, of one protocol.

    Returns:
        A table of means over the seeds; empty if no data set has runs of both methods.
    """
    lines = []
    for name in dict.fromkeys(run["data"] for run in runs):
        own, other = ([run for run in runs if (run["data"], run["method"]) == (name, m)] for m in (FEDERATED, BOOSTING))
        if own and other:
            mine, theirs = _recall(own), _recall(other)
            order = sorted((label for label in mine if label in theirs), key=lambda label: mine[label] - theirs[label])
            for label in order[:_BEHIND]:
                pair = f"{mine[label]:.3f} | {theirs[label]:.3f} | {mine[label] - theirs[label]:+.3f}"
                lines.append(f"| {name} | {label} | {pair} |")
    return _table(["data set", "class", f"recall, {FEDERATED}", BOOSTING, "difference"], lines)


def hospitals_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return what each hospital's own Sentinel scores beside the federation's, and how the worst hospital is served.

    Args:
        runs: as `medward.studies.side_by_side.run_studies` returns them, of one protocol.

    Returns:
        A table of means over the seeds that both have, the interval as `paired` has it; empty if there are none.
    """
    lines = []
    for name in dict.fromkeys(run["data"] for run in runs):
        together, alone = (
            {run["seed"]: run for run in runs if (run["data"], run["method"]) == (name, method) and _served(run)}
            for method in (FEDERATED, ALONE)
        )
        seeds = sorted(set(together) & set(alone))
        if seeds:
            pairs = [(together[seed], alone[seed]) for seed in seeds]
            lines += [f"| {name} | {word} | {' | '.join(_hospitals(pairs, group))} |" for word, group in _GROUPS]
    head = ["data set", "macro-F1", "seeds", "whole test part: federated", "alone, mean", "alone, worst"]
    head += ["worst hospital, own test rows: federated", "alone", "difference [95 %]"]
    return _table(head, lines)


def _hospitals(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], group: str) -> list[str]:
    """Return the cells of one row: how many seeds, the whole test part, the worst hospital on its own test rows."""
    whole = [(one["metrics"], other["metrics"], other["worst"]) for one, other in pairs]
    cells = [f"{fmean(found[group]['macro_f1'] for found in column):.3f}" for column in zip(*whole, strict=True)]
    served = [pair for pair in pairs if all(run["worst_hospital"] for run in pair)]
    if not served:
        return [str(len(pairs)), *cells, "–", "–", "–"]
    own, other = ([run["worst_hospital"][f"{group}_macro_f1"] for run in runs] for runs in zip(*served, strict=True))
    mean, low, high = paired(own, other)
    cells += [f"{fmean(own):.3f}", f"{fmean(other):.3f}", f"{mean:+.3f}"]
    if len(served) > 1:
        cells[-1] += f" [{low:+.3f}, {high:+.3f}]"
    return [str(len(pairs)), *cells]


def _served(run: dict[str, Any]) -> bool:
    """Say whether a run knows its worst hospital; those that were kept before it was measured do not."""
    return "worst_hospital" in run


def _recall(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean recall of each class over the runs whose test part has it."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for label, value in run["metrics"]["multiclass"]["per_class_recall"].items():
            found.setdefault(label, []).append(value)
    return {label: fmean(values) for label, values in found.items()}


def _table(head: Sequence[str], lines: Sequence[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines]) if lines else ""
