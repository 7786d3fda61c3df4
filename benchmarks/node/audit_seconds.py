"""How long `medward audit` takes on the homes that a demo left, as a user's command with everything that it loads.

    python benchmarks/node/audit_seconds.py HOMES [--times 3] [--out FILE]

HOMES is the folder that `medward demo --out` made. The least of several times is told beside the median: what else
runs on the machine only adds.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from medward.bench.rows import machine_description


def audited(homes: Path) -> tuple[float, dict[str, Any]]:
    """Run the command once; return its seconds and what it said."""
    began = perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("medward")), "audit", "--home", str(homes), "--json"],
        capture_output=True,
        check=False,
    )
    took = perf_counter() - began
    if done.returncode:
        sys.exit(f"the audit of {homes} failed: {(done.stderr or done.stdout).decode()[-2000:]}")
    return took, json.loads(done.stdout)


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homes", type=Path)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    runs = [audited(words.homes) for _ in range(words.times)]
    seconds, said = [took for took, _ in runs], runs[0][1]
    checks = {group: found["checked"] for group, found in said["checks"].items()}
    tasks = [one["task"] for one in said["rounds"]]
    row = {
        "homes": len(said["homes"]),
        "surveys": tasks.count("survey"),
        "training_rounds": tasks.count("train"),
        "seconds_least": min(seconds),
        "seconds_median": median(seconds),
        "checked": checks,
    }
    if words.out is not None:
        words.out.write_text(json.dumps({"machine": machine_description(), "rows": [row]}, indent=1) + "\n")
    print(
        f"{row['homes']} homes, {row['surveys']} surveys and {row['training_rounds']} training rounds: "
        f"{checks['ledger']['certificates']} certificates, {checks['rounds']['dealings']} dealings, "
        f"{checks['store']['bytes'] / 1e6:.0f} MB hashed in {min(seconds):.1f} s (median {median(seconds):.1f} s)"
    )


if __name__ == "__main__":
    main()
