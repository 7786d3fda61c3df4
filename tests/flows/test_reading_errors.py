import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medward.errors import MedwardError
from medward.flows import reading
from medward.flows.datasets import DATASETS, NSLKDD, WUSTL, XIOMT, Dataset
from medward.flows.errors import BadFile
from medward.flows.reading import read_batches, read_flows, recognise
from medward.flows.schema import OTHER_NAMES
from tests.flows.flow_files import Table, refusal, table_of, text_of, typed, write

EVERY = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS.keys())


def wustl(rows: int = 10) -> Table:
    return table_of(WUSTL, rows)


def with_cell(table: Table, column: str, row: int, cell: str) -> Table:
    """The table with one cell replaced; the first row is 1."""
    return table | {column: [*table[column][: row - 1], cell, *table[column][row:]]}


@EVERY
def test_each_missing_feature_column_is_named(dataset: Dataset, tmp_path: Path) -> None:
    table = table_of(dataset, 3)
    for column in [dataset.schema.features[0].name, dataset.schema.features[-1].name, dataset.schema.label]:
        rest = {name: cells for name, cells in table.items() if name != column}
        for name in ("a.csv", "a.parquet"):
            error = refusal(dataset, write(tmp_path / name, rest))
            assert (error.column, error.row) == (column, None)
            assert "missing" in str(error)


@EVERY
@pytest.mark.parametrize("row", [1, 4, 10])
def test_text_in_a_number_is_named_with_row_and_column(dataset: Dataset, row: int, tmp_path: Path) -> None:
    column = [feature.name for feature in dataset.schema.features if not feature.categories][-1]
    table = with_cell(table_of(dataset, 10), column, row, "36.5 C")
    for name in ("a.csv", "a.csv.gz", "a.parquet"):
        error = refusal(dataset, write(tmp_path / name, table))
        assert (error.row, error.column) == (row, column)
        assert "'36.5 C' is no number; expected a number" in str(error)


@pytest.mark.parametrize("cell", ["1,5", "0x10", "1_000", "--1", "1e", "five", "12:30", "1 2", "1.2.3"])
def test_what_looks_like_a_number_but_is_none_is_refused(cell: str, tmp_path: Path) -> None:
    error = refusal(WUSTL, write(tmp_path / "a.csv", with_cell(wustl(), "Dur", 2, cell)))
    assert (error.row, error.column) == (2, "Dur")


@pytest.mark.parametrize("cell", ["", "  ", "nan", "NaN"])
@pytest.mark.parametrize("column", ["Dur", "Packet_num", "Temp"])
def test_an_empty_cell_is_named_where_a_number_must_be(column: str, cell: str, tmp_path: Path) -> None:
    error = refusal(WUSTL, write(tmp_path / "a.csv", with_cell(wustl(), column, 7, cell)))
    assert (error.row, error.column) == (7, column)
    assert "the cell is empty; expected a number" in str(error)


def test_an_empty_cell_is_named_where_a_text_must_be(tmp_path: Path) -> None:
    error = refusal(WUSTL, write(tmp_path / "a.csv", with_cell(wustl(), "Flgs", 3, " ")))
    assert (error.row, error.column) == (3, "Flgs")


def test_a_null_in_typed_parquet_is_named(tmp_path: Path) -> None:
    frame = typed(WUSTL, with_cell(wustl(), "Rate", 6, ""))
    frame.write_parquet(tmp_path / "a.parquet")
    error = refusal(WUSTL, tmp_path / "a.parquet")
    assert (error.row, error.column) == (6, "Rate")


@EVERY
def test_an_unknown_label_is_named_with_the_known_ones(dataset: Dataset, tmp_path: Path) -> None:
    label = dataset.schema.label
    if OTHER_NAMES in dataset.schema.aliases:
        dataset = replace(dataset, schema=replace(dataset.schema, aliases={}))
    error = refusal(dataset, write(tmp_path / "a.csv", with_cell(table_of(dataset, 9), label, 5, "gr\nmpf")))
    assert (error.row, error.column) == (5, label)
    assert all(name in str(error) for name in dataset.schema.classes)


def test_a_long_wrong_cell_is_quoted_in_part(tmp_path: Path) -> None:
    error = refusal(WUSTL, write(tmp_path / "a.csv", with_cell(wustl(), "Attack Category", 5, "x" * 100_000)))
    assert len(str(error)) < 400


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.txt"])
@pytest.mark.parametrize("content", ["", "\n", "\n\r\n\n"])
def test_an_empty_file_is_refused(name: str, content: str, tmp_path: Path) -> None:
    assert "empty" in str(refusal(WUSTL, write(tmp_path / name, content)))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_header_without_rows_is_refused(end: str, tmp_path: Path) -> None:
    header = text_of(wustl(0)).strip()
    assert "no rows" in str(refusal(WUSTL, write(tmp_path / "a.csv", header + end)))
    typed(WUSTL, wustl()).head(0).write_parquet(tmp_path / "a.parquet")
    assert "no rows" in str(refusal(WUSTL, tmp_path / "a.parquet"))


