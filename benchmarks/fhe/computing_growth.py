"""How the time of a product grows with the number of keys: the table and the picture of docs/results/computing.md.

    python benchmarks/fhe/computing_growth.py measure      half a minute; kept in results/computing-growth.json
    python benchmarks/fhe/computing_growth.py table        print the table
    python benchmarks/fhe/computing_growth.py plot         draw docs/images/computing-growth.svg

What is measured are the rows that `medward bench fhe` has of products under several keys, for more numbers of keys:
processor time on one thread, medians of turns, of factors that are both under all keys.
"""

import argparse
import json
import re
from dataclasses import asdict
from pathlib import Path

import matplotlib
from matplotlib import pyplot

from medward.bench.fhe.computing import SETS, many_key_rows
from medward.bench.rows import machine_description

KEPT = Path(__file__).parent / "results" / "computing-growth.json"
PLOT = Path(__file__).parents[2] / "docs" / "images" / "computing-growth.svg"
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
METHODS = ("CDKS", "KKLSS")


def measure() -> None:
    rows = many_key_rows(SETS[0], COUNTS)
    kept = {"machine": machine_description(), "rows": [asdict(row) for row in rows]}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def times() -> tuple[dict[str, dict[int, float]], float | None]:
    """Return the milliseconds of each method by the number of keys, and of SEAL's product under one key."""
    rows = json.loads(KEPT.read_text(encoding="utf-8"))["rows"]
    found: dict[str, dict[int, float]] = {method: {} for method in METHODS}
    for row in rows:
        name = re.match(r"(\d+) keys in both factors, (\w+);", row["what"])
        assert name is not None, row["what"]
        found[name[2]][int(name[1])] = row["ours"]
    return found, rows[0]["other"]


def table() -> None:
    found, seal = times()
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    degree = kept["rows"][0]["what"].rsplit(" ", 1)[1]
    print(f"N = {degree}, {kept['machine']['cpu']}, one thread.")
    if seal is not None:
        print(f"{kept['rows'][0]['other_name']} takes {seal:.1f} ms for a product under one key.")
    print()
    print("| keys in both factors | CDKS, ms | KKLSS, ms | the faster one, in products of SEAL under one key |")
    print("|---|---|---|---|")
    for count in found["CDKS"]:
        both = [found[method][count] for method in METHODS]
        beside = "–" if seal is None else f"{min(both) / seal:.2f}"
        print(f"| {count} | {both[0]:.1f} | {both[1]:.1f} | {beside} |")


def draw() -> None:
    found, seal = times()
    matplotlib.rcParams.update({"svg.hashsalt": "computing-growth", "font.size": 9})
    figure, axes = pyplot.subplots(figsize=(5.4, 3.6), layout="constrained")
    for method, marker in zip(METHODS, ("o", "s"), strict=True):
        axes.plot(
            list(found[method]), list(found[method].values()), marker=marker, markersize=5, linewidth=1, label=method
        )
    if seal is not None:
        axes.axhline(seal, linewidth=1, linestyle="--", color="grey", label="SEAL, one key")
    axes.set(
        xlabel="keys in both factors", ylabel="milliseconds for a product, one thread", xscale="log", yscale="log",
        xticks=list(COUNTS), xticklabels=list(map(str, COUNTS)),
    )  # fmt: skip
    axes.minorticks_off()
    axes.legend()
    figure.savefig(PLOT, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table", "plot"))
    {"measure": measure, "table": table, "plot": draw}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
