"""`medward reproduce`: the comparison, its table, and that finished runs are not repeated."""

import json
from pathlib import Path

from tests.cli.conftest import Run

FAST = ("--data", "ward", "--quick", "--method", "majority", "--method", "logistic regression")


def test_finished_runs_are_kept_and_not_repeated(medward: Run, tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    words = ("reproduce", *FAST, "--seeds", 1, "--results", results)
    table = medward(*words)
    assert table.code == 0, table.err
    assert "| majority |" in table.out
    assert "synthetic" in table.out
    runs = results.read_text()
    assert len(runs.splitlines()) == 2
    again = medward(*words, "--json")
    assert results.read_text() == runs
    assert again.document["data"]["ward"]["runs"] == [json.loads(line) for line in runs.splitlines()]


def test_majority_is_what_guessing_gives(medward: Run, tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    done = medward("reproduce", *FAST[:5], "--seeds", 2, "--results", results, "--json")
    for run in done.document["data"]["ward"]["runs"]:
        binary = run["metrics"]["binary"]
        assert (binary["attack_recall"], binary["auroc"]) == (0.0, 0.5)
        assert 0.8 < binary["accuracy"] < 0.9


def test_paper_protocol_warns(medward: Run) -> None:
    done = medward("reproduce", *FAST[:5], "--seeds", 1, "--protocol", "paper")
    assert done.code == 0
    assert "say nothing about traffic that was not seen" in done.err


def test_unknown_method_is_bad_usage(medward: Run) -> None:
    done = medward("reproduce", "--method", "tea leaves")
    assert done.code == 2
    assert "tea leaves" in done.sentence
