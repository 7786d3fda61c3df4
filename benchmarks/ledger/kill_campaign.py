"""Kill real replicas at random under load, again and again, and check that nothing acknowledged was lost.

    python benchmarks/ledger/kill_campaign.py --kills 200 --out benchmarks/ledger/results/ledger-kill-campaign.json

Four processes over mutual TLS on loopback, three clients of a bank. After every 25 instants of kill -9 the history of
all answers is checked for linearizability, all replicas must agree on height and state and hold what was acknowledged,
their last blocks must prove themselves, and none may hold evidence of a contradicted vote. `--from` goes on with a
campaign that was cut short: what it finds is added to what the file holds.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.ledger.cluster import Cluster  # noqa: E402
from tests.ledger.workload import Workload, assert_agreement  # noqa: E402

NAMES = ["h0", "h1", "h2", "h3"]
PART = 25
WHAT = (
    "kill -9 and restart of real replicas (1, 2 or all 4 at once) under load, n = 4; checked after every 25 instants: "
    "linearizable history, one state that holds everything acknowledged, blocks that prove themselves, no evidence of "
    "a contradicted vote"
)


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


def run_part(result: dict[str, Any], kills: int) -> None:
    """Run the next instants and add what came of them."""
    started, seed = time.monotonic(), result["seed"] + result["instants"]
    with tempfile.TemporaryDirectory() as root:
        cluster = Cluster(Path(root), 4)
        cluster.start_all()
        try:
            answered, height = asyncio.run(one_part(cluster, kills, seed))
            result["operations answered"] += answered
            result["blocks"] += height
        except Exception as error:
            # Whatever a check or a wait says is what this campaign looks for.
            result["violations"].append(f"seed {seed}: {error!r}")
            print(result["violations"][-1], flush=True)
        finally:
            cluster.stop()
    result["instants"] += kills
    result["seconds"] = round(result["seconds"] + time.monotonic() - started)
    print(f"{result['instants']} instants of kill -9, {result['operations answered']} operations answered", flush=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--kills", type=int, default=200, help="instants in all, with those of --from")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--from", type=Path, dest="before", help="a result to go on with")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    result: dict[str, Any] = {"what": WHAT, "instants": 0, "seed": options.seed, "violations": []}
    result |= {"operations answered": 0, "blocks": 0, "seconds": 0}
    if options.before is not None:
        result = json.loads(options.before.read_text())
    while result["instants"] < options.kills:
        run_part(result, min(PART, options.kills - result["instants"]))
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
