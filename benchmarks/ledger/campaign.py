"""Run thousands of simulated scenarios and write what came of them: every seed, every liar, no violation.

    python benchmarks/ledger/campaign.py --first 0 --count 2000 --out ledger-campaign.json

A long campaign can be run in parts, at once or one after the other, and put together:

    python benchmarks/ledger/campaign.py --first 0 --count 1000 --out part-0.json
    python benchmarks/ledger/campaign.py --first 1000 --count 1000 --out part-1.json
    python benchmarks/ledger/campaign.py --merge part-0.json part-1.json --out ledger-campaign.json

`--sieges` runs sieges instead of scenarios: liars that run no replica's rules, beside wrong clocks and votes that get
lost where it hurts (kept as ledger-sieges.json). A seed that fails is printed and written down, and replays bit for bit
with `python -m tests.ledger.simulator.scenario SEED` or `python -m tests.ledger.simulator.siege SEED`.
"""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.campaigns import main
from tests.ledger.simulator.checker import Violation
from tests.ledger.simulator.scenario import Outcome, run_seed
from tests.ledger.simulator.siege import run_siege

SCENARIOS = (
    "simulated scenarios with crashes, partitions, loss, torn and emptied disks, members that come and go, "
    "and up to f liars"
)
SIEGES = (
    "simulated sieges by liars that run no replica's rules and by wrong clocks, up to f together, while chosen votes, "
    "one member's words to another, and crashed members' writes get lost"
)


def run(first: int, count: int, one: Callable[[int], Outcome] = run_seed) -> dict[str, Any]:
    """Run the seeds from `first` on as scenarios or sieges."""
    members: Counter[str] = Counter()
    liars: Counter[str] = Counter()
    violations: list[str] = []
    fingerprints = hashlib.sha256()
    events = heights = changes = evidence = 0
    started = time.monotonic()
    for seed in range(first, first + count):
        try:
            outcome = one(seed)
        except Violation as violation:
            violations.append(str(violation))
            print(violation, flush=True)
            continue
        members[f"n={outcome.members}"] += 1
        liars.update(outcome.liars or ["nobody"])
        events += outcome.steps
        heights += outcome.height
        changes += outcome.epochs
        evidence += outcome.evidence
        fingerprints.update(outcome.fingerprint.encode())
    return {
        "what": SCENARIOS if one is run_seed else SIEGES,
        "seeds": [first, first + count - 1],
        "violations": violations,
        "runs by members": dict(sorted(members.items())),
        "runs by liar": dict(sorted(liars.items())),
        "blocks": heights,
        "changes of members": changes,
        "proofs of equivocation": evidence,
        "events": events,
        "fingerprints": {f"{first}-{first + count - 1}": fingerprints.hexdigest()},
        "seconds": round(time.monotonic() - started),
    }


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], run, 2000, sieges=partial(run, one=run_siege)))
