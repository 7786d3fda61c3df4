"""Alerts are appended as whole lines, and what cannot be written is told."""

import os
from pathlib import Path

import pytest

from medward.alerts.alert_file import AlertFile
from medward.alerts.errors import UnwritableAlerts


def test_file_grows_by_whole_lines_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "made" / "alerts.json"
    for number in range(2):
        with AlertFile(path) as place:
            place.write([])
            place.write([f"{number}a", f"{number}b"])
    assert path.read_text() == "0a\n0b\n1a\n1b\n"
    assert path.stat().st_mode & 0o007 == 0


def test_half_line_of_before_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_text('{"half": ')
    with AlertFile(path) as place:
        place.write(["whole"])
    assert path.read_text().splitlines() == ['{"half": ', "whole"]


def test_full_disk_and_a_reader_that_went_are_told_in_one_sentence(tmp_path: Path) -> None:
    with AlertFile(Path("/dev/full")) as place, pytest.raises(UnwritableAlerts, match="takes no more alerts"):
        place.write(["line"])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with AlertFile(pipe) as place:
        os.close(reader)
        with pytest.raises(UnwritableAlerts, match="nobody reads the alerts"):
            place.write(["line"])
