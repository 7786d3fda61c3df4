"""A tenth of the campaign of mutated packets (benchmarks/traffic/fuzz.py), from another seed than the kept one's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_million_mutated_packets_are_read_within_their_ends() -> None:
    program = [sys.executable, str(ROOT / "benchmarks" / "traffic" / "fuzz.py"), "--packets", "1000000", "--seed", "2"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr or done.stdout
    told = json.loads(done.stdout)
    assert (told["packets"], told["parts_that_differ"]) == (1_000_000, 0)
    assert told["counters"]["packets"] == 1_000_000


def test_the_kept_campaign_is_the_whole_one() -> None:
    kept = json.loads((ROOT / "benchmarks" / "traffic" / "results" / "meter-fuzz.json").read_text())
    assert (kept["packets"], kept["parts_that_differ"]) == (10_000_000, 0)
