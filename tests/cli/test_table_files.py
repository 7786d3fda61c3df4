"""Tables that are written in pieces: the same rows as in one, and no file where something went wrong."""

from pathlib import Path

import polars as pl
import pytest

from medward.cli.traffic import _table_files
from medward.cli.traffic._table_files import TableFile
from medward.errors import BadUsage

FRAME = pl.DataFrame({"name": ["a,b", 'c"d', "", "ø\n"] * 5, "value": [0.5, None, -1e300, 3.0] * 5})
READ = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".csv.gz": pl.read_csv}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_table_files, "_PIECE_ROWS", 7)


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("step", [1, 3, 20])
def test_pieces_make_the_table_that_was_added(tmp_path: Path, suffix: str, step: int) -> None:
    path = tmp_path / "new" / f"table{suffix}"
    with TableFile(path) as table:
        for at in range(0, len(FRAME), step):
            table.add(FRAME[at : at + step])
        assert table.rows == len(FRAME)
        assert not path.exists()
    found = READ[suffix](path)
    assert found["value"].to_list() == FRAME["value"].to_list()
    assert [name or "" for name in found["name"]] == FRAME["name"].to_list()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", READ)
def test_error_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    path.write_text("before")

    def fail() -> None:
        with TableFile(path) as table:
            table.add(FRAME)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", READ)
def test_table_of_columns_alone_is_one_with_no_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    with TableFile(path) as table:
        table.add(FRAME[:0])
    found = READ[suffix](path)
    assert found.columns == FRAME.columns
    assert len(found) == 0


@pytest.mark.parametrize("name", ["table", "table.txt", "table.csv.zip", "parquet"])
def test_other_names_are_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadUsage, match=r"give a name that ends in \.parquet, \.csv, \.csv\.gz"):
        TableFile(tmp_path / "new" / name)
    assert list(tmp_path.iterdir()) == []
