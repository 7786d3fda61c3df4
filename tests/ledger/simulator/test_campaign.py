"""benchmarks/ledger/campaign.py: parts put together are the whole; the kept campaigns are whole and found nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledger.simulator.behaviours import BEHAVIOURS

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "benchmarks" / "ledger" / "campaign.py"


def campaign(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def kept(name):
    return json.loads((ROOT / "benchmarks" / "ledger" / "results" / name).read_text(encoding="utf-8"))


@pytest.mark.slow
def test_parts_put_together_are_the_whole_and_a_gap_is_refused(tmp_path):
    parts = [tmp_path / f"part-{first}.json" for first in (0, 2, 6)]
    for first, part in zip((0, 2, 6), parts, strict=True):
        assert campaign("--first", first, "--count", 2, "--out", part).returncode == 0
    merged = json.loads(campaign("--merge", *parts[1::-1]).stdout)
    whole = json.loads(campaign("--first", 0, "--count", 4).stdout)
    assert set(merged.pop("fingerprints")) == {"0-1", "2-3"}
    whole.pop("fingerprints")
    for result in (merged, whole):
        result.pop("seconds")
    assert merged == whole
    refused = campaign("--merge", *parts)
    assert refused.returncode == 1
    assert "run what is missing" in refused.stderr


def test_the_kept_campaign_is_whole_and_found_no_violation():
    result = kept("ledger-campaign.json")
    first, last = result["seeds"]
    assert last - first + 1 >= 2000
    assert result["violations"] == []
    assert sum(result["runs by members"].values()) == last - first + 1
    assert set(result["runs by members"]) == {"n=4", "n=5", "n=7", "n=10"}
    assert set(result["runs by liar"]) == {*BEHAVIOURS, "nobody"}
    assert result["changes of members"] > 0
    assert result["proofs of equivocation"] > 0


def test_the_kept_sieges_are_whole_and_found_no_violation():
    result = kept("ledger-sieges.json")
    first, last = result["seeds"]
    assert last - first + 1 >= 300
    assert result["violations"] == []
    assert sum(result["runs by members"].values()) == last - first + 1
    assert set(result["runs by liar"]) == {"plotter", "wrong clock"}
    assert result["proofs of equivocation"] > 0


def test_the_kept_campaign_of_kills_is_whole_and_found_no_violation():
    result = kept("ledger-kill-campaign.json")
    assert result["instants"] >= 200
    assert result["violations"] == []
    assert result["operations answered"] > result["instants"]
