"""Run the fast tests in parts, each in a process of its own: it collects little and holds nothing of the other parts.

Run: python tools/run_tests.py [arguments of pytest]   (`pytest tests/FOLDER` runs a part of them with workers)

What a part printed is shown when it is over. The last line counts the tests of all parts.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
#: Folders of tests that run together; `*` is all of a folder that no part names. The kernels that most others need are
#: compiled by the first two, once; of the others those that take longest come first, but none that is short comes last.
PARTS = (
    ("tests/traffic",),
    ("tests/fhe",),
    ("tests/store", "tests/ledger"),
    ("tests/federation",),
    ("tests/audit", "tests/node"),
    ("tests/*",),
    ("tests/flows",),
    ("tests/cli",),
    ("tests/agents",),
)
#: Tells a part's process which of all it is, as `2/9`: each has ports of its own.
PART = "MEDWARD_TESTS_PART"
#: What pytest returns where a part has no test that the arguments ask for.
_NO_TESTS = 5


@dataclass
class Outcome:
    """What came of a part, or of all."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Outcome") -> None:
        """Count another part's tests too."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        """Return the line that ends a run."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def paths() -> list[list[str]]:
    """Return the paths of each part, relative to the project, with every `*` put in its place."""
    named = {path for part in PARTS for path in part}

    def meant(path: str) -> list[str]:
        if not path.endswith("/*"):
            return [path]
        inside = sorted((ROOT / path).parent.iterdir())
        tests = [one for one in inside if _has_tests(one)]
        others = [one.relative_to(ROOT).as_posix() for one in tests]
        return [one for one in others if not any(name == one or name.startswith(f"{one}/") for name in named)]

    return [[one for path in part for one in meant(path)] for part in PARTS]


def _has_tests(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob("test_*.py"), None) is not None
    return path.name.startswith("test_") and path.suffix == ".py"


def at_once() -> int:
    """Return how many parts run at once: one more than there are processors, since tests wait a fifth of their time."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


def run(part: Sequence[str], arguments: Sequence[str], which: str) -> tuple[Outcome, str]:
    """Run a part, `which` of all of them; return what came of it, and what it printed.

    A process that ends without an account of its tests, or with a failure that is no test's, counts as one failed test.
    """
    with tempfile.TemporaryDirectory() as folder:
        account = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "--no-header", f"--junit-xml={account}"]
        done = subprocess.run(
            [*command, *arguments, *part],
            cwd=ROOT,
            env=os.environ | {PART: which},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        complete = account.exists() and done.returncode in (0, _NO_TESTS)
        outcome = counted(account) if account.exists() else Outcome()
    if not complete and not outcome.failed:
        outcome.failed = 1
    return outcome, done.stdout


def counted(account: Path) -> Outcome:
    """Count the tests in an account that pytest wrote."""
    outcome = Outcome()
    for suite in ElementTree.parse(account).getroot().iter("testsuite"):
        tests, failed, skipped = (int(suite.get(name, "0")) for name in ("tests", "failures", "skipped"))
        failed += int(suite.get("errors", "0"))
        outcome.add(Outcome(tests - failed - skipped, failed, skipped))
    return outcome


def main(arguments: Sequence[str]) -> int:
    """Run all parts, print what they print, and count; return 0 where some test passed and none failed."""
    parts, total = paths(), Outcome()

    def told(number: int) -> Outcome:
        outcome, printed = run(parts[number], arguments, f"{number}/{len(parts)}")
        print(f"=== {' '.join(parts[number])}\n{printed}", flush=True)
        return outcome

    with ThreadPoolExecutor(at_once()) as executor:
        for outcome in executor.map(told, range(len(parts))):
            total.add(outcome)
    print(total)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
