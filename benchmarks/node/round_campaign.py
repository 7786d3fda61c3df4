"""Kill nodes at random while they train, and check that the model is the one that no kill leads to.

    python benchmarks/node/round_campaign.py --rounds 50 --out benchmarks/node/results/round-campaign.json

Node processes over mutual TLS on loopback, with the encrypted sum and a small synthetic ward. One node, and now and
then as many as a quorum can spare and one more, is killed with kill -9 at any instant once there are keys, and started
again. No phase has a deadline that matters: every round must have every hospital's contribution in it, and the last
model must be, bit for bit, the one of plain addition in the open.

With --folder and --minutes it stops all nodes after a while; the same command goes on from there, if the deadline of
the round that was open has not passed: after it, whoever has not spoken is rightly left out of that round.
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

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.e2e.ward import PATIENT, Ward, members, run, undisturbed  # noqa: E402

#: Far more than any needs; who waits longer has found a defect.
MOST_SECONDS_A_ROUND = 300.0
_SO_FAR = "so-far.json"


class Campaign:
    """What was done so far.

    Args:
        rounds: training rounds; three surveys come before them.
        hospitals: n.
        seed: of the draws of victims and pauses.
        pause: the longest between two kills, seconds.
    """

    def __init__(self, rounds: int, hospitals: int, seed: int, pause: float = 3.0) -> None:
        self.rounds, self.names, self.seed, self.pause = rounds, members(hospitals), seed, pause
        self.pauses: list[float] = []
        self.kills, self.pieces, self.seconds = 0, 0, 0.0
        self.phases: Counter[str] = Counter()
        self.result: dict[str, Any] = {}

    def live(self, folder: Path, seconds: float) -> None:
        """Run until the plan is fulfilled, or for so long; start where an earlier piece in this folder ended."""
        path, began = folder / _SO_FAR, time.monotonic()
        if path.exists():
            known = json.loads(path.read_text())
            self.kills, self.pieces, self.seconds = known["kills"], known["pieces"], known["seconds"]
            self.phases.update(known["phases"])
            self.pauses = known["pauses"]
            if time.time() - known["ended"] > PATIENT / 2:
                sys.exit(f"the nodes in {folder} stood still for too long; begin again in another folder")

        async def tell(ward: Ward) -> None:
            if await self._kill_until_done(ward, Random(f"{self.seed} {self.pieces}"), began + seconds):
                self._look(await ward.until_done())

        run(folder, self.rounds, tell, names=self.names, deadline=PATIENT)
        self.pieces += 1
        self.pauses.append(self.pause)
        self.seconds += time.monotonic() - began
        kept = {"kills": self.kills, "pieces": self.pieces, "pauses": self.pauses, "seconds": self.seconds}
        path.write_text(json.dumps({**kept, "phases": dict(self.phases), "ended": time.time()}))

    async def _kill_until_done(self, ward: Ward, random: Random, end: float) -> bool:
        """Kill and start nodes; say whether the plan is fulfilled."""
        names = self.names
        spared = (len(names) - 1) // 3
        await ward.until(
            lambda: all(ward.state(name)["sealing_keys"] == len(names) for name in names), "all have keys", 600
        )
        # The plan is fulfilled where no task is next; a node says done a moment later, when its own files have it too.
        while any(ward.state(name)["next"] is not None for name in names):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(random.random() * self.pause)
            victims = random.sample(names, random.choice([1, 1, spared, spared + 1]))
            self.phases[str(ward.state(victims[0])["phase"])] += 1
            for victim in victims:
                ward.launcher.kill(victim)
            await asyncio.sleep(random.random())
            for victim in victims:
                ward.launcher.start(victim)
            await ward.launcher.wait_until_healthy(MOST_SECONDS_A_ROUND)
            await ward.until(lambda: all(ward.state(name)["model"] for name in names), "all tell where they stand", 600)
            self.kills += len(victims)
            print(f"{self.kills} nodes killed; round {ward.state('h0')['round']}", file=sys.stderr, flush=True)
        return True

    def _look(self, rounds: Any) -> None:
        everybody = list(self.names)
        self.result = {
            "rounds": len(rounds),
            "rounds that are final": sum(one["outcome"] == "final" for one in rounds.values()),
            "rounds with every hospital in the sum": sum(one["cohort"] == everybody for one in rounds.values()),
            "answers": sum(one["checks"]["answers"] for one in rounds.values()),
            "complaints": sum(one["checks"]["complaints"] for one in rounds.values()),
            "model": rounds[max(rounds)]["model"],
        }

    def told(self) -> dict[str, Any]:
        """Return what is to be written down, once the plan is fulfilled."""
        return {
            "what": f"kill -9 and restart of nodes that train, n = {len(self.names)}, protect = aggregate, "
            "synthetic ward of 4000 rows",
            "training rounds": self.rounds,
            "seed": self.seed,
            "nodes killed": self.kills,
            "instants, by phase of the round": dict(sorted(self.phases.items())),
            **self.result,
            "model as without a kill": self.result["model"] == undisturbed(self.rounds, len(self.names)),
            "longest pause between two kills, s, in each piece that it was run in": self.pauses,
            "seconds": round(self.seconds),
        }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=50, help="training rounds; three surveys come before them")
    arguments.add_argument("--hospitals", type=int, default=4)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--pause", type=float, default=3.0, help="the longest between two kills, seconds")
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--folder", type=Path, help="keeps the nodes' homes, so that a piece can follow another")
    arguments.add_argument("--minutes", type=float, default=600, help="stop after so long")
    options = arguments.parse_args()
    campaign = Campaign(options.rounds, options.hospitals, options.seed, options.pause)
    with tempfile.TemporaryDirectory() as temporary:
        campaign.live(options.folder or Path(temporary), options.minutes * 60)
    if not campaign.result:
        print("not at its end yet; the same command goes on", file=sys.stderr)
        sys.exit(3)
    told = campaign.told()
    text = json.dumps(told, indent=2)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    sys.exit(0 if told["model as without a kill"] else 1)


if __name__ == "__main__":
    main()
