"""Train on laboratory wards, test on wards of other devices, addresses, timing and payloads; print what is alerted on.

    python benchmarks/traffic/laboratory.py run RUNS --captures CAPTURES --keep  make missing runs, train, measure
    python benchmarks/traffic/laboratory.py table laboratory|fresh|missed|captures  a table of docs/results/gateway.md

Training wards have surroundings; test wards are drawn both with and without (`--plain`), from the same seeds.
Fresh wards were made and scored after the recipe had been settled, the others before, too.

RUNS is a folder for the laboratory's runs (tools/lab), tables and models; what is there is not made again. CAPTURES is
a folder of public captures and of `lab/`, four earlier wards; without it only the laboratory's wards are tested. A
third kind of model is trained for one test ward each: on the four earlier wards, and on a quiet capture of that ward
(the same seed without attacks, another time), as a hospital's commissioning gives it.
`medward flows` meters, `medward train --all-rows` trains, and `medward.load_model(...).predict` decides each window.

An attack is *alerted* where a window of its attacker or of a victim that overlaps it is alerted on; its seconds are
those from its start to the end of the first such window. It is *named* where such a window ends within six seconds and
has the attack's class. A *false alarm* is an alert on a window that no attack of its device overlaps; those within a
minute after an attack of the device are told apart, since windows look back for 60 s.
"""

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

import medward
from medward.agents.sentinel.model import load_model
from medward.api.model import TrainedSentinel

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "traffic" / "results" / "gateway-lab.json"
LABORATORY, EARLIER = "laboratory runs", "the four earlier wards"
COMMISSIONED = "these four and quiet time of the ward"
#: Test wards with surroundings and without.
AROUND, PLAIN = "wards", "plain wards"
FRESH = {AROUND: "fresh wards", PLAIN: "fresh plain wards"}
#: The first seed of the test runs, and of the fresh ones.
FIRST, FIRST_FRESH = 101, 131
WINDOW, SOON, NAMED_WITHIN, LOOKS_BACK = 2.0, 3.0, 6.0, 60.0
#: Captures that hold an attack, by the names that their authors gave them; all others are benign.
ATTACKS = (
    *("zeek/vnc-scanner", "suricata-verify/firewall_tcp-session-syn-flood", "ndpi/tcp_scan"),
    *("suricata-verify/mqtt-events", "suricata-verify/mqtt-frames-truncated", "slips/"),
)


#: Folders of public captures, whose names stand in a table's name.
SOURCES = ("ics-security-tools", "iot-sentinel", "ndpi", "slips", "suricata-verify", "zeek")


def is_looked_at(capture: str) -> bool:
    """Tell whether a benign capture's alerts may be looked into; the others are measured alone. A hash decides."""
    return hashlib.sha256(capture.encode()).digest()[-1] % 2 == 0


def capture_of(table: Path) -> str:
    """The name of the capture that a table of `public_captures` was made of."""
    source = next(source for source in SOURCES if table.name.startswith(f"{source}-"))
    return f"{source}/{table.stem.removeprefix(source + '-')}"


