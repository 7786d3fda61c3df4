"""The fast tests are run in parts: every test file stands in just one, and what any part fails the whole run fails.

Runs of the slower tests begin with the files that take longest.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import LONGEST, longest_first, ports_of
from tools import run_tests

ROOT = Path(__file__).parents[1]
TESTS = {
    "passing": (
        "import os\nimport pathlib\n\ndef test_it() -> None:\n"
        "    assert pathlib.Path.cwd() == pathlib.Path(__file__).parents[2]\n"
        "    assert os.environ['MEDWARD_TESTS_PART'][:2] == '0/'\n"
    ),
    "skipped": "import pytest\n\ndef test_it() -> None:\n    pytest.skip('on purpose')\n",
    "failing": "def test_it() -> None:\n    raise ValueError('seen by whoever runs it')\n",
    "broken": "import nothing_of_this_name\n",
    "dying": "import os\n\nos._exit(0)\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a folder of tests for each thing that a test does."""
    for name, content in TESTS.items():
        (tmp_path / "tests" / name).mkdir(parents=True)
        (tmp_path / "tests" / name / f"test_{name}.py").write_text(content)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    return tmp_path


def test_every_test_file_stands_in_just_one_part() -> None:
    found = [
        file.relative_to(ROOT)
        for part in run_tests.paths()
        for path in part
        for file in ([ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("test_*.py"))
    ]
    assert sorted(found) == sorted(file.relative_to(ROOT) for file in (ROOT / "tests").rglob("test_*.py"))


def test_star_stands_for_what_no_part_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/test_a.py", "a/b/test_b.py", "a/c/test_c.py", "test_e.py", "helper.py", "f/help.py"):
        (project / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "tests" / name).touch()
    named = tuple(f"tests/{name}" for name in TESTS)
    monkeypatch.setattr(run_tests, "PARTS", (("tests/a/b",), ("tests/*",), ("tests/a/*",), named))
    assert run_tests.paths() == [["tests/a/b"], ["tests/test_e.py"], ["tests/a/c", "tests/a/test_a.py"], list(named)]


def _run(project: Path, parts: Sequence[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run parts of a project's tests, each a folder, in a process of its own: it forks, which this one cannot."""
    program = (
        "import pathlib, sys\nfrom tools import run_tests\n"
        f"run_tests.ROOT = pathlib.Path({str(project)!r})\n"
        f"run_tests.PARTS = {tuple((f'tests/{name}',) for name in parts)!r}\n"
        "run_tests.PRELOADED = ('pytest', 'hypothesis', 'jaxtyping', 'anyio')\n"
        "sys.exit(run_tests.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_run_fails_with_any_part_and_shows_and_counts_all_of_them(project: Path) -> None:
    done = _run(project, list(TESTS))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "1 passed, 3 failed, 1 skipped"
    assert all(f"=== tests/{name}\n" in done.stdout for name in TESTS)
    assert "seen by whoever runs it" in done.stdout


def test_arguments_choose_among_the_tests_of_all_parts(project: Path) -> None:
    done = _run(project, ["passing", "failing"], "-k", "test_passing")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 passed, 0 failed, 0 skipped")


def test_run_without_a_test_fails(project: Path) -> None:
    assert _run(project, ["passing"], "-k", "none of them").returncode == 1


@pytest.mark.parametrize(
    "environments",
    [
        [{run_tests.PART: f"{number}/3"} for number in range(3)],
        [{"PYTEST_XDIST_WORKER": f"gw{number}", "PYTEST_XDIST_WORKER_COUNT": "3"} for number in range(3)],
        [{}],
    ],
)
def test_each_process_of_tests_has_ports_of_its_own(environments: list[dict[str, str]]) -> None:
    found = [port for environment in environments for port in ports_of(range(100, 130), environment)]
    assert sorted(found) == list(range(100, 130))


def test_files_that_take_longest_come_first_and_the_others_keep_their_order() -> None:
    assert all((ROOT / "tests" / name).is_file() for name in LONGEST)
    others = ["store/test_disk.py", "agents/test_batching.py"]
    names = [others[0], LONGEST[2], others[1], LONGEST[0]]
    found = sorted(names, key=lambda name: longest_first(ROOT / "tests" / name))
    assert found == [LONGEST[0], LONGEST[2], *others]
