"""From files to `Flows`: checked cell by cell, in batches, so that a file of any size needs little memory.

Files are comma-separated text (plain or gzip) or Parquet. Text is cut into blocks of whole lines, each block is parsed
as text and then turned into numbers under the schema, so that a wrong cell is named with its row and column. A batch
that is wrong raises before anything of it is returned.
"""

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import polars as pl

from medward.errors import first_line
from medward.flows.cells import Labels, checked_rows
from medward.flows.datasets import DATASETS, Dataset, SourceFile
from medward.flows.errors import BadFile, UnknownDataset
from medward.flows.mismatch import nearest
from medward.flows.schema import Flows, concatenate

BLOCK_BYTES = 1 << 23
LONGEST_LINE = 1 << 26
PARQUET_ROWS = 1 << 16
_SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
# Damaged pages make Polars panic, which is no PolarsError.
_PARQUET_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read_flows(dataset: Dataset, path: Path, labels: Labels = "required") -> Flows:
    """Read a file or a folder of files whole.

    Args:
        dataset: what the files hold.
        path: a file, or a folder that is searched for files of the data set.
        labels: whether rows must have a class; one without is marked UNLABELLED.

    Raises:
        BadFile: a file does not hold what the schema says; nothing is returned then.
    """
    return concatenate(list(read_batches(dataset, path, labels)))


def read_batches(dataset: Dataset, path: Path, labels: Labels = "required") -> Iterator[Flows]:
    """Read as `read_flows` does, but yield batches of some ten thousand rows."""
    found = False
    for flows, _ in read_with_columns(dataset, path, labels):
        if len(flows):
            found = True
            yield flows
    if not found:
        raise BadFile(path, "no row has a label", f"a class of {dataset.schema.title} in {dataset.schema.label!r}")


def read_with_columns(dataset: Dataset, path: Path, labels: Labels = "ignored") -> Iterator[tuple[Flows, pl.DataFrame]]:
    """Read in batches, each with the table's columns as they stand there.

    A data set that drops rows without a class has fewer flows than the table has rows, unless labels are ignored.
    """
    for file in source_files(dataset, path):
        first_row = 1
        for frame in column_frames(file):
            yield checked_rows(dataset, file, frame, first_row, labels), frame
            first_row += frame.height
        if first_row == 1:
            raise BadFile(file.path, "there are no rows", "at least one row after the header")


def flows_of(dataset: Dataset, frame: pl.DataFrame, name: str, labels: Labels = "required") -> Flows:
    """Turn a table in memory into flows, checked as a file's rows are.

    Args:
        dataset: what the table holds.
        frame: its rows.
        name: what errors call it.
        labels: what is asked of the class column.

    Raises:
        BadFile: it does not hold what the schema says.
    """
    if not frame.height:
        raise BadFile(name, "there are no rows", "at least one row")
    return checked_rows(dataset, SourceFile(Path(name), name), frame, 1, labels)


def source_files(dataset: Dataset, path: Path) -> list[SourceFile]:
    """List the data set's files at `path`, in the order of their names."""
    return [dataset.describe(file) for file in dataset.choose(data_files(path))]


def recognise(path: Path) -> Dataset:
    """Return the data set whose columns the file, or the first file of the folder, holds.

    Raises:
        UnknownDataset: no known data set's features are all there.
    """
    file = data_files(path)[0]
    found: list[str] = []
    for dataset in DATASETS.values():
        described = dataset.describe(file)
        here = _columns(described)
        found = here if described.header is None else found
        columns = set(described.constants) | set(here)
        if columns >= {feature.name for feature in dataset.schema.features}:
            return dataset
    if (near := nearest(found)) is None:
        how = f"those are {', '.join(DATASETS)}"
    else:
        how = f"the nearest is {near[0].name}; {near[1].clauses()}"
    raise UnknownDataset(
        f"{file} holds the columns of no data set that medward knows; {how}. Mend the names of its columns, or "
        "describe the table with --schema; `medward data schema` proposes a schema file."
    )


def data_files(path: Path) -> list[Path]:
    """List the files of a table at `path`, in the order of their names.

    Raises:
        BadFile: there are none.
    """
    if not path.exists():
        raise BadFile(path, "there is no such file or folder", "a data set's file or folder")
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadFile(path, "it is neither a file nor a folder", "a data set's file or folder")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(_SUFFIXES))
    if not files:
        raise BadFile(path, "the folder holds no data file", "files that end in " + ", ".join(_SUFFIXES))
    return files


def _columns(file: SourceFile) -> list[str]:
    if _is_parquet(file.path):
        try:
            return list(pl.read_parquet_schema(file.path))
        except _PARQUET_ERRORS as error:
            raise BadFile(file.path, f"it cannot be read ({first_line(error)})", "a Parquet file") from None
    with _open(file.path) as stream:
        try:
            line = stream.readline(LONGEST_LINE)
            if file.header is None:
                return header_of(file.path, line)
            # Without a header line only the number of fields can tell.
            return list(file.header) if line.count(b",") == len(file.header) - 1 else []
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _bad_gzip(file.path, error) from None


def ignored_columns(dataset: Dataset, path: Path) -> list[str]:
    """List the columns of the first file that the data set's schema does not name."""
    schema = dataset.schema
    named = {feature.name for feature in schema.features} | set(schema.never)
    named |= {schema.label, schema.device or "", schema.order or ""}
    return [name for name in _columns(source_files(dataset, path)[0]) if name not in named]


