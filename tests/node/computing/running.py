"""Running federations of members that compute on ciphertexts, and lie where a file in their home says so."""

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from medward.ledger.membership import ChainParameters
from medward.node.computing.rules import computing_parameters_of
from medward.node.interfaces import Program
from medward.node.process import run_node
from medward.node.trial.launcher import Launcher
from tests.node.forks import ForkingLauncher
from tests.node.waiting import until

_SETTINGS = {"ledger": {"request_timeout": 1000, "status_interval": 200, "fetch_timeout": 500}}


def settings_of(names: Sequence[str], computing: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return each member's settings; some compute for others, and all take part in a ring that is for tests."""
    return {name: {"participant": {"insecure_ring_for_tests": True, "compute": name in computing}} for name in names}


def run_federation(
    folder: Path,
    application: str,
    settings: Mapping[str, dict[str, Any]],
    command: Sequence[str],
    tell: Callable[[Launcher], Awaitable[None]],
) -> None:
    """Found a federation, run its nodes, and let `tell` see what they do.

    Args:
        folder: of the homes.
        application: of the federation.
        settings: by member.
        command: what a node is started by.
        tell: is given the nodes once all are healthy.
    """

    async def run() -> None:
        launcher = ForkingLauncher.found(
            folder,
            list(settings),
            application,
            settings=_SETTINGS,
            own_settings=settings,
            agree=computing_parameters_of,
            parameters=ChainParameters(checkpoint_interval=16, log_window=64, in_flight=8),
            command=command,
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(launcher)
            await launcher.wait_until_healthy()
            await tell(launcher)

    asyncio.run(run())


class RunningFederation:
    """A federation whose nodes run.

    Args:
        launcher: its nodes.
        longest: seconds that are waited for anything.
    """

    def __init__(self, launcher: Launcher, longest: float = 90) -> None:
        self.launcher, self._longest = launcher, longest

    def lie(self, name: str, how: str | None) -> None:
        """Let a member lie from now on; None for no more."""
        file = self.launcher.homes[name].participant / "lie"
        file.unlink(missing_ok=True)
        if how:
            file.write_text(how)

    def told(self, unit: str, number: str, by: str) -> dict[str, Any]:
        """Return what a node tells of a batch or task."""
        found = [one for one in self.launcher.client(by).get("/rounds") if one[unit] == number]
        return found[0] if found else {"state": "", "results": {}}

    def left(self, name: str) -> int:
        """Return how much a member's key may still open."""
        left: int = self.launcher.client(name).get("/status")["participant"]["outputs_left"]
        return left

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds."""
        await until(self.launcher, holds, what, self._longest)

    async def restart(self, name: str) -> None:
        """Start a node again, and wait until all are healthy."""
        self.launcher.start(name)
        await self.launcher.wait_until_healthy()

    async def spend(self, name: str, spent: str, journal: Path) -> None:
        """Stop a node, and write into its journal how much its key has opened, an expression of SQL."""
        await self.launcher.stop([name])
        connection = sqlite3.connect(journal, isolation_level=None)
        connection.execute(f"UPDATE budget SET spent = {spent}")
        connection.close()

    async def check_retired(self, name: str) -> None:
        """See that a node whose journal is from before what the ledger shows stops for good, with a sentence."""
        self.launcher.start(name)
        await self.until(lambda: not self.launcher.running(name), f"{name} stops")
        output = self.launcher.output(name)
        assert "its key must not be used again" in output
        assert "Traceback" not in output


def main(programs: Mapping[str, Program]) -> int:
    """Run a node with other programs than medward's, as its command line does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args(sys.argv[1:])
    return run_node(given.home, programs, until_stdin_closes=given.until_stdin_closes)