def command(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from medward.cli import main; main()", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"medward {' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")


def make_runs(folder: Path, seeds: list[int], seconds: int, beside: int, *more: str) -> None:
    """Make the runs that are missing, several at a time: they wait more than they work."""

    def make(seed: int) -> None:
        if not (folder / f"run-{seed}.labels.json").exists():
            lab = [sys.executable, str(ROOT / "tools" / "lab"), "--seed", str(seed), "--seconds", str(seconds)]
            subprocess.run([*lab, *more, "--out", str(folder)], check=True)

    with ThreadPoolExecutor(beside) as pool:
        list(pool.map(make, seeds))


def meter(capture: Path, labels: Path | None, table: Path, quiet: bool = False) -> Path:
    """Make the table of a capture, where it is missing."""
    if not table.exists():
        command(
            *("flows", "--pcap", str(capture), "--out", str(table)),
            *(() if labels is None else ("--labels", str(labels))),
            *(("--quiet",) if quiet else ()),
        )
    return table


def attacks_of(labels: Path) -> list[dict[str, Any]]:
    """The attacks of a labels file; entries of one attack with several victims are one."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for entry in json.loads(labels.read_text()):
        key = (entry["class"], entry["start"])
        attack = found.setdefault(key, {k: entry[k] for k in ("class", "start", "end")} | {"parties": set()})
        attack["parties"] |= {entry["mac"].lower(), entry["victim"]}
    return list(found.values())


def judge(model: Any, table: Path, labels: Path | None) -> dict[str, Any]:
    """Count what a model alerts on in one run, with each attack told."""
    windows = pl.read_parquet(table)
    decided = model.predict(table)
    alerts = (decided["decision"] == "ALERT").to_list()
    names, starts = decided["class"].to_list(), windows["start"].to_list()
    devices, addresses = windows["device"].to_list(), windows["address"].to_list()
    attacks = [] if labels is None else attacks_of(labels)

    def of(attack: dict[str, Any], row: int, longer: float = 0.0) -> bool:
        overlaps = attack["start"] - WINDOW < starts[row] < attack["end"] + longer
        return overlaps and bool(attack["parties"] & {devices[row], addresses[row]})

    told = []
    for attack in attacks:
        rows = [row for row in range(len(windows)) if alerts[row] and of(attack, row)]
        ends = [starts[row] + WINDOW - attack["start"] for row in rows]
        right = any(e <= NAMED_WITHIN and names[row] == attack["class"] for e, row in zip(ends, rows, strict=True))
        first = min(ends, default=None)
        called = names[rows[ends.index(first)]] if first is not None else None
        told.append(
            {"run": table.stem, "class": attack["class"], "seconds": first and round(first, 2), "named": right}
            | {"called": called}
        )
    benign = [row for row in range(len(windows)) if not any(of(attack, row) for attack in attacks)]
    false = [row for row in benign if alerts[row]]
    after = [row for row in false if any(of(attack, row, LOOKS_BACK) for attack in attacks)]
    return {
        "attacks": told,
        "windows": len(windows),
        "benign": len(benign),
        "false": len(false),
        "false after an attack": len(after),
        "false called": sorted({names[row] for row in false}),
    }


def summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the runs of a test together."""
    attacks = [attack for part in parts for attack in part["attacks"]]
    alerted = [attack["seconds"] for attack in attacks if attack["seconds"] is not None]
    numbers = {name: sum(part[name] for part in parts) for name in ("benign", "false", "false after an attack")}
    return {
        "attacks": len(attacks),
        "alerted": len(alerted),
        "within 3 s": sum(seconds <= SOON for seconds in alerted),
        "named within 6 s": sum(attack["named"] for attack in attacks),
        "median seconds": round(median(alerted), 2) if alerted else None,
        **numbers,
        "missed": sorted(f"{a['class']} ({a['run']})" for a in attacks if a["seconds"] is None),
        "not named": sorted(f"{a['class']} as {a['called']}" for a in attacks if a["seconds"] and not a["named"]),
        "false called": sorted({name for part in parts for name in part["false called"]}),
    }


def trained(name: str, tables: Path, folder: Path, seed: int) -> Any:
    """Train on a folder of tables, where that is still to do; return the model."""
    out = folder / "models" / f"{name.replace(' ', '-')}-{seed}"
    if not out.exists():
        command("train", "--data", str(tables), "--all-rows", "--seed", str(seed), "--out", str(out))
    return medward.load_model(out)


def with_bias(place: Path, trained_with: float, bias: float) -> TrainedSentinel:
    """Return a model as deployed with another alert bias; the bias is taken off when training is over."""
    model = load_model(place)
    more = np.float32(bias - trained_with)
    logits = model.weights.advantage_bias - more * (np.arange(len(model.weights.advantage_bias)) == 0)
    return TrainedSentinel(replace(model, weights=replace(model.weights, advantage_bias=logits)))


def public_captures(captures: Path, tables: Path) -> dict[str, Path]:
    """Meter all public captures; return their tables by name. A capture of no device has none."""
    found = {}
    for capture in sorted(captures.glob("*/*.pcap*")):
        name = f"{capture.parent.name}/{capture.name}"
        if capture.parent.name != "lab":
            try:
                found[name] = meter(capture, None, tables / f"{capture.parent.name}-{capture.name}.parquet")
            except SystemExit as error:
                print(error, file=sys.stderr)
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make, train and measure everything."""
    folder: Path = options.runs
    training = list(range(1, options.train + 1))
    make_runs(folder, training, options.seconds, options.beside)
    for seed in training:
        labels = folder / f"run-{seed}.labels.json"
        meter(labels.with_name(f"run-{seed}.pcap"), labels, folder / "train" / f"run-{seed}.parquet")
    testing = list(range(FIRST, FIRST + options.test))
    fresh = list(range(FIRST_FRESH, FIRST_FRESH + options.fresh))
    wards = {AROUND: _tests(options, folder, testing), PLAIN: _tests(options, folder / "plain", testing, "--plain")}
    fresh_wards = {
        FRESH[AROUND]: _tests(options, folder, fresh),
        FRESH[PLAIN]: _tests(options, folder / "plain", fresh, "--plain"),
    }
    sources = {LABORATORY: folder / "train"}
    public: dict[str, Path] = {}
    if options.captures is not None:
        for capture in sorted((options.captures / "lab").glob("*.pcap")):
            meter(capture, capture.with_suffix(".labels.json"), folder / "earlier" / f"{capture.stem}.parquet")
        sources[EARLIER] = folder / "earlier"
        public = public_captures(options.captures, folder / "public")
    rows = []
    for name, tables in sources.items():
        known = set(pl.concat([pl.read_parquet(p, columns=["label"]) for p in tables.glob("*.parquet")])["label"])
        for seed in range(options.seeds):
            model = trained(name, tables, folder, seed)
            row = {"trained on": name, "seed": seed}
            for which, these in (wards | fresh_wards).items():
                parts = [judge(model, table, labels) for table, labels in these.items()]
                row[which] = _measured(parts, known)
            row["captures"] = {key: _public(model, key, table) for key, table in public.items()}
            rows.append(row)
            print(json.dumps({k: v for k, v in row.items() if k != "captures"}), file=sys.stderr)
    if options.captures is not None:
        rows += _commissioned(options, wards)
    runs = {"training runs": options.train, "test runs": options.test, "fresh runs": options.fresh}
    lengths = runs | {"seconds of a run": options.seconds}
    return {"machine": f"{platform.machine()}, {platform.system()}", **lengths, "rows": rows}


def _tests(options: argparse.Namespace, folder: Path, seeds: list[int], *more: str) -> dict[Path, Path]:
    """Make and meter test runs where they are missing; return their tables, each with its labels."""
    make_runs(folder, seeds, options.seconds, options.beside, *more)
    labels = [folder / f"run-{seed}.labels.json" for seed in seeds]
    captures = [folder / f"run-{seed}.pcap" for seed in seeds]
    tables = [folder / "test" / f"run-{seed}.parquet" for seed in seeds]
    return {meter(*of_run): of_run[1] for of_run in zip(captures, labels, tables, strict=True)}


def _measured(parts: list[dict[str, Any]], known: set[str]) -> dict[str, Any]:
    """Put the runs of a test together: with all attacks, and with those of classes that training showed."""
    of_known = [part | {"attacks": [a for a in part["attacks"] if a["class"] in known]} for part in parts]
    return {"all attacks": summed(parts), "attacks of its classes": summed(of_known)}


def _commissioned(options: argparse.Namespace, wards: dict[str, dict[Path, Path]]) -> list[dict[str, Any]]:
    """Train for each test ward on the four earlier ones and its own quiet time; test on that ward alone."""
    folder: Path = options.runs
    names = [table.stem for table in wards[AROUND]]
    make_runs(
        folder / "quiet",
        [int(name.removeprefix("run-")) for name in names],
        options.seconds,
        options.beside,
        "--attacks",
        "none",
    )
    rows = []
    for seed in range(options.commissioned):
        parts: dict[str, list[dict[str, Any]]] = {which: [] for which in wards}
        for name in names:
            tables = folder / "commissioned" / name
            meter(folder / "quiet" / f"{name}.pcap", None, tables / f"quiet-{name}.parquet", quiet=True)
            for earlier in (folder / "earlier").glob("*.parquet"):
                shutil.copyfile(earlier, tables / earlier.name)
            model = trained(f"commissioned-{name}", tables, folder, seed)
            for which, tests in wards.items():
                parts[which] += [judge(model, table, labels) for table, labels in tests.items() if table.stem == name]
        known = set(pl.concat([pl.read_parquet(p, columns=["label"]) for p in tables.glob("*.parquet")])["label"])
        row: dict[str, Any] = {"trained on": COMMISSIONED, "seed": seed, "captures": {}}
        rows.append(row | {which: _measured(own, known) for which, own in parts.items()})
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def _public(model: Any, name: str, table: Path) -> dict[str, Any]:
    result = judge(model, table, None)
    attack = name.startswith(ATTACKS)
    return {"attack": attack, "windows": result["windows"], "alerts": result["false"], "as": result["false called"]}


def print_table(which: str, kept: dict[str, Any]) -> None:
    """Print a table of the page from the kept results."""
    rows = kept["rows"]
    if which == "laboratory":
        runs = f"{kept['training runs']} runs for training and {kept['test runs']} for test"
        print(f"{runs}, of {kept['seconds of a run']} s each.\n")
        _print_wards(rows, (AROUND, PLAIN))
    elif which == "fresh":
        print(f"{kept['fresh runs']} runs of {kept['seconds of a run']} s, with surroundings and plain.\n")
        _print_wards([row for row in rows if FRESH[PLAIN] in row], tuple(FRESH.values()))
    else:
        {"missed": _print_missed, "captures": _print_captures}[which](rows)


def _print_wards(rows: list[dict[str, Any]], wards: tuple[str, ...]) -> None:
    print("| trained on | tested on | seed | alerted | within 3 s | right class within 6 s | median s | false alarms |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        tests = [(f"{which}, {attacks}", row[which][attacks]) for which in wards for attacks in row[which]]
        for name, test in tests:
            if "its classes" in name and row["trained on"] == LABORATORY:
                continue
            share = f"{test['false']} of {test['benign']} ({test['false'] / test['benign']:.2%})"
            counts = (f"{test[key]} of {test['attacks']}" for key in ("alerted", "within 3 s", "named within 6 s"))
            cells = (row["trained on"], name, str(row["seed"]), *counts, str(test["median seconds"]), share)
            print(f"| {' | '.join(cells)} |")


def _print_missed(rows: list[dict[str, Any]]) -> None:
    print("| trained on | seed | missed | alerted under another name, or named later | false alarms are called |")
    print("|---|---|---|---|---|")
    for row in rows:
        test = row[AROUND]["all attacks" if row["trained on"] == LABORATORY else "attacks of its classes"]
        texts = (", ".join(test[key]) or "none" for key in ("missed", "not named", "false called"))
        print(f"| {row['trained on']} | {row['seed']} | {' | '.join(texts)} |")


def _print_captures(rows: list[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["trained on"] == LABORATORY]
    print("| capture | windows | " + " | ".join(f"alerts, seed {row['seed']}" for row in rows) + " | as |")
    print("|---|---|" + "---|" * len(rows) + "---|")
    captures = rows[0]["captures"]
    benign = [name for name, result in captures.items() if not result["attack"]]
    groups = {
        "all benign captures that were looked into": [name for name in benign if is_looked_at(name)],
        "all benign captures that were not": [name for name in benign if not is_looked_at(name)],
        "all benign captures": benign,
        "all attack captures": [name for name, result in captures.items() if result["attack"]],
    }
    for group, chosen in groups.items():
        for name in chosen if chosen is not benign else ():
            results = [row["captures"][name] for row in rows]
            called = ", ".join(sorted({word for result in results for word in result["as"]}))
            marked = f"**{name}**" if captures[name]["attack"] else name
            cells = (marked, str(results[0]["windows"]), *(str(result["alerts"]) for result in results), called)
            print(f"| {' | '.join(cells)} |")
        windows = sum(rows[0]["captures"][name]["windows"] for name in chosen)
        alerts = [sum(row["captures"][name]["alerts"] for name in chosen) for row in rows]
        shares = (f"{count} ({count / windows:.1%})" for count in alerts)
        print(f"| {' | '.join((group, str(windows), *shares, ''))} |")


def command_line(doc: str | None, kept: Path, **numbers: int) -> tuple[argparse.ArgumentParser, ...]:
    """Return the parser of `run RUNS [--NUMBER N ...] [--keep]` and `table`, and those of both words."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running, table = commands.add_parser("run"), commands.add_parser("table")
    running.add_argument("runs", type=Path)
    for name, value in numbers.items():
        running.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    running.add_argument("--keep", action="store_true", help=f"also write {kept.name}")
    return parser, running, table


def run_and_keep(run: Callable[[argparse.Namespace], Any], options: argparse.Namespace, kept: Path) -> None:
    """Run, print what was found, and keep it where that was asked for."""
    text = json.dumps(run(options), indent=1)
    print(text)
    if options.keep:
        kept.write_text(text + "\n")


def main() -> None:
    parser, running, table = command_line(
        __doc__, KEPT, train=12, test=5, fresh=8, seconds=180, seeds=3, commissioned=1, beside=4
    )
    running.add_argument("--captures", type=Path)
    table.add_argument("which", choices=("laboratory", "fresh", "missed", "captures"))
    options = parser.parse_args()
    if options.command == "table":
        print_table(options.which, json.loads(KEPT.read_text()))
        return
    run_and_keep(run, options, KEPT)


if __name__ == "__main__":
    main()
