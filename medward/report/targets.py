"""Sentinel's targets on each data set, and whether the runs at hand reach them.

A *floor* is a number. To *win* is to beat another method on the same splits: the differences are paired seed by seed,
and their mean stands with its 95 % interval (Student's t over the seeds; splits of one data set share rows, so that the
seeds are not quite independent and the interval is a little too narrow). A win is claimed only where the interval
excludes zero.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from medward.report.tables import COLUMNS, spread
from medward.studies.study import WITHOUT
from medward.studies.watch_study import BASE, SHORTSIGHTED, WHOLE, interval

#: The verdict on a target of which a run is missing.
NOT_RUN = "not run"
FEDERATED, POOLED = "Sentinel, federated", "Sentinel, pooled"
BOOSTING = "histogram gradient boosting"
_RECALL = "recall of "


@dataclass(frozen=True)
class Floor:
    """A number that the federated Sentinel should reach on the mean over seeds.

    Args:
        data: the data set.
        measure: a column of the comparison's table, or "recall of CLASS".
        least: the number.
        protocol: the protocol, with `WITHOUT` where the attack tool's fingerprints are left out.
        method: whose number.
    """

    data: str
    measure: str
    least: float
    protocol: str = "honest"
    method: str = FEDERATED


@dataclass(frozen=True)
class Rival:
    """A method that Sentinel should beat, or not fall behind by more than a margin.

    Args:
        data: the data set.
        measure: a column of the comparison's table.
        rival: the other method.
        margin: how far behind still counts as reached; 0 asks for a win.
        protocol: the protocol.
        method: who should win.
    """

    data: str
    measure: str
    rival: str
    margin: float = 0.0
    protocol: str = "honest"
    method: str = FEDERATED


_NO_PRINTS = "honest" + WITHOUT
_MEDICAL = ("wustl-ehms-2020", "ciciomt2024", "x-iomt")
_BINARY, _MULTI, _ACCURACY = "binary macro-F1", "multi-class macro-F1", "binary accuracy"
TARGETS: tuple[Floor | Rival, ...] = (
    Floor("wustl-ehms-2020", _BINARY, 0.96),
    Floor("wustl-ehms-2020", _MULTI, 0.95),
    Floor("wustl-ehms-2020", "attack recall", 0.93),
    Floor("wustl-ehms-2020", "attack recall", 0.93, method=BOOSTING),
    Floor("wustl-ehms-2020", "attack recall", 0.93, method="LightGBM"),
    Rival("wustl-ehms-2020", _BINARY, "LightGBM"),
    Rival("wustl-ehms-2020", _MULTI, "LightGBM"),
    Rival("wustl-ehms-2020", _BINARY, "LightGBM", 0.02, _NO_PRINTS),
    Rival("wustl-ehms-2020", _MULTI, "LightGBM", 0.02, _NO_PRINTS),
    Floor("wustl-ehms-2020", _RECALL + "Spoofing", 0.3, _NO_PRINTS),
    Floor("wustl-ehms-2020", _RECALL + "Spoofing", 0.3, _NO_PRINTS, "LightGBM"),
    Floor("ciciomt2024", _ACCURACY, 0.987),
    Floor("ciciomt2024", _MULTI, 0.90),
    Floor("ciciomt2024", _ACCURACY, 0.987, method=BOOSTING),
    Floor("ciciomt2024", _MULTI, 0.90, method=BOOSTING),
    Rival("ciciomt2024", _BINARY, "XGBoost"),
    Rival("ciciomt2024", _MULTI, "XGBoost"),
    Floor("x-iomt", _ACCURACY, 0.988),
    Floor("x-iomt", _MULTI, 0.953),
    Floor("x-iomt", _ACCURACY, 0.981, _NO_PRINTS),
    Floor("x-iomt", _MULTI, 0.943, _NO_PRINTS),
    Rival("x-iomt", _BINARY, "XGBoost"),
    Rival("x-iomt", _MULTI, "XGBoost"),
    Floor("nsl-kdd", _ACCURACY, 0.80),
    Floor("nsl-kdd", _ACCURACY, 0.82),
    Floor("nsl-kdd", _ACCURACY, 0.80, method=POOLED),
    *(Rival(data, measure, BOOSTING) for data in _MEDICAL for measure in (_BINARY, _MULTI)),
    *(Rival(data, _ACCURACY, POOLED, 0.01) for data in _MEDICAL),
    *(Floor(data, _ACCURACY, 0.994, "paper", POOLED) for data in (*_MEDICAL, "nsl-kdd")),
)


@dataclass(frozen=True)
class TargetVerdict:
    """What the runs say about one target.

    Args:
        target: the target, in words.
        measured: what was measured, with its spread or interval.
        verdict: met, won, missed or not run; by how much where it was missed.
    """

    target: str
    measured: str
    verdict: str


def verdicts(runs: Sequence[dict[str, Any]], targets: Iterable[Floor | Rival] = TARGETS) -> list[TargetVerdict]:
    """Hold the runs of `medward reproduce` to the targets.

    Args:
        runs: as `medward.studies.side_by_side.run_studies` returns them, of any data sets and protocols.
        targets: what to hold them to.
    """
    return [_floor(runs, t) if isinstance(t, Floor) else _rival(runs, t) for t in targets]


def over_time_verdicts(runs: Sequence[dict[str, Any]]) -> list[TargetVerdict]:
    """Hold the runs of `medward reproduce --over-time` to the target: cheaper than each rule and than no foresight.

    The interval resamples the test part's blocks within each seed. The false alarms must not be more than the rival's
    beyond their own interval.
    """
    found = []
    for data in dict.fromkeys(run["data"] for run in runs):
        by_method: dict[str, dict[int, dict[str, Any]]] = {}
        for run in runs:
            if run["data"] == data:
                by_method.setdefault(run["method"], {})[run["seed"]] = run
        own = by_method.get(WHOLE, {})
        for rival in (BASE, "confidence rule", SHORTSIGHTED):
            other = by_method.get(rival, {})
            seeds = sorted(set(own) & set(other))
            target = f"{data}, over time: costs less than {_article(rival)} at no more false alarms"
            if not seeds:
                found.append(TargetVerdict(target, "–", NOT_RUN))
                continue
            pair = [own[s] for s in seeds], [other[s] for s in seeds]
            cost, low, high = (1000 * v for v in interval(*pair, "cost", "windows"))
            alarms, alarms_low, _ = (1000 * v for v in interval(*pair, "false_alarms", "benign"))
            measured = f"{cost:+.2f} [{low:+.2f}, {high:+.2f}] a thousand windows, {alarms:+.2f} false alarms; "
            measured += _seeds(len(seeds))
            verdict = "lost" if low > 0 else "tie: not won"
            if high < 0:
                verdict = "won" if alarms_low <= 0 else "not won: cheaper, with more false alarms"
            found.append(TargetVerdict(target, measured, verdict))
    return found


def verdict_table(rows: Sequence[TargetVerdict]) -> str:
    """Return the verdicts as a table."""
    lines = ["| target | measured | verdict |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {row.target} | {row.measured} | {row.verdict} |" for row in rows)])


def paired(values: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of paired differences and its 95 % interval by Student's t; of one pair, an infinite one."""
    change = [a - b for a, b in zip(values, others, strict=True)]
    mean = fmean(change)
    if len(change) < 2:
        return mean, float("-inf"), float("inf")
    reach = float(stats.t.ppf(0.975, len(change) - 1)) * stdev(change) / len(change) ** 0.5
    return mean, mean - reach, mean + reach


