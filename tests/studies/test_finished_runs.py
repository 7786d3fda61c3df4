"""Runs are kept line by line, and a kill costs at most the run that was being written."""

from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.studies.finished_runs import keep_run, kept_runs


def test_runs_come_back_by_key(tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    assert kept_runs(results) == {}
    for key in ("a", "b"):
        keep_run(results, {"key": key, "value": 1})
    assert kept_runs(results) == {key: {"key": key, "value": 1} for key in ("a", "b")}


def test_line_that_a_kill_cut_off_is_passed_over_and_replaced(tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    keep_run(results, {"key": "a"})
    whole = results.read_bytes()
    line = b'{"key": "b", "value": 12}\n'
    for cut in range(1, len(line)):
        results.write_bytes(whole + line[:cut])
        assert set(kept_runs(results)) <= {"a", "b"}
        keep_run(results, {"key": "c"})
        assert set(kept_runs(results)) == {"a", "c"}


def test_other_damage_is_refused_with_its_line(tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    results.write_text('{"key": "a"}\nnonsense\n{"key": "b"}\n')
    with pytest.raises(MedwardError, match=r"runs\.jsonl, line 2,"):
        kept_runs(results)
