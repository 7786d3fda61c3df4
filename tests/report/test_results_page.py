"""docs/results.md says what the scripts print from the committed runs."""

import subprocess
import sys
from pathlib import Path

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
