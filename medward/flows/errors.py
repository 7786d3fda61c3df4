"""The errors of flows, each one sentence that names the file, the row, the column and the mend."""

from pathlib import Path

from medward.errors import MedwardError


class FlowsError(MedwardError):
    """Flows that cannot be read, split or partitioned as asked."""


class BadFile(FlowsError):
    """A file that does not hold what its data set's schema says.

    Args:
        path: the file.
        what: what is wrong, as a clause without a full stop.
        expected: what was expected in its place.
        row: the data row, 1 for the first row after the header; None where the whole file is meant.
        column: the column's name, where one is meant.
    """

    def __init__(
        self, path: Path | str, what: str, expected: str, row: int | None = None, column: str | None = None
    ) -> None:
        place = str(path)
        if row is not None:
            place += f", row {row}"
        if column is not None:
            place += f", column {column!r}"
        super().__init__(f"{place}: {what}; expected {expected}.")
        self.path, self.row, self.column = str(path), row, column


class UnknownDataset(FlowsError):
    """A name or a path that no known data set answers to."""


class BadSplit(FlowsError):
    """A split or a partition that would leave a part empty or mix what must stay apart."""


class BadSchema(FlowsError):
    """A schema file that cannot be read, or does not make sense."""
