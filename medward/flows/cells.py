"""Cells of a table, turned into arrays under a schema; a wrong one is named with its row and column."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medward.flows.datasets import Dataset, SourceFile
from medward.flows.errors import BadFile
from medward.flows.mismatch import mismatch_of
from medward.flows.schema import OTHER_NAMES, UNLABELLED, Feature, Flows, Schema

#: Whether rows must have a class, may lack it (the column, or a cell of it), or are read as if they had none.
Labels = Literal["required", "optional", "ignored"]


def checked_rows(dataset: Dataset, file: SourceFile, frame: pl.DataFrame, first_row: int, labels: Labels) -> Flows:
    """Turn one batch of published rows into arrays.

    Args:
        dataset: what the rows are.
        file: where they are from.
        frame: the rows as they stand there.
        first_row: the number of the first one.
        labels: what is asked of the class column.

    Raises:
        BadFile: a cell is wrong; the sentence says which.
    """
    schema = dataset.schema
    frame = frame.with_columns(
        pl.lit(value).alias(name) for name, value in file.constants.items() if name not in frame.columns
    )
    labelled = labels == "required" or (labels == "optional" and schema.label in frame.columns)
    wanted = [feature.name for feature in schema.features] + ([schema.label] if labelled else [])
    if not set(frame.columns).issuperset(wanted):
        mismatch = mismatch_of(schema, frame.columns, wanted)
        what = f"the column is missing; of all columns, {mismatch.clauses()}"
        raise BadFile(file.path, what, f"the columns of {schema.title}", column=mismatch.missing[0])
    others = (schema.source, schema.device, schema.order, dataset.label_source)
    for name in [*wanted, *(name for name in others if name in frame.columns)]:
        if not holds_cells(frame.schema[name]):
            raise BadFile(file.path, f"the column holds {frame.schema[name]}", "numbers or text", column=name)
    rows = np.arange(first_row, first_row + frame.height)
    if labelled and dataset.drops_unlabelled:
        keep = ~_texts(frame, schema.label).is_in(["", "nan"])
        frame, rows = frame.filter(keep), rows[keep.to_numpy()]
    cells = Cells(file.path, frame, rows)
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
        y=cells.labels(schema, gaps=labels == "optional") if labelled else np.full(frame.height, UNLABELLED, np.int32),
        source=source,
        sources=sources,
        device=device,
        devices=devices,
        order=cells.times(schema.order) if ordered and schema.order else None,
        official=None if file.official is None else np.full(frame.height, file.official, np.int8),
        trust=_trust(dataset, frame) if labelled else None,
    )


def holds_cells(kind: pl.DataType) -> bool:
    """Return whether a column of this kind holds numbers or text, one in each cell."""
    return not (kind.is_nested() or kind in (pl.Binary, pl.Object))


def _trust(dataset: Dataset, frame: pl.DataFrame) -> NDArray[np.float32] | None:
    """Return how far each row's class is to be trusted, None where the table does not say where classes are from."""
    if not dataset.label_source or dataset.label_source not in frame.columns:
        return None
    texts = _texts(frame, dataset.label_source)
    return texts.replace_strict(dict(dataset.trust), default=1.0, return_dtype=pl.Float32).to_numpy()


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
    spaced = texts.str.replace("T", " ").str.strip_suffix("Z")
    try:
        dates = spaced.str.to_datetime(time_unit="us", strict=False)
    except pl.exceptions.ComputeError:
        # Polars finds no format for cells of which none is a date.
        return None
    if (dates.is_null() & full).any():
        return None
    return (dates.cast(pl.Int64).cast(pl.Float64) / 1e6).fill_null(float("nan")).to_numpy()


class Cells:
    """One batch of a file; turns columns into arrays and names the first wrong cell.

    Args:
        path: the file, as errors name it.
        frame: the rows.
        rows: the number of each row in its file.
    """

    def __init__(self, path: Path, frame: pl.DataFrame, rows: NDArray[np.int64]) -> None:
        self._path, self._frame, self._rows = path, frame, rows

    def numbers(self, feature: Feature) -> NDArray[np.float32]:
        """Return a column of numbers, cut to what 32 bits hold."""
        values = self.exact_numbers(feature.name, optional=feature.optional)
        limit = float(np.finfo(np.float32).max)
        return np.clip(values, -limit, limit).astype(np.float32)

    def exact_numbers(self, name: str, optional: bool = False) -> NDArray[np.float64]:
        """Return a column of numbers, NaN for an empty cell where it is `optional`."""
        column = self._frame[name]
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            column = column.cast(pl.String)
            # Most columns have numbers alone, and of short batches each operation takes longer than what it does.
            numbers = column.cast(pl.Float64, strict=False)
            if numbers.null_count():
                text = column.fill_null("").str.strip_chars()
                numbers = text.cast(pl.Float64, strict=False)
                wrong = numbers.is_null() & (text != "")
                if wrong.any():
                    index = int(wrong.arg_max() or 0)
                    self._refuse(index, name, f"{_shortened(text[index])!r} is no number", "a number")
            column = numbers
        column = column.cast(pl.Float64, strict=False)
        values = (column.fill_null(float("nan")) if column.null_count() else column).to_numpy()
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
        """Return a text column as one indicator for each of its values: float32[rows, values]."""
        text = _texts(self._frame, feature.name)
        empty = (text == "") & ("" not in feature.fillers)
        if empty.any() and not feature.optional:
            self._refuse(int(empty.arg_max() or 0), feature.name, "the cell is empty", "one of the known values")
        values = text.to_numpy()
        return np.stack([values == category for category in feature.categories], 1).astype(np.float32)

    def labels(self, schema: Schema, gaps: bool) -> NDArray[np.int32]:
        """Return the classes; UNLABELLED for an empty cell, where there may be `gaps`."""
        text = _texts(self._frame, schema.label)
        codes = {name: index for index, name in enumerate(schema.classes)}
        codes |= {alias: codes[name] for alias, name in schema.aliases.items()}
        other = codes.pop(OTHER_NAMES, UNLABELLED)
        found = text.replace_strict(codes, default=other, return_dtype=pl.Int32).to_numpy()
        empty = (text == "").to_numpy()
        if other != UNLABELLED:
            found = np.where(empty, UNLABELLED, found).astype(np.int32)
        unknown = found == UNLABELLED
        if gaps:
            unknown &= ~empty
        if unknown.any():
            index = int(unknown.argmax())
            what = f"{_shortened(text[index])!r} is no class of {schema.title}"
            self._refuse(index, schema.label, what, "one of " + ", ".join(schema.classes))
        return found

    def names(self, column: str | None, otherwise: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """Return a column of names as numbers, and the names; a column that is missing holds one name, `otherwise`."""
        if column is None or column not in self._frame.columns:
            return np.zeros(self._frame.height, np.int32), (otherwise,)
        # NumPy would give every row as much room as the longest name takes: one long cell would fill the memory.
        texts = _texts(self._frame, column)
        names = texts.unique().sort()
        return texts.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int32), tuple(names)

    def _refuse(self, index: int, column: str, what: str, expected: str) -> None:
        raise BadFile(self._path, what, expected, row=int(self._rows[index]), column=column)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
