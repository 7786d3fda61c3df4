"""An error of a file names the file, the row and the column, as far as one is meant."""

from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.flows.errors import BadFile


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({}, "a.csv: is empty; expected rows."),
        ({"row": 0}, "a.csv, row 0: is empty; expected rows."),
        ({"column": "rate"}, "a.csv, column 'rate': is empty; expected rows."),
        ({"row": 7, "column": "a'\n"}, 'a.csv, row 7, column "a\'\\n": is empty; expected rows.'),
    ],
)
def test_place_is_told_as_far_as_it_is_known(place: dict[str, object], told: str) -> None:
    error = BadFile(Path("a.csv"), "is empty", "rows", **place)  # type: ignore[arg-type]
    assert isinstance(error, MedwardError)
    assert str(error) == told
    assert (error.path, error.row, error.column) == ("a.csv", place.get("row"), place.get("column"))
