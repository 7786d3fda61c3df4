"""The program that is timed: what it counts is what the capture holds."""

import json
import sys
from pathlib import Path

import pytest

from medward.bench.traffic import generation, meter_program
from medward.traffic.errors import NotACapture

pytestmark = pytest.mark.slow  # the meter's kernels are loaded, or compiled where nothing did it before


@pytest.mark.parametrize("inspect", [False, True])
def test_it_counts_each_packet_and_flow_of_a_flood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], inspect: bool
) -> None:
    generation.write_flood(tmp_path / "flood.pcap", 200)
    monkeypatch.setattr(sys, "argv", ["meter_program", str(tmp_path / "flood.pcap"), "1024", str(int(inspect))])
    meter_program.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["packets"], found["flows"]) == (200, 200)
    assert found["seconds"] > 0
    assert found["mebibytes"] > 1


def test_a_file_that_is_no_capture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("no packets here, only text")
    monkeypatch.setattr(sys, "argv", ["meter_program", str(tmp_path / "notes.txt"), "1024", "0"])
    with pytest.raises(NotACapture):
        meter_program.main()
