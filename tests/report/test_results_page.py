"""docs/results.md says what the scripts print from the committed runs."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from medward.studies.study import METHODS

ROOT = Path(__file__).parents[2]


def test_printed_parts_of_the_results_page_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/page.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_page_has_no_table_of_runs_outside_printed_parts() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    parts = page.split("<!-- printed by: ")
    outside = parts[0] + "".join(part.partition("<!-- end -->")[2] for part in parts[1:])
    assert "| seeds |" not in outside.replace("| data set | updates | seeds |", "")
    assert len(parts) > 5


def test_pictures_of_the_results_page_show_the_kept_runs() -> None:
    results = runpy.run_path(str(ROOT / "benchmarks" / "results.py"))
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    pictures = results["pictures"](results["kept_runs"]())
    assert len(pictures) > 5
    for name, (title, description, _) in pictures.items():
        assert f"(images/{name})" in page
        drawn = ElementTree.parse(ROOT / "docs" / "images" / name).getroot()
        words = [node.text for node in drawn.iter("{http://purl.org/dc/elements/1.1/}description")]
        assert words == [description], f"{title} is not what the runs say: run python benchmarks/results.py plots."


def test_tables_compare_methods_on_the_seeds_that_most_of_them_have() -> None:
    compared = runpy.run_path(str(ROOT / "benchmarks" / "results.py"))["compared"]
    had = {"Sentinel": range(4), "LightGBM": range(4), "forest": range(2), "MLP": range(2), "boosting": range(1)}
    runs = [
        {"protocol": "honest", "data": "toy", "seed": seed, "method": method}
        for method, seeds in had.items()
        for seed in seeds
    ]
    kept = {method: [run["seed"] for run in compared(runs) if run["method"] == method] for method in had}
    assert kept == {"Sentinel": [0, 1], "LightGBM": [0, 1], "forest": [0, 1], "MLP": [0, 1], "boosting": [0]}


def test_reproduce_knows_every_method_that_the_page_shows() -> None:
    kept = (line for file in (ROOT / "benchmarks" / "results").glob("reproduce-*.jsonl") for line in file.open())
    shown = {run["method"] for run in map(json.loads, kept) if "protocol" in run}
    assert shown <= set(METHODS)
