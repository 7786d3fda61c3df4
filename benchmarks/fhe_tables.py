"""The tables of docs/encryption.md, from the kept runs in benchmarks/results.

Run: python benchmarks/fhe_tables.py   (after `medward bench fhe --json > benchmarks/results/fhe-bench.json`,
benchmarks/fhe_sums.py, benchmarks/fhe_oracle.py and benchmarks/fhe_cold_start.py)
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_WHOLE = "encrypt, add, share, combine, decode"


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _rows() -> dict[tuple[str, str], dict[str, Any]]:
    """(label, unit) -> row; rows beside other systems than the first of that label are left out."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in _read("fhe-bench.json")["rows"]:
        rows.setdefault((row["what"], row["unit"]), row)
    return rows


def _rate(row: dict[str, Any] | None) -> str:
    return "–" if row is None else f"{row['ours'] / 1e6:.3g} M ({row['ratio']:.3g} times)"


def sums() -> str:
    """One member's part in a sum, for every cell."""
    rows = _rows()
    lines = [
        "| set, bits, members | without proofs: weights/s | with proofs: weights/s | ciphertext: bytes a weight | "
        "a member sends: bytes a weight | bytes a block |",
        "|---|---|---|---|---|---|",
    ]
    labels = [what.removeprefix(f"{_WHOLE}; ") for what, _ in rows if what.startswith(f"{_WHOLE}; ")]
    for label in (label.removesuffix(", without proofs") for label in labels):
        bare = rows[f"{_WHOLE}; {label}, without proofs", "weights/s"]
        proved = rows.get((f"{_WHOLE}, own proofs made, the others' verified; {label}", "weights/s"))
        size = rows[f"ciphertext; {label}, without proofs", "bytes a weight"]["ours"]
        sent = rows[f"all that a member sends; {label}", "bytes a weight"]["ours"]
        block = rows[f"all that a member sends; {label}", "bytes a block"]["ours"]
        lines.append(f"| {label} | {_rate(bare)} | {_rate(proved)} | {size:.1f} | {sent:.1f} | {block:,.0f} |")
    return "\n".join(lines)


def steps() -> str:
    """Encrypt, add and decrypt by themselves, AGG-M at 8 bits and 16 members, without and with proofs."""
    rows, label = _rows(), "AGG-M, 8 bits, 16 malicious members"
    lines = ["| step | without proofs: weights/s | with proofs: weights/s |", "|---|---|---|"]
    for step, proofs in (
        ("encrypt", "proved"),
        ("add 16", "the others' proofs verified"),
        ("decrypt (share, combine, decode)", "own share proved, the others' verified"),
    ):
        bare = rows[f"{step}; {label}, without proofs", "weights/s"]
        proved = rows[f"{step}, {proofs}; {label}", "weights/s"]
        lines.append(f"| {step} | {_rate(bare)} | {_rate(proved)} |")
    return "\n".join(lines)


def others() -> str:
    """AGG-M without proofs beside every other system."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in _read("fhe-bench.json")["rows"]:
        if row["what"].endswith("; AGG-M, 8 bits, without proofs"):
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
    lines = ["| what, one limb of 50 bits | N = 8192 | N = 16384 | N = 32768 |", "|---|---|---|---|"]
    cells: dict[str, list[str]] = {}
    for row in _read("fhe-bench.json")["rows"]:
        if ", one 50-bit limb, N = " in row["what"]:
            what = row["what"].split(", one 50-bit limb")[0]
            cells.setdefault(what, []).append(f"{row['ours']:.1f} us ({row['ratio']:.1f} times)")
    return "\n".join([*lines, *(f"| {what} | {' | '.join(own)} |" for what, own in cells.items())])


def checks() -> str:
    """What was compared with exact integers, and how often it was wrong."""
    oracle = _read("fhe-oracle.json")["summary"]
    kept = [json.loads(line) for line in (RESULTS / "fhe-sums.jsonl").read_text(encoding="utf-8").splitlines()]
    total = {key: sum(row[key] for row in kept) for key in ("trials", "trials with silent holders", "lanes", "wrong")}
    cold = {row["what"]: row["ours"] for row in _read("fhe-cold-start.json")["rows"]}
    opened = total["trials with silent holders"]
    lines = [
        ("what", "how much", "wrong"),
        ("---", "---", "---"),
        (
            "sums of 4, 16 and 64 members, every set and width",
            f"{total['trials']:,} sums, {opened:,} of them with 1 to n - t holders opened: {total['lanes']:,} lanes",
            total["wrong"],
        ),
        (
            "transforms against 64-bit integers",
            f"{oracle['coefficients transformed each way']:,} coefficients each way",
            sum(row["mismatches"] for row in _read("fhe-oracle.json")["transforms"]),
        ),
        (
            "products against the schoolbook",
            f"{oracle['coefficients multiplied']:,} coefficients",
            sum(row["mismatches"] for row in _read("fhe-oracle.json")["products"]),
        ),
        *((f"time of a cold start: {what}", f"{seconds:.1f} s", "") for what, seconds in cold.items()),
    ]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


TITLES = {
    sums: "One member's part in a sum of one block",
    steps: "Step by step, AGG-M, 8 bits, 16 malicious members",
    others: "Other systems; in brackets how many times faster, or smaller, AGG-M is with 8 bits and without proofs",
    transforms: "Arithmetic beside SEAL 4.4 (seal-python), one thread",
    checks: "Compared with exact integers",
}


def tables() -> str:
    """Every table, with its title."""
    return "\n".join(f"{title}:\n\n{table()}\n" for table, title in TITLES.items())


if __name__ == "__main__":
    print(tables())
