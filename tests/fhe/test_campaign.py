"""A twentieth of benchmarks/fhe/sum_campaign.py, and what the whole of it left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medward.fhe.parameters import UPDATE_BITS

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fhe" / "sum_campaign.py"
_KEPT = Path(__file__).parents[2] / "benchmarks" / "fhe" / "results" / "sum-campaign.json"
_CELLS = {(holders, bits) for holders in (4, 7, 10, 16, 64) for bits in UPDATE_BITS}


@pytest.mark.slow
def test_no_sum_of_the_campaign_is_wrong_or_void_and_nobody_honest_is_named() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--sums", "150", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    summary = result["summary"]
    assert (summary["wrong_sums"], summary["void"], summary["honest_named"]) == (0, 0, 0)
    assert summary["sums"] == 150
    assert summary["silent"] > 100
    assert summary["wrong_answers"] > 100
    assert summary["audits"] > 0
    assert {(row["holders"], row["bits"]) for row in result["rows"]} == _CELLS


def test_kept_campaign_is_whole_and_without_a_wrong_sum() -> None:
    """The file that the documents cite."""
    rows = json.loads(_KEPT.read_text(encoding="utf-8"))["rows"]
    assert {(row["holders"], row["bits"]) for row in rows} == _CELLS
    assert sum(row["sums"] for row in rows) == 3193
    assert all((row["wrong_sums"], row["void"], row["honest_named"]) == (0, 0, 0) for row in rows)
    assert max(row["most_contributors"] for row in rows) == 1024
    for row in rows:
        faulty = (row["holders"] - 1) // 3
        if row["holders"] < 64:
            assert row["mixes"] == (faulty + 1) * (faulty + 2) // 2
        else:
            assert row["mixes"] >= 108
    assert sum(row["audits"] for row in rows if row["holders"] == 64) > 50
