"""Train on laboratory wards, test on wards of other devices, addresses, timing and payloads; print what is alerted on.

    python benchmarks/gateway_lab.py run RUNS --captures CAPTURES --keep     make what runs are missing, train, measure
    python benchmarks/gateway_lab.py table laboratory|missed|captures        a table of docs/results/gateway.md

RUNS is a folder for the laboratory's runs (tools/lab), tables and models; what is there is not made again. CAPTURES is
a folder of public captures and of `lab/`, four earlier wards; without it only the laboratory's wards are tested.
`medward flows` meters, `medward train --all-rows` trains, and `medward.load_model(...).predict` decides each window.

An attack is *alerted* where a window of its attacker or of a victim that overlaps it is alerted on; its seconds are
those from its start to the end of the first such window. It is *named* where such a window ends within six seconds and
has the attack's class. A *false alarm* is an alert on a window that no attack of its device overlaps; those within a
minute after an attack of the device are told apart, since windows look back for 60 s.
"""

import argparse
import json
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

import medward

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results" / "gateway-lab.json"
LABORATORY, EARLIER = "laboratory runs", "the four earlier wards"
WINDOW, SOON, NAMED_WITHIN, LOOKS_BACK = 2.0, 3.0, 6.0, 60.0
#: Captures that hold an attack, by the names that their authors gave them; all others are benign.
ATTACKS = (
    *("zeek/vnc-scanner", "suricata-verify/firewall_tcp-session-syn-flood", "ndpi/tcp_scan"),
    *("suricata-verify/mqtt-events", "suricata-verify/mqtt-frames-truncated", "slips/"),
)


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


def make_runs(folder: Path, seeds: list[int], seconds: int, beside: int) -> None:
    """Make the runs that are missing, several at a time: they wait more than they work."""

    def make(seed: int) -> None:
        if not (folder / f"run-{seed}.labels.json").exists():
            lab = [sys.executable, str(ROOT / "tools" / "lab"), "--seed", str(seed), "--seconds", str(seconds)]
            subprocess.run([*lab, "--out", str(folder)], check=True)

    with ThreadPoolExecutor(beside) as pool:
        list(pool.map(make, seeds))


def meter(capture: Path, labels: Path | None, table: Path) -> Path:
    """Make the table of a capture, where it is missing."""
    if not table.exists():
        command(
            *("flows", "--pcap", str(capture), "--out", str(table)),
            *(() if labels is None else ("--labels", str(labels))),
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
    training, testing = list(range(1, options.train + 1)), list(range(101, 101 + options.test))
    make_runs(folder, training + testing, options.seconds, options.beside)
    tests = {}
    for seed in training + testing:
        part = "train" if seed in training else "test"
        labels = folder / f"run-{seed}.labels.json"
        table = meter(folder / f"run-{seed}.pcap", labels, folder / part / f"run-{seed}.parquet")
        if part == "test":
            tests[table] = labels
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
            parts = [judge(model, table, labels) for table, labels in tests.items()]
            row = {"trained on": name, "seed": seed, "test": summed(parts)}
            of_known = [p | {"attacks": [a for a in p["attacks"] if a["class"] in known]} for p in parts]
            row["classes of training"] = summed(of_known)
            row["captures"] = {key: _public(model, key, table) for key, table in public.items()}
            rows.append(row)
            print(json.dumps({k: v for k, v in row.items() if k != "captures"}), file=sys.stderr)
    lengths = {"training runs": options.train, "test runs": options.test, "seconds of a run": options.seconds}
    return {"machine": f"{platform.machine()}, {platform.system()}", **lengths, "rows": rows}


def _public(model: Any, name: str, table: Path) -> dict[str, Any]:
    result = judge(model, table, None)
    attack = name.startswith(ATTACKS)
    return {"attack": attack, "windows": result["windows"], "alerts": result["false"], "as": result["false called"]}


def print_table(which: str, kept: dict[str, Any]) -> None:
    """Print a table of the page from the kept results."""
    if which == "laboratory":
        runs = f"{kept['training runs']} runs for training and {kept['test runs']} for test"
        print(f"{runs}, of {kept['seconds of a run']} s each.\n")
    {"laboratory": _print_laboratory, "missed": _print_missed, "captures": _print_captures}[which](kept["rows"])


def _print_laboratory(rows: list[dict[str, Any]]) -> None:
    print("| trained on | tested on | seed | alerted | within 3 s | right class within 6 s | median s | false alarms |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        tests = [("all attacks", row["test"])]
        if row["classes of training"]["attacks"] != row["test"]["attacks"]:
            tests.append(("attacks of its classes", row["classes of training"]))
        for name, test in tests:
            share = f"{test['false']} of {test['benign']} ({test['false'] / test['benign']:.2%})"
            counts = (f"{test[key]} of {test['attacks']}" for key in ("alerted", "within 3 s", "named within 6 s"))
            cells = (row["trained on"], name, str(row["seed"]), *counts, str(test["median seconds"]), share)
            print(f"| {' | '.join(cells)} |")


def _print_missed(rows: list[dict[str, Any]]) -> None:
    print("| trained on | seed | missed | alerted under another name, or named later | false alarms are called |")
    print("|---|---|---|---|---|")
    for row in rows:
        test = row["test"] if row["trained on"] == LABORATORY else row["classes of training"]
        texts = (", ".join(test[key]) or "none" for key in ("missed", "not named", "false called"))
        print(f"| {row['trained on']} | {row['seed']} | {' | '.join(texts)} |")


def _print_captures(rows: list[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["trained on"] == LABORATORY]
    print("| capture | windows | " + " | ".join(f"alerts, seed {row['seed']}" for row in rows) + " | as |")
    print("|---|---|" + "---|" * len(rows) + "---|")
    for attack in (False, True):
        chosen = [name for name, result in rows[0]["captures"].items() if result["attack"] == attack]
        for name in chosen:
            results = [row["captures"][name] for row in rows]
            called = ", ".join(sorted({word for result in results for word in result["as"]}))
            marked = f"**{name}**" if attack else name
            cells = (marked, str(results[0]["windows"]), *(str(result["alerts"]) for result in results), called)
            print(f"| {' | '.join(cells)} |")
        windows = sum(rows[0]["captures"][name]["windows"] for name in chosen)
        alerts = [sum(row["captures"][name]["alerts"] for name in chosen) for row in rows]
        cells = ("all attack captures" if attack else "all benign captures", str(windows), *map(str, alerts), "")
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("runs", type=Path)
    running.add_argument("--captures", type=Path)
    for name, value in (("train", 12), ("test", 5), ("seconds", 180), ("seeds", 3), ("beside", 4)):
        running.add_argument(f"--{name}", type=int, default=value)
    running.add_argument("--keep", action="store_true", help=f"also write {KEPT.name}")
    table = commands.add_parser("table")
    table.add_argument("which", choices=("laboratory", "missed", "captures"))
    options = parser.parse_args()
    if options.command == "table":
        print_table(options.which, json.loads(KEPT.read_text()))
        return
    text = json.dumps(run(options), indent=1)
    print(text)
    if options.keep:
        KEPT.write_text(text + "\n")


if __name__ == "__main__":
    main()
