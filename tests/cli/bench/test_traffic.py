"""`medward bench traffic` as a person or a script calls it."""

import json
import sys

import pytest

from medward.bench.rows import BenchmarkRow, Progress
from medward.cli import main
from tests.cli.conftest import Run


@pytest.mark.slow
def test_command_prints_one_json_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["medward", "bench", "traffic", "--json", "--packets", "5000", "--repeats", "1"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert set(json.loads(capsys.readouterr().out)) == {"machine", "rows"}


def test_what_is_asked_for_is_measured_and_printed(medward: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(packets: int, repeats: int, progress: Progress) -> list[BenchmarkRow]:
        progress("generating captures")
        return [BenchmarkRow(f"{packets} packets, {repeats} times", 2.0, None, None, None, "MiB")]

    monkeypatch.setattr("medward.bench.traffic.measures.all_rows", measured)
    done = medward("bench", "traffic", "--json", "--packets", "1000", "--repeats", "2")
    assert done.code == 0
    assert [row["what"] for row in done.document["rows"]] == ["1000 packets, 2 times"]


@pytest.mark.parametrize("words", [("--packets", "999"), ("--repeats", "0"), ("--repeats", "many")])
def test_a_number_that_measures_nothing_is_bad_usage(medward: Run, words: tuple[str, str]) -> None:
    done = medward("bench", "traffic", *words)
    assert (done.code, done.out) == (2, "")
    assert words[0] in done.err
    assert "Traceback" not in done.err
