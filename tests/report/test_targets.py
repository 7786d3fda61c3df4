"""Targets: a floor is met by the mean, a win needs an interval that excludes zero, and what was not run says so."""

from typing import Any

import pytest

from medward.report.targets import FEDERATED, Floor, Rival, over_time_verdicts, paired, verdict_table, verdicts
from medward.studies.watch_study import BASE, SHORTSIGHTED


def _run(method: str, seed: int, score: float, protocol: str = "honest") -> dict[str, Any]:
    metrics = {
        "binary": {"macro_f1": score, "accuracy": score},
        "multiclass": {"macro_f1": score, "per_class_recall": {"Spoofing": score / 2}},
    }
    return {"data": "toy", "protocol": protocol, "seed": seed, "method": method, "metrics": metrics}


def _both(own: list[float], other: list[float]) -> list[dict[str, Any]]:
    return [_run(FEDERATED, s, v) for s, v in enumerate(own)] + [_run("trees", s, v) for s, v in enumerate(other)]


def test_floor_is_met_by_the_mean_and_missed_by_a_stated_amount() -> None:
    runs = _both([0.94, 0.96], [])
    met, missed = verdicts(runs, [Floor("toy", "binary macro-F1", 0.95), Floor("toy", "binary macro-F1", 0.97)])
    assert (met.verdict, met.measured) == ("met", "0.950 ± 0.014, 2 seeds")
    assert missed.verdict == "missed by 0.020"


def test_recall_of_a_class_can_be_a_floor() -> None:
    (row,) = verdicts(_both([0.5, 0.7], []), [Floor("toy", "recall of Spoofing", 0.3)])
    assert (row.verdict, row.measured[:5]) == ("met", "0.300")


def test_win_is_claimed_only_where_the_interval_excludes_zero() -> None:
    def verdict(own: list[float], other: list[float]) -> str:
        return verdicts(_both(own, other), [Rival("toy", "binary macro-F1", "trees")])[0].verdict

    other = [0.90, 0.80, 0.95]
    assert verdict([0.911, 0.810, 0.959], other) == "won"
    assert verdict([0.889, 0.790, 0.941], other) == "lost"
    assert verdict([0.95, 0.79, 0.96], other) == "tie: not won"
    # A single pair has no interval, however far apart they are.
    assert verdict([0.99], [0.5]) == "tie: not won"


def test_margin_lets_a_method_be_behind_by_so_much() -> None:
    runs = _both([0.90, 0.90], [0.91, 0.91])
    near, far = verdicts(runs, [Rival("toy", "binary macro-F1", "trees", margin) for margin in (0.02, 0.005)])
    assert near.verdict == "met"
    assert far.verdict == "missed by 0.0050"


def test_only_seeds_that_both_have_are_compared_and_protocols_stay_apart() -> None:
    runs = [*_both([0.8, 0.8, 0.1], [0.7, 0.7]), _run(FEDERATED, 0, 0.2, "paper")]
    row, other = verdicts(
        runs, [Rival("toy", "binary macro-F1", "trees"), Rival("toy", "binary macro-F1", "trees", 0.0, "paper")]
    )
    assert row.measured == "+0.1000 [+0.1000, +0.1000], 2 seeds"
    assert (other.measured, other.verdict) == ("–", "not run")
    assert "| toy (paper): binary macro-F1 above trees | – | not run |" in verdict_table([row, other])


def test_paired_interval_is_students() -> None:
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t(.975, 2) = 4.3027.
    mean, low, high = paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2.0, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-5)


def _watched(method: str, cost: float, false_alarms: float) -> dict[str, Any]:
    blocks = {"cost": [cost, cost + 1], "windows": [100.0, 100.0], "false_alarms": [false_alarms] * 2}
    return {"data": "toy", "seed": 0, "method": method, "blocks": {**blocks, "benign": [90.0, 90.0]}}


def test_over_time_a_cheaper_watch_with_more_false_alarms_has_not_won() -> None:
    rivals = [_watched(BASE, 5.0, 1.0), _watched("confidence rule", 5.0, 0.0)]
    rule, confidence, blind = over_time_verdicts([_watched("Sentinel over time", 3.0, 1.0), *rivals])
    assert rule.verdict == "won"
    assert confidence.verdict == "not won: cheaper, with more false alarms"
    assert (SHORTSIGHTED in blind.target, blind.verdict) == (True, "not run")
