"""Print the short tables of README.md and docs/results.md from the runs that `medward reproduce --results` kept.

    python benchmarks/agents/headline.py readme      the table of README.md
    python benchmarks/agents/headline.py table       Sentinel beside the best baseline of each data set
    python benchmarks/agents/headline.py verdicts    where Sentinel wins, ties and loses
    python benchmarks/agents/headline.py over-time   Sentinel over time beside tuned rules
    python benchmarks/agents/headline.py encryption  what encrypted sums change in accuracy
    python benchmarks/agents/headline.py targets     how many targets are reached

A verdict asks every tuned baseline, on the seeds that both have. Sentinel *loses* if the 95 % interval of the paired
differences lies below zero for at least one of them, *wins* if it lies above zero for all of them, and else *ties*.
The best baseline is the one with the highest mean on test rows, which favours the baselines.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from results import FOLDER, OVER_TIME, compared, encryption_verdicts, published_runs

from medward.flows.datasets import DATASETS
from medward.report.tables import COLUMNS, by_method
from medward.report.targets import FEDERATED, POOLED, over_time_verdicts, paired, verdicts
from medward.studies.watch_study import BASE, SHORTSIGHTED, WHOLE

ALONE, MAJORITY = "Sentinel, alone", "majority"
RULES = (BASE, "confidence rule")
MEASURES = {"binary macro-F1": "detect attacks", "multi-class macro-F1": "name attacks"}
HEADINGS = {"won": "Where Sentinel wins", "ties": "Where it ties", "lost": "Where it loses"}


@dataclass(frozen=True)
class Comparison:
    """The federated Sentinel beside all baselines on one data set, by one measure.

    Args:
        data: the data set.
        measure: a column of the tables.
        best: the baseline with the highest mean.
        means: the mean of each method over the seeds that the tables show.
        differences: for each baseline the mean of Sentinel's paired lead and its 95 % interval.
    """

    data: str
    measure: str
    best: str
    means: dict[str, float]
    differences: dict[str, tuple[float, float, float]]

    @property
    def ahead(self) -> list[str]:
        """The baselines that are ahead of Sentinel beyond the interval, the farthest first."""
        found = [name for name, (_, _, high) in self.differences.items() if high < 0]
        return sorted(found, key=lambda name: self.differences[name][0])

    @property
    def level(self) -> list[str]:
        """The baselines that the interval cannot tell from Sentinel, the best first."""
        found = [name for name, (_, low, high) in self.differences.items() if low <= 0 <= high]
        return sorted(found, key=lambda name: self.differences[name][0])

    @property
    def verdict(self) -> str:
        """The outcome: lost, ties or won."""
        return "lost" if self.ahead else "ties" if self.level else "won"


def comparisons(runs: Sequence[dict[str, Any]]) -> list[Comparison]:
    """Return the comparisons of the honest protocol, by data set and measure."""
    found = []
    honest = [run for run in runs if run["protocol"] == "honest"]
    for data in (name for name in DATASETS if any(run["data"] == name for run in honest)):
        everything = by_method([run for run in honest if run["data"] == data])
        shown = by_method(compared([run for run in honest if run["data"] == data]))
        for measure in MEASURES:
            means = {method: fmean(_values(own, measure).values()) for method, own in shown.items()}
            baselines = [name for name in everything if not name.startswith("Sentinel") and name != MAJORITY]
            differences = {
                name: _lead(everything[FEDERATED], everything[name], measure)
                for name in baselines
                if len(everything[name]) > 1
            }
            best = max(baselines, key=lambda name: means[name])
            found.append(Comparison(data, measure, best, means, differences))
    return found


def readme(runs: Sequence[dict[str, Any]]) -> None:
    """Print one row for each data set: a hospital alone, the federation, the best baseline, the verdict."""
    print("| data set | task | one hospital alone | federation | best other method | verdict on the federation |")
    print("|---|---|---|---|---|---|")
    for one in comparisons(runs):
        title = _title(one.data) if one.measure == "binary macro-F1" else ""
        cells = f"{one.means[ALONE]:.3f} | {one.means[FEDERATED]:.3f} | {one.means[one.best]:.3f}, {_named(one.best)}"
        print(f"| {title} | {MEASURES[one.measure]} | {cells} | {_short(one)} |")


def table(runs: Sequence[dict[str, Any]]) -> None:
    """Print the federated Sentinel beside hospitals alone, pooled rows and the best baseline."""
    print(
        "| data set | measure | Sentinel, alone | Sentinel, federated | Sentinel, pooled | best baseline "
        "| federated less best baseline [95 %] | verdict |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for one in comparisons(runs):
        means = " | ".join(f"{one.means[method]:.3f}" for method in (ALONE, FEDERATED, POOLED))
        best = f"{one.means[one.best]:.3f}, {_named(one.best)}"
        print(
            f"| {_title(one.data)} | {one.measure} | {means} | {best} | {_difference(one, one.best)} | {_short(one)} |"
        )


def verdict_tables(runs: Sequence[dict[str, Any]]) -> None:
    """Print three tables: where Sentinel wins, ties and loses, with paired differences."""
    rows: dict[str, list[tuple[str, str, str]]] = {heading: [] for heading in HEADINGS}
    for one in comparisons(runs):
        others = {"lost": one.ahead, "ties": one.level, "won": list(one.differences)}[one.verdict]
        told = [f"{_named(name)} {_difference(one, name)}" for name in others[:3]]
        more = [f"and {len(others) - 3} more"] if len(others) > 3 else []
        rows[one.verdict].append((_title(one.data), one.measure, "; ".join([*told, *more])))
    honest = [run for run in runs if run["protocol"] == "honest"]
    for data in dict.fromkeys(run["data"] for run in honest):
        own = by_method([run for run in honest if run["data"] == data])
        for measure in MEASURES:
            lead = _lead(own[FEDERATED], own[ALONE], measure)
            outcome = "won" if lead[1] > 0 else "lost" if lead[2] < 0 else "ties"
            rows[outcome].append((_title(data), measure, f"a hospital alone {_interval(lead)}"))
    for streamed in over_time_verdicts([run for run in runs if run["protocol"] == OVER_TIME]):
        outcome = {"won": "won", "lost": "lost"}.get(streamed.verdict, "ties")
        data, _, rival = streamed.target.partition(", over time: costs less than ")
        rival = rival.removesuffix(" at no more false alarms")
        cost = streamed.measured.partition(" a thousand windows")[0]
        rows[outcome].append((_title(data), "cost over time", f"{rival} {cost}"))
    for verdict, heading in HEADINGS.items():
        print(f"### {heading}\n\n| data set | measured by | beside: difference [95 %] |\n|---|---|---|")
        print("\n".join(f"| {' | '.join(row)} |" for row in rows[verdict]) + "\n")


def over_time(runs: Sequence[dict[str, Any]]) -> None:
    """Print what a thousand windows of a stream cost by each method, and the verdicts beside the two rules."""
    streams = [run for run in runs if run["protocol"] == OVER_TIME]
    outcomes = {one.target: one.verdict for one in over_time_verdicts(streams)}
    methods = (WHOLE, *RULES, SHORTSIGHTED)
    print(f"| data set | {' | '.join(methods)} | beside the {RULES[0]} | beside the {RULES[1]} |")
    print("|---" * 7 + "|")
    for data in dict.fromkeys(run["data"] for run in streams):
        own = by_method([run for run in streams if run["data"] == data])
        costs = [_cost(own[method]) for method in methods]
        targets = [f"{data}, over time: costs less than the {rival} at no more false alarms" for rival in RULES]
        words = [outcomes[target].partition(":")[0] for target in targets]
        print(f"| {_title(data)} | {' | '.join(f'{cost:.2f}' for cost in costs)} | {' | '.join(words)} |")


def encryption(_runs: Sequence[dict[str, Any]]) -> None:
    """Print how far encrypted sums move accuracy from that of open ones, paired by seed."""
    kept = [json.loads(line) for line in (FOLDER / "encryption-price.jsonl").read_text().splitlines()]
    print("| data set and width | accuracy, encrypted less open [95 %] | verdict |\n|---|---|---|")
    for one in encryption_verdicts(kept):
        data, _, rest = one.target.partition(": accuracy encrypted with ")
        bits = rest.partition(" bits")[0]
        print(f"| {_title(data)}, {bits} bits | {one.measured} | {one.verdict} |")


def targets(runs: Sequence[dict[str, Any]]) -> None:
    """Print how many of the targets are reached."""
    prices = [json.loads(line) for line in (FOLDER / "encryption-price.jsonl").read_text().splitlines()]
    found = [
        *verdicts([run for run in runs if run["protocol"] != OVER_TIME]),
        *encryption_verdicts(prices),
        *over_time_verdicts([run for run in runs if run["protocol"] == OVER_TIME]),
    ]
    words = [one.verdict.partition(" ")[0].partition(":")[0] for one in found]
    counts = ", ".join(f"{words.count(word)} {name}" for word, name in _OUTCOMES.items() if word in words)
    print(f"Of {len(found)} targets: {counts}.")


_OUTCOMES = {"met": "met", "won": "won", "tie": "tied", "missed": "missed", "lost": "lost", "not": "not run"}


def _values(runs: Sequence[dict[str, Any]], measure: str) -> dict[int, float]:
    group, name = COLUMNS[measure]
    return {run["seed"]: run["metrics"][group][name] for run in runs}


def _lead(own: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], measure: str) -> tuple[float, float, float]:
    """Return how far the first method is ahead on the seeds that both have: mean and 95 % interval."""
    mine, theirs = _values(own, measure), _values(others, measure)
    seeds = sorted(set(mine) & set(theirs))
    return paired([mine[seed] for seed in seeds], [theirs[seed] for seed in seeds])


def _cost(runs: Sequence[dict[str, Any]]) -> float:
    """Return the cost of a thousand windows, all seeds' test windows together."""
    cost = sum(sum(run["blocks"]["cost"]) for run in runs)
    return 1000 * float(cost) / sum(sum(run["blocks"]["windows"]) for run in runs)


def _difference(one: Comparison, name: str) -> str:
    return _interval(one.differences[name])


def _interval(difference: tuple[float, float, float]) -> str:
    mean, low, high = difference
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def _named(method: str) -> str:
    """Return a method's name without a comma in it."""
    return method.replace(", cautious", " (cautious)")


def _short(one: Comparison) -> str:
    if one.verdict == "lost":
        more = f" and {len(one.ahead) - 1} more" if len(one.ahead) > 1 else ""
        return f"loses to {_named(one.ahead[0])}{more}"
    return "wins" if one.verdict == "won" else f"ties with {_named(one.level[0])}"


def _title(data: str) -> str:
    return DATASETS[data].schema.title.partition(" (")[0]


PARTS = {
    "readme": readme,
    "table": table,
    "verdicts": verdict_tables,
    "over-time": over_time,
    "encryption": encryption,
    "targets": targets,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    PARTS[parser.parse_args().part](published_runs())
