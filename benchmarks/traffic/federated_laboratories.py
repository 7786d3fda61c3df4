"""Four laboratories with other devices and other attacks each: what each learns alone, pooled, and in a federation.

    python benchmarks/traffic/federated_laboratories.py run RUNS --keep  make what is missing, measure
    python benchmarks/traffic/federated_laboratories.py table            the table of docs/results/gateway.md

Which alert bias the federation has is chosen by federated_bias.py.

Each laboratory (`LABORATORIES`) has some kinds of devices and is attacked in some ways, which no other knows; each way
comes twice in a run. Each trains on three runs of its own. All are tested on two more runs of each laboratory: other
devices of the same kinds, addresses, timing and payloads. The wards are plain: nothing stands around their medical
devices. The federation is `medward.federate` with encrypted sums, as hospitals' nodes take them, and models of one
laboratory and of pooled rows learn as its members do, without hidden columns and mixed rows; the first weights come
from the seed. How attacks and false alarms are counted is told in laboratory.py.
"""

import argparse
import json
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from laboratory import command_line, judge, meter, run_and_keep, summed

import medward
from medward.agents.sentinel.recipe import recipe_of

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "traffic" / "results" / "federated-laboratories.json"
SEEDS, TRAINING, TESTING = 3, (1, 2, 3), (91, 92)
#: Passes over its rows that a model makes that was trained in one place.
EPOCHS = 40
POOLED, FEDERATED = "all rows pooled", "the federation, encrypted"

#: By name: the first seed of its runs, its kinds of devices, and the ways in which it is attacked.
LABORATORIES = {
    "A": (200, "mqtt,camera", "syn_scan,arp_spoofing,mqtt_guessing,mqtt_malformed,icmp_sweep"),
    "B": (300, "hl7", "alteration,ftp_guessing,slow_scan,syn_flood"),
    "C": (400, "dicom,camera", "connect_scan,ssh_guessing,connection_flood,dhcp_starvation,arp_sweep"),
    "D": (500, "fhir", "http_guessing,mqtt_connection_flood,malformed_packets,exfiltration"),
}


def make_runs(folder: Path, seconds: int, beside: int, numbers: tuple[int, ...] = TRAINING + TESTING) -> None:
    """Make the runs that are missing, several at a time: they wait more than they work."""

    def make(seed: int, devices: str, attacks: str) -> None:
        if not (folder / f"run-{seed}.labels.json").exists():
            lab = [sys.executable, str(ROOT / "tools" / "lab"), "--seed", str(seed), "--seconds", str(seconds)]
            drawn = ("--plain", "--devices", devices, "--attacks", f"{attacks},{attacks}")
            subprocess.run([*lab, *drawn, "--out", str(folder)], check=True)

    with ThreadPoolExecutor(beside) as pool:
        waiting = [
            pool.submit(make, first + number, devices, attacks)
            for number in numbers
            for first, devices, attacks in LABORATORIES.values()
        ]
        for one in waiting:
            one.result()


def tables_of(folder: Path) -> dict[Path, tuple[str, Path]]:
    """Meter all runs, for training into `train/A` and so on; return the test tables, with laboratory and labels."""
    tests = {}
    for name, (first, _, _) in LABORATORIES.items():
        for number in TRAINING + TESTING:
            seed = first + number
            labels, capture = folder / f"run-{seed}.labels.json", folder / f"run-{seed}.pcap"
            where = folder / "train" / name if number in TRAINING else folder / "test"
            table = meter(capture, labels, where / f"run-{seed}.parquet")
            if number in TESTING:
                tests[table] = (name, labels)
    return tests


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make, train and measure everything."""
    folder: Path = options.runs
    make_runs(folder, options.seconds, options.beside)
    tests = tables_of(folder)
    split = medward.split(medward.load(folder / "train"))
    captures = np.array(split.flows.sources)[split.flows.source]
    shares = {name: np.flatnonzero(np.char.startswith(captures, f"{name}/")) for name in LABORATORIES}
    assert sum(map(len, shares.values())) == len(captures)
    pooled = np.arange(len(captures))
    alike = recipe_of("medward-flow").of_hospitals.change(epochs=EPOCHS, alert_bias=0.0)
    rows = []
    left = [False, *[True] * options.most]

    def model_of(name: str, seed: int) -> Any:
        """Train, where that is still to do; return the model."""
        place = folder / "models" / f"{name.partition(',')[0].replace(' ', '-')}-{seed}"
        if not place.exists():
            if not left.pop():
                raise SystemExit("so many models are made: run it again for the others")
            if name == FEDERATED:
                by_laboratory = list(shares.values())
                rounds = options.rounds
                done = medward.federate(split, len(shares), rounds, "aggregate", seed=seed, shares=by_laboratory)
                done.model.save(place)
            else:
                medward.train(split, shares.get(name, pooled), alike, seed).save(place)
        return medward.load_model(place)

    for name in (*LABORATORIES, POOLED, FEDERATED):
        for seed in range(options.seeds):
            model = model_of(name, seed)
            parts = [(where, judge(model, table, labels)) for table, (where, labels) in tests.items()]
            by_place = {place: summed([part for where, part in parts if where == place]) for place in LABORATORIES}
            row = {"trained": name, "seed": seed, "all": summed([part for _, part in parts])}
            rows.append(row | {"at": by_place})
            print(json.dumps(row), file=sys.stderr, flush=True)
    counts = {
        name: {"rows": len(share), "attacks": int(np.sum(split.flows.y[share] > 0))} for name, share in shares.items()
    }
    settings = {"seconds of a run": options.seconds, "rounds": options.rounds, "laboratories": counts}
    return {"machine": f"{platform.machine()}, {platform.system()}", **settings, "rows": rows}


def print_table(kept: dict[str, Any]) -> None:
    """Print the table of the page from the kept results."""
    rows = kept["rows"]
    names = list(LABORATORIES)
    seconds, runs = kept["seconds of a run"], f"{len(TRAINING)} runs for training and {len(TESTING)} for test"
    print(f"{runs} in each laboratory, of {seconds} s each; {kept['rounds']} rounds of training in the federation.\n")
    print("| laboratory | devices | attacks (`--attacks`) | rows for training, of them attacks |")
    print("|---|---|---|---|")
    for name, (_, devices, attacks) in LABORATORIES.items():
        count = kept["laboratories"][name]
        ways = attacks.replace(",", ", ").replace("_", " ")
        print(f"| {name} | {devices.replace(',', ', ')} | {ways} | {count['rows']}, {count['attacks']} |")
    print()
    places = " | ".join(f"alerted at {name}" for name in names)
    print(f"| trained by | seed | alerted | {places} | right class within 6 s | false alarms |")
    print("|---|---|---|" + "---|" * len(names) + "---|---|")
    for row in rows:
        test = row["all"]
        share = f"{test['false']} of {test['benign']} ({test['false'] / test['benign']:.2%})"
        cells = (
            row["trained"] if row["trained"] in (POOLED, FEDERATED) else f"{row['trained']} alone",
            str(row["seed"]),
            f"{test['alerted']} of {test['attacks']}",
            *(f"{row['at'][name]['alerted']} of {row['at'][name]['attacks']}" for name in names),
            f"{test['named within 6 s']} of {test['attacks']}",
            share,
        )
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    # With --most 1 each call trains one model.
    parser, *_ = command_line(__doc__, KEPT, seconds=180, seeds=SEEDS, rounds=20, beside=4, most=99)
    options = parser.parse_args()
    if options.command == "table":
        print_table(json.loads(KEPT.read_text()))
        return
    run_and_keep(run, options, KEPT)


if __name__ == "__main__":
    main()
