"""Kill real replicas at random under load, again and again, and check that nothing acknowledged was lost.

    python benchmarks/ledger_kill_campaign.py --kills 200 --out benchmarks/results/ledger-kill-campaign.json

Four processes over mutual TLS on loopback, three clients of a bank. In the end the history of all answers is checked
for linearizability, all replicas must agree on height and state, and none may hold evidence of a contradicted vote.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.ledger.cluster import Cluster  # noqa: E402
from tests.ledger.workload import Workload, assert_agreement  # noqa: E402

NAMES = ["h0", "h1", "h2", "h3"]
PART = 25


async def one_part(cluster: Cluster, kills: int, seed: int) -> tuple[int, int]:
    """Run some kills with one history, short enough to be judged; return answered operations and the last height."""
    workload, random = Workload(cluster, seed), Random(seed)
    await workload.progress(5)
    for _ in range(kills):
        victims = random.sample(NAMES, random.choice([1, 1, 1, 1, 2, 4]))
        for victim in victims:
            cluster.kill(victim)
        await asyncio.sleep(random.random() * 0.4)
        for victim in victims:
            cluster.start(victim)
        await workload.progress(random.randint(0, 8))
    await workload.progress(10)
    await workload.finish()
    await assert_agreement(cluster, workload.history, NAMES)
    heights = [done.receipt.height for done in workload.history if done.receipt is not None]
    return workload.answered(), max(heights)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    started, answered, height = time.monotonic(), 0, 0
    for part in range(0, options.kills, PART):
        with tempfile.TemporaryDirectory() as root:
            cluster = Cluster(Path(root), 4)
            cluster.start_all()
            try:
                kills = min(PART, options.kills - part)
                more, last = asyncio.run(one_part(cluster, kills, options.seed + part))
            finally:
                cluster.stop()
        answered, height = answered + more, height + last
        print(f"{part + kills} instants of kill -9, {answered} operations answered", flush=True)
    result = {
        "what": "kill -9 and restart of real replicas (1, 2 or all 4 at once) under load, n = 4",
        "instants": options.kills,
        "seed": options.seed,
        "operations answered": answered,
        "blocks": height,
        "acknowledged transactions lost": 0,
        "contradicted votes": 0,
        "history": "linearizable",
        "seconds": round(time.monotonic() - started),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
