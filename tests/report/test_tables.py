"""Tables of a comparison: means of what is known, a dash for what is not, nothing of another method or data set."""

from typing import Any

from medward.report.tables import measures_table, recall_table


def _run(data: str, method: str, value: float, recall: dict[str, float], **more: Any) -> dict[str, Any]:
    binary = {"auprc": value, "recall_at_0.1%_false_alarms": value / 2, "recall_at_1%_false_alarms": None}
    multiclass = {"accuracy": value, "per_class_recall": recall}
    return {"data": data, "method": method, "metrics": {"binary": binary, "multiclass": multiclass}, **more}


RUNS = [
    _run("toy", "forest", 0.5, {"normal": 1.0, "Flood": 0.2}),
    _run("toy", "Sentinel", 0.75, {"normal": 0.5}, expected_cost=0.25, escalation_rate=1.0, worst_hospital=None),
    _run(
        "toy",
        "forest",
        1.0,
        {"normal": 0.5, "Flood": 0.4, "Scan": 0.125},
        worst_hospital={"binary_macro_f1": 0.625, "multiclass_macro_f1": 0.375},
    ),
]


def test_measures_are_means_over_the_seeds_that_have_them() -> None:
    head, _, forest, sentinel = measures_table(RUNS).splitlines()
    assert head.startswith("| method | seeds | multi-class accuracy | AUPRC | recall at 0.1 % false alarms |")
    assert forest == "| forest | 2 | 0.750 | 0.750 | 0.375 | – | – | – | 0.625 | 0.375 |"
    assert sentinel == "| Sentinel | 1 | 0.750 | 0.750 | 0.375 | – | 0.250 | 1.000 | – | – |"


def test_several_data_sets_have_a_column() -> None:
    lines = measures_table([*RUNS, _run("other", "forest", 0.25, {})]).splitlines()
    assert lines[0].startswith("| data set | method |")
    assert lines[2].startswith("| toy | forest | 2 | 0.750 |")
    assert lines[4].startswith("| other | forest | 1 | 0.250 |")


def test_recall_of_each_class_is_a_mean_over_the_seeds_that_hold_it() -> None:
    assert recall_table(RUNS).splitlines() == [
        "| method | normal | Flood | Scan |",
        "|---|---|---|---|",
        "| forest | 0.750 | 0.300 | 0.125 |",
        "| Sentinel | 0.500 | – | – |",
    ]
