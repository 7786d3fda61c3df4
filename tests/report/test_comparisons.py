"""Two methods side by side: what stands in the rows, over which seeds, and that there is no table without both."""

from typing import Any

from medward.report.comparisons import classes_table, hospitals_table
from medward.report.targets import BOOSTING, FEDERATED
from medward.studies.study import ALONE


def _run(method: str, seed: int, score: float, recall: dict[str, float], **more: Any) -> dict[str, Any]:
    groups = {group: {"macro_f1": score} for group in ("binary", "multiclass")}
    groups["multiclass"]["per_class_recall"] = recall  # type: ignore[assignment]
    return {"data": "toy", "method": method, "seed": seed, "metrics": groups, **more}


def _hospitals(method: str, seed: int, score: float, served: float | None) -> dict[str, Any]:
    worst = None if served is None else {"binary_macro_f1": served, "multiclass_macro_f1": served / 2}
    least = {group: {"macro_f1": score / 2} for group in ("binary", "multiclass")}
    return _run(method, seed, score, {}, worst_hospital=worst, worst=least)


def test_classes_are_the_three_on_which_boosting_is_furthest_ahead() -> None:
    own = {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5, "only here": 0.0}
    other = {"a": 0.4, "b": 0.9, "c": 0.6, "d": 0.7}
    runs = [_run(FEDERATED, 0, 0.5, own), _run(BOOSTING, 0, 0.5, other), _run(BOOSTING, 1, 0.5, {"b": 0.7})]
    assert classes_table(runs).splitlines()[2:] == [
        "| toy | b | 0.500 | 0.800 | -0.300 |",
        "| toy | d | 0.500 | 0.700 | -0.200 |",
        "| toy | c | 0.500 | 0.600 | -0.100 |",
    ]


def test_hospitals_are_compared_on_the_seeds_that_both_have() -> None:
    runs = [_hospitals(FEDERATED, seed, 0.8, 0.6 + 0.1 * seed) for seed in range(3)]
    runs += [_hospitals(ALONE, seed, 0.4, 0.5 + 0.1 * seed) for seed in range(2)]
    head, _, binary, naming = hospitals_table(runs).splitlines()
    assert head.count("|") == binary.count("|") == 10
    assert binary == "| toy | binary | 2 | 0.800 | 0.400 | 0.200 | 0.650 | 0.550 | +0.100 [+0.100, +0.100] |"
    assert naming.endswith("| 0.325 | 0.275 | +0.050 [+0.050, +0.050] |")


def test_hospitals_that_nobody_could_measure_show_a_dash_and_one_seed_no_interval() -> None:
    unserved = hospitals_table([_hospitals(FEDERATED, 0, 0.8, None), _hospitals(ALONE, 0, 0.4, 0.5)])
    assert unserved.splitlines()[2] == "| toy | binary | 1 | 0.800 | 0.400 | 0.200 | – | – | – |"
    single = hospitals_table([_hospitals(FEDERATED, 0, 0.8, 0.75), _hospitals(ALONE, 0, 0.4, 0.5)])
    assert single.splitlines()[2].endswith("| 0.750 | 0.500 | +0.250 |")


def test_there_is_no_table_without_both_methods() -> None:
    runs = [_hospitals(FEDERATED, 0, 0.8, 0.5), _run(ALONE, 0, 0.5, {})]
    assert (classes_table(runs), hospitals_table(runs)) == ("", "")
