"""Tables that a user holds in memory, whoever made them, as data frames of Polars."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Protocol, TypeAlias

import numpy as np
import polars as pl

from medward.errors import BadUsage, first_line


class ColumnarFrame(Protocol):
    """A frame of another library, such as pandas: named columns, each a sequence of cells."""

    @property
    def columns(self) -> Iterable[Any]:
        """The columns' names."""

    def __getitem__(self, name: Any, /) -> Any:
        """Return one column."""


#: Rows of traffic: the path of a file or folder, a frame of Polars or pandas, or columns by name.
FlowTable: TypeAlias = str | PathLike[str] | pl.DataFrame | ColumnarFrame | Mapping[str, Any]


def frame_of(table: pl.DataFrame | ColumnarFrame | Mapping[str, Any]) -> pl.DataFrame:
    """Return a table in memory as a frame of Polars; a NaN of another library is an empty cell.

    Raises:
        BadUsage: it is no table.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, Mapping):
        names = list(table)
    elif hasattr(table, "columns") and hasattr(table, "__getitem__"):
        names = list(table.columns)
    else:
        raise BadUsage(f"{type(table).__name__} is no table: give a path, a data frame, or a dict of columns.")
    try:
        return pl.DataFrame([_series(str(name), table[name]) for name in names])
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise BadUsage(f"The columns make no table ({first_line(error)}): all need equally many cells.") from None


def _series(name: str, column: Any) -> pl.Series:
    if isinstance(column, pl.Series):
        return column.alias(name)
    if isinstance(column, str | bytes):
        raise BadUsage(f"Column '{name}' is one text and no sequence of cells: give a list, also for one row.")
    kind = getattr(getattr(column, "dtype", None), "kind", "")
    if kind in ("M", "m"):
        # As a list, dates in nanoseconds would be whole numbers, which nothing tells from seconds.
        return pl.Series(name, np.asarray(column, f"{kind}8[us]"))
    cells = column.tolist() if hasattr(column, "tolist") else list(column)
    if kind not in ("b", "i", "u", "f"):
        cells = [None if _is_empty(cell) else cell for cell in cells]
    series = pl.Series(name, cells, strict=False)
    if lost := series.null_count() - cells.count(None):
        raise BadUsage(f"Column '{name}' has {lost} cells that are larger than a number can be, or of another kind.")
    return series.fill_nan(None) if series.dtype.is_float() else series


def _is_empty(cell: Any) -> bool:
    """Whether a cell is None, NaN, or the NA of pandas, which does not say whether it differs from itself."""
    try:
        return cell is None or bool(cell != cell)  # noqa: PLR0124
    except TypeError:
        return True
