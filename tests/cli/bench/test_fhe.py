"""`medward bench fhe` as a person or a script calls it."""

import json
import subprocess
import sys

import pytest

from medward.bench.fhe import measures
from medward.bench.rows import BenchmarkRow
from tests.cli.conftest import Run


@pytest.mark.slow
@pytest.mark.release
def test_command_prints_one_json_document() -> None:
    code = (
        "import sys; from medward.cli import main; sys.argv[1:] = ['bench', 'fhe', '--part', 'sums', '--json']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert set(document) == {"machine", "rows"}
    assert all(set(row) == {"what", "ours", "other", "other_name", "ratio", "unit"} for row in document["rows"])
    whole = [row["what"] for row in document["rows"] if row["what"].startswith("a member's whole part")]
    assert whole == [f"a member's whole part, {b} bits, {n} members" for n in (4, 16, 64) for b in (8, 16)]


def test_a_part_that_there_is_not_is_told_of_before_anything_is_measured(medward: Run) -> None:
    done = medward("bench", "fhe", "--part", "transforms", "--part", "sum")
    assert (done.code, done.out) == (1, "")
    assert "there is no part 'sum'; the parts are transforms, computing, many-keys, scoring, sums" in done.sentence


def test_parts_that_are_named_are_measured_and_printed(medward: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    row = BenchmarkRow("forward transform", 2.0, 3.0, "SEAL", 1.5, "us")
    monkeypatch.setattr(
        measures, "PARTS", {"transforms": ("measuring transforms", lambda _: [row]), "sums": ("", lambda _: [])}
    )
    done = medward("bench", "fhe", "--part", "transforms", "--json")
    assert done.code == 0
    assert [found["ratio"] for found in done.document["rows"]] == [1.5]
