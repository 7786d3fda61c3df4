"""Figures of pages and of scripts in benchmarks/ that follow from sizes and times of sums."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fhe import scaling

ROOT = Path(__file__).parents[3]


def test_bytes_in_the_spec_of_courier_are_those_of_the_script() -> None:
    script = ROOT / "benchmarks" / "federation" / "courier_bytes.py"
    printed = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    page = (ROOT / "spec" / "courier.md").read_text(encoding="utf-8")
    assert (
        page.split("<!-- printed by benchmarks/federation/courier_bytes.py -->\n\n")[1].split("<!-- end of what")[0]
        == printed
    )


def test_times_of_another_size_are_those_of_as_many_holders_and_enough_blocks() -> None:
    milliseconds = {
        f"{step}, {bits} bits, {members} members": float(members * bits)
        for step in ("contribute", "respond", "examine one", "answer", "decrypt")
        for members, bits in scaling.CELLS
    }
    fewer, more = (scaling.times_for(milliseconds, 16, blocks) for blocks in (41, 42))
    assert fewer is not None
    assert more is not None
    assert (fewer.examine, more.examine) == (16 * 8 / 1000, 16 * 16 / 1000)
    assert fewer.contribute == 2 * fewer.examine
    assert fewer.decrypt == pytest.approx(8 / 1000)
    assert scaling.times_for(milliseconds, 16, 63) is None
    assert scaling.times_for(milliseconds, 10, 1) is None
