"""A tenth of benchmarks/fhe_sums.py: every set, width, kind and number of members."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fhe_sums.py"


@pytest.mark.slow
def test_no_sum_of_the_campaign_is_wrong() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--trials", "5", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["summary"]["wrong"] == 0
    assert result["summary"]["trials"] == 300
    assert {(row["set"], row["bits"]) for row in result["rows"]} >= {("AGG-M", b) for b in (4, 8, 12, 16)}
    assert all(row["most opened"] >= 1 for row in result["rows"])
