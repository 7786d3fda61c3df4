"""Plots: a file says in words what it shows, the same runs give the same file, and too few runs give none."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from medward.report.plots import (
    costs_described,
    draw_costs,
    draw_prices,
    draw_scores,
    prices_described,
    scores_described,
)
from medward.studies.watch_study import LIMITS, METHODS

_TEXT, _DESCRIPTION = "{http://www.w3.org/2000/svg}text", "{http://purl.org/dc/elements/1.1/}description"


def _run(method: str, seed: int, score: float) -> dict[str, Any]:
    metrics = {"binary": {"macro_f1": score}, "multiclass": {"macro_f1": score / 2}}
    return {"data": "toy", "seed": seed, "method": method, "metrics": metrics}


RUNS = [_run("majority", 0, 0.4), _run("forest", 0, 0.8), _run("forest", 1, 0.9), _run("Sentinel", 0, 0.9)]


def _watched(method: str, costs: list[float]) -> dict[str, Any]:
    blocks = [{"cost": [cost], "windows": [1000.0], "false_alarms": [cost / 10], "benign": [1000.0]} for cost in costs]
    return {"seed": 0, "method": method, "limited": [{"blocks": own} for own in blocks]}


def test_scores_are_told_best_first_and_without_the_majority() -> None:
    assert scores_described(RUNS) == (
        "Sentinel: binary macro-F1 0.900, multi-class macro-F1 0.450. "
        "forest: binary macro-F1 0.850 ± 0.071, multi-class macro-F1 0.425 ± 0.035."
    )


def test_file_names_every_method_and_says_what_it_shows(tmp_path: Path) -> None:
    assert draw_scores(tmp_path / "scores.svg", "A toy", RUNS)
    root = ElementTree.parse(tmp_path / "scores.svg").getroot()
    words = [node.text for node in root.iter(_TEXT)]
    assert {"A toy", "forest", "Sentinel"} <= set(words)
    assert "majority" not in words
    assert [node.text for node in root.iter(_DESCRIPTION)] == [scores_described(RUNS)]


def test_same_runs_give_the_same_file(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        draw_scores(tmp_path / folder / "scores.svg", "A toy", RUNS)
    one, other = ((tmp_path / folder / "scores.svg").read_bytes() for folder in ("one", "other"))
    assert one == other


def test_majority_alone_is_not_drawn(tmp_path: Path) -> None:
    assert not draw_scores(tmp_path / "scores.svg", "A toy", RUNS[:1])
    assert not (tmp_path / "scores.svg").exists()


def test_costs_are_drawn_for_each_limit_that_changes_something(tmp_path: Path) -> None:
    runs = [_watched(method, [4.0, 3.0, 3.0, 3.0, 3.0]) for method in METHODS]
    assert len(runs[0]["limited"]) == len(LIMITS)
    assert costs_described(runs).startswith(f"{METHODS[0]}: cost 4.00 at 0.40, 3.00 at 0.30 false alarms.")
    assert draw_costs(tmp_path / "costs.svg", "A toy", runs)
    words = {node.text for node in ElementTree.parse(tmp_path / "costs.svg").getroot().iter(_TEXT)}
    assert set(METHODS) <= words


def test_costs_that_no_limit_changes_are_not_drawn(tmp_path: Path) -> None:
    runs = [_watched(method, [4.0] * len(LIMITS)) for method in METHODS]
    assert not draw_costs(tmp_path / "costs.svg", "A toy", runs)
    assert costs_described(runs) == ""
    assert not draw_costs(tmp_path / "costs.svg", "A toy", runs[1:])


def test_prices_are_drawn_at_stations_each_method_at_its_own(tmp_path: Path) -> None:
    def at(price: float, method: str, cost: float) -> dict[str, Any]:
        blocks = {"cost": [cost], "windows": [1000.0], "escalations": [0.0]}
        return {"seed": 0, "method": method, "data": "ward", "byte_price": price, "blocks": blocks}

    runs = [at(4.0, METHODS[0], 5.0), at(0.0, METHODS[0], 1.0), at(4.0, METHODS[1], 3.0)]
    assert prices_described(runs) == (
        f"{METHODS[0]}: cost 1.00 and 0.00 bytes at 0, 5.00 and 0.00 bytes at 4. "
        f"{METHODS[1]}: cost 3.00 and 0.00 bytes at 4."
    )
    assert draw_prices(tmp_path / "prices.svg", "A toy", runs)
    words = {node.text for node in ElementTree.parse(tmp_path / "prices.svg").getroot().iter(_TEXT)}
    assert {*METHODS[:2], "0", "4", "price of a byte, in missed attack windows"} <= words
    assert not draw_prices(tmp_path / "other.svg", "A toy", runs[:1])
