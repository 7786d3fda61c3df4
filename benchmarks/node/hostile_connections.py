"""Four nodes that may open 1,024 files each train while thousands of hostile connections hang on to their ports; and
what 200 clients that nobody knows cost the ledger's throughput when they ask without end.

    python benchmarks/node/hostile_connections.py [--connections 2000] [--rounds 3] [--out FILE]

It trains once undisturbed and once among the crowd (tests/e2e/crowd.py), which keeps that many connections coming from
loopback addresses until the last round is over. Told are the seconds of the rounds, how long an operator waits for a
node's status over a new connection (and for the whole command, most of which is the start of Python), and the most
memory that a node had.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.bench.rows import machine_description
from medward.ledger.bank import Note
from medward.ledger.encoding import encode
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.signatures import MemberSigner
from tests.e2e.crowd import Plan
from tests.e2e.test_hostile_connections import (
    COMMAND,
    FILES,
    ask_status,
    crowd,
    highest_memory,
    open_files,
    plan_against,
)
from tests.e2e.ward import NAMES, REQUEST_TIMEOUT, Ward, run, undisturbed
from tests.ledger.cluster import TIMERS, Cluster

_LOOK_SECONDS = 1.0
_STRANGERS, _ORDERING_SECONDS = 200, 8.0
_MOST_SECONDS = 900.0
_MEDWARD = (sys.executable, "-c", "from medward.cli import main; main()")


def seconds_until_status(ward: Ward, name: str) -> float:
    """Return the seconds until a node's status is there, over a new connection."""
    begun = time.monotonic()
    ask_status(ward, name)
    return time.monotonic() - begun


def say_status(ward: Ward) -> float:
    """Return the seconds of an operator's command about one node."""
    begun = time.monotonic()
    home = str(ward.launcher.homes[NAMES[0]].folder)
    subprocess.run([*_MEDWARD, "federation", "status", "--home", home], capture_output=True, check=True)
    return time.monotonic() - begun


async def live(ward: Ward, rounds: int, connections: int, folder: Path) -> dict[str, Any]:
    """Look on until so many rounds were trained; return what was seen."""
    answers: list[float] = []
    files = 0
    commands: list[float] = []
    begun = time.monotonic()

    async def look_on() -> None:
        nonlocal files
        while len(ward.rounds(NAMES[0])) < rounds + 1:  # the survey is one
            if time.monotonic() - begun > _MOST_SECONDS:
                raise TimeoutError(ward.stands(list(NAMES)))
            answers.extend([await asyncio.to_thread(seconds_until_status, ward, name) for name in NAMES])
            files = max(files, *open_files(ward).values())
            commands.append(await asyncio.to_thread(say_status, ward))
            await asyncio.sleep(_LOOK_SECONDS)

    told: list[dict[str, Any]] = []
    if connections:
        async with crowd(plan_against(ward, connections), folder) as told:
            before = len(ward.rounds(NAMES[0]))
            await look_on()
    else:
        before = 0
        await look_on()
    memory = highest_memory(ward)
    away = {}
    for line in ward.launcher.client(NAMES[0]).text("/metrics").splitlines():
        if line.startswith("medward_turned_away_total"):
            what, _, times = line.rpartition(" ")
            away[what] = float(times)
    return {
        "connections": connections,
        "rounds_among_them": rounds + 1 - before,
        "seconds": time.monotonic() - begun,
        "status_median": statistics.median(answers),
        "status_worst": max(answers),
        "command_worst": max(commands),
        "most_open_files": files,
        "memory": memory,
        "crowd": told,
        "turned_away_h0": away,
    }


def measured(connections: int, rounds: int) -> dict[str, Any]:
    """Found four nodes, train, and return what was seen."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:

        async def tell(ward: Ward) -> None:
            found.update(await live(ward, rounds, connections, Path(folder)))

        run(Path(folder), rounds, tell, command=COMMAND)
    return found


async def _throughput(client: PbftClient) -> float:
    """Return how many transactions a second a member's client has ordered, 64 at a time."""
    done, begun = 0, time.monotonic()

    async def order(number: int) -> None:
        nonlocal done
        while time.monotonic() - begun < _ORDERING_SECONDS:
            await client.submit(encode(Note(f"note {number}", bytes(100))))
            done += 1

    await asyncio.gather(*(order(number) for number in range(64)))
    return done / (time.monotonic() - begun)


async def asked_without_end(folder: Path) -> dict[str, float]:
    """Return a member's transactions a second where nobody asks, where one replica is asked, and where all four are."""
    cluster = Cluster(folder, 4, timers=msgspec.structs.replace(TIMERS, request_timeout=REQUEST_TIMEOUT))
    cluster.start_all()
    mine = NodeIdentity(cluster.folder("h3") / "keys")
    others = cluster.genesis.members[:3]
    signer = MemberSigner(Ed25519PrivateKey.generate())
    client = PbftClient(cluster.genesis, signer, members=others, context=mine.asking_context)
    found = {}
    try:
        for member in others:
            while await client.status(member.name) is None:
                await asyncio.sleep(0.1)
        await _throughput(client)
        found["nobody asks"] = await _throughput(client)
        for what, ledgers in (
            ("one replica is asked", (cluster.addresses["h0"],)),
            ("all are asked", tuple(cluster.addresses.values())),
        ):
            plan = Plan(ledgers, (), (), _STRANGERS, _MOST_SECONDS, kinds=("anonymous questions",))
            async with crowd(plan, folder):
                found[what] = await _throughput(client)
    finally:
        await client.close()
        cluster.stop()
    return found


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    undisturbed(1)  # what is compiled is kept for the nodes
    rows = []
    for connections in (0, words.connections):
        rows.append(measured(connections, words.rounds))
        print(json.dumps(rows[-1]), file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        ordered = asyncio.run(asked_without_end(Path(folder)))
    quiet, hostile = rows
    more = max(hostile["memory"].values()) - max(quiet["memory"].values())
    if words.out is not None:
        found = {"machine": machine_description(), "rows": rows, "transactions_per_second": ordered}
        words.out.write_text(json.dumps(found, indent=1) + "\n")
    print(
        f"{words.connections} hostile connections at four nodes of {FILES} open files: {hostile['rounds_among_them']} "
        f"rounds in {hostile['seconds']:.0f} s (undisturbed {quiet['seconds']:.0f} s); a status after "
        f"{hostile['status_median']:.2f} s, at worst {hostile['status_worst']:.2f} s; {more / 1e6:.0f} MB more memory"
    )
    rates = ", ".join(f"{rate:.0f} where {what}" for what, rate in ordered.items())
    print(f"{_STRANGERS} anonymous clients: transactions of a member a second: {rates}")


if __name__ == "__main__":
    main()
