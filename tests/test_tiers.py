"""A slower tier reads only files that name its mark, and no test is overlooked by it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import asked_for, is_in

ROOT = Path(__file__).resolve().parent.parent
#: What CI calls: pages and CI may join marks in other ways, as long as these hold.
TIERS = {
    "slow and not processes and not release": {"slow"},
    "(processes and not release) or engines": {"processes", "engines"},
    "release": {"release"},
    "not slow and not engines and not processes": set(),
    "": set(),
}


@pytest.mark.parametrize("expression", TIERS)
def test_marks_of_a_tier_are_those_that_its_expression_wants(expression: str) -> None:
    assert asked_for(expression) == TIERS[expression]


@pytest.mark.parametrize("expression", [one for one in TIERS if TIERS[one] and one != "release"])
def test_ci_calls_the_tiers_that_are_tried_here(expression: str) -> None:
    assert f'"{expression}"' in (ROOT / ".ci" / "run").read_text()


def test_file_is_in_a_tier_where_it_names_one_of_its_marks() -> None:
    assert is_in("pytestmark = pytest.mark.processes\n", frozenset({"engines", "processes"}))
    assert is_in("@pytest.mark.parametrize('n', [pytest.param(4, marks=pytest.mark.release)])", frozenset({"release"}))
    assert not is_in("# a slow test\n@pytest.mark.slowly\n", frozenset({"slow"}))
    assert is_in("def test_it() -> None: ...", frozenset())


def pytest_on(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest with this project's conftest.py on the tests of a folder."""
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-n",
        "0",
        "-q",
        "-c",
        str(ROOT / "pyproject.toml"),
    )
    done = subprocess.run(
        [*command, f"--rootdir={folder}", *arguments, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_tier_runs_its_tests_and_does_not_read_the_other_files(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("import pytest\n\n@pytest.mark.slow\ndef test_it(): ...\n")
    (tmp_path / "test_other.py").write_text("raise AssertionError('it is read')\n")
    code, told = pytest_on(tmp_path, "-m", "slow and not processes and not release")
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
