"""Print the table of the store: naming, keeping and fetching 50 MB.

Run: python benchmarks/store/tables.py [--json]
"""

import argparse

from medward.bench.rows import print_benchmark
from medward.bench.store.measures import all_rows

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    print_benchmark("Content-addressed storage, 50 MB", all_rows(50_000_000, 9, lambda _text: None), words.json)
