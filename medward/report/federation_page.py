"""The report of a federation: metrics.json for programs and report.html for people, of a demo or as one node knows it.

The page stands alone: no script, nothing from elsewhere, the same bytes for the same document. Its Content-Security-
Policy holds it to that, whatever a data file calls its classes.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from medward import __version__
from medward.report.charts import Curve, draw_curves
from medward.report.templating import new_environment
from medward.whole_file import write_whole

NO_VALUE = "–"
ROUNDS_SHOWN = 12
NAMES_SHOWN = 5
#: What a round's seconds are spent on, by family, in the order of a bar.
FAMILIES = {
    "learning": ("train",),
    "encryption": ("encrypt", "check", "share", "combine"),
    "ledger and store": ("store", "order"),
    "waiting": ("wait",),
}
ACTIVITIES = tuple(activity for family in FAMILIES.values() for activity in family)
PROTECTIONS = {
    "none": "none: updates were summed in the open",
    "aggregate": "aggregate: updates were encrypted, only their sum was decrypted",
    "outsourced": "outsourced: training on ciphertexts",
}


@dataclass(frozen=True)
class Figure:
    """One key figure.

    Args:
        label: its name.
        value: the figure, formatted.
        meaning: one sentence on what it counts.
        always_normal: what a detector scores that never alerts, formatted.
    """

    label: str
    value: str
    meaning: str
    always_normal: str


def write_report(out: Path, document: dict[str, Any]) -> None:
    """Write `metrics.json` and `report.html` into a folder; each is replaced as a whole or not at all.

    Args:
        out: the folder; made where it is missing.
        document: what `medward demo` measured, with the rounds' reports as `rounds_log` and, of training on encrypted
            rows, what the ledger says of its tasks as `tasks_log`; for each hospital of `hospitals` its name, rows,
            attack_share and classes, and test_rows and its measures where there are some; and as `classes` the names of
            the confusion matrix's rows and columns, of which the first is the benign one.

    Raises:
        OSError: a file cannot be written.
    """
    metrics = (json.dumps(document, indent=2) + "\n").encode()
    page = page_of(json.loads(metrics))
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "metrics.json", metrics)
    write_whole(out / "report.html", page)


def page_of(document: dict[str, Any]) -> bytes:
    """Return `report.html` as it follows from `metrics.json` alone; the same document gives the same bytes.

    Args:
        document: see `write_report`, read back from JSON.
    """
    # A path may hold bytes that are no text; they must not cost the report.
    return _render(document, document["hospitals"], document["classes"]).encode(errors="replace")


def write_node_report(path: Path, document: dict[str, Any], hospitals: Sequence[Mapping[str, Any]]) -> None:
    """Write the page of a federation as one of its nodes knows it; it is replaced as a whole or not at all.

    Args:
        path: the page.
        document: what `medward demo` would have of it; `member` is the node, `home` its folder, and `metrics` and
            `classes` are None where the node has no labelled rows of its own.
        hospitals: as for `write_report`, with what is not known left None.

    Raises:
        OSError: the file cannot be written.
    """
    page = _render(document, hospitals, document["classes"])
    write_whole(path, page.encode(errors="replace"))


@cache
def _environment() -> Environment:
    environment = new_environment()
    environment.filters |= {"score": score, "share": share, "bytes": size, "seconds": seconds, "count": count}
    environment.filters["breakable"] = breakable
    return environment


def _render(document: dict[str, Any], hospitals: Sequence[Mapping[str, Any]], classes: Sequence[str] | None) -> str:
    names = [str(hospital["hospital"]) for hospital in hospitals]
    matrix = None if classes is None else _matrix(document["metrics"]["multiclass"]["confusion"], classes)
    log, tasks = document["rounds_log"], document.get("tasks_log", [])
    return (
        _environment()
        .get_template("federation.html.j2")
        .render(
            document=document,
            member=document.get("member"),
            version=__version__,
            protection=PROTECTIONS.get(document["protect"], document["protect"]),
            figures=[] if matrix is None else _figures(document, matrix),
            matrix=matrix,
            charts=_charts(log),
            hospitals=_hospitals(hospitals, log, tasks),
            rounds=_rounds(log, names),
            tasks=_tasks(tasks),
            times=_times(log),
            known_activities=ACTIVITIES,
            rounds_shown=ROUNDS_SHOWN,
            totals=_totals(log, tasks),
            command=_command(document),
            audit_command=_audit_command(document),
            evaluate_command=["medward", "evaluate", "--model", shlex.quote(document["model"]), "--data", "FILE"],
        )
    )


def _matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> dict[str, Any]:
    """The confusion matrix with shares by row, and what follows from it for each class."""
    total = sum(map(sum, confusion))
    rows = []
    for truth, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        held = sum(counts)
        rows.append(
            {
                "name": name,
                "held": held,
                "cells": [
                    {"count": n, "share": n / held if held else None, "right": decision == truth}
                    for decision, n in enumerate(counts)
                ],
                "recall": counts[truth] / held if held else None,
                "alerted": 1 - counts[0] / held if held else None,
                "benign": truth == 0,
            }
        )
    return {
        "classes": list(classes),
        "rows": rows,
        "total": total,
        "benign_share": sum(confusion[0]) / total if total and confusion else None,
        "present": sum(1 for row in rows if row["held"]),
    }


def _figures(document: dict[str, Any], matrix: dict[str, Any]) -> list[Figure]:
    binary, multiclass = document["metrics"]["binary"], document["metrics"]["multiclass"]
    classes = matrix["present"]
    normal = _always_normal(matrix["benign_share"], classes)
    return [
        Figure(
            "Binary macro-F1",
            score(binary["macro_f1"]),
            "The mean of the F1 for attacks and the F1 for benign windows; 1 is perfect.",
            score(normal["binary_f1"]),
        ),
        Figure(
            "Attack recall",
            share(binary["attack_recall"]),
            "Of all attack windows, those that raised an alert.",
            share(normal["recall"]),
        ),
        Figure(
            "False-alarm rate",
            share(binary["false_alarm_rate"]),
            "Of all benign windows, those that raised an alert; lower is better.",
            share(normal["false_alarms"]),
        ),
        Figure(
            "AUROC",
            score(binary["auroc"]),
            "How often a random attack window looks more suspicious than a random benign one; 0.5 is guessing.",
            score(normal["auroc"]),
        ),
        Figure(
            "Multi-class macro-F1",
            score(multiclass["macro_f1"]),
            f"The mean F1 over the {classes} classes in the test rows; a rare attack counts as much as a common one.",
            score(normal["multiclass_f1"]),
        ),
        Figure(
            "Expected cost a window",
            score(document["expected_cost"]),
            "The mean cost of a decision, escalations included; 1 is what one missed attack costs, 0 is perfect.",
            score(normal["cost"]),
        ),
        Figure(
            "Escalation rate",
            share(document["escalation_rate"]),
            "The windows for which the detector bought the expensive evidence before it decided.",
            share(0.0),
        ),
    ]


def _always_normal(benign: float | None, classes: int) -> dict[str, float | None]:
    """What a detector scores that never alerts, from the share of benign rows and the number of classes present."""
    if benign is None:
        return dict.fromkeys(("binary_f1", "recall", "false_alarms", "auroc", "multiclass_f1", "cost"))
    both = 0 < benign < 1
    # Its precision for benign is the share p, its recall 1, so that F1 is 2p / (1 + p); for every attack it is 0.
    f1 = 2 * benign / (1 + benign)
    return {
        "binary_f1": f1 / 2 if both else None,
        "recall": 0.0 if benign < 1 else None,
        "false_alarms": 0.0 if benign > 0 else None,
        "auroc": 0.5 if both else None,
        "multiclass_f1": f1 / classes,
        "cost": 1 - benign,  # the unit of cost is one missed attack
    }


def caution_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return, as a sentence, whether a model is of no use: it costs as much as a detector that never alerts.

    Args:
        document: see `write_report`.

    Returns:
        Nothing where the model costs less, or no test row is an attack.
    """
    matrix = _matrix(document["metrics"]["multiclass"]["confusion"], document["classes"])
    silent = _always_normal(matrix["benign_share"], matrix["present"])["cost"]
    if not silent or document["expected_cost"] < silent:
        return ()
    return (
        f"a decision of this model costs {document['expected_cost']:.4f} on the test rows, and a detector that never "
        f"alerts costs {silent:.4f}: the model is of no use; train on more rows, in more rounds or with more features",
    )


