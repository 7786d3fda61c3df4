"""Tables in memory, whoever made them: the same cells, empty ones empty, and one sentence for what is no table."""

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from medward.api.tables import frame_of
from medward.errors import BadUsage

NAN = float("nan")


class OtherFrame:
    """A frame as other libraries have it: named columns, which give one another by subscript."""

    def __init__(self, columns: dict[Any, Any]) -> None:
        self._columns = columns

    @property
    def columns(self) -> Iterator[Any]:
        return iter(self._columns)

    def __getitem__(self, name: Any) -> Any:
        return self._columns[name]


class NotAvailable:
    """A cell as pandas marks one that is missing: neither equal to itself nor different."""

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ([1, 2.5, None, NAN], [1.0, 2.5, None, None]),
        (np.array([1.0, NAN]), [1.0, None]),
        (np.array([1, 2], np.uint8), [1, 2]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (np.array(["tcp", NAN, None], object), ["tcp", None, None]),
        (["tcp", NotAvailable()], ["tcp", None]),
        ([3, NotAvailable()], [3, None]),
        ([True, False], [True, False]),
        ([1, "x", 2.5], ["1", "x", "2.5"]),
        (pl.Series("another name", [1, None]), [1, None]),
        ((number for number in (4, 5)), [4, 5]),
        (["øst", "a\nb", ""], ["øst", "a\nb", ""]),
    ],
)
def test_cells_of_other_libraries_are_kept_and_empty_ones_are_empty(column: Any, cells: list[Any]) -> None:
    for table in ({"a": column}, OtherFrame({"a": column})):
        frame = frame_of(table)
        assert frame.columns == ["a"]
        assert frame["a"].to_list() == cells
        if isinstance(column, Iterator):
            break


@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_dates_stay_dates_in_whatever_unit_they_are_kept(unit: str) -> None:
    dates = np.array(["2026-01-01T00:00:02", "NaT"], f"datetime64[{unit}]")
    assert frame_of({"time": dates})["time"].to_list() == [datetime.datetime(2026, 1, 1, 0, 0, 2), None]
    spans = np.array([3], f"timedelta64[{unit}]")
    assert frame_of({"span": spans})["span"].dtype == pl.Duration


def test_frame_of_polars_is_taken_as_it_is() -> None:
    frame = pl.DataFrame({"a": [1.0, NAN]})
    assert frame_of(frame) is frame


def test_names_that_are_no_text_become_text() -> None:
    assert frame_of(OtherFrame({0: [1], 1: [2]})).to_dict(as_series=False) == {"0": [1], "1": [2]}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (7, "int is no table"),
        ("flows.csv", "str is no table"),
        (None, "NoneType is no table"),
        ([[1, 2]], "list is no table"),
        ({"a": [1], "b": [1, 2]}, "height of column 'b'"),
        ({"a": 5}, "not iterable"),
        ({"a": np.array(5)}, "make no table"),
        ({"proto": "tcp"}, "Column 'proto' is one text"),
        ({"proto": b"tcp"}, "Column 'proto' is one text"),
        ({1: [1], "1": [2]}, "more than one occurrence"),
        ({"a": ["\ud800"]}, "surrogates not allowed"),
        ({"\ud800": [1]}, "surrogates not allowed"),
        ({"a": [1, 2**200]}, "1 cells that are larger than a number"),
        ({"a": [2.5, None, 2**2000]}, "1 cells that are larger than a number"),
        ({"a": np.array([1, 2**200], object)}, "larger than a number"),
    ],
)
def test_what_is_no_table_is_told_in_one_sentence(table: Any, sentence: str) -> None:
    with pytest.raises(BadUsage, match=sentence) as found:
        frame_of(table)
    assert "\n" not in str(found.value)
