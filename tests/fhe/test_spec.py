"""Tables in documents are what the scripts print, and the attacks of spec/scheme.md all have their tests."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "scheme.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("fhe_parameters.py", "spec/scheme.md"),
        ("fhe_tables.py", "docs/encryption.md"),
        ("scaling.py", "docs/scaling.md"),
    ],
)
def test_tables_are_those_of_the_script(script: str, page: str) -> None:
    path = ROOT / "benchmarks" / script
    printed = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True).stdout
    text = (ROOT / page).read_text(encoding="utf-8")
    between = text.split(f"<!-- printed by benchmarks/{script} -->\n\n")[1].split("<!-- end of what")[0]
    assert between == printed


def test_every_attack_has_a_pair_of_tests() -> None:
    files = ("fhe/test_answer_attacks.py", "fhe/test_attacks.py", "federation/test_ceremony_attacks.py")
    texts = [(ROOT / "tests" / file).read_text(encoding="utf-8") for file in files]
    rows = [
        line
        for line in SPEC.split("## 9.")[1].split("## 10.")[0].splitlines()
        if line[:3] in {f"| {i}" for i in range(1, 10)}
    ]
    assert len(rows) == 13
    sections = [section for text in texts for section in text.split("\n# ")[1:]]
    assert sorted(int(section.split(".")[0]) for section in sections) == list(range(1, 14))
    assert all(section.count("\ndef test_") >= 2 for section in sections)
