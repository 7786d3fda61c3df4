"""The tables of docs/computing.md are those of the kept run, whose every opened number was the plain one."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_tables_of_the_page_are_the_kept_run_and_every_number_was_exact() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "fhe" / "outsourced.py"))
    kept = json.loads(script["KEPT"].read_text(encoding="utf-8"))
    assert kept["cost"]
    assert all(row["exact"] == row["numbers"] for row in kept["cost"])
    assert script["table_of"](kept) in (ROOT / "docs" / "computing.md").read_text(encoding="utf-8")