def test_a_file_whose_rows_all_lack_a_label_is_refused(tmp_path: Path) -> None:
    table = table_of(XIOMT, 4) | {"anomaly.name": [""] * 4}
    assert "no row has a label" in str(refusal(XIOMT, write(tmp_path / "a.csv", table)))


@pytest.mark.parametrize("row", [1, 5, 10])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_row_with_too_many_or_too_few_fields_is_named(row: int, labelled: bool, tmp_path: Path) -> None:
    table = wustl()
    width = len(table)
    # The last column is no feature: a row that lacks it must still not pass.
    table = {name: table[name] for name in table if name != "Label"} | {"Label": ["0"] * 10}
    lines = text_of(table).splitlines()
    for line, fields in [
        (lines[row] + ",1", width + 1),
        (lines[row].rpartition(",")[0], width - 1),
        (lines[row].split(",")[0], 1),
        ("", 0),
    ]:
        if row == 10 and not line:
            continue  # an empty line at the end of the file is no row
        text = "\n".join([*lines[:row], line, *lines[row + 1 :]]) + "\n"
        error = refusal(WUSTL, write(tmp_path / "a.csv", text), labelled)
        assert error.row == row
        assert f"the row has {fields} fields; expected {width} fields" in str(error)


def test_a_row_of_another_width_is_named_in_a_file_without_a_header(tmp_path: Path) -> None:
    error = refusal(NSLKDD, write(tmp_path / "KDDTest+.txt", "0,tcp,http\n"))
    assert error.row == 1
    assert "the row has 3 fields; expected 43 fields" in str(error)


def test_a_column_that_stands_twice_is_named(tmp_path: Path) -> None:
    text = text_of(wustl()).replace("SrcLoad", "Rate", 1)
    error = refusal(WUSTL, write(tmp_path / "a.csv", text))
    assert (error.column, error.row) == ("Rate", None)


def test_what_is_not_comma_separated_text_is_refused(tmp_path: Path) -> None:
    text = text_of(wustl())
    lines = text.splitlines()
    typed(WUSTL, wustl()).write_parquet(tmp_path / "p")
    for content in (
        (tmp_path / "p").read_bytes(),
        bytes(range(256)) * 500,
        text.encode("utf-16"),
        text.replace("\n", "\r"),
        text.replace(",", ";"),
        "\n" + text,
        "x" * 200_000 + "," + text,
        "\n".join([*lines[:3], lines[3] + "," + "9" * 200_000]),
        "\n".join([*lines[:3], lines[3] + '"', *lines[4:]]),
        "\n".join([*lines[:3], lines[3].rpartition(",")[0] + ',"0', *lines[4:]]),
    ):
        refusal(WUSTL, write(tmp_path / "a.csv", content))
        with pytest.raises(MedwardError):
            recognise(write(tmp_path / "a.csv", b"\x00\xff\r\n\r\n" + (content if isinstance(content, bytes) else b"")))


def test_one_stray_quote_does_not_make_reading_slow(tmp_path: Path) -> None:
    # Quadratic work over this many line breaks would take hours.
    text = text_of(wustl(2)) + '"' + "1,2,3\n" * 1_000_000
    refusal(WUSTL, write(tmp_path / "a.csv", text))


@given(st.data())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_gzip_is_refused_in_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    packed = gzip.compress(text_of(wustl(50)).encode(), mtime=0)
    kept = data.draw(st.integers(0, len(packed) - 1))
    (tmp_path / "a.csv.gz").write_bytes(packed[:kept])
    error = refusal(WUSTL, tmp_path / "a.csv.gz")
    assert kept < 2 or "ends early" in str(error)


def test_damaged_gzip_is_refused_in_one_sentence(tmp_path: Path) -> None:
    packed = gzip.compress(text_of(wustl(50)).encode(), mtime=0)
    path = tmp_path / "a.csv.gz"
    for content in (text_of(wustl()).encode(), packed + b"more", b"PK\x03\x04" + packed):
        path.write_bytes(content)
        assert "gzip" in str(refusal(WUSTL, path))
    rng = random.Random(5)
    refused = 0
    for _ in range(25):
        at = rng.randrange(10, len(packed))
        damaged = packed[:at] + bytes([packed[at] ^ 1 << rng.randrange(8)]) + packed[at + 1 :]
        if not unpacks_to(damaged, gzip.decompress(packed)):  # a few bits do not matter
            path.write_bytes(damaged)
            refusal(WUSTL, path)
            refused += 1
    assert refused > 20


