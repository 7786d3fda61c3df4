"""A slower tier reads only files that name its mark, and no test is overlooked by it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import may_have

ROOT = Path(__file__).resolve().parent.parent
SLOW, PROCESSES, RELEASE = (
    "@pytest.mark.slow",
    "pytestmark = pytest.mark.processes",
    "param(4, marks=pytest.mark.release)",
)
SLOW_TIER, PROCESSES_TIER = "slow and not processes and not release", "(processes and not release) or engines"


@pytest.mark.parametrize("tier", [SLOW_TIER, PROCESSES_TIER])
def test_ci_calls_the_tiers_that_are_tried_here(tier: str) -> None:
    assert f'"{tier}"' in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("expression", "text", "may"),
    [
        (SLOW_TIER, SLOW, True),
        (SLOW_TIER, f"{SLOW}\n{PROCESSES}\n{RELEASE}", True),  # some may have one mark alone
        (SLOW_TIER, PROCESSES, False),
        (SLOW_TIER, "# a slow test\n@pytest.mark.slowly", False),
        (PROCESSES_TIER, PROCESSES, True),
        (PROCESSES_TIER, "@pytest.mark.engines", True),
        (PROCESSES_TIER, f"{SLOW}\n{RELEASE}", False),
        ("release", RELEASE, True),
        ("release", SLOW, False),
        # Others of the file may be fast.
        ("not slow and not engines and not processes and not release", PROCESSES, True),
        ("not (slow or processes)", PROCESSES, True),
        ("slow or not processes", "", True),
        ("hypothesis and not slow", "", True),
        ("hypothesis and slow", "", False),
        ("", "", True),
        ("mark(of=4)", "", True),
        ("slow and", "", True),  # pytest says what is wrong with it
    ],
)
def test_file_is_read_where_it_may_have_a_test_that_is_wanted(expression: str, text: str, may: bool) -> None:
    assert may_have(text, expression) is may


def pytest_on(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest with this project's conftest.py on the tests of a folder."""
    ours = ["-p", "tests.conftest", "-n", "0", "-q", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={folder}"]
    command = [sys.executable, "-m", "pytest", *ours, *arguments, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_tier_runs_its_tests_and_does_not_read_the_other_files(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("import pytest\n\n@pytest.mark.slow\ndef test_it(): ...\n")
    (tmp_path / "test_other.py").write_text("raise AssertionError('it is read')\n")
    code, told = pytest_on(tmp_path, "-m", SLOW_TIER)
    assert (code, "1 passed" in told, "it is read" in told) == (0, True, False)
    code, told = pytest_on(tmp_path)
    assert (code, "it is read" in told) == (2, True)


def test_test_whose_tier_would_overlook_it_ends_the_fast_tests_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "marks.py").write_text("import pytest\n\nours = getattr(pytest.mark, 'slow')\n")
    (tmp_path / "test_one.py").write_text("from marks import ours\n\n@ours\ndef test_it(): ...\n")
    code, told = pytest_on(tmp_path)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "test_one.py has tests of the tier slow" in told
    assert "write `pytest.mark.slow` in it" in told
