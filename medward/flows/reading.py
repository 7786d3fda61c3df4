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
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medward.flows.datasets import DATASETS, Dataset, SourceFile
from medward.flows.errors import BadFile, UnknownDataset
from medward.flows.schema import UNLABELLED, Feature, Flows, Schema, concatenate

BLOCK_BYTES = 1 << 23
LONGEST_LINE = 1 << 26
PARQUET_ROWS = 1 << 16
_SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
# Damaged pages make Polars panic, which is no PolarsError.
_PARQUET_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read_flows(dataset: Dataset, path: Path, labelled: bool = True) -> Flows:
    """Read a file or a folder of files whole.

    Args:
        dataset: what the files hold.
        path: a file, or a folder that is searched for files of the data set.
        labelled: whether the class column must be there; if not, rows are marked UNLABELLED.

    Raises:
        BadFile: a file does not hold what the schema says; nothing is returned then.
    """
    return concatenate(list(read_batches(dataset, path, labelled)))


def read_batches(dataset: Dataset, path: Path, labelled: bool = True) -> Iterator[Flows]:
    """Read as `read_flows` does, but yield batches of some ten thousand rows."""
    found = False
    for file in source_files(dataset, path):
        first_row = 1
        for frame in column_frames(file):
            flows = _check(dataset, file, frame, first_row, labelled)
            first_row += frame.height
            if len(flows):
                found = True
                yield flows
        if first_row == 1:
            raise BadFile(file.path, "there are no rows", "at least one row after the header")
    if not found:
        raise BadFile(path, "no row has a label", f"a class of {dataset.schema.title} in {dataset.schema.label!r}")


def flows_of(dataset: Dataset, frame: pl.DataFrame, name: str, labelled: bool = True) -> Flows:
    """Turn a table in memory into flows, checked as a file's rows are.

    Args:
        dataset: what the table holds.
        frame: its rows.
        name: what errors call it.
        labelled: whether the class column must be there.

    Raises:
        BadFile: it does not hold what the schema says.
    """
    if not frame.height:
        raise BadFile(name, "there are no rows", "at least one row")
    return _check(dataset, SourceFile(Path(name), name), frame, 1, labelled)


def source_files(dataset: Dataset, path: Path) -> list[SourceFile]:
    """List the data set's files at `path`, in the order of their names."""
    return [dataset.describe(file) for file in dataset.choose(data_files(path))]


def recognise(path: Path) -> Dataset:
    """Return the data set whose columns the file, or the first file of the folder, holds.

    Raises:
        UnknownDataset: no known data set's features are all there.
    """
    file = data_files(path)[0]
    for dataset in DATASETS.values():
        described = dataset.describe(file)
        columns = set(described.constants) | set(_columns(described))
        if columns >= {feature.name for feature in dataset.schema.features}:
            return dataset
    raise UnknownDataset(
        f"{file} holds the columns of no data set that medward knows ({', '.join(DATASETS)}): give a file or folder of "
        "one of these, or check it with `medward data check`."
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
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(_SUFFIXES))
    if not files:
        raise BadFile(path, "the folder holds no data file", "files that end in " + ", ".join(_SUFFIXES))
    return files


def _columns(file: SourceFile) -> list[str]:
    if _is_parquet(file.path):
        try:
            return list(pl.read_parquet_schema(file.path))
        except _PARQUET_ERRORS as error:
            raise BadFile(file.path, f"it cannot be read ({_first_line(error)})", "a Parquet file") from None
    with _open(file.path) as stream:
        try:
            line = stream.readline(LONGEST_LINE)
            if file.header is None:
                return _header(file.path, line)
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
        raise BadFile(file.path, f"it cannot be read ({_first_line(error)})", "a Parquet file") from None


def _text_frames(file: SourceFile) -> Iterator[pl.DataFrame]:
    header = list(file.header) if file.header is not None else None
    rows_before = 0
    with _open(file.path) as stream:
        try:
            for block in _line_blocks(file.path, stream):
                lines = block
                if header is None:
                    first, _, lines = block.partition(b"\n")
                    header = _header(file.path, first)
                if lines.strip():
                    frame = _parse(file.path, header, lines, rows_before)
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


def _header(path: Path, line: bytes) -> list[str]:
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


def _parse(path: Path, header: list[str], lines: bytes, rows_before: int) -> pl.DataFrame:
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
        raise BadFile(path, f"it cannot be read ({_first_line(error)})", "comma-separated text") from None
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


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _check(dataset: Dataset, file: SourceFile, frame: pl.DataFrame, first_row: int, labelled: bool) -> Flows:
    """Turn one batch of published rows into arrays, or say which cell is wrong."""
    schema = dataset.schema
    frame = frame.with_columns(
        pl.lit(value).alias(name) for name, value in file.constants.items() if name not in frame.columns
    )
    for name in [feature.name for feature in schema.features] + ([schema.label] if labelled else []):
        if name not in frame.columns:
            raise BadFile(file.path, "the column is missing", f"the columns of {schema.title}", column=name)
        if frame.schema[name].is_nested() or frame.schema[name] == pl.Binary:
            raise BadFile(file.path, f"the column holds {frame.schema[name]}", "numbers or text", column=name)
    rows = np.arange(first_row, first_row + frame.height)
    if labelled and dataset.drops_unlabelled:
        keep = ~_texts(frame, schema.label).is_in(["", "nan"])
        frame, rows = frame.filter(keep), rows[keep.to_numpy()]
    cells = _Cells(file.path, frame, rows)
    x = np.empty((frame.height, len(schema.columns)), np.float32)
    place = 0
    for feature in schema.features:
        width = max(1, len(feature.categories))
        x[:, place : place + width] = (
            cells.indicators(feature) if feature.categories else cells.numbers(feature)[:, None]
        )
        place += width
    source, sources = cells.names(schema.source, file.name)
    device, devices = cells.names(schema.device, "")
    ordered = schema.order is not None and schema.order in frame.columns
    return Flows(
        schema=schema,
        x=x,
        y=cells.labels(schema) if labelled else np.full(frame.height, UNLABELLED, np.int32),
        source=source,
        sources=sources,
        device=device,
        devices=devices,
        order=cells.times(schema.order) if ordered and schema.order else None,
        official=None if file.official is None else np.full(frame.height, file.official, np.int8),
    )


