"""Run the tests of every threat in spec/threats.md, in one pytest call, and say which rows nothing tests.

Run: python tools/run_threats.py [arguments of pytest]   (fails on a failed test, and on a row without a test that ran)

A row reads `| M1 | what an attacker does | what holds | test ids |`, the ids as pytest takes them, separated by spaces.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "spec" / "threats.md"
_ROW = re.compile(r"^\| ([A-Z]\d+) \|(.*)\|$", re.MULTILINE)


def threats(page: str) -> dict[str, list[str]]:
    """Return each row's test ids, by its name.

    Raises:
        ValueError: a row has not four columns, or comes twice.
    """
    rows: dict[str, list[str]] = {}
    for name, rest in _ROW.findall(page):
        columns = rest.split(" | ")
        if len(columns) != 3 or name in rows:
            raise ValueError(f"row {name} of the threats is malformed or comes twice")
        rows[name] = [word.strip("`") for word in columns[2].split() if "::" in word]
    return rows


@dataclass
class Outcomes:
    """A plugin of pytest that notes which tests passed, failed and were skipped."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one report."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)


def _is_of(test: str, named: str) -> bool:
    return test == named or test.startswith((f"{named}[", f"{named}::"))


def gaps(rows: dict[str, list[str]], passed: set[str]) -> list[str]:
    """Return the rows of which no test ran and passed."""
    return [name for name, ids in rows.items() if not any(_is_of(test, named) for test in passed for named in ids)]


def main(arguments: list[str]) -> int:
    """Run the tests; return the exit status."""
    rows = threats(PAGE.read_text(encoding="utf-8"))
    ids = sorted({named for ids in rows.values() for named in ids})
    outcomes = Outcomes()
    # the markers that an ordinary run leaves out are wanted here
    status = int(pytest.main(["--rootdir", str(ROOT), "-q", "-m", "", *arguments, *ids], plugins=[outcomes]))
    for name, named in rows.items():
        ran = sum(any(_is_of(test, one) for one in named) for test in outcomes.passed)
        print(f"{name}: {ran} tests passed" if ran else f"{name}: GAP, nothing that it names ran and passed")
    missing = gaps(rows, outcomes.passed)
    print(f"{len(rows) - len(missing)} of {len(rows)} threats are tested; {len(outcomes.failed)} tests failed.")
    return status or int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
