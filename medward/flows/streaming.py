"""Flows from a stream that has no end yet: standard input, or a file that grows. Each line is one row.

A wrong row must not end a watch, so it is told and passed over. A line break ends a row even inside quotes: a row with
a stray quote costs itself alone.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from medward.flows.cells import checked_rows
from medward.flows.datasets import Dataset, SourceFile
from medward.flows.errors import BadFile
from medward.flows.reading import header_of, parse_lines
from medward.flows.schema import Flows

_CHUNK = 1 << 20
_LOOK_SECONDS = 0.5
#: A longer line is no row.
_LONGEST_LINE = 1 << 20
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"

#: What was read next; None where the file was replaced by another one, which begins with a header again.
Chunks = Iterator[bytes | None]


def chunks_of(descriptor: int) -> Chunks:
    """Yield what an open file gives, as soon as it does, until its end."""
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk


def follow(path: Path, wait: Callable[[], None] = lambda: time.sleep(_LOOK_SECONDS)) -> Chunks:
    """Yield what a file holds and what is appended to it, for ever.

    Where another file takes its place, or it is cut short, as logs are rotated, that one is read from its beginning.

    Args:
        path: the file; it must be there when this begins.
        wait: called when there is nothing to read.

    Raises:
        BadFile: it cannot be read.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise BadFile(path, f"it cannot be opened ({error.strerror})", "a file that can be read") from None
        try:
            yield from _until_replaced(path, descriptor, wait)
        finally:
            os.close(descriptor)
        yield None


def _until_replaced(path: Path, descriptor: int, wait: Callable[[], None]) -> Iterator[bytes]:
    replaced = False
    while True:
        while chunk := os.read(descriptor, _CHUNK):
            yield chunk
        if replaced:
            return
        here = os.fstat(descriptor)
        try:
            there = path.stat()
        except FileNotFoundError:
            there = here  # moved away, and the next one is not there yet
        replaced = (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
        if not replaced and here.st_size < os.lseek(descriptor, 0, os.SEEK_CUR):
            return
        # What was written last before the file was replaced is read once more.
        if not replaced:
            wait()


class FlowStream:
    """Rows of a stream, made into flows as they come.

    Args:
        dataset: what the rows are; their classes are not read.
        path: the stream's name, as errors have it.
        refuse: told of each row that is wrong.
    """

    def __init__(self, dataset: Dataset, path: Path, refuse: Callable[[BadFile], None]) -> None:
        self._dataset, self._path, self._refuse = dataset, path, refuse
        self._file: SourceFile = dataset.describe(path)
        self._begin()

    def _begin(self) -> None:
        self._header = None if self._file.header is None else list(self._file.header)
        self._rows = 0
        self._rest = b""
        self._passing_over = False

    def read(self, chunks: Chunks) -> Iterator[tuple[Flows, pl.DataFrame]]:
        """Yield batches of flows, each with its columns as they stand in the stream.

        Raises:
            BadFile: the header lacks a column, or the stream is no comma-separated text.
        """
        for chunk in chunks:
            if chunk is None:
                yield from self._take(self._end())
                self._begin()
                continue
            if self._rows == 0 and not self._rest and chunk.startswith((_GZIP, _PARQUET)):
                raise BadFile(self._path, "it is compressed, or Parquet", "comma-separated text, such as zcat gives")
            yield from self._take(self._whole_lines(chunk))
        yield from self._take(self._end())
        if self._header is None:
            raise BadFile(self._path, "it is empty", "a header line and rows")

    def _end(self) -> list[bytes]:
        rest, self._rest = self._rest, b""
        return [rest]

    def _whole_lines(self, chunk: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._passing_over and lines:
            lines, self._passing_over = lines[1:], False
        if len(self._rest) > _LONGEST_LINE:
            if not self._passing_over:
                self._rows += 1
                what = f"the line is longer than {_LONGEST_LINE} bytes"
                self._refuse(BadFile(self._path, what, "comma-separated text", row=self._rows))
            self._rest, self._passing_over = b"", True
        return lines

    def _take(self, lines: list[bytes]) -> Iterator[tuple[Flows, pl.DataFrame]]:
        lines = [line for line in lines if line.strip()]
        if self._header is None and lines:
            self._header = header_of(self._path, lines.pop(0))
            # Whatever is wrong in every row is wrong in none, and ends the stream.
            columns = pl.DataFrame(schema=dict.fromkeys(self._header, pl.String))
            checked_rows(self._dataset, self._file, columns, 1, "ignored")
        if not lines or self._header is None:
            return
        before, self._rows = self._rows, self._rows + len(lines)
        try:
            batch = self._flows(self._header, lines, before)
        except BadFile:
            batch = None
        if batch is not None:
            yield batch
            return
        for number, line in enumerate(lines):
            try:
                one = self._flows(self._header, [line], before + number)
            except BadFile as error:
                self._refuse(error)
                continue
            if one is None:
                what = "the quotes of the row do not close"
                self._refuse(BadFile(self._path, what, "one row on each line", row=before + number + 1))
            else:
                yield one

    def _flows(self, header: list[str], lines: list[bytes], before: int) -> tuple[Flows, pl.DataFrame] | None:
        """Return lines as flows; None where they are not as many rows."""
        if len(lines) == 1 and lines[0].count(b'"') % 2:
            return None
        frame = parse_lines(self._path, header, b"\n".join(line.rstrip(b"\r") for line in lines), before)
        if frame.height != len(lines):
            return None
        return checked_rows(self._dataset, self._file, frame, before + 1, "ignored"), frame
