"""The comparison over time: intervals that resample blocks, and the table."""

from typing import Any

import numpy as np
import pytest

from medward.agents.watch.costs import WatchCosts
from medward.agents.watch.network import WatchRecipe
from medward.studies.watch_study import (
    BASE,
    LIMITS,
    METHODS,
    PRICE,
    SHORTSIGHTED,
    WHOLE,
    WatchStudy,
    at_price,
    interval,
    limits_table,
    price_table,
    watch_table,
)

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


def test_price_table_compares_methods_at_the_same_price_only() -> None:
    def at(price: float, method: str, cost: float) -> dict[str, Any]:
        return {**_run(method, 0, [cost, cost]), "data": "ward", "byte_price": price}

    usual = _run(BASE, 0, [2.0, 2.0]) | {"data": "ward"}  # kept before prices were named
    dear = [at(0.01, WHOLE, 5.0), at(0.01, BASE, 6.0)]
    assert at_price([usual, *dear]) == [usual]
    assert price_table([usual]) == price_table(dear) == ""
    _, _, first, second, third = price_table([*dear, usual]).splitlines()
    # In the ward 9 expensive numbers of 4 bytes come for 4 windows; evidence was bought in each of these windows.
    assert first == f"| {PRICE:g} | {BASE} | 1 | 144.00 | 200.00 | 36.00 | 100.00 | 1.000 | – |"
    assert second == f"| 0.01 | {BASE} | 1 | 144.00 | 600.00 | 1440.00 | 100.00 | 1.000 | – |"
    assert third.endswith("| 500.00 | 1440.00 | 100.00 | 1.000 | -100.00 [-100.00, -100.00] |")


def test_runs_at_another_price_or_of_a_shorter_training_have_keys_of_their_own() -> None:
    study, shorter = WatchStudy([0]), WatchStudy([0], recipe=WatchRecipe(updates=10))
    usual = study.key("ward", 0, SHORTSIGHTED, PRICE)
    assert usual == "ward|over time|0|Sentinel, discount 0"
    assert study.key("ward", 0, SHORTSIGHTED, 0.001) == f"{usual}|0.001 a byte"
    assert shorter.key("ward", 0, SHORTSIGHTED, PRICE) == f"{usual}|10 updates"


def test_study_at_a_price_learns_and_tunes_at_it() -> None:
    study = WatchStudy([0], byte_prices=(0.0, PRICE)).at(0.0)
    assert study.byte_prices == (0.0,)
    assert study.recipe.costs == WatchCosts(byte_price=0.0)
