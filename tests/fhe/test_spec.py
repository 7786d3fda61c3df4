"""The tables of spec/scheme.md are what the script prints, and its attacks all have their tests."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "scheme.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_script() -> None:
    script = ROOT / "benchmarks" / "fhe_parameters.py"
    printed = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    between = SPEC.split("<!-- printed by benchmarks/fhe_parameters.py -->\n\n")[1].split("<!-- end of what")[0]
    assert between == printed


def test_every_attack_has_a_pair_of_tests() -> None:
    tests = (ROOT / "tests" / "fhe" / "test_attacks.py").read_text(encoding="utf-8")
    rows = [
        line
        for line in SPEC.split("## 9.")[1].split("## 10.")[0].splitlines()
        if line[:3] in {f"| {i}" for i in range(1, 10)}
    ]
    assert len(rows) == 12
    sections = tests.split("\n# ")[1:]
    assert [section.split(".")[0] for section in sections] == [str(i) for i in range(1, 13)]
    assert all(section.count("\ndef test_") >= 2 for section in sections)
