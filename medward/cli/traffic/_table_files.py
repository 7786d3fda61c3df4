"""Writing tables of any length to a file, piece by piece; the file appears when it is whole."""

import gzip
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from medward.errors import BadUsage

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".parquet", ".csv", ".csv.gz")
_PIECE_ROWS = 1 << 15


class TableFile:
    """A table that is written in pieces of memory that does not grow with it.

    Used as a context: on leaving without an error the file takes its place, and its folder is made where there is none.

    Args:
        path: the file to write, whose name ends in .parquet, .csv or .csv.gz.

    Raises:
        BadUsage: its name ends otherwise.
    """

    def __init__(self, path: Path) -> None:
        if not path.name.endswith(_SUFFIXES):
            raise BadUsage(f"--out {path}: give a name that ends in {', '.join(_SUFFIXES)}.")
        self._path = path
        self._stack = ExitStack()
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0
        self._parts: list[Path] = []
        self.rows = 0

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        folder = self._stack.enter_context(
            tempfile.TemporaryDirectory(dir=self._path.parent, prefix=f".{self._path.name}.")
        )
        self._folder = Path(folder)
        return self

    def add(self, frame: "pl.DataFrame") -> None:
        """Add rows; all pieces have the same columns."""
        self._waiting.append(frame)
        self._waiting_rows += frame.height
        self.rows += frame.height
        if self._waiting_rows >= _PIECE_ROWS:
            self._write_part()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                if self._waiting:
                    self._write_part()
                self._join_parts()

    def _write_part(self) -> None:
        import polars as pl

        part = self._folder / f"{len(self._parts):06d}.parquet"
        pl.concat(self._waiting).write_parquet(part)
        self._parts.append(part)
        self._waiting, self._waiting_rows = [], 0

    def _join_parts(self) -> None:
        import polars as pl

        whole = self._folder / "whole"
        if self._path.name.endswith(".parquet"):
            pl.scan_parquet(self._parts).sink_parquet(whole)
        else:
            packed = self._path.name.endswith(".gz")
            with gzip.open(whole, "wb") if packed else whole.open("wb") as out:
                for number, part in enumerate(self._parts):
                    text = pl.read_parquet(part).write_csv(include_header=number == 0)
                    out.write(text.encode())
        os.replace(whole, self._path)
