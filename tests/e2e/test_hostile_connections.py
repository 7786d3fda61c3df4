"""Threats T5, T7 and T9: 2,000 hostile connections at four nodes that may open 1,024 files each, while they train.

The crowd (crowd.py) is idle, half-way through handshakes and requests, asks without end, sends noise, does not read;
one member's certificate is among its means. It calls from addresses of this machine only and ends by itself.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medward.node.api.client import NodeClient
from medward.node.errors import NodeError
from tests.e2e.crowd import Plan
from tests.e2e.ward import NAMES, Ward, run

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("short_training")]

FILES, CONNECTIONS, ROUNDS = 1024, 2000, 5
#: More rounds than there is time for: they are under way whenever the whole crowd has called.
MANY_ROUNDS = 1000
COMMAND = ("/bin/sh", "-c", f'ulimit -n {FILES} && exec "$0" "$@"', sys.executable, "-m", "tests.e2e.faulty_node")
#: It has gone long before, when the test has seen enough.
_MOST_SECONDS = 600.0


def plan_against(ward: Ward, connections: int) -> Plan:
    """Return the plan of a crowd at all ports of all nodes; one of the nodes' certificates is among its means."""
    tables = [home.configuration() for home in ward.launcher.homes.values()]
    return Plan(
        tuple(table.ledger.listen for table in tables),
        tuple(table.store.listen for table in tables),
        tuple(table.api.listen for table in tables),
        connections,
        _MOST_SECONDS,
        str(ward.launcher.homes[NAMES[-1]].gateway),
    )


@contextlib.asynccontextmanager
async def crowd(plan: Plan, folder: Path) -> AsyncIterator[list[dict[str, Any]]]:
    """Have a crowd, and wait until all of it has called; what it tells when it goes is put in the list."""
    file = folder / "crowd.json"
    file.write_bytes(msgspec.json.encode(plan))
    process = await asyncio.create_subprocess_exec(
        "nice", sys.executable, "-m", "tests.e2e.crowd", str(file), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    told = [json.loads(await process.stdout.readline())]
    try:
        yield told
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        told.append(json.loads(await process.stdout.readline()))
        await process.wait()


def highest_memory(ward: Ward) -> dict[str, int]:
    """Return the most bytes of memory that each node ever had."""
    found = {}
    for name in ward.names:
        status = Path(f"/proc/{ward.launcher.pid(name)}/status").read_text(encoding="ascii")
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        found[name] = int(line.split()[1]) * 1024
    return found


def open_files(ward: Ward) -> dict[str, int]:
    """Return how many files each node has open."""
    return {name: len(list(Path(f"/proc/{ward.launcher.pid(name)}/fd").iterdir())) for name in ward.names}


def ask_status(ward: Ward, name: str) -> None:
    """Ask a node for its status over a new connection, as its own people do."""
    with NodeClient.of_home(ward.launcher.homes[name]) as client:
        client.get("/status")


def answers(ward: Ward, name: str) -> bool:
    """Say whether a node tells its status before its people's program gives up."""
    try:
        ask_status(ward, name)
    except NodeError:
        return False
    return True


def undisturbed_memory(folder: Path) -> int:
    """Return the most bytes that a node takes for the same rounds without a crowd."""
    found: dict[str, int] = {}

    async def tell(ward: Ward) -> None:
        await ward.until_done()
        found.update(highest_memory(ward))

    run(folder, ROUNDS, tell, command=COMMAND)
    return max(found.values())


def test_four_nodes_train_among_two_thousand_hostile_connections(tmp_path: Path) -> None:
    answered: list[bool] = []
    files: list[int] = []

    async def tell(ward: Ward) -> None:
        async with crowd(plan_against(ward, CONNECTIONS), tmp_path) as told:
            begun = max(len(ward.rounds(name)) for name in NAMES)

            def trained() -> bool:
                answered.extend(answers(ward, name) for name in NAMES)
                files.extend(open_files(ward).values())
                return all(len(ward.rounds(name)) >= begun + 3 for name in NAMES)

            await ward.until(trained, "three rounds have ended, of which two began among the crowd", 420)
            ended = ward.rounds(NAMES[0])
            assert all(ended[number]["outcome"] == "final" for number in range(begun, begun + 3))
            memory.update(highest_memory(ward))
            metrics = ward.launcher.client(NAMES[0]).text("/metrics")
        for name in NAMES:
            assert not ward.launcher.client(name).get("/status")["restarts"]
            # What was met is told in a few lines, not in one for each.
            assert len(ward.launcher.output(name).splitlines()) < 300
        for port in ("API", "ledger", "store"):
            assert f'medward_turned_away_total{{port="{port}"' in metrics
        assert told[0]["called"] == CONNECTIONS
        assert told[1]["most_open"] > CONNECTIONS // 10

    memory: dict[str, int] = {}
    quiet = undisturbed_memory(tmp_path / "quiet")
    run(tmp_path / "crowded", MANY_ROUNDS, tell, command=COMMAND)
    assert all(answered)
    assert max(files) < FILES
    assert max(memory.values()) - quiet < 64 * 2**20
