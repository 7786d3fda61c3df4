"""benchmarks/ledger_campaign.py: parts put together are the whole."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "ledger_campaign.py"


def campaign(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )


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
