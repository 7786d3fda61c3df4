"""README.md and the pages of results say what the scripts print from the committed runs."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from medward.studies.study import METHODS

ROOT = Path(__file__).parents[2]
PAGE = runpy.run_path(str(ROOT / "benchmarks" / "page.py"))
PAGES: tuple[Path, ...] = PAGE["PAGES"]


@pytest.mark.slow
def test_printed_parts_of_the_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/page.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def by_hand(page: Path) -> str:
    """Return what stands in a page outside its printed parts."""
    text: str = PAGE["without_printed_parts"](page.read_text(encoding="utf-8"))
    return text


def test_pages_of_results_have_no_table_of_runs_outside_printed_parts() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "results.md", "tables.md", "tried.md"}
    for page in PAGES:
        assert "| seeds |" not in by_hand(page).replace("| data set | updates | seeds |", ""), page


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_short_pages_have_no_figure_that_no_script_prints(page: str) -> None:
    text = by_hand(ROOT / page)
    fractions = re.findall(r"(?<![\w./-])0?\.\d+\b|\b\d+(?:\.\d+)? ?%(?! interval)", text)
    assert fractions == []
    assert (ROOT / page).read_text(encoding="utf-8") != text


def test_results_fit_one_page() -> None:
    assert len((ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()) <= 250


def test_pictures_of_the_results_show_the_kept_runs() -> None:
    results = runpy.run_path(str(ROOT / "benchmarks" / "agents" / "results.py"))
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = results["pictures"](results["published_runs"]())
    assert len(pictures) > 5
    for name, (title, description, _) in pictures.items():
        assert f"(../images/{name})" in pages
        drawn = ElementTree.parse(ROOT / "docs" / "images" / name).getroot()
        words = [node.text for node in drawn.iter("{http://purl.org/dc/elements/1.1/}description")]
        assert words == [description], (
            f"{title} is not what the runs say: run python benchmarks/agents/results.py plots."
        )


def test_a_method_that_one_baseline_beats_has_lost_and_one_that_is_level_with_one_ties(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "agents"))
    comparison = runpy.run_path(str(ROOT / "benchmarks" / "agents" / "headline.py"))["Comparison"]
    ahead, level, behind = (-0.03, -0.04, -0.02), (0.001, -0.01, 0.012), (0.02, 0.01, 0.03)
    outcomes = {
        comparison("toy", "binary macro-F1", "forest", {}, dict(enumerate(differences))).verdict: differences
        for differences in ([behind, ahead, level], [behind, level], [behind, behind])
    }
    assert list(outcomes) == ["lost", "ties", "won"]


def test_tables_compare_methods_on_the_seeds_that_most_of_them_have() -> None:
    compared = runpy.run_path(str(ROOT / "benchmarks" / "agents" / "results.py"))["compared"]
    had = {"Sentinel": range(4), "LightGBM": range(4), "forest": range(2), "MLP": range(2), "boosting": range(1)}
    runs = [
        {"protocol": "honest", "data": "toy", "seed": seed, "method": method}
        for method, seeds in had.items()
        for seed in seeds
    ]
    kept = {method: [run["seed"] for run in compared(runs) if run["method"] == method] for method in had}
    assert kept == {"Sentinel": [0, 1], "LightGBM": [0, 1], "forest": [0, 1], "MLP": [0, 1], "boosting": [0]}


def test_reproduce_knows_every_method_that_the_page_shows() -> None:
    kept = (
        line for file in (ROOT / "benchmarks" / "agents" / "results").glob("reproduce-*.jsonl") for line in file.open()
    )
    shown = {run["method"] for run in map(json.loads, kept) if "protocol" in run}
    assert shown <= set(METHODS)
