"""What bombs in blobs cost the member that meets them (threat T2).

    python benchmarks/node/bombs.py [--times 3] [--out FILE]

For each form of tests/store/bombs.py, a liar's store behind a real gateway has the bomb under its right names, and
another process gets it as a node gets a blob of a round, into a store on disk, by the length that is due. Then the
bomb lies in a node's own store and a peer asks its gateway for it in every way that it can. Told are the most memory
beyond what was in use before, and the seconds, of the processor and of the clock, the largest of several times.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from medward.bench.rows import machine_description  # noqa: E402
from medward.bench.store.memory_program import peak_beyond_now  # noqa: E402
from medward.node.training.retention import Retention  # noqa: E402
from medward.store.errors import InvalidDag, InvalidRecord, LimitExceeded, StoreError  # noqa: E402
from medward.store.gateway.exchange import PeerExchange  # noqa: E402
from medward.store.gateway.negotiation import CarRequest, HttpProblem, read_request  # noqa: E402
from medward.store.gateway.peer import Peer  # noqa: E402
from medward.store.gateway.selection import follow_path, select_blocks  # noqa: E402
from medward.store.gateway.server import GatewayServer  # noqa: E402
from medward.store.limits import file_of  # noqa: E402
from medward.store.local import LocalStore, in_memory, open_directory  # noqa: E402
from tests.store.bombs import BOMBS, SIZE, plant  # noqa: E402

MOST_MIB, MOST_SECONDS = 64.0, 1.0
REQUESTS = ("format=car", "format=car&dag-scope=entity", "format=car&entity-bytes=1:*", "format=car&car-dups=y")


def measured(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Run `work`; return the MiB that it took at its peak, and its seconds of the processor and of the clock."""
    began, used = perf_counter(), process_time()
    mib = peak_beyond_now(work)
    return mib, process_time() - used, perf_counter() - began


def fetched(name: str, url: str, folder: Path) -> dict[str, Any]:
    """Get a bomb from a peer as a node does, in a process that does nothing else."""
    said: list[str] = []

    def work() -> None:
        try:
            Retention(store, 0).read(name, "round/1", "liar", file_of(SIZE))
        except (InvalidDag, InvalidRecord, LimitExceeded) as error:
            said.append(f"{type(error).__name__}: {error}")

    with open_directory(folder, exchange=PeerExchange([Peer("liar", url)])) as store:
        mib, processor, seconds = measured(work)
        used = store.usage()
        if not said or store.pins():
            sys.exit(f"{name} was taken for a blob")
    return {"mib": mib, "processor": processor, "seconds": seconds, "bytes": used.bytes, "says": said[0]}


def served(store: LocalStore, name: str) -> tuple[float, float, float, int]:
    """Answer every request for a bomb that lies here; return the largest costs, and how many blocks were given."""
    costs, blocks = [], 0
    for query in REQUESTS:
        request = read_request(name, dict(part.split("=") for part in query.split("&")), None)
        assert isinstance(request, CarRequest)

        def work(wanted: CarRequest = request) -> None:
            nonlocal blocks
            try:
                for _ in select_blocks(wanted, follow_path(wanted, store.get_block), store.get_block):
                    blocks += 1
            except (HttpProblem, StoreError):
                return

        costs.append(measured(work))
    mib, processor, seconds = (max(column) for column in zip(*costs, strict=True))
    return mib, processor, seconds, blocks


def _in_a_process(name: str, url: str, answer: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answer.send(fetched(name, url, Path(folder)))


def _row(bomb: Callable[..., Any], times: int) -> dict[str, Any]:
    with in_memory() as liar, GatewayServer(liar) as gateway:
        name = str(plant(bomb, liar.blocks))
        runs = []
        for _ in range(times):
            here, there = multiprocessing.get_context("spawn").Pipe()
            child = multiprocessing.get_context("spawn").Process(target=_in_a_process, args=(name, gateway.url, there))
            child.start()
            there.close()
            runs.append(here.recv())
            child.join()
        given = [served(liar, name) for _ in range(times)]
        usage = liar.usage()
    worst = {key: max(run[key] for run in runs) for key in ("mib", "processor", "seconds", "bytes")}
    keys = ("mib", "processor", "seconds", "blocks")
    gateway_costs = {key: max(run[at] for run in given) for at, key in enumerate(keys)}
    return {
        "bomb": bomb.__name__,
        "stored": usage.bytes,
        "fetch": worst | {"says": runs[0]["says"]},
        "serve": gateway_costs,
    }


def main() -> None:
    """Measure and print a table; fail where a bomb costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    rows = []
    print("| bomb | bytes of it | MiB to get | s (processor) | MiB to serve | s (processor) |")
    print("|---|---|---|---|---|---|")
    for bomb in BOMBS:
        row = _row(bomb, words.times)
        rows.append(row)
        costs = [
            f"{row[side]['mib']:.1f} | {row[side]['seconds']:.2f} ({row[side]['processor']:.2f})" for side in _SIDES
        ]
        print(f"| {row['bomb']} | {row['stored']} | {' | '.join(costs)} |", flush=True)
    if words.out is not None:
        words.out.write_text(json.dumps({"machine": machine_description(), "rows": rows}, indent=1) + "\n")
    over = [row["bomb"] for row in rows for side in _SIDES if _is_over(row[side])]
    if over:
        sys.exit(f"over {MOST_MIB:.0f} MiB or {MOST_SECONDS:.0f} s: {', '.join(over)}")


_SIDES = ("fetch", "serve")


def _is_over(costs: dict[str, Any]) -> bool:
    return costs["mib"] >= MOST_MIB or costs["processor"] >= MOST_SECONDS


if __name__ == "__main__":
    main()
