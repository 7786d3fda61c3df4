"""Sentinel beside its rivals: each row is of the same work, and rivals that are not installed are left out."""

import importlib.util
import json
import subprocess
import sys

import pytest

# In a process of its own, whose memory it is: rivals take as much as the networks.
PROGRAM = """
import json, os
from dataclasses import asdict
from medward.bench.agents import measures
measures.ROWS = 4000
allowed = os.sched_getaffinity(0)
rows = measures.measure(updates=2, repeats=1)
print(json.dumps({"rows": [asdict(row) for row in rows], "free": os.sched_getaffinity(0) == allowed}))
"""


@pytest.mark.release
def test_learners_and_scoring_are_timed_on_one_core_and_the_others_are_free_again() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["free"]
    *training, one, batch, bought = found["rows"]
    rivals = [name for name in ("torch", "stable_baselines3") if importlib.util.find_spec(name)]
    assert len(training) == 2 * max(1, len(rivals))
    for row in training:
        assert row["what"].startswith("training updates, recipe of ")
        assert (row["ours"] > 0, row["unit"]) == (True, "updates/s")
        assert (row["other"] is None, row["ratio"] is None) == (not rivals, not rivals)
        assert row["other"] is None or row["ratio"] == pytest.approx(row["ours"] / row["other"])
    assert [row["unit"] for row in (one, batch, bought)] == ["microseconds", "flows/s", "flows/s"]
    assert all(row["ours"] > 0 and row["other"] is None for row in (one, batch, bought))
