"""Campaigns of simulated scenarios from seeds: run in parts, put together, written down.

A campaign's script gives what one part counts. A part is a JSON object with the seeds that it ran, the violations and
the counts; parts that follow each other without a gap add up to the whole.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Part = dict[str, Any]


def merge(parts: list[Part]) -> Part:
    """Put parts together that follow each other without a gap; what is equal everywhere stays, numbers add up.

    Raises:
        SystemExit: they do not follow each other.
    """
    merged, *others = sorted(parts, key=lambda part: part["seeds"])
    for part in others:
        if part["seeds"][0] != merged["seeds"][1] + 1:
            raise SystemExit(f"seeds {part['seeds']} do not follow seeds {merged['seeds']}: run what is missing")
        merged["seeds"][1] = part["seeds"][1]
        merged["violations"] += part["violations"]
        merged["fingerprints"] |= part["fingerprints"]
        for field, found in part.items():
            if field.startswith("largest"):
                merged[field] = max(merged[field], found)
            elif isinstance(found, int):
                merged[field] += found
            elif isinstance(found, dict) and field != "fingerprints":
                merged[field] = dict(sorted((Counter(merged[field]) + Counter(found)).items()))
    return merged


Run = Callable[[int, int], Part]


def main(description: str, run: Run, count: int, **others: Run) -> int:
    """Run what the command line asks for; return the exit status, 1 where a seed failed.

    Args:
        description: what the script does.
        run: runs so many seeds from the first on.
        count: how many seeds where the command line does not say.
        others: what is run instead with an option of that name.
    """
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--count", type=int, default=count)
    for name, other in others.items():
        arguments.add_argument(f"--{name}", dest="run", action="store_const", const=other, default=run)
    arguments.add_argument("--merge", type=Path, nargs="+", help="parts to put together instead of running seeds")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    if options.merge:
        result = merge([json.loads(part.read_text()) for part in options.merge])
    else:
        result = getattr(options, "run", run)(options.first, options.count)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    if result["violations"]:
        print(f"{len(result['violations'])} seeds failed", file=sys.stderr)
    return 1 if result["violations"] else 0
