"""Run thousands of simulated federations on their ledgers and write what came of them: no violation of any promise.

    python benchmarks/federation/campaign.py --first 0 --count 5000 --out federation-campaign.json

A long campaign can be run in parts, and put together, as `benchmarks/ledger/campaign.py` says. A seed that fails is
printed and written down, and replays bit for bit with `python -m tests.federation.simulator.scenario SEED`.

    python benchmarks/federation/campaign.py --too-many

runs every sort of liar with one more of them than a federation bears, until a promise is broken, and writes which and
at which seed: the simulator can fail.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.campaigns import main
from tests.federation.simulator.liars import LIES
from tests.federation.simulator.scenario import run_seed
from tests.ledger.simulator.checker import Violation

WHAT = (
    "simulated federations on their ledgers, with members that come and go, wrong clocks, crashes, partitions, "
    "loss, torn and emptied disks, and up to f liars"
)
#: With f+1 liars a promise is broken within so many seeds, or that sort of lie breaks none.
WITHIN = 200


def run(first: int, count: int) -> dict[str, Any]:
    """Run the seeds from `first` on."""
    members, liars, rounds, added = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    violations: list[str] = []
    fingerprints = hashlib.sha256()
    largest, started = 0, time.monotonic()
    for seed in range(first, first + count):
        try:
            outcome = run_seed(seed)
        except Violation as violation:
            violations.append(str(violation))
            print(violation, flush=True)
            continue
        members[f"n={outcome.members}"] += 1
        liars.update(outcome.liars or ["nobody"])
        rounds.update(outcome.rounds)
        added.update({
            "changes of members": outcome.changes, "audits of answers": outcome.audits, "shows": outcome.shows,
            "blocks": outcome.height, "events": outcome.steps,
        })  # fmt: skip
        largest = max(largest, outcome.largest_state)
        fingerprints.update(outcome.fingerprint.encode())
    return {
        "what": WHAT,
        "seeds": [first, first + count - 1],
        "violations": violations,
        "runs by members": dict(sorted(members.items())),
        "runs by liar": dict(sorted(liars.items())),
        "rounds": dict(sorted(rounds.items())),
        **dict(added),
        "largest state, bytes a member": largest,
        "fingerprints": {f"{first}-{first + count - 1}": fingerprints.hexdigest()},
        "seconds": round(time.monotonic() - started),
    }


def too_many(within: int = WITHIN) -> dict[str, tuple[int, str] | None]:
    """Return, for each sort of lie, the first seed at which f+1 of four who tell it break a promise, and which."""
    found: dict[str, tuple[int, str] | None] = {}
    for lie in sorted(LIES):
        found[lie] = None
        for seed in range(within):
            try:
                run_seed(seed, 4, lie, extra_liars=1)
            except Violation as violation:
                found[lie] = (seed, str(violation).partition("clocks {}: ")[2])
                break
        print(lie, found[lie], flush=True)
    return found


if __name__ == "__main__":
    if "--too-many" in sys.argv[1:]:
        print(json.dumps(too_many()))
        sys.exit()
    sys.exit(main(__doc__.splitlines()[0], run, 5000))
