"""The comparison over time: intervals that resample blocks, and the table."""

from typing import Any

import numpy as np
import pytest

from medward.report.watch_study import BASE, LIMITS, METHODS, WHOLE, interval, limits_table, watch_table

FIELDS = ("cost", "false_alarms", "benign", "attack", "runs", "found", "delay", "missed", "escalations", "windows")


def _run(method: str, seed: int, cost: list[float], false_alarms: float = 1.0) -> dict[str, Any]:
    blocks: dict[str, list[float]] = {name: [10.0] * len(cost) for name in FIELDS}
    blocks["cost"], blocks["false_alarms"] = cost, [false_alarms] * len(cost)
    return {"method": method, "seed": seed, "blocks": blocks}


def test_interval_is_as_wide_as_the_blocks_differ() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(5.0, 3.0, 400)
    other = base - 1.0 + rng.normal(0.0, 2.0, 400)
    mean, low, high = interval([_run("a", 0, list(other))], [_run(BASE, 0, list(base))], "cost", "windows")
    assert mean == pytest.approx((other - base).mean() / 10)
    # The differences of paired blocks count, not the spread of either; a mean of 400 has a 20th of their spread.
    assert high - low == pytest.approx(2 * 1.96 * 0.2 / 20, rel=0.15)
    assert low < mean < high


def test_seeds_are_averaged_and_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    runs = [_run("a", seed, list(rng.normal(0.0, 1.0, 50))) for seed in range(4)]
    base = [_run(BASE, seed, [0.0] * 50) for seed in range(4)]
    _, low, high = interval(runs, base, "cost", "windows")
    _, one_low, one_high = interval(runs[:1], base[:1], "cost", "windows")
    assert high - low == pytest.approx((one_high - one_low) / 2, rel=0.3)


def test_table_compares_only_seeds_that_the_rule_has_too() -> None:
    runs = [_run(BASE, 0, [4.0, 6.0]), _run("other", 0, [2.0, 4.0]), _run("other", 1, [900.0, 900.0])]
    rule, other = watch_table(runs).splitlines()[2:]
    assert rule.startswith(f"| {BASE} | 1 | 500.00 | – | – | 100.00 | – | 1.000 |")
    assert other.startswith("| other | 1 | 300.00 | -200.00 [-200.00, -200.00] | – | 100.00 | +0.00 [+0.00, +0.00] |")


def test_free_margins_are_a_row_of_their_own() -> None:
    run = _run("learned", 0, [4.0, 6.0])
    run["blocks_free"] = _run("", 0, [2.0, 4.0])["blocks"]
    table = watch_table([_run(BASE, 0, [4.0, 6.0]), run])
    assert "| learned (any false alarms) | 1 | 300.00 |" in table


def test_limits_table_stands_methods_side_by_side_under_each_limit() -> None:
    runs = []
    for number, method in enumerate(METHODS):
        run = _run(method, 0, [4.0, 6.0])
        costs = [[4.0 + number + place, 6.0 + number + place] for place in range(len(LIMITS))]
        limited = [{"limit": limit, **_run(method, 0, cost)} for limit, cost in zip(LIMITS, costs, strict=True)]
        runs.append({**run, "limited": limited})
    head, _, first, *_, last = limits_table(runs).splitlines()
    assert head.count(f"{WHOLE}, less") == len(METHODS) - 1
    assert first.startswith("| 0 | 500.00 (100.00) | 600.00 (100.00) | 700.00 (100.00) | 800.00 (100.00) |")
    assert first.endswith("| +200.00 [+200.00, +200.00] | +100.00 [+100.00, +100.00] | -100.00 [-100.00, -100.00] |")
    assert last.startswith("| 5 | 900.00 (100.00) |")


def test_limits_table_needs_runs_of_all_methods_that_kept_limits() -> None:
    assert limits_table([_run(method, 0, [4.0, 6.0]) for method in METHODS]) == ""
