"""A tenth of benchmarks/fhe_sums.py: every set, width, kind and number of members."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medward.fhe.dealing import threshold
from medward.fhe.parameters import NAMED_SETS, UPDATE_BITS

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fhe_sums.py"
_KEPT = Path(__file__).parents[2] / "benchmarks" / "results" / "fhe-sums.jsonl"


@pytest.mark.slow
def test_no_sum_of_the_campaign_is_wrong() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--trials", "5", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["summary"]["wrong"] == 0
    assert result["summary"]["trials"] == 300
    assert result["summary"]["trials with silent holders"] == 120
    cells = {(row["set"], row["bits"], row["members"], row["count"]) for row in result["rows"]}
    assert len(cells) == len(result["rows"]) == 60
    assert {bits for _, bits, *_ in cells} == set(UPDATE_BITS)
    assert {name for name, *_ in cells} == set(NAMED_SETS)
    for row in result["rows"]:
        holders = int(row["count"])
        assert row["most opened"] == min(2, holders - threshold(holders))


def test_kept_campaign_is_whole_and_without_a_wrong_sum() -> None:
    """The file that the documents cite: thousands of trials, every cell, silent holders up to n - t."""
    rows = [json.loads(line) for line in _KEPT.read_text(encoding="utf-8").splitlines()]
    assert len({(row["set"], row["bits"], row["members"], row["count"]) for row in rows}) == len(rows) == 60
    assert sum(row["trials"] for row in rows) == 3000
    assert all(row["wrong"] == 0 for row in rows)
    assert all(row["most opened"] == row["count"] - threshold(row["count"]) for row in rows)
