"""Measure the meter beside Argus and Suricata, as `medward bench traffic` does, or print the kept table.

python benchmarks/traffic/tables.py run [--repeats 5] [--keep]
python benchmarks/traffic/tables.py table                          the table of docs/gateway.md
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medward.bench.rows import machine_description
from medward.bench.traffic.measures import all_rows

KEPT = Path(__file__).parent / "results" / "traffic-bench.json"


def print_table(kept: dict[str, Any]) -> None:
    """Print the table of the page from the kept run."""
    machine = kept["machine"]
    told = f"{machine['cpu']}, {machine['cores']} cores, {machine['system'].split()[0]}"
    print(f"{told}; {kept['packets']:,} packets of the mixture, medians of {kept['repeats']}.\n")
    print("| what | medward | beside | ratio |")
    print("|---|---|---|---|")
    for row in kept["rows"]:
        print(f"| {row['what']} | {_said(row['ours'], row)} | {_beside(row)} | {row['ratio']:.2f} |")


def _beside(row: dict[str, Any]) -> str:
    return f"{_said(row['other'], row)} ({row['other_name']})"


def _said(value: float, row: dict[str, Any]) -> str:
    if row["unit"] == "MiB":
        return f"{value:,.0f} MiB"
    return f"{value / 1e6:.2f} million packets a CPU-second"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help=f"also write {KEPT.name}")
    options = parser.parse_args()
    if options.command == "table":
        print_table(json.loads(KEPT.read_text()))
        return
    rows = all_rows(options.packets, options.repeats, lambda text: print(text, file=sys.stderr))
    settings = {"packets": options.packets, "repeats": options.repeats}
    kept = {"machine": machine_description(), **settings, "rows": [asdict(row) for row in rows]}
    text = json.dumps(kept, indent=1)
    print(text)
    if options.keep:
        KEPT.write_text(text + "\n")


if __name__ == "__main__":
    main()
