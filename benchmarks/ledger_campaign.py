"""Run thousands of simulated scenarios and write what came of them: every seed, every liar, no violation.

    python benchmarks/ledger_campaign.py --first 0 --count 2000 --out benchmarks/results/ledger-campaign.json

A seed that fails is printed and written down, and replays bit for bit with `python -m tests.sim.scenario SEED`.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.sim.checker import Violation  # noqa: E402
from tests.sim.scenario import run_seed  # noqa: E402


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--count", type=int, default=2000)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    members: Counter[str] = Counter()
    liars: Counter[str] = Counter()
    violations: list[str] = []
    fingerprints = hashlib.sha256()
    events = heights = changes = evidence = 0
    started = time.monotonic()
    for seed in range(options.first, options.first + options.count):
        try:
            outcome = run_seed(seed)
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
    result = {
        "what": "simulated scenarios with crashes, partitions, loss, torn and emptied disks, members that come and go, "
        "and up to f liars",
        "seeds": [options.first, options.first + options.count - 1],
        "violations": violations,
        "runs by members": dict(sorted(members.items())),
        "runs by liar": dict(sorted(liars.items())),
        "blocks": heights,
        "changes of members": changes,
        "proofs of equivocation": evidence,
        "events": events,
        "fingerprint of all runs": fingerprints.hexdigest(),
        "seconds": round(time.monotonic() - started),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
