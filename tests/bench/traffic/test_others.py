"""Argus and Suricata where they are installed: found with their versions, run on a capture, told of where they fail."""

import shutil
import sys
from pathlib import Path

import pytest

from medward.bench.traffic import generation, others
from medward.bench.traffic.others import OtherMeter
from medward.errors import MedwardError


def test_a_meter_that_fails_is_told_of(tmp_path: Path) -> None:
    failing = OtherMeter("Other 1.0", (sys.executable, "-c", "raise SystemExit('no such option')"))
    with pytest.raises(MedwardError, match=r"Other 1.0 on .* could not be measured: .*no such option"):
        failing.measure(tmp_path / "x.pcap", tmp_path / "logs")


def test_installed_meters_read_a_generated_capture(tmp_path: Path) -> None:
    found = others.installed_meters()
    if not found:
        pytest.skip("neither Argus nor Suricata is installed")
    generation.write_ward(tmp_path / "ward.pcap", 1000)
    for other in found:
        spent = other.measure(tmp_path / "ward.pcap", tmp_path / "logs")
        assert spent.seconds > 0
        assert spent.mebibytes > 1


def stand_in(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o700)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_meters_are_found_with_their_versions_wherever_they_print_them(path: Path) -> None:
    argus = stand_in(path, "argus", "echo Argus Version 3.0.8.2 >&2; exit 1")
    suricata = stand_in(path, "suricata", "echo This is Suricata version 7.0.10 RELEASE")
    first, second = others.installed_meters()
    assert (first.name, second.name) == ("Argus 3.0.8.2", "Suricata 7.0.10, no rules")
    assert first.command == (str(argus), "-r", "CAPTURE", "-w", "/dev/null")
    assert second.command[:5] == (str(suricata), "-r", "CAPTURE", "-l", "FOLDER")


@pytest.mark.parametrize("says", ["exit 0", "echo version twelve", "printf '\\377 1.2.3'"])
def test_a_meter_that_tells_no_version_is_measured_all_the_same(path: Path, says: str) -> None:
    stand_in(path, "suricata", says)
    name = next(one.name for one in others.installed_meters() if one.name.startswith("Suricata"))
    assert name in ("Suricata of unknown version, no rules", "Suricata 1.2.3, no rules")


def test_nothing_is_found_where_nothing_is_installed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(others.shutil, "which", lambda name, path=None: None if path else which(name))
    assert others.installed_meters() == []


def test_a_meter_gets_the_capture_and_a_folder_that_is_empty_each_time(tmp_path: Path) -> None:
    """It writes its words there, and would fail where there were some."""
    logs, capture = tmp_path / "logs", tmp_path / "x CAPTURE.pcap"
    keeps = 'set -C; for word; do echo "$word"; done > "$2/words"'
    meter = OtherMeter("Other 1.0", ("/bin/sh", "-c", keeps, "other", "CAPTURE", "FOLDER", "$(CAPTURE)"))
    for _ in range(2):
        spent = meter.measure(capture, logs)
        assert (logs / "words").read_text().splitlines() == [str(capture), str(logs), "$(CAPTURE)"]
        assert spent.seconds >= 0
        assert spent.mebibytes > 0


def test_a_meter_that_fails_in_silence_is_told_of_too(tmp_path: Path) -> None:
    with pytest.raises(
        MedwardError, match=r"Other 1.0 on .*x.pcap could not be measured: .* \(it said nothing\); remove Other 1.0"
    ):
        OtherMeter("Other 1.0", ("/bin/sh", "-c", "kill -9 $$")).measure(tmp_path / "x.pcap", tmp_path / "logs")


def test_last_words_that_are_no_text_are_told_as_far_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(MedwardError, match=r"Other 1.0 on .* could not be measured: .*\ufffdno disk"):
        OtherMeter("Other 1.0", ("/bin/sh", "-c", "printf '\\377no disk' >&2; exit 1")).measure(
            tmp_path / "x.pcap", tmp_path / "logs"
        )
