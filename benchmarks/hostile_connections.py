"""Four nodes that may open 1,024 files each train while thousands of hostile connections hang on to their ports.

    python benchmarks/hostile_connections.py [--connections 2000] [--rounds 3] [--out FILE]

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

from medward.report.benchmark import machine_description
from tests.e2e.test_hostile_connections import COMMAND, FILES, ask_status, crowd, highest_memory, open_files
from tests.e2e.ward import NAMES, Ward, run, undisturbed

_LOOK_SECONDS = 1.0
_MOST_SECONDS = 900.0
_MEDWARD = (sys.executable, "-c", "from medward.cli import main; main()")


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
            answers.extend([await asyncio.to_thread(ask_status, ward, name) for name in NAMES])
            files = max(files, *open_files(ward).values())
            commands.append(await asyncio.to_thread(say_status, ward))
            await asyncio.sleep(_LOOK_SECONDS)

    told: list[dict[str, Any]] = []
    if connections:
        async with crowd(ward, folder, connections) as told:
            before = len(ward.rounds(NAMES[0]))
            await look_on()
    else:
        before = 0
        await look_on()
    memory = highest_memory(ward)
    away = {}
    for line in ward.launcher.client(NAMES[0]).text("/metrics").splitlines():
        if line.startswith("medward_turned_away_total"):
            away[line.split(" ")[0]] = float(line.split(" ")[1])
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
    quiet, hostile = rows
    more = max(hostile["memory"].values()) - max(quiet["memory"].values())
    if words.out is not None:
        words.out.write_text(json.dumps({"machine": machine_description(), "rows": rows}, indent=1) + "\n")
    print(
        f"{words.connections} hostile connections at four nodes of {FILES} open files: {hostile['rounds_among_them']} "
        f"rounds in {hostile['seconds']:.0f} s (undisturbed {quiet['seconds']:.0f} s); a status after "
        f"{hostile['status_median']:.2f} s, at worst {hostile['status_worst']:.2f} s; {more / 1e6:.0f} MB more memory"
    )


if __name__ == "__main__":
    main()
