"""Run the fast tests in parts, each in a process of its own: it collects little and holds nothing of the other parts.

Run: python tools/run_tests.py [arguments of pytest]   (`pytest tests/FOLDER` runs a part of them with workers)

What a part printed is shown when it is over. The last line counts the tests of all parts.
"""

import gc
import importlib
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
#: Folders of tests that run together; `*` is all of a folder that no part names. The kernels that most others need are
#: compiled by the first two, once; of the others those that take longest come first, but none that is short comes last.
PARTS = (
    ("tests/traffic",),
    ("tests/fhe",),
    ("tests/audit", "tests/node"),
    ("tests/store", "tests/ledger"),
    ("tests/federation",),
    ("tests/*",),
    ("tests/flows",),
    ("tests/cli",),
    ("tests/agents",),
)
#: Imported once, before the parts' processes are forked: in each of them it took seconds. Nothing of it starts a thread
#: that a forked process would miss (polars does, and is imported by each part).
PRELOADED = (
    "pytest",
    "hypothesis",
    "anyio",
    "equinox",
    "optax",
    "sklearn.ensemble",
    "medward.fhe.context",
    "medward.fhe.checking",
)
#: Tells a part's process which of all it is, as `2/9`: each has ports of its own.
PART = "MEDWARD_TESTS_PART"
#: What pytest returns where a part has no test that the arguments ask for.
_NO_TESTS = 5
# Pytest says of each of its plugins' modules that is preloaded that its asserts will not be rewritten.
_QUIET = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")


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


class Part:
    """A part that runs: in a process that is forked from this one, and writes into files.

    Args:
        part: its paths.
        arguments: for pytest.
        which: of all parts it is.
        folder: is there for its files.
    """

    def __init__(self, part: Sequence[str], arguments: Sequence[str], which: str, folder: Path) -> None:
        self._account, self._printed = folder / "tests.xml", folder / "printed"
        command = ["-n", "0", "-q", "--no-header", f"--junit-xml={self._account}", *_QUIET, *arguments, *part]
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=(command, self._printed, which))
        self._process.start()
        self.sentinel = self._process.sentinel

    def ended(self) -> tuple[Outcome, str]:
        """Wait for its end; return what came of it, and what it printed.

        A process that ends without an account of its tests, or with a failure that is no test's, counts as one failed
        test.
        """
        self._process.join()
        complete = self._account.exists() and self._process.exitcode in (0, _NO_TESTS)
        outcome = counted(self._account) if self._account.exists() else Outcome()
        if not complete and not outcome.failed:
            outcome.failed = 1
        printed = self._printed.read_text(encoding="utf-8", errors="replace") if self._printed.exists() else ""
        return outcome, printed


def _run(command: list[str], printed: Path, which: str) -> None:
    """Be a part's process: `python -m pytest` with this command, as if it had been started in the project's folder."""
    with printed.open("wb") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
    os.environ[PART] = which
    os.chdir(ROOT)
    sys.path[0] = str(ROOT)
    sys.exit(int(importlib.import_module("pytest").main(command)))


def counted(account: Path) -> Outcome:
    """Count the tests in an account that pytest wrote."""
    outcome = Outcome()
    for suite in ElementTree.parse(account).getroot().iter("testsuite"):
        tests, failed, skipped = (int(suite.get(name, "0")) for name in ("tests", "failures", "skipped"))
        failed += int(suite.get("errors", "0"))
        outcome.add(Outcome(tests - failed - skipped, failed, skipped))
    return outcome


def ended(parts: Sequence[Sequence[str]], arguments: Sequence[str], folder: Path) -> Iterator[tuple[int, Outcome, str]]:
    """Run parts, as many at once as `at_once` says; yield each that ends: which it is, what came of it, its words."""
    waiting, under_way = list(enumerate(parts)), dict[int, tuple[int, Part]]()
    while waiting or under_way:
        while waiting and len(under_way) < at_once():
            number, part = waiting.pop(0)
            (own := folder / str(number)).mkdir()
            started = Part(part, arguments, f"{number}/{len(parts)}", own)
            under_way[started.sentinel] = (number, started)
        for sentinel in wait(list(under_way)):
            assert isinstance(sentinel, int)
            number, over = under_way.pop(sentinel)
            yield number, *over.ended()


def main(arguments: Sequence[str]) -> int:
    """Run all parts, print what they print, and count; return 0 where some test passed and none failed."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # The parts need not look through what is here for something to give back, each time they look.
    parts, total = paths(), Outcome()
    with tempfile.TemporaryDirectory() as folder:
        for number, outcome, printed in ended(parts, arguments, Path(folder)):
            print(f"=== {' '.join(parts[number])}\n{printed}", flush=True)
            total.add(outcome)
    print(total)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