def _charts(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    numbers = [report["round"] for report in log]
    void = [report["round"] for report in log if report["outcome"] != "final"]

    def curve(name: str, key: str) -> Curve:
        return Curve(name, [(report["validation"] or {}).get(key) for report in log])

    f1 = (curve("binary macro-F1", "binary_macro_f1"), curve("multi-class macro-F1", "multiclass_macro_f1"))
    cost = (curve("expected cost a window", "expected_cost"),)
    better = (
        ("Macro-F1: higher is better", draw_curves("chart-f1", "Macro-F1 over the rounds", numbers, f1, void, top=1.0)),
        ("Expected cost: lower is better", draw_curves("chart-cost", "Cost over the rounds", numbers, cost, void)),
    )
    return [{"caption": caption, "svg": svg} for caption, svg in better if svg is not None]


def _hospitals(
    hospitals: Sequence[Mapping[str, Any]], log: Sequence[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The hospitals with the sums they were part of; the worst by macro-F1 is marked unless all are alike."""
    measured = {f1 for hospital in hospitals if (f1 := hospital.get("macro_f1")) is not None}
    worst = min(measured) if len(measured) > 1 else None
    measures = dict.fromkeys(("test_rows", "macro_f1", "attack_recall", "false_alarm_rate"))
    sums = [report["cohort"] for report in log] + [task["rows"] for task in tasks if not task["ended"]]
    return [
        {
            **measures,
            **hospital,
            "sums": sum(1 for members in sums if hospital["hospital"] in members),
            "worst": worst is not None and hospital.get("macro_f1") == worst,
        }
        for hospital in hospitals
    ]


def _times(log: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the time of each round went: one bar and one row of seconds a round, and what a training round takes."""
    told = {activity for report in log for activity in report["seconds"]}
    activities = [a for a in ACTIVITIES if a in told] + sorted(told - set(ACTIVITIES))
    rows = []
    for report in log:
        spent = [report["seconds"].get(activity) for activity in activities]
        total = sum(report["seconds"].values())
        bar = [(a, s / total) for a, s in zip(activities, spent, strict=True) if s]
        rows.append({"round": report["round"], "task": report["task"], "spent": spent, "total": total, "bar": bar})
    trained = [r["seconds"] for r in log if r["outcome"] == "final" and r["task"] in ("train", "gram") and r["seconds"]]
    medians = {
        family: median(sum(spent.get(a, 0.0) for a in members) for spent in trained)
        for family, members in FAMILIES.items()
        if trained and told & set(members)
    }
    return {"activities": activities, "rows": rows, "medians": medians, "ordered": "order" in told}


def _checked(report: Mapping[str, Any]) -> dict[str, str]:
    """What was shown in a round and what became of it, in words; NO_VALUE where it never came to that."""
    checks = report.get("checks") or {}
    shown, complaints, answers = (checks.get(what, 0) for what in ("contributions", "complaints", "answers"))
    settled = f", {checks.get('shown', 0)} shown" if complaints else ""
    return {
        "contributions": f"{checks.get('in_the_cohort', 0)} of {shown}" if shown else NO_VALUE,
        "complaints": f"{complaints}{settled}" if shown else NO_VALUE,
        "answers": str(answers) + (", audited" if checks.get("audited") else "") if answers else NO_VALUE,
    }


def _rounds(log: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    rows = []
    for report in log:
        final = report["outcome"] == "final"
        # Nobody was summed in a void round, so being absent from its empty cohort says nothing of a hospital.
        missing = [name for name in names if name not in report["cohort"]] if final else []
        left_out = len(missing) - NAMES_SHOWN
        rows.append(
            {
                **report,
                "final": final,
                "missing": ", ".join(missing[:NAMES_SHOWN]) + (f" and {left_out} more" if left_out > 0 else ""),
                "checked": _checked(report),
            }
        )
    return {
        "rows": rows,
        "sites": len(names),
        "named": _named(log),
        "checked": any(report.get("checks") for report in log),
        "missing": any(row["missing"] for row in rows),
    }


def _named(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each round put into the store, by content identifier."""
    rows = []
    for report in log:
        blobs = [(f"contribution of {member}", name) for member, name in report.get("contributions", {}).items()]
        blobs += [(f"answer of {holder}", name) for holder, name in report.get("answers", {}).items()]
        blobs += [("model", report["model"])] if report.get("model") else []
        rows.append({"round": report["round"], "task": report["task"], "blobs": blobs})
    return rows


def _tasks(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tasks on encrypted rows: whose rows, who computed what was opened, and what each put into the store."""
    kinds = (("encrypted rows", "tables"), ("result", "results"), ("shares", "shares"))
    return [
        {
            "number": int(task["task"]),
            "rows": task["rows"],
            "computed": [member for member, result in task["results"].items() if result == task["result"]],
            "others": [member for member, result in task["results"].items() if result != task["result"]],
            "ended": task["ended"],
            "blobs": [(f"{what} of {member}", name) for what, key in kinds for member, name in task[key].items()],
        }
        for task in tasks
    ]


def _totals(log: Sequence[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    final = [report for report in log if report["outcome"] == "final"]
    return {
        "rounds": len(log),
        "final": len(final),
        "sums": len(final) + sum(1 for task in tasks if not task["ended"]),
        "void": len(log) - len(final),
        "surveys": sum(1 for report in final if report["task"] == "survey"),
        "trained": sum(1 for report in final if report["task"] in ("train", "gram")),
        "bytes_up": sum(report["bytes_up"] for report in log),
        "bytes_down": sum(report["bytes_down"] for report in log),
        "measured": [report["round"] for report in log if report["validation"]],
    }


def _command(document: dict[str, Any]) -> list[str]:
    """The words, quoted for a shell, that run the demo again; the page breaks lines only between them."""
    words = ["medward", "demo"]
    for option, value in document["options"].items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is not False:
                words += [f"--{option}"] if one is True else [f"--{option}", shlex.quote(str(one))]
    return [*words, "--out", "medward-again"]


def _audit_command(document: dict[str, Any]) -> list[str]:
    """The words that check what the nodes left behind; none where no audit reads their ledger, or none ran."""
    if "home" in document:
        return ["medward", "audit", "--home", shlex.quote(document["home"])]
    if document["options"].get("ledger") != "pbft":
        return []
    return ["medward", "audit", "--home", shlex.quote(str(Path(document["report"]).parent))]


def score(value: float | None) -> str:
    """Format a measure between 0 and about 1 with four decimals."""
    return NO_VALUE if value is None else f"{value:.4f}"


def share(value: float | None) -> str:
    """Format a share as per cent; only none is "0 %" and only all is "100 %"."""
    if value is None:
        return NO_VALUE
    if value in (0, 1):
        return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
    text = f"{100 * value:.2f}" if value < 0.01 else f"{100 * value:.1f}"
    text = {"0.00": "< 0.01", "100.0": "> 99.9"}.get(text, text).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{text}\N{NO-BREAK SPACE}%"


def count(value: int | None) -> str:
    """Format a number of things, thousands apart."""
    return NO_VALUE if value is None else f"{value:,}"


def size(value: float | None) -> str:
    """Format a number of bytes in units of a thousand."""
    if value is None:
        return NO_VALUE
    if value < 1000:
        return f"{value:.0f}\N{NO-BREAK SPACE}B"
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:#.3g}".removesuffix(".") + f"\N{NO-BREAK SPACE}{unit}"


def seconds(value: float | None) -> str:
    """Format seconds, with three digits or so; only none at all is zero."""
    if value is None:
        return NO_VALUE
    if 0 < value < 0.01:
        return "<\N{NO-BREAK SPACE}0.01"
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def breakable(name: str) -> Markup:
    """Escape a name and let it break after its underscores, where names of attacks have no spaces."""
    return escape(name).replace("_", Markup("_<wbr>"))
