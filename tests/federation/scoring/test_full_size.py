"""Scoring in the full ring: right, decided as in plain, and within the memory that a member is asked for."""

import subprocess
import sys

import pytest

_PROGRAM = """
import resource
from medward.bench.fhe.scoring import TERMS, own_scoring
own_scoring(TERMS)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_MOST_KIB = 4 * 2**20


@pytest.mark.release
def test_batch_in_the_full_ring_is_scored_within_four_gigabytes() -> None:
    """`own_scoring` scores 16,384 flows with two keys, flooded, and raises where a score is wrong."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < _MOST_KIB
