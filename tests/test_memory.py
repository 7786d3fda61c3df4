"""The limit on the memory of test processes: what JAX compiled is dropped, and who passes it is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import memory

ROOT = Path(__file__).parents[1]
GREEDY = """
def test_greedy():
    assert len(b"x" * ({mebibytes} * 2**20))
"""


@pytest.fixture
def outcome(tmp_path: Path):
    """Return what comes of a run, with workers or without, whose one test takes so many MiB."""

    def run(mebibytes: int, *workers: str) -> tuple[int, str]:
        (tmp_path / "test_greedy.py").write_text(GREEDY.format(mebibytes=mebibytes))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow",
            *workers,
        ]
        done = subprocess.run(
            [*command, "-o", "addopts=", f"--rootdir={tmp_path}", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return run


@pytest.mark.slow
@pytest.mark.skipif(not memory.of_this_process("VmHWM"), reason="this system tells no process its memory as Linux does")
@pytest.mark.parametrize(("workers", "name"), [(("-n", "0"), "the process that ran pytest"), (("-n", "1"), "gw0")])
def test_run_that_takes_more_than_the_limit_says_which_process_did(outcome, workers, name) -> None:
    code, told = outcome(memory.LIMIT, *workers)
    assert code == pytest.ExitCode.OK
    assert "1 passed" in told
    assert f"memory: {name} took 1" in told


def test_run_that_keeps_to_the_limit_passes(outcome) -> None:
    code, told = outcome(1, "-n", "0")
    assert code == pytest.ExitCode.OK
    assert "may take" not in told


def test_only_what_is_above_the_limit_is_told_of() -> None:
    assert memory.excess({"gw0": memory.LIMIT, "gw1": 10}) == []
    (sentence,) = memory.excess({"gw0": memory.LIMIT, "gw1": memory.LIMIT + 1})
    assert sentence.startswith(f"gw1 took {memory.LIMIT + 1} MiB")


def test_what_was_compiled_is_dropped_again_only_once_much_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    # What a process holds when it is asked: before memory is given back, after, and after compiled code is dropped.
    sizes = iter([600, 590, 640, 700, 680, 640, 690, 740, 730, 800, 770, 650])
    monkeypatch.setattr(memory, "of_this_process", lambda _: next(sizes))
    monkeypatch.setattr(memory, "_give_back", lambda: told.append("given back"))
    monkeypatch.setattr(memory, "_drop_compiled", lambda: told.append("dropped"))
    monkeypatch.setitem(sys.modules, "jax", object())
    dropping = memory.Dropping()
    assert [dropping.drop() for _ in range(6)] == [False, False, True, False, False, True]
    # 590 is little, and 640 is not enough more. 680 is much, and its drop leaves 640. Of 690 nothing is tried; 730 is
    # not worth it, and 770 is.
    assert told == ["given back", "given back", "dropped", "given back", "given back", "dropped"]
