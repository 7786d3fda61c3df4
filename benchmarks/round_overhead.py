"""What a round costs beside the training, with every hospital a real node on this machine.

    python benchmarks/round_overhead.py [--sites 4 7 10] [--rounds 5] [--rows 12000] [--out FILE]

For each number of hospitals a federation of node processes (embedded store, PBFT, encrypted sums) trains the synthetic
ward. From the nodes' own reports of the training rounds, medians over rounds of the means over nodes:

    all        the round without the phase in which members train
    computing  seal, examine, add, check and share, examine shares, combine: the encryption
    waiting    the rest: ordering records on the ledger, moving blobs, waiting for the slowest member

and each as a share of a round with 10 s of training. All nodes share this machine's cores, so between hospitals, each
on a machine of its own, less is waited for.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from medward.federation.simulation import member_names
from medward.node.training_data import Settings, plan_of, read_data
from medward.node.trial import Trial, TrialOptions

TRAINING_SECONDS = 10.0
COMPUTING = ("seal", "attesting", "aggregating", "checking", "verifying", "finishing")


def measure(sites: int, rounds: int, rows: int, folder: Path) -> dict[str, Any]:
    """Run one federation and return its figures."""
    settings = Settings(data="ward", rounds=rounds, rows=rows, sites=sites)
    prepared = read_data(settings)
    trial = Trial(folder, TrialOptions(settings, member_names(sites)), plan_of(prepared, settings))
    reports: list[dict[str, Any]] = []
    asyncio.run(trial.run(trial.found(), lambda statuses: None, lambda report, model: reports.append(report)))
    trained = [report for report in reports if report["task"] == "train" and report["outcome"] == "final"]
    # The first training round compiles what it trains with.
    trained = trained[1:] or trained
    phases = [sum(s for phase, s in report["phases"].items() if phase != "committing") for report in trained]
    computing = [sum(report["seconds"].get(activity, 0.0) for activity in COMPUTING) for report in trained]
    beside, computed = median(phases), median(computing)
    return {
        "sites": sites,
        "rounds": len(trained),
        "seconds_beside_training": beside,
        "seconds_computing": computed,
        "seconds_waiting": max(0.0, beside - computed),
        "share_of_10_s_training": beside / (TRAINING_SECONDS + beside),
        "ledger_and_store_share": max(0.0, beside - computed) / (TRAINING_SECONDS + beside),
        "bytes_up_a_hospital": median(report["bytes_up"] for report in trained) / sites,
        "bytes_down_a_hospital": median(report["bytes_down"] for report in trained) / sites,
    }


def main() -> None:
    """Measure each number of hospitals and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, nargs="+", default=[4, 7, 10])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    rows = []
    for sites in words.sites:
        with tempfile.TemporaryDirectory(prefix="medward-") as folder:
            rows.append(measure(sites, words.rounds, words.rows, Path(folder)))
        if words.out is not None:
            words.out.write_text(json.dumps(rows, indent=1) + "\n")
    print("| hospitals | s a round beside training | encryption | ledger, store, waiting | of 10 s training |"
          " ledger, store, waiting: of 10 s training | MB up | MB down |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['sites']} | {row['seconds_beside_training']:.2f} | {row['seconds_computing']:.2f} | "
            f"{row['seconds_waiting']:.2f} | {row['share_of_10_s_training']:.0%} | "
            f"{row['ledger_and_store_share']:.0%} | "
            f"{row['bytes_up_a_hospital'] / 1e6:.2f} | {row['bytes_down_a_hospital'] / 1e6:.2f} |"
        )


if __name__ == "__main__":
    main()
