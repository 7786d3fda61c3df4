"""The fast tests are run in parts: every test file stands in just one, and what any part fails the whole run fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import run_tests

ROOT = Path(__file__).parents[1]
TESTS = {
    "passing": "def test_it() -> None:\n    pass\n",
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


def test_run_fails_with_any_part_and_shows_and_counts_all_of_them(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_tests, "PARTS", tuple((f"tests/{name}",) for name in TESTS))
    assert run_tests.main(["-p", "no:cacheprovider"]) == 1
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "1 passed, 3 failed, 1 skipped"
    assert all(f"=== tests/{name}\n" in told for name in TESTS)
    assert "seen by whoever runs it" in told


def test_arguments_choose_among_the_tests_of_all_parts(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_tests, "PARTS", (("tests/passing",), ("tests/failing",)))
    assert run_tests.main(["-p", "no:cacheprovider", "-k", "test_passing"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_run_without_a_test_fails(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "PARTS", (("tests/passing",),))
    assert run_tests.main(["-p", "no:cacheprovider", "-k", "none of them"]) == 1


def test_part_has_ports_of_its_own(tmp_path: Path) -> None:
    asks = (
        "from medward.node.trial import ports\n\ndef test_ports() -> None:\n    raise ValueError(f'{ports._PORTS}')\n"
    )
    (tmp_path / "test_asks.py").write_text(asks)
    told = set()
    for which in ("0/2", "1/2"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", "0", f"--rootdir={tmp_path}", str(tmp_path)],
            cwd=ROOT,
            env={"PATH": "", run_tests.PART: which},
            capture_output=True,
            text=True,
            check=False,
        )
        told |= {line for line in done.stdout.splitlines() if line.startswith("E ") and "range(" in line}
    assert len(told) == 2