def unpacks_to(packed: bytes, content: bytes) -> bool:
    try:
        return gzip.decompress(packed) == content
    except (OSError, EOFError, zlib.error):
        return False


def test_damaged_parquet_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    typed(WUSTL, wustl(50)).write_parquet(path)
    whole = path.read_bytes()
    for kept in (0, 3, 11, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert "Parquet" in str(refusal(WUSTL, path))
    path.write_text(text_of(wustl()))
    assert "Parquet" in str(refusal(WUSTL, path))
    rng = random.Random(3)
    errors = []
    for _ in range(60):
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        try:
            read_flows(WUSTL, path)  # Parquet has no checksum: a changed number can't be told from a right one
        except BadFile as error:
            errors.append(str(error))
    assert len(errors) > 5
    assert all(len(error.splitlines()) == 1 for error in errors)


def test_a_parquet_column_of_lists_bytes_or_dates_is_named(tmp_path: Path) -> None:
    frame = typed(WUSTL, wustl())
    path = tmp_path / "a.parquet"
    for name in ("Rate", "Flgs", "Attack Category"):
        for strange in (pl.concat_list("Dur", "Dur"), pl.struct("Dur", "Temp"), pl.lit(b"\xff\xfe")):
            frame.with_columns(strange.alias(name)).write_parquet(path)
            assert refusal(WUSTL, path).column == name
    frame.with_columns(pl.date(2020, 1, 1).alias("Rate")).write_parquet(path)
    error = refusal(WUSTL, path)
    assert (error.row, error.column) == (1, "Rate")


def test_a_path_that_leads_to_nothing_is_refused(tmp_path: Path) -> None:
    assert "no such file" in str(refusal(WUSTL, tmp_path / "absent.csv"))
    (tmp_path / "empty" / "deeper.csv").mkdir(parents=True)
    (tmp_path / "empty" / "SOURCE.md").write_text("text")
    assert ".parquet" in str(refusal(WUSTL, tmp_path / "empty"))
    with pytest.raises(BadFile):
        recognise(tmp_path / "empty")


@pytest.mark.parametrize("wrong", ["cell", "label", "width"])
def test_nothing_of_a_wrong_batch_is_yielded_and_later_rows_are_numbered_right(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = wustl(100) | {"SrcMac": ["a\nb" if i % 7 == 0 else '"' for i in range(100)]}
    text = text_of(table)
    if wrong == "cell":
        text = text_of(with_cell(table, "Rate", 83, "x"))
    elif wrong == "label":
        text = text_of(with_cell(table, "Attack Category", 83, "x"))
    else:
        record = text_of({name: cells[82:83] for name, cells in table.items()}, header=False)
        text = text.replace(record, record.rstrip("\n") + ",9\n")
    monkeypatch.setattr(reading, "BLOCK_BYTES", 3000)
    row, seen = refused_row(write(tmp_path / "a.csv", text))
    assert row == 83
    assert 50 < seen < 83


def refused_row(path: Path) -> tuple[int | None, int]:
    """The row that a file is refused for, and how many rows were yielded before."""
    seen = 0
    try:
        for flows in read_batches(WUSTL, path):
            seen += len(flows)
    except BadFile as error:
        return error.row, seen
    raise AssertionError("the file was not refused")


def test_rows_of_a_later_parquet_batch_are_numbered_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PARQUET_ROWS", 10)
    path = write(tmp_path / "a.parquet", with_cell(wustl(100), "Temp", 83, "x"))
    assert refused_row(path) == (83, 80)


def test_rows_are_numbered_with_those_that_were_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(XIOMT, 40)
    table["anomaly.name"] = ["" if i % 3 == 0 else name for i, name in enumerate(table["anomaly.name"])]
    monkeypatch.setattr(reading, "BLOCK_BYTES", 2000)
    error = refusal(XIOMT, write(tmp_path / "a.csv", with_cell(table, "frame.len", 33, "long")))
    assert (error.row, error.column) == (33, "frame.len")


def test_a_refusal_in_a_real_file_names_its_row(real_path: Callable[[str], Path], tmp_path: Path) -> None:
    source = next(real_path("wustl-ehms-2020").glob("*.csv.gz"))
    lines = gzip.decompress(source.read_bytes()).decode().splitlines()
    lines[9000] = lines[9000].replace("normal", "normall").replace("Spoofing", "Spoofingg")
    error = refusal(WUSTL, write(tmp_path / "a.csv.gz", "\n".join(lines)))
    assert (error.row, error.column) == (9000, "Attack Category")
