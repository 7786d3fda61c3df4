"""A table that fits no schema: the sentence names the nearest one, and what is missing, misspelt or extra."""

from pathlib import Path

import pytest

from medward.flows.datasets import DATASETS
from medward.flows.errors import UnknownDataset
from medward.flows.mismatch import mismatch_of, nearest
from medward.flows.reading import recognise
from tests.flows.flow_files import refusal, table_of, write

WUSTL = DATASETS["wustl-ehms-2020"]
NAMES = [feature.name for feature in WUSTL.schema.features]


def test_table_that_fits_differs_in_nothing() -> None:
    found = mismatch_of(WUSTL.schema, [*NAMES, WUSTL.schema.label, *WUSTL.schema.never])
    assert (found.missing, found.misspelt, found.extra, found.clauses()) == ((), {}, (), "")


def test_every_missing_misspelt_and_extra_column_is_named() -> None:
    columns = [name for name in NAMES if name not in ("SrcBytes", "Temp")] + ["src_byte", "shoe size"]
    near = nearest(columns)
    assert near is not None
    dataset, found = near
    assert dataset is WUSTL
    assert found.missing == ("SrcBytes", "Temp")
    assert found.misspelt == {"SrcBytes": "src_byte"}
    assert found.extra == ("shoe size",)
    assert found.clauses() == ("missing: Temp; misspelt, perhaps: SrcBytes as src_byte; not in the schema: shoe size")


def test_one_column_is_not_taken_for_two() -> None:
    found = mismatch_of(WUSTL.schema, ["SrcLoads"], ["SrcLoad", "DstLoad"])
    assert found.misspelt == {"SrcLoad": "SrcLoads"}


def test_table_of_something_else_is_near_nothing(tmp_path: Path) -> None:
    table = tmp_path / "shoes.csv"
    table.write_text("size,colour\n42,red\n")
    with pytest.raises(UnknownDataset, match=r"those are wustl-ehms-2020, .* `medward data schema` proposes"):
        recognise(table)


def test_long_lists_are_cut_and_names_change_nothing_on_a_terminal() -> None:
    said = mismatch_of(WUSTL.schema, [f"\x1b[2J{number}" for number in range(50)]).clauses()
    assert "\x1b" not in said
    assert "and 45 more" in said
    assert len(said) < 500


def test_file_names_the_nearest_data_set_and_under_a_schema_every_column_at_once(tmp_path: Path) -> None:
    table = table_of(WUSTL, 3)
    renamed = {{"SrcBytes": "SrcByte", "Temp": "Tmp"}.get(name, name): cells for name, cells in table.items()}
    path = write(tmp_path / "flows.csv", renamed)
    with pytest.raises(
        UnknownDataset, match=r"nearest is wustl-ehms-2020; misspelt, perhaps: SrcBytes as SrcByte, Temp"
    ):
        recognise(path)
    error = refusal(WUSTL, path)
    assert error.column == "SrcBytes"
    assert "SrcBytes as SrcByte, Temp as Tmp" in str(error)
