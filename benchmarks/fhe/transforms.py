"""Transforms beside SEAL's (through seal-python), per 50-bit limb, median of 7 alternating runs.

Run: python benchmarks/fhe/transforms.py [--json]
"""

import argparse

from medward.bench.fhe.transforms import transform_rows
from medward.bench.rows import print_benchmark

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    print_benchmark("Transforms, one limb, one thread", transform_rows(), as_json=words.json)