def names_in(dataset: Dataset, path: Path, column: str) -> set[str]:
    """Return the different texts of one column of a data set's files; none where no file has it."""
    names: set[str] = set()
    for file in source_files(dataset, path):
        for frame in column_frames(file):
            if column in frame.columns:
                names.update(frame[column].cast(pl.String).fill_null("").str.strip_chars().unique().to_list())
    return names


def column_frames(file: SourceFile) -> Iterator[pl.DataFrame]:
    """Yield a file in batches as it stands: text as text, Parquet as its types.

    Raises:
        BadFile: it cannot be read, or its rows are ragged.
    """
    if _is_parquet(file.path):
        yield from _parquet_frames(file)
    else:
        yield from _text_frames(file)


def _parquet_frames(file: SourceFile) -> Iterator[pl.DataFrame]:
    try:
        lazy = pl.scan_parquet(file.path)
        rows = int(lazy.select(pl.len()).collect().item())
        for start in range(0, rows, PARQUET_ROWS):
            yield lazy.slice(start, PARQUET_ROWS).collect()
    except _PARQUET_ERRORS as error:
        raise BadFile(file.path, f"it cannot be read ({first_line(error)})", "a Parquet file") from None


def _text_frames(file: SourceFile) -> Iterator[pl.DataFrame]:
    header = list(file.header) if file.header is not None else None
    rows_before = 0
    with _open(file.path) as stream:
        try:
            for block in _line_blocks(file.path, stream):
                lines = block
                if header is None:
                    first, _, lines = block.partition(b"\n")
                    header = header_of(file.path, first)
                if lines.strip():
                    frame = parse_lines(file.path, header, lines, rows_before)
                    rows_before += frame.height
                    yield frame
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _bad_gzip(file.path, error) from None
    if header is None:
        raise BadFile(file.path, "it is empty", "a header line and rows")


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _open(path: Path) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else path.open("rb")
    except OSError as error:
        raise BadFile(path, f"it cannot be opened ({error.strerror})", "a file that can be read") from None


def _line_blocks(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Cut a stream into blocks of whole records; a line break inside quotes ends no record.

    Empty lines at a block's end go to the next block, so that those at the end of the file are dropped.
    """
    rest = b""
    while chunk := stream.read(BLOCK_BYTES):
        rest += chunk
        cut = rest.rfind(b"\n") + 1
        quotes = rest.count(b'"', 0, cut)
        while cut and quotes % 2:
            earlier = rest.rfind(b"\n", 0, cut - 1) + 1
            quotes -= rest.count(b'"', earlier, cut)
            cut = earlier
        block = rest[:cut].rstrip(b"\r\n")
        if block:
            yield block
            rest = rest[rest.index(b"\n", len(block)) + 1 :]
        elif len(rest) > LONGEST_LINE:
            raise BadFile(path, f"a line is longer than {LONGEST_LINE} bytes", "comma-separated text")
    if rest.strip():
        yield rest.rstrip(b"\r\n")


def header_of(path: Path, line: bytes) -> list[str]:
    """Return the names in a header line.

    Raises:
        BadFile: it is none.
    """
    text = line.decode("utf-8-sig", "replace").strip("\r\n")
    try:
        names = [name.strip() for name in next(csv.reader([text]), [])]
    except csv.Error as error:
        raise BadFile(
            path, f"its first line cannot be read ({error})", "a header line of comma-separated text"
        ) from None
    if not any(names):
        raise BadFile(path, "its first line is empty", "a header line and rows")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadFile(path, "a column stands twice in the header", "each column once", column=twice[0])
    return names


def parse_lines(path: Path, header: list[str], lines: bytes, rows_before: int) -> pl.DataFrame:
    """Return lines of comma-separated text as columns of text.

    Args:
        path: where they are from, as errors name it.
        header: the columns' names.
        lines: the rows, without a header line.
        rows_before: how many rows the file has before them.

    Raises:
        BadFile: a row has more or fewer fields than the header.
    """
    try:
        frame = pl.read_csv(
            lines,
            has_header=False,
            new_columns=header,
            schema=dict.fromkeys(header, pl.String),
            infer_schema=False,
            encoding="utf8-lossy",
        )
    except pl.exceptions.PolarsError as error:
        _refuse_ragged(path, header, lines, rows_before)
        raise BadFile(path, f"it cannot be read ({first_line(error)})", "comma-separated text") from None
    # Polars fills a row that is too short with nulls.
    if frame[header[-1]].null_count():
        _refuse_ragged(path, header, lines, rows_before)
    return frame


def _refuse_ragged(path: Path, header: list[str], lines: bytes, rows_before: int) -> None:
    """Raise for the first row that has more or fewer fields than the header, if there is one."""
    with contextlib.suppress(csv.Error):
        for number, record in enumerate(csv.reader(io.StringIO(lines.decode("utf-8", "replace"))), 1):
            if len(record) != len(header):
                what, expected = f"the row has {len(record)} fields", f"{len(header)} fields"
                raise BadFile(path, what, expected, row=rows_before + number) from None


def _bad_gzip(path: Path, error: Exception) -> BadFile:
    what = "the gzip stream ends early" if isinstance(error, EOFError) else "the gzip stream is damaged"
    return BadFile(path, what, "a complete gzip file; copy it again")
