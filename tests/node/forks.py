"""Nodes that are forked from a process which has imported what nodes need: each would take three seconds for that.

They are processes like any others, with a pipe for their input, a session of their own, and an exit code.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import IO

from medward.node.trial.launcher import Launcher, NodeProcess

_FORKS = multiprocessing.get_context("forkserver")
# The process that forks runs none of it, and has no threads.
_FORKS.set_forkserver_preload(["medward.node.process", "medward.node.training.participant"])
# Whoever looks first reads an exit code, once.
_LOOKING = threading.Lock()


class ForkingLauncher(Launcher):
    """A launcher that forks nodes whose command is `python -m MODULE ...`, and starts others as ever."""

    def _begin(self, arguments: Sequence[str], output: IO[bytes]) -> NodeProcess:
        if self._command[:2] != (sys.executable, "-m"):
            return super()._begin(arguments, output)
        return ForkedNode(self._command[2], [*self._command[3:], *arguments], output)


class ForkedNode:
    """A node's process, as `subprocess.Popen` would have it.

    Args:
        module: is run in it as a program.
        arguments: of the program.
        output: gets what it writes.
    """

    def __init__(self, module: str, arguments: Sequence[str], output: IO[bytes]) -> None:
        read, write = os.pipe()
        self.stdin: IO[bytes] | None = os.fdopen(write, "wb", buffering=0)
        with Connection(read) as own_input, Connection(os.dup(output.fileno())) as own_output, _LOOKING:
            about = (module, tuple(arguments), dict(os.environ), own_input, own_output)
            self._process = _FORKS.Process(target=_run, args=about, daemon=True)
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        with _LOOKING:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended."""
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("a forked node", timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def _run(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    own_input: Connection,
    own_output: Connection,
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for stream, standard in ((own_input, 0), (own_output, 1), (own_output, 2)):
        os.dup2(stream.fileno(), standard)
    own_input.close()
    own_output.close()
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
