"""Processes that start together compile a kernel once, and none waits for long for one that does not go on.

Installations in which nothing can be written: tests/fhe/test_cold_start.py.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from medward.machine_code import kernel

KERNELS = """
from medward.machine_code import kernel

@kernel()
def inner(n):
    total = 0.0
    for i in range(n):
        total += i * 0.5
    return total

@kernel()
def outer(n):
    total = 0.0
    for i in range(n):
        total += inner(i)
    return total
"""
# What a process does: it says which file it locks, and waits for a line before it calls the kernel, or has its turn to
# compile and does nothing with it.
CALL = """
import sys
from medward import machine_code
import kernels
machine_code.PATIENCE = float(sys.argv[1])
print(kernels.outer._cache._lock_path, flush=True)
if sys.stdin.readline() == "stand still\\n":
    kernels.outer._cache._begin()
    print("has its turn", flush=True)
    sys.stdin.read()
value = kernels.outer(5)
misses = [sum(one.stats.cache_misses.values()) for one in (kernels.outer, kernels.inner)]
print(value, *misses, int(kernels.outer._cache._lock is not None))
"""


@contextmanager
def _processes(folder: Path, many: int, patience: float = 600.0) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ready to call the kernel, of which nothing is kept yet."""
    (folder / "kernels.py").write_text(KERNELS)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "kept"), "PYTHONPATH": path}
    command = [sys.executable, "-c", CALL, str(patience)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ExitStack() as started:
        found = [
            started.enter_context(subprocess.Popen(command, env=environment, text=True, **pipes)) for _ in range(many)
        ]
        for process in found:
            started.callback(process.kill)
        yield found


def _lock(process: subprocess.Popen[str]) -> Path:
    """The file that a process locks before it compiles; it is ready once it has said so."""
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _called(process: subprocess.Popen[str]) -> list[float]:
    """What came of the kernel's call, how often it and the one that it calls were compiled, and locks that are left."""
    told, _ = process.communicate(timeout=120)
    return [float(word) for word in told.split()]


def _stands_still(process: subprocess.Popen[str]) -> None:
    """Have a process begin its turn to compile, and do nothing."""
    _lock(process)
    _say(process, "stand still")
    assert process.stdout is not None
    assert process.stdout.readline() == "has its turn\n"


def test_processes_that_start_together_compile_each_kernel_once(tmp_path: Path) -> None:
    with _processes(tmp_path, 4) as started:
        assert len({_lock(process) for process in started}) == 1
        for process in started:
            _say(process, "call")
        found = [_called(process) for process in started]
    assert {value for value, *_ in found} == {5.0}
    outer, inner, left = (sum(column) for column in list(zip(*found, strict=True))[1:])
    assert (outer, inner, left) == (1, 1, 0)
    assert not list(tmp_path.rglob("*.lock"))


def test_one_that_is_killed_when_it_is_its_turn_stops_nobody(tmp_path: Path) -> None:
    with _processes(tmp_path, 2) as (killed, other):
        _stands_still(killed)
        killed.kill()
        killed.wait()
        assert _lock(other).exists()
        _say(other, "call")  # it would wait for longer than `_called` does
        assert _called(other) == [5.0, 1.0, 1.0, 0.0]


@pytest.mark.slow
def test_one_that_does_not_go_on_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    with _processes(tmp_path, 2, patience=1.5) as (still, other):
        _stands_still(still)
        _lock(other)
        began = time.monotonic()
        _say(other, "call")
        assert _called(other) == [5.0, 1.0, 1.0, 0.0]
        assert time.monotonic() - began > 1.5


@pytest.mark.slow
def test_folder_in_which_nothing_can_be_locked_is_compiled_in_all_the_same(tmp_path: Path) -> None:
    with _processes(tmp_path, 1) as [process]:
        _lock(process).mkdir(parents=True)
        _say(process, "call")
        assert _called(process) == [5.0, 1.0, 1.0, 0.0]


def test_function_that_nothing_can_be_kept_beside_is_compiled_all_the_same() -> None:
    """Numba finds no place to keep code of a function whose file is not there."""
    space: dict[str, Any] = {}
    exec(compile("def triple(x):\n    return 3 * x\n", "<nowhere>", "exec"), space)
    assert kernel()(space["triple"])(2.0) == 6.0
