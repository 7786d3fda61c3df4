"""Do as a stranger would: hold rows of a published file back, train on the others, and score what was held back.

    python benchmarks/agents/held_rows.py DATA... [--seeds 1]    run what is missing
    python benchmarks/agents/held_rows.py --print                the table

DATA is the file or folder of a data set. 15 % of the rows of each class are drawn at random and written to a file of
their own (of NSL-KDD, 30 % of its test file). Then the two commands that the README names:

    medward train --data REST --out MODEL
    medward evaluate --model MODEL --data HELD --json

`medward train` lays a validation and a test part of the rest aside, and evaluate knows nothing but the model and the
file. The table stands this beside what `medward reproduce` promises for rows drawn at random. Finished runs stay in
benchmarks/agents/results/held-rows.jsonl.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl

from medward.flows.datasets import DATASETS
from medward.flows.reading import recognise

FOLDER = Path(__file__).parent / "results"
RESULTS = FOLDER / "held-rows.jsonl"
SHARE, OFFICIAL_SHARE = 0.15, 0.30
MEASURES = {"accuracy": "binary accuracy", "macro_f1": "binary macro-F1", "attack_recall": "attack recall"}


def hold_back(source: Path, label: str, into: Path, seed: int) -> tuple[Path, Path]:
    """Write a data set without some rows, and those rows; return where the two are.

    Args:
        source: a file, or a folder with a train and a test file, of which only the latter is drawn from.
        label: the column that holds the class.
        into: an empty folder.
        seed: what the rows are drawn from.
    """
    files = [source] if source.is_file() else sorted(path for path in source.iterdir() if path.suffix != ".md")
    drawn_from = files[0] if len(files) == 1 else next(path for path in files if "test" in path.name)
    rest = into / "rest"
    rest.mkdir()
    for file in files:
        frame = _read(file)
        if file == drawn_from:
            share = SHARE if len(files) == 1 else OFFICIAL_SHARE
            held = _drawn(frame[label].cast(pl.String).fill_null("").to_numpy(), share, seed)
            _write(frame.filter(pl.Series(held)), into / f"held-{file.name}")
            frame = frame.filter(pl.Series(~held))
        _write(frame, rest / file.name)
    return rest, into / f"held-{drawn_from.name}"


def _drawn(label: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 0x4E1D])
    held = np.zeros(len(label), bool)
    for name in np.unique(label.astype(str)):
        rows = np.flatnonzero(label == name)
        held[rng.choice(rows, round(share * len(rows)), replace=False)] = True
    return held


def _read(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, infer_schema=False)


def _write(frame: pl.DataFrame, file: Path) -> None:
    if file.suffix == ".parquet":
        frame.write_parquet(file)
    else:
        # Polars reads gzip by its content, and medward by the name.
        frame.write_csv(file.with_name(file.name.removesuffix(".gz")))


def run(data: Path, seeds: int) -> None:
    """Run what is missing on one data set."""
    dataset = recognise(data)
    done = {(row["data"], row["seed"]) for row in kept()}
    for seed in range(seeds):
        if (dataset.name, seed) in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = _only_file(data)
            rest, held = hold_back(source, dataset.schema.label, Path(folder), seed)
            held = held.with_name(held.name.removesuffix(".gz"))
            trained = _medward("train", "--data", rest, "--out", Path(folder) / "model", "--seed", seed, "--json")
            found = _medward("evaluate", "--model", Path(folder) / "model", "--data", held, "--json")
        row = {
            "data": dataset.name,
            "seed": seed,
            "trained_rows": trained["rows"],
            "scored_rows": found["rows"],
            "history": found["history"],
            "binary": {name: found["metrics"]["binary"][name] for name in MEASURES},
            "multiclass": found["metrics"]["multiclass"]["macro_f1"],
            "seconds": round(trained["seconds"] + found["seconds"], 1),
        }
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def _only_file(data: Path) -> Path:
    """Return a folder's only data file, or the folder where it holds more."""
    if data.is_file():
        return data
    files = [path for path in data.iterdir() if path.suffix != ".md"]
    return files[0] if len(files) == 1 else data


def _medward(*words: object) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("medward")), *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def kept() -> list[dict[str, Any]]:
    """Return the finished runs."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def show() -> None:
    """Print the table: what the commands gave, and below it what was promised for such rows."""
    print(f"| data set | what | seeds | rows scored | {' | '.join(MEASURES.values())} | multi-class macro-F1 |")
    print("|---|---|---|---|---|---|---|---|")
    runs = kept()
    for name in [name for name in DATASETS if any(run["data"] == name for run in runs)]:
        own = [run for run in runs if run["data"] == name]
        rows = f"{fmean(run['scored_rows'] for run in own):,.0f}"
        _line(name, "`medward train`, `medward evaluate`", rows, [(run["binary"], run["multiclass"]) for run in own])
        protocol = "honest" if DATASETS[name].cut.value == "official" else "random"
        what = f"`medward reproduce`, {protocol} protocol, Sentinel, pooled"
        _line(name, what, "", _promised(name, protocol))


def _promised(name: str, protocol: str) -> list[tuple[dict[str, float], float]]:
    file = FOLDER / ("reproduce-" + ("random-" if protocol == "random" else "") + f"{name}.jsonl")
    lines = file.read_text().splitlines() if file.exists() else []
    runs = [run for run in map(json.loads, lines) if run["method"] == "Sentinel, pooled"]
    return [(run["metrics"]["binary"], run["metrics"]["multiclass"]["macro_f1"]) for run in runs]


def _line(name: str, what: str, rows: str, found: list[tuple[dict[str, float], float]]) -> None:
    cells = [spread([binary[measure] for binary, _ in found]) for measure in MEASURES]
    cells.append(spread([multiclass for _, multiclass in found]))
    print(f"| {name} | {what} | {len(found)} | {rows} | {' | '.join(cells)} |")


def spread(values: list[float]) -> str:
    """Return the mean with its standard deviation where there are several values."""
    if not values:
        return "not run"
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--print", action="store_true", dest="show")
    options = parser.parse_args()
    for data in options.data:
        run(data, options.seeds)
    if options.show:
        show()
