"""The form of all benchmarks' figures: one strict JSON document, or a table in which text of others stays text."""

import json
import os

import pytest

from medward.bench.rows import BenchmarkRow, machine_description, print_benchmark

ALONE = BenchmarkRow("sums", 1234.5, None, None, None, "weights/s")
BESIDE = BenchmarkRow("sums", 2.0, 1.0, "Other 1.0", 2.0, "weights/s")


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_document_has_the_machine_and_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_benchmark("a title", [ALONE, BESIDE], as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["machine"] == machine_description()
    assert document["rows"] == [
        {"what": "sums", "ours": 1234.5, "other": None, "other_name": None, "ratio": None, "unit": "weights/s"},
        {"what": "sums", "ours": 2.0, "other": 1.0, "other_name": "Other 1.0", "ratio": 2.0, "unit": "weights/s"},
    ]


def test_a_figure_that_a_run_did_not_give_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has no NaN: other programs than Python's refuse a document with one."""
    nan, infinite = float("nan"), float("inf")
    print_benchmark("a title", [BenchmarkRow("p50", nan, 3.0, "Other", nan, "ms"), ALONE], as_json=True)
    print_benchmark("a title", [BenchmarkRow("p50", 3.0, infinite, "Other", infinite, "ms")], as_json=True)
    first, second = capsys.readouterr().out.split("\n}\n")[:2]
    row, alone = json.loads(first + "}", parse_constant=refuse)["rows"]
    assert (row["ours"], row["other"], row["ratio"]) == (None, 3.0, None)
    assert alone["ours"] == 1234.5
    (row,) = json.loads(second + "}", parse_constant=refuse)["rows"]
    assert (row["ours"], row["other"], row["ratio"]) == (3.0, None, None)


def test_table_shows_figures_and_leaves_places_empty_where_nothing_is_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_benchmark("a title", [ALONE, BESIDE], as_json=False)
    printed = capsys.readouterr().out
    assert "a title" in printed
    alone, beside = (line.split() for line in printed.splitlines() if "sums" in line)
    assert [cell for cell in alone if cell != "│"] == ["sums", "1,234", "weights/s"]
    assert [cell for cell in beside if cell != "│"] == ["sums", "2", "1", "(Other", "1.0)", "2.00", "weights/s"]
    assert f"{os.cpu_count()} cores" in printed


@pytest.mark.parametrize("name", ["etcd [/red] 3", "etcd [bold]3", "etcd \x1b[2J3"])
def test_what_another_program_calls_itself_is_not_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_benchmark("a title", [BenchmarkRow(name, 1.0, 1.0, name, 1.0, "s")], as_json=False)
    printed = capsys.readouterr().out
    assert printed.count(name.replace("\x1b", "\\x1b")) == 2
    assert "\x1b" not in printed
