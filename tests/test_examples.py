"""The scripts in examples/ run as they stand, from another folder, and say what their README says of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
LINES = {
    "encrypted_round.py": "the sum of north, south, east is exact in all 1000 values; west is left out",
    "own_combine.py": "the mean follows one poisoner of five, the robust rules do not",
    "own_ledger_application.py": "south asks for it, with west away: somebody has it",
    "own_model.py": "the hospitals' own network tells three classes apart, from encrypted updates alone",
    "store_as_library.py": "fetched again from the peer: every block is intact",
}


def test_each_example_is_tested_listed_and_short() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == set(LINES)
    listed = (EXAMPLES / "README.md").read_text()
    for name in scripts:
        assert f"({name})" in listed
        assert len((EXAMPLES / name).read_text().splitlines()) <= 60


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_example_runs_and_ends_as_it_says(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "dev", str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == LINES[name]
    assert "ResourceWarning" not in done.stderr
    assert not list(tmp_path.iterdir())