def _texts(frame: pl.DataFrame, name: str) -> pl.Series:
    return frame[name].cast(pl.String).fill_null("").str.strip_chars()


def seconds_of(texts: pl.Series) -> NDArray[np.float64] | None:
    """Return a column of numbers or of dates and times (ISO 8601) as numbers or seconds, NaN where a cell is empty.

    None where a cell is neither; all cells must be of one kind.
    """
    full = texts != ""
    numbers = texts.cast(pl.Float64, strict=False)
    if not (numbers.is_null() & full).any():
        return numbers.fill_null(float("nan")).to_numpy()
    dates = texts.str.replace("T", " ").str.strip_suffix("Z").str.to_datetime(time_unit="us", strict=False)
    if (dates.is_null() & full).any():
        return None
    return (dates.cast(pl.Int64).cast(pl.Float64) / 1e6).fill_null(float("nan")).to_numpy()


class _Cells:
    """One batch of a file; turns columns into arrays and names the first wrong cell."""

    def __init__(self, path: Path, frame: pl.DataFrame, rows: NDArray[np.int64]) -> None:
        self._path, self._frame, self._rows = path, frame, rows

    def numbers(self, feature: Feature) -> NDArray[np.float32]:
        values = self.exact_numbers(feature.name, optional=feature.optional)
        limit = float(np.finfo(np.float32).max)
        return np.clip(values, -limit, limit).astype(np.float32)

    def exact_numbers(self, name: str, optional: bool = False) -> NDArray[np.float64]:
        column = self._frame[name]
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            column = column.cast(pl.String)
            text = column.fill_null("").str.strip_chars()
            numbers = text.cast(pl.Float64, strict=False)
            wrong = numbers.is_null() & (text != "")
            if wrong.any():
                index = int(wrong.arg_max() or 0)
                self._refuse(index, name, f"{_shortened(text[index])!r} is no number", "a number")
            column = numbers
        values = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        missing = np.isnan(values)
        if missing.any() and not optional:
            self._refuse(int(missing.argmax()), name, "the cell is empty", "a number")
        return values

    def times(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers, or of dates and times as seconds."""
        column = self._frame[name]
        if column.dtype.is_numeric():
            return self.exact_numbers(name)
        texts = _texts(self._frame, name)
        seconds = seconds_of(texts)
        if seconds is None:
            return self.exact_numbers(name)
        missing = np.isnan(seconds)
        if missing.any():
            self._refuse(int(missing.argmax()), name, "the cell is empty", "a number, or a date and time")
        return seconds

    def indicators(self, feature: Feature) -> NDArray[np.float32]:
        text = _texts(self._frame, feature.name)
        empty = (text == "") & ("" not in feature.fillers)
        if empty.any() and not feature.optional:
            self._refuse(int(empty.arg_max() or 0), feature.name, "the cell is empty", "one of the known values")
        values = text.to_numpy()
        return np.stack([values == category for category in feature.categories], 1).astype(np.float32)

    def labels(self, schema: Schema) -> NDArray[np.int32]:
        text = _texts(self._frame, schema.label)
        codes = {name: index for index, name in enumerate(schema.classes)}
        codes |= {alias: codes[name] for alias, name in schema.aliases.items()}
        found = text.replace_strict(codes, default=UNLABELLED, return_dtype=pl.Int32).to_numpy()
        unknown = found == UNLABELLED
        if unknown.any():
            index = int(unknown.argmax())
            what = f"{_shortened(text[index])!r} is no class of {schema.title}"
            self._refuse(index, schema.label, what, "one of " + ", ".join(schema.classes))
        return found

    def names(self, column: str | None, otherwise: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        if column is None or column not in self._frame.columns:
            return np.zeros(self._frame.height, np.int32), (otherwise,)
        names, codes = np.unique(_texts(self._frame, column).to_numpy().astype(str), return_inverse=True)
        return codes.astype(np.int32), tuple(str(name) for name in names)

    def _refuse(self, index: int, column: str, what: str, expected: str) -> None:
        raise BadFile(self._path, what, expected, row=int(self._rows[index]), column=column)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def with_schema(dataset: Dataset, schema: Schema) -> Dataset:
    """Return the data set read under another schema, for example one with fewer features."""
    return replace(dataset, schema=schema)
