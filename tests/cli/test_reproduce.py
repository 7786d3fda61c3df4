"""`medward reproduce`: the comparison, its table, and that finished runs are not repeated."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

FAST = ("--data", "ward", "--quick", "--method", "majority", "--method", "logistic regression")


def test_finished_runs_are_kept_and_not_repeated(medward: Run, tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    words = ("reproduce", *FAST, "--seeds", 1, "--results", results)
    table = medward(*words)
    assert table.code == 0, table.err
    assert "| majority |" in table.out
    assert "| recall at 1 % false alarms |" in table.out
    assert "Recall of each class:\n\n| method | benign |" in table.out
    assert "synthetic" in table.out
    runs = results.read_text()
    assert len(runs.splitlines()) == 2
    again = medward(*words, "--json")
    assert results.read_text() == runs
    assert again.document["data"]["ward"]["runs"] == [json.loads(line) for line in runs.splitlines()]


def test_jobs_are_a_number_above_zero_and_not_for_streams(medward: Run) -> None:
    assert "--jobs takes 1 or more, not -1" in medward("reproduce", "--jobs", -1).sentence
    assert "leave out --jobs" in medward("reproduce", "--over-time", "--jobs", 2).sentence


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


def test_no_protocol_but_three_is_known(medward: Run) -> None:
    done = medward("reproduce", "--protocol", "wishful")
    assert done.code == 2
    assert "honest, random or paper" in done.sentence


def test_random_rows_are_an_own_protocol(medward: Run) -> None:
    done = medward("reproduce", *FAST[:5], "--seeds", 1, "--protocol", "random", "--json")
    assert done.code == 0, done.err
    assert done.document["protocol"] == "random"
    (run,) = done.document["data"]["ward"]["runs"]
    assert run["key"] == "ward|random|quick|0|majority"


def test_over_time_refuses_other_protocols_and_unknown_methods(medward: Run) -> None:
    assert "--over-time" in medward("reproduce", "--over-time", "--protocol", "paper").sentence
    assert "two-threshold rule" in medward("reproduce", "--over-time", "--method", "majority").sentence


@pytest.mark.slow
def test_over_time_prints_the_rule_and_what_is_compared_with_it(medward: Run, tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    words = ("reproduce", "--over-time", "--quick", "--method", "confidence rule", "--results", results)
    done = medward(*words)
    assert done.code == 0, done.err
    assert "| two-threshold rule | 1 |" in done.out
    assert "| confidence rule | 1 |" in done.out
    kept = results.read_text()
    assert [json.loads(line)["method"] for line in kept.splitlines()] == ["two-threshold rule", "confidence rule"]
    medward(*words)
    assert results.read_text() == kept


def test_ward_has_no_fingerprints_to_leave_out(medward: Run) -> None:
    done = medward("reproduce", *FAST[:5], "--seeds", 1, "--without-fingerprints")
    assert done.code == 2
    assert "no fingerprints to leave out" in done.sentence