def _floor(runs: Sequence[dict[str, Any]], floor: Floor) -> TargetVerdict:
    target = f"{floor.data}{_protocol(floor.protocol)}: {floor.measure} of {floor.least:g}"
    target += "" if floor.method == FEDERATED else f" by {floor.method}"
    values = list(_values(runs, floor.data, floor.protocol, floor.method, floor.measure).values())
    if not values:
        return TargetVerdict(target, "–", NOT_RUN)
    mean = fmean(values)
    missed = floor.least - mean
    # By the table's three places, so that no reader finds a number missed that reads as met.
    verdict = "met" if round(mean, 3) >= floor.least else f"missed by {missed:.3f}"
    return TargetVerdict(target, f"{spread(values)}, {_seeds(len(values))}", verdict)


def _rival(runs: Sequence[dict[str, Any]], rival: Rival) -> TargetVerdict:
    wanted = f"within {rival.margin:g} of" if rival.margin else "above"
    target = f"{rival.data}{_protocol(rival.protocol)}: {rival.measure} {wanted} {rival.rival}"
    target += "" if rival.method == FEDERATED else f", by {rival.method}"
    own, other = (
        _values(runs, rival.data, rival.protocol, name, rival.measure) for name in (rival.method, rival.rival)
    )
    seeds = sorted(set(own) & set(other))
    if not seeds:
        return TargetVerdict(target, "–", NOT_RUN)
    mean, low, high = paired([own[s] for s in seeds], [other[s] for s in seeds])
    measured = f"{mean:+.4f}, {_seeds(1)}" if len(seeds) == 1 else f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
    if len(seeds) > 1:
        measured += f", {_seeds(len(seeds))}"
    if rival.margin:
        verdict = "met" if mean >= -rival.margin else f"missed by {-rival.margin - mean:.4f}"
    elif low > 0:
        verdict = "won"
    else:
        verdict = "lost" if high < 0 else "tie: not won"
    return TargetVerdict(target, measured, verdict)


def _values(runs: Sequence[dict[str, Any]], data: str, protocol: str, method: str, measure: str) -> dict[int, float]:
    """Return a measure of a method for each seed."""
    own = [r for r in runs if (r["data"], r["protocol"], r["method"]) == (data, protocol, method)]
    if measure.startswith(_RECALL):
        name = measure.removeprefix(_RECALL)
        return {run["seed"]: run["metrics"]["multiclass"]["per_class_recall"][name] for run in own}
    group, name = COLUMNS[measure]
    return {run["seed"]: run["metrics"][group][name] for run in own}


def _article(method: str) -> str:
    return method if method.startswith("Sentinel") else f"the {method}"


def _protocol(protocol: str) -> str:
    return "" if protocol == "honest" else f" ({protocol.removeprefix('honest, ')})"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"
