"""Transforms beside SEAL's (through seal-python), per 50-bit limb, median of 7 alternating runs.

Run: python benchmarks/fhe_ntt.py [--json]
"""

import sys

from medward.cli.bench._fhe_transforms import transform_rows
from medward.report.benchmark import print_benchmark

if __name__ == "__main__":
    print_benchmark("Transforms, one limb, one thread", transform_rows(), as_json="--json" in sys.argv[1:])
