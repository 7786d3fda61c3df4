"""`medward bench store` as a person or a script calls it."""

import os
from pathlib import Path

import pytest

from medward.bench.rows import BenchmarkRow, Progress
from tests.cli.conftest import Run


def test_what_is_asked_for_is_measured_and_printed(medward: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(size: int, repeats: int, progress: Progress) -> list[BenchmarkRow]:
        progress("naming")
        return [BenchmarkRow(f"{size} bytes, {repeats} times", 2.0, None, None, None, "s")]

    monkeypatch.setattr("medward.bench.store.measures.all_rows", measured)
    done = medward("bench", "store", "--json", "--megabytes", "3", "--repeats", "2")
    assert done.code == 0
    assert [row["what"] for row in done.document["rows"]] == ["3000000 bytes, 2 times"]


@pytest.mark.parametrize("words", [("--megabytes", "0"), ("--megabytes", "1001"), ("--repeats", "0")])
def test_sizes_that_measure_nothing_or_fill_the_disk_are_bad_usage(medward: Run, words: tuple[str, str]) -> None:
    done = medward("bench", "store", *words)
    assert (done.code, done.out) == (2, "")
    assert words[0] in done.err
    assert "Traceback" not in done.err


def test_a_folder_that_cannot_be_written_is_told_of(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files stand in the folder that the command is called in; here that is gone."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    done = medward("bench", "store", "--megabytes", "1", "--repeats", "1")
    assert (done.code, done.out) == (1, "")
    assert "No such file or directory" in done.sentence
