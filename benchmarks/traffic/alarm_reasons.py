"""Why a model alerts on harmless public captures: which measures, and how much of a window lies outside of training.

    python benchmarks/traffic/alarm_reasons.py run MODEL TRAIN PUBLIC --keep   MODEL's alerts on the tables of PUBLIC
    python benchmarks/traffic/alarm_reasons.py cover BEFORE AFTER --keep       what benign windows of two TRAINs show
    python benchmarks/traffic/alarm_reasons.py table reasons|cover             a table of docs/results/gateway.md

MODEL was trained on the tables of TRAIN; PUBLIC holds tables of public captures, both as laboratory.py makes them.
Looks at the half of the benign captures that `laboratory.is_looked_at` picks, never at the other one. Reasons are those
that `medward watch` prints, with what is usual in benign windows of TRAIN for what is usual.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from laboratory import ATTACKS, capture_of, is_looked_at

from medward.agents.sentinel.model import load_model
from medward.alerts.deciding import DecidedWindow, WindowDecider
from medward.alerts.reasons import reasons_for
from medward.traffic.columns import COLUMNS

KEPT = Path(__file__).parent / "results" / "alarm-reasons.json"
COVER = Path(__file__).parent / "results" / "benign-cover.json"
MOST = 4
#: A measure that fewer benign windows show is one that a model may take for a sign of an attack.
SELDOM = 0.01


class _Decider(WindowDecider):
    """A decider for which usual is what training rows show, not what was allowed so far."""

    def know(self, usual: Any) -> None:
        self._usual = np.nan_to_num(usual).astype(np.float64)


def run(model: Path, train: Path, public: Path) -> dict[str, Any]:
    """Return the alerts of each benign capture that may be looked at, with their reasons."""
    trained = load_model(model)
    decider, scorer = _Decider(trained, str(model)), trained.scorer()
    names = decider.features
    tables = [pl.read_parquet(path) for path in sorted(train.glob("*.parquet"))]
    benign = pl.concat([table.filter(pl.col("label") == "benign").select(names) for table in tables]).to_numpy()
    low, high = np.nanmin(benign, axis=0), np.nanmax(benign, axis=0)
    decider.know(np.nanmean(benign, axis=0))
    found: dict[str, Any] = {}
    for path in sorted(public.glob("*.parquet")):
        capture = capture_of(path)
        if capture.startswith(ATTACKS) or not is_looked_at(capture):
            continue
        table = pl.read_parquet(path)
        x = table.select(names).to_numpy().astype(np.float32)
        scores = scorer.score(x)
        alerts = []
        for row in map(int, np.flatnonzero(scores.decision)):
            window = DecidedWindow(
                *("", "", 0.0, trained.classes[int(scores.decision[row])], float(scores.suspicion[row])),
                *(bool(scores.escalated[row]), 0, x[row]),
            )
            outside = {
                COLUMNS[name][0].name
                for name, value, least, most in zip(names, x[row], low, high, strict=True)
                if value < least or value > most
            }
            reasons = [COLUMNS[reason.feature][0].name for reason in reasons_for(decider, window, MOST)]
            alerts.append({"class": window.name, "reasons": reasons, "outside": sorted(outside)})
        found[capture] = {"windows": len(table), "alerts": alerts}
    return found


def cover(before: Path, after: Path) -> dict[str, Any]:
    """Return the share of benign windows in which each measure is above 0, in two folders of training tables."""
    shares = []
    for folder in (before, after):
        tables = [pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
        benign = pl.concat([table.filter(pl.col("label") == "benign") for table in tables])
        names = [name for name, (measure, _) in COLUMNS.items() if name == measure.name]
        shares.append({name: float((benign[name].fill_null(0) > 0).mean()) for name in names})  # type: ignore[arg-type]
    return {name: [share[name] for share in shares] for name in shares[0]}


def print_cover(kept: dict[str, Any]) -> None:
    """Print the measures that benign windows seldom showed before, and how often they show them now."""
    print("| measure | benign windows that show it, before | with surroundings |")
    print("|---|---|---|")
    for name, (before, after) in sorted(kept.items(), key=lambda item: item[1]):
        if before < SELDOM and max(before, after) > 0:
            print(f"| {name} | {before:.2%} | {after:.2%} |")


def print_table(kept: dict[str, Any]) -> None:
    """Print the table of the page from the kept results."""
    print("| capture | windows | alerts | as | measures that spoke most for them | beyond all benign training rows |")
    print("|---|---|---|---|---|---|")
    for capture, one in kept.items():
        if not one["alerts"]:
            continue
        told = [
            _counted(word for alert in one["alerts"] for word in ([alert[key]] if key == "class" else alert[key]))
            for key in ("class", "reasons", "outside")
        ]
        print(f"| {capture} | {one['windows']} | {len(one['alerts'])} | {' | '.join(told)} |")
    quiet = sum(not one["alerts"] for one in kept.values())
    print(f"\nThe other {quiet} captures of this half gave no alert.")


def _counted(words: Any) -> str:
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common(6)) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    for name in ("model", "train", "public"):
        running.add_argument(name, type=Path)
    covering = commands.add_parser("cover")
    for name in ("before", "after"):
        covering.add_argument(name, type=Path)
    for one in (running, covering):
        one.add_argument("--keep", action="store_true", help="also write it to results/")
    commands.add_parser("table").add_argument("which", choices=("reasons", "cover"))
    options = parser.parse_args()
    if options.command == "table":
        if options.which == "reasons":
            print_table(json.loads(KEPT.read_text()))
        else:
            print_cover(json.loads(COVER.read_text()))
        return
    reasons = options.command == "run"
    found = run(options.model, options.train, options.public) if reasons else cover(options.before, options.after)
    text = json.dumps(found, indent=1)
    print(text)
    if options.keep:
        (KEPT if reasons else COVER).write_text(text + "\n")


if __name__ == "__main__":
    main()
