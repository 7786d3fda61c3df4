"""`medward reproduce`: the comparison, its table, and that finished runs are not repeated."""

import json
from pathlib import Path
from shutil import copy

import pytest

from medward.studies.study import METHODS, method_named, short_name
from medward.studies.watch_study import LEARNED, RULES
from tests.cli.conftest import Run

KEPT = Path(__file__).parents[2] / "benchmarks" / "agents" / "results"
WARD = ("--data", "ward")
FAST = (*WARD, "--quick", "--method", "majority", "--method", "logistic")


@pytest.mark.slow
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


def test_finished_runs_are_printed_with_every_table_and_drawn(medward: Run, tmp_path: Path) -> None:
    methods = [word for name in ("Sentinel, federated", "Sentinel, alone", "MLP") for word in ("--method", name)]
    kept = copy(KEPT / "reproduce-ward.jsonl", tmp_path)
    done = medward("reproduce", *WARD, *methods, "--results", kept, "--plots", tmp_path / "plots")
    assert done.code == 0, done.err
    assert "### Hospitals alone and together\n\n| data set | macro-F1 | seeds |" in done.out
    # Neither boosting nor a target is among what was asked for.
    assert "### Classes" not in done.out
    assert "### Targets" not in done.out
    drawn = (tmp_path / "plots" / "honest-ward.svg").read_text()
    assert "MLP: binary macro-F1 0." in drawn
    assert "Synthetic ward (honest, synthetic)" in drawn


def test_finished_runs_on_real_data_are_held_to_the_targets(medward: Run, tmp_path: Path, data_folder: Path) -> None:
    methods = [word for name in ("Sentinel, federated", "histogram gradient boosting") for word in ("--method", name)]
    kept = copy(KEPT / "reproduce-wustl-ehms-2020.jsonl", tmp_path)
    done = medward("reproduce", "--data", data_folder / "wustl-ehms-2020", *methods, "--results", kept)
    assert done.code == 0, done.err
    assert "### Classes on which boosting is furthest ahead\n\n| data set | class |" in done.out
    assert "| wustl-ehms-2020: binary macro-F1 of 0.96 |" in done.out
    # What was not asked for is not called missing.
    assert "not run" not in done.out


def test_finished_runs_over_time_are_held_to_the_targets_and_drawn(medward: Run, tmp_path: Path) -> None:
    kept = copy(KEPT / "reproduce-over-time-ward.jsonl", tmp_path)
    done = medward("reproduce", *WARD, "--over-time", "--results", kept, "--plots", tmp_path)
    assert done.code == 0, done.err
    assert "| ward, over time: costs less than the two-threshold rule at no more false alarms |" in done.out
    assert "Sentinel over time: cost " in (tmp_path / "over-time-ward.svg").read_text()


