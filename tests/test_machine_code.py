"""Processes that start together compile a kernel once, and none waits for long for one that does not go on."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
# What a process does: it says which file it locks, and waits for a line before it calls the kernel.
CALL = """
import sys
from medward import machine_code
import kernels
machine_code.PATIENCE = float(sys.argv[1])
print(kernels.outer._cache._lock_path, flush=True)
sys.stdin.readline()
print(kernels.outer(5), sum(kernels.outer.stats.cache_misses.values()), sum(kernels.inner.stats.cache_misses.values()))
"""


@contextmanager
def _processes(folder: Path, many: int, patience: float = 60.0) -> Iterator[list[subprocess.Popen[str]]]:
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


def _called(process: subprocess.Popen[str]) -> list[float]:
    """What came of the kernel's call, and how often a process compiled the kernel and the one that it calls."""
    told, _ = process.communicate(timeout=120)
    return [float(word) for word in told.split()]


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_processes_that_start_together_compile_each_kernel_once(tmp_path: Path) -> None:
    with _processes(tmp_path, 3) as started:
        assert len({_lock(process) for process in started}) == 1
        for process in started:
            _go(process)
        found = [_called(process) for process in started]
    assert {value for value, _, _ in found} == {5.0}
    assert [sum(column) for column in list(zip(*found, strict=True))[1:]] == [1, 1]
    assert not list(tmp_path.rglob("*.lock"))


def test_one_that_was_killed_while_it_compiled_stops_nobody(tmp_path: Path) -> None:
    with _processes(tmp_path, 1) as started:
        lock = _lock(started[0])
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        _go(started[0])
        assert _called(started[0]) == [5.0, 1.0, 1.0]


def test_one_that_does_not_go_on_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    with _processes(tmp_path, 1, patience=1.5) as started:
        lock = _lock(started[0])
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            began = time.monotonic()
            _go(started[0])
            assert _called(started[0]) == [5.0, 1.0, 1.0]
            assert time.monotonic() - began > 1.5


def test_folder_in_which_nothing_can_be_locked_is_compiled_in_all_the_same(tmp_path: Path) -> None:
    with _processes(tmp_path, 1) as started:
        _lock(started[0]).mkdir(parents=True)
        _go(started[0])
        assert _called(started[0]) == [5.0, 1.0, 1.0]
