"""A whole federation of real node processes on this machine: started, watched, started again, and stopped.

It ends only processes that it started, by their handles. If it dies itself, its nodes notice that their standard input
closed, and stop.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, Self

from medward.ledger.membership import ChainParameters
from medward.node.api.client import NodeClient
from medward.node.errors import NodeError
from medward.node.home.configuration import LedgerEngine, join_address
from medward.node.home.folder import Home
from medward.node.trial.founding import Agree, Seat, found_on_one_machine
from medward.node.trial.ports import free_ports

NODE_COMMAND = (sys.executable, "-m", "medward.node")
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.2
_MOST_RESTARTS, _RESTART_SECONDS = 5, 60.0


def free_seats(names: Sequence[str], host: str = "127.0.0.1") -> list[Seat]:
    """Return a seat on free ports of this machine for each name."""
    ports = iter(free_ports(3 * len(names), host))
    return [Seat(name, *(join_address(host, next(ports)) for _ in range(3))) for name in names]


class NodeProcess(Protocol):
    """A node's process, as `subprocess.Popen` has it."""

    pid: int
    stdin: IO[bytes] | None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raise `subprocess.TimeoutExpired` if that takes longer."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


class Launcher:
    """Node processes, by name.

    Args:
        homes: their homes; see `found_on_one_machine`.
        restart: whether a node that dies is started again.
        command: the program that runs a node, given its home and `--until-stdin-closes`.
    """

    def __init__(
        self, homes: Mapping[str, Home], *, restart: bool = False, command: Sequence[str] = NODE_COMMAND
    ) -> None:
        self.homes = dict(homes)
        self.restarts: dict[str, int] = {}
        self._restart = restart
        self._command = tuple(command)
        self._processes: dict[str, NodeProcess] = {}
        self._clients: dict[str, NodeClient] = {}
        self._started_again: dict[str, list[float]] = {}

    @classmethod
    def found(
        cls,
        folder: Path,
        names: Sequence[str],
        application: str,
        *,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        own_settings: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
        agree: Agree | None = None,
        parameters: ChainParameters | None = None,
        engine: LedgerEngine = "pbft",
        host: str = "127.0.0.1",
        prefix: str = "",
        restart: bool = False,
        command: Sequence[str] = NODE_COMMAND,
    ) -> Self:
        """Begin a federation of these members in `folder`, each with a home there, on free ports.

        Args:
            folder: gets a folder for each member.
            names: the members.
            application: see `medward.node.applications`.
            settings: keys of node.toml's tables, for all members.
            own_settings: the same for single members, by name.
            agree: gives the application's parameters.
            parameters: of PBFT.
            engine: of the ledger.
            host: an address of this machine.
            prefix: stands before a member's name in the name of its home's folder.
            restart: see `Launcher`.
            command: see `Launcher`.
        """
        homes = found_on_one_machine(
            folder,
            folder.name.lower(),
            free_seats(names, host),
            application,
            settings=settings,
            own_settings=own_settings,
            agree=agree,
            parameters=parameters,
            engine=engine,
            prefix=prefix,
        )
        return cls(homes, restart=restart, command=command)

    def start(self, name: str) -> None:
        """Start one node; NodeError if it runs already."""
        if self.running(name):
            raise NodeError(f"{name} runs already")
        home = self.homes[name]
        home.log_file.parent.mkdir(mode=0o700, exist_ok=True)
        with open(home.log_file.with_name("output"), "ab") as output:
            self._processes[name] = self._begin([str(home.folder), "--until-stdin-closes"], output)

    def _begin(self, arguments: Sequence[str], output: IO[bytes]) -> NodeProcess:
        """Begin a node's process in a session of its own, with its input from a pipe and its output to a file."""
        return subprocess.Popen(
            [*self._command, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C at the launcher's terminal must reach the nodes through the launcher only.
            start_new_session=True,
        )

    def start_all(self) -> None:
        """Start every node."""
        for name in self.homes:
            self.start(name)

    def running(self, name: str) -> bool:
        """Say whether a node's process runs."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int | None:
        """Return a running node's process number."""
        process = self._processes.get(name)
        return process.pid if process is not None and process.poll() is None else None

    def client(self, name: str) -> NodeClient:
        """Return a client of a node's API."""
        token = self.homes[name].token()
        known = self._clients.get(name)
        if known is None or known.token != token:  # a home that was made anew has a new one
            known = self._clients[name] = NodeClient.of_home(self.homes[name])
        return known

    async def wait_until_healthy(self, seconds: float = 60.0, names: Sequence[str] | None = None) -> None:
        """Return when the nodes work.

        Raises:
            NodeError: one ended, or they take longer; with the last line of its log.
        """
        deadline = time.monotonic() + seconds
        missing = list(names or self.homes)
        while missing:
            for name in missing:
                if not self.running(name) and not self._restart:
                    raise NodeError(f"the node {name} ended while it started: {self.last_line(name)}")
            self.restart_the_dead()
            healthy = await asyncio.gather(*(asyncio.to_thread(self.client(name).healthy) for name in missing))
            missing = [name for name, works in zip(missing, healthy, strict=True) if not works]
            if missing and time.monotonic() > deadline:
                last = "; ".join(f"{name}: {self.last_line(name)}" for name in missing)
                raise NodeError(f"the nodes {', '.join(missing)} do not work after {seconds:.0f} s: {last}")
            if missing:
                await asyncio.sleep(_LOOK_SECONDS)

    async def watch(self, seconds: float = 1.0) -> AsyncIterator[Mapping[str, Mapping[str, Any] | None]]:
        """Yield every node's status again and again, None for one that does not answer; start the dead if asked to.

        Args:
            seconds: between two looks.
        """
        while True:
            self.restart_the_dead()
            found = await asyncio.gather(*(asyncio.to_thread(self._status, name) for name in self.homes))
            yield dict(zip(self.homes, found, strict=True))
            await asyncio.sleep(seconds)

    def restart_the_dead(self) -> None:
        """Start the nodes that ended without being asked to, where that is wanted.

        Raises:
            NodeError: one ended five times within a minute.
        """
        for name in self.homes if self._restart else ():
            process = self._processes.get(name)
            if process is not None and process.poll() is not None:
                recent = [at for at in self._started_again.get(name, []) if time.monotonic() - at < _RESTART_SECONDS]
                if len(recent) == _MOST_RESTARTS:
                    raise NodeError(f"the node {name} ends again and again: {self.last_line(name)}")
                self._started_again[name] = [*recent, time.monotonic()]
                self.restarts[name] = self.restarts.get(name, 0) + 1
                self.start(name)

    def kill(self, name: str) -> None:
        """End a node as a power failure would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    async def stop(self, names: Sequence[str] | None = None) -> dict[str, int]:
        """Ask nodes to end, and make those that do not within 20 seconds; return their exit codes."""
        stopping = {name: self._processes.pop(name) for name in names or self.homes if name in self._processes}
        for process in stopping.values():
            if process.poll() is None:
                process.terminate()
        codes = await asyncio.gather(*(asyncio.to_thread(_exit_code, process) for process in stopping.values()))
        return dict(zip(stopping, codes, strict=True))

    def output(self, name: str) -> str:
        """Return what a node wrote to its standard output and error."""
        try:
            return self.homes[name].log_file.with_name("output").read_text(errors="replace")
        except OSError:
            return ""

    def last_line(self, name: str) -> str:
        """Return the last line of a node's output."""
        return (self.output(name).splitlines() or ["it wrote nothing"])[-1]

    async def __aenter__(self) -> Self:
        self.start_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        for client in self._clients.values():
            client.close()

    def _status(self, name: str) -> Mapping[str, Any] | None:
        try:
            status: Mapping[str, Any] = self.client(name).get("/status")
        except NodeError:
            return None
        return status


def _exit_code(process: NodeProcess) -> int:
    try:
        code = process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return code
