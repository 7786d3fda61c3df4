"""Kill nodes at random while they train, and check that the model is the one that no kill leads to.

    python benchmarks/round_campaign.py --rounds 50 --out benchmarks/results/round-campaign.json

Four node processes over mutual TLS on loopback, with the encrypted sum and a small synthetic ward. One node, and now
and then two, is killed with kill -9 at any instant once there are keys, and started again. No phase has a deadline that
matters: every round must have every hospital's contribution in it, and the last model must be, bit for bit, the one of
plain addition in the open.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.ward import NAMES, PATIENT, Ward, run, undisturbed  # noqa: E402

LONGEST_PAUSE = 15.0
MOST_SECONDS_A_ROUND = 300.0


async def killed_until_done(ward: Ward, random: Random, most_seconds: float) -> dict[str, Any]:
    """Kill and start nodes until the plan is fulfilled; return what was done."""
    phases: Counter[str] = Counter()
    kills, end = 0, time.monotonic() + most_seconds
    await ward.until(lambda: all(ward.state(name)["holds_keys"] for name in NAMES), "there are keys")
    while not all(ward.state(name)["done"] for name in NAMES):
        if time.monotonic() > end:
            raise TimeoutError(f"the plan is not fulfilled after {most_seconds:.0f} s: {ward.state('h0')}")
        await asyncio.sleep(random.random() * LONGEST_PAUSE)
        victims = random.sample(NAMES, random.choice([1, 1, 1, 2]))
        phases[str(ward.state(victims[0])["phase"])] += 1
        for victim in victims:
            ward.launcher.kill(victim)
        await asyncio.sleep(random.random())
        for victim in victims:
            ward.launcher.start(victim)
        await ward.launcher.wait_until_healthy(most_seconds)
        await ward.until(lambda: all(ward.state(name)["model"] for name in NAMES), "all tell where they stand")
        kills += len(victims)
        print(f"{kills} nodes killed; {ward.state('h0')['doing']}", file=sys.stderr, flush=True)
    return {"kills": kills, "instants, by phase of the round": dict(phases)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=50, help="training rounds; three surveys come before them")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    began = time.monotonic()
    result: dict[str, Any] = {
        "what": "kill -9 and restart of nodes that train, n = 4, protect = aggregate, synthetic ward of 4000 rows",
        "training rounds": options.rounds,
        "seed": options.seed,
    }

    async def tell(ward: Ward) -> None:
        result.update(await killed_until_done(ward, Random(options.seed), MOST_SECONDS_A_ROUND * (options.rounds + 3)))
        rounds = await ward.until_done()
        result["rounds"] = len(rounds)
        result["rounds that are final"] = sum(one["outcome"] == "final" for one in rounds.values())
        result["rounds with every hospital in the sum"] = sum(one["cohort"] == list(NAMES) for one in rounds.values())
        result["holders opened"] = sum(len(one["opened"]) for one in rounds.values())
        result["model"] = rounds[max(rounds)]["model"]

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.rounds, tell, deadline=PATIENT)
    result["model as without a kill"] = result["model"] == undisturbed(options.rounds)
    result["seconds"] = round(time.monotonic() - began)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    sys.exit(0 if result["model as without a kill"] else 1)


if __name__ == "__main__":
    main()
