"""The tables of docs/ledger.md, from the kept runs in benchmarks/ledger/results.

Run: python benchmarks/ledger/tables.py [NAME ...]   (after `medward bench ledger --json > ledger-bench.json` and the
campaigns beside this file). The tables of these names, or all, are written into the page between their marks.
"""

import argparse
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"
_PARTS = (("peak", "peak, tx/s"), ("p50", "p50 at half of it, ms"), ("p99", "p99 at half of it, ms"))


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _read("ledger-bench.json")["rows"]
    return rows


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def beside_others() -> str:
    """n = 4 and 200 bytes beside every other system, and who is ahead."""
    lines = ["| n = 4, 200 bytes | PBFT | the other | ratio | ahead |", "|---|---|---|---|---|"]
    for part, unit in _PARTS:
        for row in _rows():
            if row["what"] == f"n = 4, 200 B: {part}" and row["other"] is not None:
                name = row["other_name"].split(",")[0].split(" (")[0]
                ahead = "PBFT" if row["ratio"] >= 1 else name
                cells = (_number(row["ours"]), f"{name}: {_number(row['other'])}", f"{row['ratio']:.2g}", ahead)
                lines.append(f"| {unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def curve() -> str:
    """The peak over the number of closed loops, who is ahead at each, and PBFT beside etcd's most under TLS."""
    peaks: dict[int, dict[str, float]] = {}
    for row in _rows():
        label, _, part = row["what"].partition(": ")
        if label.endswith(" loops") and part == "peak":
            at = peaks.setdefault(int(label.split(", ")[-1].split()[0]), {"PBFT": row["ours"]})
            at[row["other_name"].split(" (")[0]] = row["other"]
    names = list(next(iter(peaks.values())))
    protected = [name for name in names[1:] if not name.endswith("without TLS")]
    last = "most | PBFT to etcd's most under TLS"
    lines = [f"| closed loops | {', tx/s | '.join(names)}, tx/s | {last} |", "|---" * (len(names) + 3) + "|"]
    for loops, at in sorted(peaks.items()):
        figures = " | ".join(_number(at[name]) for name in names)
        ratio = at["PBFT"] / max(at[name] for name in protected)
        lines.append(f"| {loops:,} | {figures} | {max(names, key=lambda name: at[name])} | {ratio:.2f} |")
    return "\n".join(lines)


def sizes() -> str:
    """PBFT alone: members and payloads."""
    own: dict[str, dict[str, float]] = {}
    for row in _rows():
        label, _, part = row["what"].partition(": ")
        own.setdefault(label, {})[part] = row["ours"]
    lines = [
        "| members, payload | peak, tx/s | p50, ms | p99, ms | CPU in signature checks | waiting for fsync |",
        "|---|---|---|---|---|---|",
    ]
    for label in (label for label in own if label.endswith(" B")):
        spent = own.get(label.split(",")[0], {}) if label.endswith(", 200 B") else {}
        shares = [spent.get("CPU time in signature checks"), spent.get("time waiting for fsync")]
        cells = [_number(own[label][part]) for part, _ in _PARTS]
        cells += ["" if share is None else f"{share:.0f} %" for share in shares]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def campaigns() -> str:
    """What the kept campaigns came to."""
    killed = _read("ledger-kill-campaign.json")
    rows = []
    for name, what in (("ledger-campaign.json", "scenarios"), ("ledger-sieges.json", "sieges")):
        simulated = _read(name)
        first, last = simulated["seeds"]
        rows.append(
            f"| simulator, {what}, seeds {first} to {last} | {last - first + 1:,} with {simulated['events']:,} events, "
            f"{simulated['changes of members']:,} changes of members | {simulated['blocks']:,} "
            f"| {len(simulated['violations'])} |"
        )
    return "\n".join(
        [
            "| campaign | runs | blocks | violations |",
            "|---|---|---|---|",
            *rows,
            f"| real processes, kill -9 | {killed['instants']:,} instants, {killed['operations answered']:,} "
            f"operations answered | {killed['blocks']:,} | {len(killed['violations'])} |",
        ]
    )


TABLES = {"curve": curve, "beside others": beside_others, "sizes": sizes, "campaigns": campaigns}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", choices=[[], *TABLES], metavar="TABLE", help=", ".join(TABLES))
    words = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    for name in words.tables or TABLES:
        table = TABLES[name]()
        print(table, end="\n\n")
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = place.sub(partial(_between, table), page)
    PAGE.write_text(page, encoding="utf-8")


def _between(table: str, found: re.Match[str]) -> str:
    return f"{found[1]}{table}\n{found[2]}"


if __name__ == "__main__":
    main()
