"""Cells of a table as arrays: what a column may hold, which wrong cell is named, and what a hostile one costs."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.flows.cells import Cells, Labels, checked_rows, seconds_of
from medward.flows.datasets import Cut, Dataset, SourceFile
from medward.flows.errors import BadFile
from medward.flows.schema import OTHER_NAMES, UNLABELLED, Feature, Flows, Schema

SCHEMA = Schema(
    dataset="small",
    title="Small",
    features=(Feature("size"), Feature("kind", categories=("tcp", "udp"), fillers=("-",))),
    label="class",
    classes=("benign", "scan", "other"),
    never={"from": "says where a class is from"},
    aliases={"normal": "benign"},
    device="device",
    order="time",
    source="capture",
)
DATASET = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, label_source="from", trust={"guessed": 0.5})
FILE = SourceFile(Path("flows.csv"), "flows")
COLUMNS: dict[str, list[Any]] = {
    "size": [1.5, 2.0, -3.0],
    "kind": ["tcp", "udp", "-"],
    "class": ["normal", "scan", "other"],
    "device": ["pump", "bed", "pump"],
    "time": [1.0, 2.0, 3.0],
    "capture": ["b", "a", "a"],
    "from": ["seen", "guessed", "seen"],
}


def rows_of(labels: Labels = "required", dataset: Dataset = DATASET, first: int = 1, **columns: list[Any]) -> Flows:
    frame = pl.DataFrame({**COLUMNS, **columns}, strict=False)
    return checked_rows(dataset, FILE, frame, first, labels)


def cells(**columns: list[Any]) -> Cells:
    frame = pl.DataFrame(columns, strict=False)
    return Cells(Path("flows.csv"), frame, np.arange(10, 10 + frame.height))


def test_each_column_becomes_what_the_schema_says() -> None:
    flows = rows_of()
    assert flows.x.tolist() == [[1.5, 1, 0], [2, 0, 1], [-3, 0, 0]]
    assert flows.y.tolist() == [0, 1, 2]
    assert [flows.devices[k] for k in flows.device] == COLUMNS["device"]
    assert [flows.sources[k] for k in flows.source] == COLUMNS["capture"]
    assert flows.order is not None
    assert flows.order.tolist() == [1, 2, 3]
    assert flows.trust is not None
    assert flows.trust.tolist() == [1, 0.5, 1]


@pytest.mark.parametrize("column", ["device", "time", "capture", "from", "kind", "class", "size"])
@pytest.mark.parametrize(
    "wrong",
    [[[1], [2], [3]], [b"\xff", b"b", b"c"], [{"a": 1}] * 3, [object()] * 3],
    ids=["lists", "octets", "structs", "objects"],
)
def test_column_that_holds_neither_numbers_nor_text_is_refused_in_one_sentence(column: str, wrong: list[Any]) -> None:
    with pytest.raises(BadFile, match="the column holds") as found:
        rows_of(**{column: wrong})
    assert column in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("column", "cells_", "row", "what"),
    [
        ("size", ["1", "2,5", "x"], 8, "'2,5' is no number"),
        ("size", [1.0, 2.0, None], 9, "the cell is empty"),
        ("size", ["1", " ", "2"], 8, "the cell is empty"),
        ("kind", ["tcp", None, "udp"], 8, "the cell is empty"),
        ("class", ["scan", "scan", "worm"], 9, "'worm' is no class of Small"),
        ("class", ["scan", None, "scan"], 8, "'' is no class of Small"),
        ("time", ["1", "", "3"], 8, "the cell is empty"),
        ("time", ["noon", "2", "3"], 7, "'noon' is no number"),
        ("size", ["1", "2", "9" * 39 + "x" * 100], 9, f"'{'9' * 37}...' is no number"),
    ],
)
def test_first_wrong_cell_is_named_with_its_row_in_the_file(
    column: str, cells_: list[Any], row: int, what: str
) -> None:
    with pytest.raises(BadFile) as found:
        rows_of(first=7, **{column: cells_})
    assert f"row {row}" in str(found.value)
    assert what in str(found.value)


def test_labels_may_be_missing_only_where_that_is_allowed() -> None:
    gaps = ["scan", "", None]
    assert rows_of("optional", **{"class": gaps}).y.tolist() == [1, UNLABELLED, UNLABELLED]
    assert rows_of("ignored", **{"class": gaps}).y.tolist() == [UNLABELLED] * 3
    with pytest.raises(BadFile, match="row 2"):
        rows_of("required", **{"class": gaps})
    with pytest.raises(BadFile, match="'worm' is no class"):
        rows_of("optional", **{"class": ["scan", "", "worm"]})


def test_other_names_are_a_class_only_where_the_schema_has_one_and_never_an_empty_cell() -> None:
    other = replace(DATASET, schema=replace(SCHEMA, aliases={OTHER_NAMES: "other"}))
    assert rows_of(dataset=other, **{"class": ["worm", "scan", "benign"]}).y.tolist() == [2, 1, 0]
    assert rows_of("optional", dataset=other, **{"class": ["worm", "", "benign"]}).y.tolist() == [2, UNLABELLED, 0]
    with pytest.raises(BadFile, match="row 2"):
        rows_of(dataset=other, **{"class": ["worm", "", "benign"]})


def test_rows_that_are_passed_over_are_counted_in_the_numbers_of_those_behind() -> None:
    passing = replace(DATASET, drops_unlabelled=True)
    flows = rows_of(dataset=passing, **{"class": ["scan", " nan ", "benign"]})
    assert flows.y.tolist() == [1, 0]
    with pytest.raises(BadFile, match="row 3"):
        rows_of(dataset=passing, **{"class": ["scan", "", "benign"], "size": ["1", "2", "x"]})


def test_table_with_a_column_without_a_name_has_no_source_of_labels() -> None:
    """A table that was saved with its row numbers has one."""
    plain = replace(DATASET, label_source="")
    assert rows_of(dataset=plain, **{"": [0, 1, 2]}).trust is None


def test_names_are_told_apart_to_their_last_character_and_kept_in_order() -> None:
    codes, names = cells(device=["b", "a", " b ", "a\0", None, "ä", "Z"]).names("device", "")
    assert names == ("", "Z", "a", "a\0", "b", "ä")
    assert [names[k] for k in codes] == ["b", "a", "b", "a\0", "", "ä", "Z"]
    assert codes.dtype == np.int32


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=20))
def test_every_name_is_its_cell_without_the_spaces_around_it(column: list[str | None]) -> None:
    codes, names = Cells(Path("f"), pl.DataFrame({"d": pl.Series(column, dtype=pl.String)}), np.arange(99)).names(
        "d", ""
    )
    assert list(names) == sorted(set(names))
    expected = pl.Series(column, dtype=pl.String).fill_null("").str.strip_chars().to_list()
    assert [names[k] for k in codes] == expected


def test_column_of_names_that_is_missing_holds_one_name() -> None:
    for column in (None, "device"):
        codes, names = cells(size=[1, 2]).names(column, "ward")
        assert (codes.tolist(), names) == ([0, 0], ("ward",))


def test_one_long_name_takes_no_more_memory_than_itself() -> None:
    """A table from outside may hold such a cell; all other rows must not take as much room as it."""
    tracemalloc.start()
    codes, names = cells(device=["pump"] * 20_000 + ["x" * 200_000]).names("device", "")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(codes), len(names)) == (20_001, 2)
    assert peak < 20 << 20


@pytest.mark.parametrize("value", [1e39, -1e39, float("inf"), float("-inf"), 3.5e38])
def test_number_beyond_32_bits_is_cut_to_the_largest(value: float) -> None:
    (found,) = cells(size=[value]).numbers(Feature("size"))
    assert np.isfinite(found)
    assert abs(found) == np.finfo(np.float32).max
    assert np.sign(found) == np.sign(value)


def test_truth_values_are_numbers_and_an_optional_number_may_be_missing() -> None:
    assert cells(size=[True, False]).numbers(Feature("size")).tolist() == [1, 0]
    assert np.isnan(cells(size=["", "3"]).numbers(Feature("size", optional=True))).tolist() == [True, False]


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (["0", "1.5", "-2"], [0, 1.5, -2]),
        (["1970-01-01 00:00:10", "1970-01-01T00:00:11Z"], [10, 11]),
        (["1970-01-02", "1970-01-01 00:00:00.25"], [86400, 0.25]),
        (["1", ""], [1, float("nan")]),
        (["1970-01-01 00:00:10", ""], [10, float("nan")]),
        (["", "1970-01-01 00:00:10"], [float("nan"), 10]),
        (["1970-01-01 00:00:10", "noon"], None),
        (["1", "1970-01-01 00:00:10"], None),
        (["noon"], None),
        (["", ""], [float("nan"), float("nan")]),
    ],
)
def test_times_are_numbers_or_dates_and_all_of_one_kind(texts: list[str], seconds: list[float] | None) -> None:
    found = seconds_of(pl.Series(texts, dtype=pl.String))
    if seconds is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, seconds)


def test_missing_column_is_named_and_those_that_are_there_are_told() -> None:
    frame = pl.DataFrame({name: cells_ for name, cells_ in COLUMNS.items() if name != "kind"})
    with pytest.raises(BadFile, match="the column is missing") as found:
        checked_rows(DATASET, FILE, frame, 1, "required")
    assert "kind" in str(found.value)


def test_what_a_file_s_name_says_stands_in_for_a_column_and_never_over_one() -> None:
    file = replace(FILE, constants={"class": "scan", "capture": "c"}, official=1)
    frame = pl.DataFrame({name: cells_ for name, cells_ in COLUMNS.items() if name != "class"})
    flows = checked_rows(DATASET, file, frame, 1, "required")
    assert flows.y.tolist() == [1, 1, 1]
    assert flows.sources == ("a", "b")
    assert flows.official is not None
    assert flows.official.tolist() == [1, 1, 1]
