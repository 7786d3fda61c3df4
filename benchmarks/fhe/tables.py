"""The tables of docs/encryption.md and of docs/results/computing.md, from the kept runs in benchmarks/fhe/results.

    python benchmarks/fhe/tables.py
    python benchmarks/fhe/tables.py computing

The runs are `medward bench fhe --json > benchmarks/fhe/results/fhe-bench.json`, benchmarks/fhe/sum_campaign.py,
benchmarks/fhe/oracle.py and benchmarks/fhe/cold_start.py.
"""

import argparse
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_COMPUTED = ("multiply, ", "rotate; ", "two disjoint keys, ", "score ")
_WHOLE, _ALONE = "a member's whole part, ", "; 8 bits, 16 members, ciphertexts alone"


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _rows() -> dict[str, dict[str, Any]]:
    """What was measured -> row, but for the rows beside systems other than TenSEAL."""
    return {row["what"]: row for row in _read("fhe-bench.json")["rows"] if not row["what"].endswith(_ALONE)}


def whole() -> str:
    """One member's whole part, for every cell."""
    rows = _rows()
    lines = [
        "| bits, members | time | weights/s | beside TenSEAL | ciphertexts, bytes a weight | MB sent | MB fetched |",
        "|---|---|---|---|---|---|---|",
    ]
    for label in (what.removeprefix(_WHOLE) for what in rows if what.startswith(_WHOLE)):
        part, size = rows[f"{_WHOLE}{label}"], rows[f"ciphertexts, {label}"]
        sent, fetched = (rows[f"{way} by a member, {label}"]["ours"] / 1e6 for way in ("sent", "fetched"))
        speed = f"{1e3 * WEIGHTS / part['ours']:.0f} ms | {part['ours'] / 1e6:.2f} M | {part['ratio']:.1f} times"
        lines.append(
            f"| {label} | {speed} | {size['ours']:.2f} ({size['ratio']:.0f} times fewer) | {sent:.2f} | {fetched:.1f} |"
        )
    return "\n".join(lines)


def steps() -> str:
    """Each step by itself, at 8 bits."""
    rows = {what: row["ours"] for what, row in _rows().items() if row["unit"] == "ms" and ", 8 bits, " in what}
    lines = ["| step, 8 bits | 4 members | 16 members | 64 members |", "|---|---|---|---|"]
    found: dict[str, list[str]] = {}
    for what, spent in rows.items():
        step = what.split(", 8 bits, ")[0]
        for number in (4, 16, 64):
            step = step.removesuffix(f" {number}").replace(f"add {number}", "add all")
        found.setdefault(step, []).append(f"{spent:.2f} ms")
    return "\n".join([*lines, *(f"| {step} | {' | '.join(own)} |" for step, own in found.items())])


def others() -> str:
    """Ciphertexts alone beside every other system."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in _read("fhe-bench.json")["rows"]:
        if row["what"].endswith(_ALONE):
            found.setdefault(row["other_name"], {})[row["what"].split(";")[0]] = row
    lines = [
        "| beside | encrypt: weights/s | add two: weights/s | decrypt: weights/s | bytes a weight |",
        "|---|---|---|---|---|",
    ]
    for name, own in found.items():
        cells = [
            "–" if step not in own else f"{own[step]['other']:.3g} ({own[step]['ratio']:.3g})"
            for step in ("encrypt", "add two", "decrypt", "ciphertext")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def transforms() -> str:
    """Transforms and products beside SEAL's."""
    cells: dict[str, dict[str, str]] = {}
    for row in _read("fhe-bench.json")["rows"]:
        if ", one 50-bit limb, N = " in row["what"]:
            what, degree = row["what"].split(", one 50-bit limb, N = ")
            cells.setdefault(what, {})[degree] = f"{row['ours']:.1f} us ({row['ratio']:.1f} times)"
    degrees = list(dict.fromkeys(degree for own in cells.values() for degree in own))
    lines = [
        f"| what, one limb of 50 bits | {' | '.join(f'N = {degree}' for degree in degrees)} |",
        "|---" * (1 + len(degrees)) + "|",
    ]
    return "\n".join([*lines, *(f"| {what} | {' | '.join(own.values())} |" for what, own in cells.items())])


def computing() -> str:
    """Computing on ciphertexts beside others' single keys, for docs/results/computing.md."""
    lines = ["| what | medward | other | times its speed |", "|---|---|---|---|"]
    for row in _read("fhe-bench.json")["rows"]:
        if row["what"].startswith(_COMPUTED):
            own, other = (f"{row[side]:.1f} {row['unit']}" for side in ("ours", "other"))
            lines.append(f"| {row['what']} | {own} | {row['other_name']}: {other} | {row['ratio']:.2f} |")
    return "\n".join(lines)


def checks() -> str:
    """What was compared with exact integers, and how often it was wrong."""
    oracle, cold = _read("fhe-oracle.json"), _read("fhe-cold-start.json")["rows"]
    compared, sums = oracle["summary"], _read("sum-campaign.json")["rows"]
    holders = sorted(row["holders"] for row in sums)
    total = {name: sum(row[name] for row in sums) for name in ("sums", "silent", "wrong_answers", "audits")}
    lines = [
        ("what", "how much", "wrong"),
        ("---", "---", "---"),
        (
            f"sums of {holders[0]} to {holders[-1]} holders, every width",
            f"{total['sums']:,} sums with {total['silent']:,} silent holders and {total['wrong_answers']:,} wrong "
            f"answers; {total['audits']:,} sums settled by an audit",
            sum(row["wrong_sums"] + row["void"] for row in sums),
        ),
        (
            "transforms against 64-bit integers",
            f"{compared['coefficients transformed each way']:,} coefficients each way",
            sum(row["mismatches"] for row in oracle["transforms"]),
        ),
        (
            "products against the schoolbook",
            f"{compared['coefficients multiplied']:,} coefficients",
            sum(row["mismatches"] for row in oracle["products"]),
        ),
        *((f"time of a cold start: {row['what']}", f"{row['ours']:.1f} s", "") for row in cold),
    ]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


WEIGHTS = 250_000
TITLES = {
    whole: f"One member's whole part in a sum of {WEIGHTS:,} weights",
    steps: "Step by step",
    others: "Other systems; in brackets how many times faster, or smaller, ciphertexts of 8 bits and 16 members are",
    transforms: "Arithmetic beside SEAL 4.4 (seal-python), one thread",
    checks: "Compared with exact integers",
}


def tables() -> str:
    """Every table, with its title."""
    return "\n".join(f"{title}:\n\n{table()}\n" for table, title in TITLES.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", choices=["computing"], help="that table alone")
    print(computing() if parser.parse_args().table else tables())