def test_folder_that_cannot_be_made_is_told_before_the_first_run(medward: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, path in (("--plots", "file"), ("--results", "file/runs.jsonl")):
        done = medward("reproduce", *FAST, option, tmp_path / path)
        assert done.code == 2
        assert f"{option}: the folder {tmp_path / 'file'} cannot be made" in done.sentence


def test_jobs_are_a_number_above_zero_and_not_for_streams(medward: Run) -> None:
    assert "--jobs takes 1 or more, not -1" in medward("reproduce", "--jobs", -1).sentence
    assert "leave out --jobs" in medward("reproduce", "--over-time", "--jobs", 2).sentence


@pytest.mark.slow
def test_majority_is_what_guessing_gives(medward: Run, tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    done = medward("reproduce", *FAST[:5], "--seeds", 2, "--results", results, "--json")
    for run in done.document["data"]["ward"]["runs"]:
        binary = run["metrics"]["binary"]
        assert (binary["attack_recall"], binary["auroc"]) == (0.0, 0.5)
        assert 0.8 < binary["accuracy"] < 0.9


@pytest.mark.slow
def test_paper_protocol_warns(medward: Run) -> None:
    done = medward("reproduce", *FAST[:5], "--seeds", 1, "--protocol", "paper")
    assert done.code == 0
    assert "say nothing about traffic that was not seen" in done.err


def test_unknown_method_is_bad_usage_and_those_that_exist_are_named(medward: Run) -> None:
    done = medward("reproduce", "--method", "tea leaves")
    assert done.code == 2
    assert "tea leaves: use one of federated, alone, pooled, " in done.sentence


def test_methods_have_short_names_that_tell_them_apart() -> None:
    known = (*METHODS, *RULES, *LEARNED)
    names = {short_name(method): method for method in known}
    assert len(names) == len(known)
    for short, method in names.items():
        assert method_named(short, known) == method_named(method, known) == method
    assert method_named("XGBoost-cautious", METHODS) == "XGBoost, cautious"
    assert names["federated"] == "Sentinel, federated"


def test_no_protocol_but_three_is_known(medward: Run) -> None:
    done = medward("reproduce", "--protocol", "wishful")
    assert done.code == 2
    assert "honest, random or paper" in done.sentence


@pytest.mark.slow
def test_random_rows_are_an_own_protocol(medward: Run) -> None:
    done = medward("reproduce", *FAST[:5], "--seeds", 1, "--protocol", "random", "--json")
    assert done.code == 0, done.err
    assert done.document["protocol"] == "random"
    (run,) = done.document["data"]["ward"]["runs"]
    assert run["key"] == "ward|random|quick|0|majority"


def test_over_time_refuses_other_protocols_and_unknown_methods(medward: Run) -> None:
    assert "--over-time" in medward("reproduce", "--over-time", "--protocol", "paper").sentence
    assert "two-threshold-rule" in medward("reproduce", "--over-time", "--method", "majority").sentence


def test_price_of_a_byte_is_a_number_from_zero_for_streams(medward: Run) -> None:
    assert "--byte-price is for --over-time" in medward("reproduce", "--byte-price", 0.1).sentence
    for wrong in (-1, "nan", "inf"):
        done = medward("reproduce", "--over-time", "--byte-price", wrong)
        assert done.code == 2
        assert f"--byte-price takes 0 or more, not {float(wrong)}" in done.sentence


def test_finished_runs_at_several_prices_are_set_side_by_side(medward: Run, tmp_path: Path) -> None:
    kept = tmp_path / "runs.jsonl"
    kept.write_text("".join(path.read_text() for path in KEPT.glob("*over-time*-ward.jsonl")))
    prices = ("--byte-price", 0.001, "--byte-price", 0.00025)
    done = medward("reproduce", *WARD, "--over-time", *prices, "--results", kept)
    assert done.code == 0, done.err
    assert "At each price of a byte of evidence:" in done.out
    assert "| 0.001 | Sentinel over time | 5 |" in done.out
    # The comparison itself, and the targets, are at the usual price.
    assert done.out.count("| method | seeds | cost of 1000 windows |") == 1
    assert "| ward, over time: costs less than the two-threshold rule at no more false alarms |" in done.out
    alone = medward("reproduce", *WARD, "--over-time", "--byte-price", 0.001, "--results", kept)
    assert "At each price" not in alone.out
    assert "### Targets" not in alone.out


@pytest.mark.slow
@pytest.mark.release
def test_over_time_prints_the_rule_beside_it_and_less_evidence_is_bought_where_its_bytes_are_dear(
    medward: Run, tmp_path: Path
) -> None:
    results = tmp_path / "runs.jsonl"
    words = ("reproduce", "--over-time", "--quick", "--method", "Sentinel over time", "--results", results)
    done = medward(*words, "--byte-price", 0, "--byte-price", 0.01)
    assert done.code == 0, done.err
    assert "| 0 | two-threshold rule | 1 |" in done.out
    assert "| 0.01 | Sentinel over time | 1 |" in done.out
    kept = results.read_text()
    runs = [json.loads(line) for line in kept.splitlines()]
    assert [run["method"] for run in runs] == ["two-threshold rule", "Sentinel over time"] * 2
    gratis, dear = (sum(run["blocks"]["escalations"]) for run in runs if run["method"] == "Sentinel over time")
    assert gratis > dear
    medward(*words, "--byte-price", 0, "--byte-price", 0.01)
    assert results.read_text() == kept


def test_ward_has_no_fingerprints_to_leave_out(medward: Run) -> None:
    done = medward("reproduce", *FAST[:5], "--seeds", 1, "--without-fingerprints")
    assert done.code == 2
    assert "no fingerprints to leave out" in done.sentence
