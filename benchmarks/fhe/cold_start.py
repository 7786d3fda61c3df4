"""Seconds until a whole secure sum is done in a fresh process: with nothing compiled yet, then with everything kept.

Run: python benchmarks/fhe/cold_start.py [--json]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from medward.bench.rows import BenchmarkRow, print_benchmark

SUM = """
from medward.bench.fhe.member_part import round_times

assert round_times(members=4, bits=16, weights=20_000, runs=1).error == 0
"""


def _seconds(cache: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", SUM], env=os.environ | {"NUMBA_CACHE_DIR": cache}, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        first = _seconds(cache)
        later = min(_seconds(cache) for _ in range(3))
    what = "two secure sums of 20,000 weights and 4 members"
    rows = [
        BenchmarkRow(f"{what}, nothing compiled yet", first, None, None, None, "s"),
        BenchmarkRow("the same in a later process", later, None, None, None, "s"),
    ]
    print_benchmark("Cold start", rows, as_json=words.json)


if __name__ == "__main__":
    main()
