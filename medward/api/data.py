"""Data: a table read under its schema, and split for learning."""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import get_args

from medward.errors import BadUsage
from medward.flows.cautions import cautions_about
from medward.flows.datasets import Dataset
from medward.flows.opening import WARD_ROWS, open_data
from medward.flows.prepared import PreparedData, Protocol, prepare
from medward.flows.schema import Flows
from medward.flows.schema_file import read_schema


@dataclass(frozen=True, repr=False)
class Data:
    """A table that was read and checked under its schema; `split` makes it ready for learning.

    Args:
        dataset: what its columns mean and how it is cut.
        flows: its rows as arrays.
        protocol: whose columns were read: "honest", or "paper" with the columns that leak the label.
    """

    dataset: Dataset
    flows: Flows
    protocol: Protocol = "honest"

    @property
    def name(self) -> str:
        """The data set's short name."""
        return self.dataset.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, the benign one first."""
        return self.flows.schema.classes

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model may use."""
        return tuple(feature.name for feature in self.flows.schema.features)

    @cached_property
    def cautions(self) -> tuple[str, ...]:
        """What a reader of results must know, a sentence each; of a table of one's own, as its rows tell it."""
        return cautions_about(self.dataset, self.flows)

    @property
    def synthetic(self) -> bool:
        """Whether a program made the rows."""
        return self.flows.schema.synthetic

    def __len__(self) -> int:
        return len(self.flows)

    def __repr__(self) -> str:
        synthetic = ", synthetic" if self.synthetic else ""
        what = f"{len(self)} rows, {len(self.features)} features, {len(self.classes)} classes"
        return f"Data({self.name}: {what}{synthetic})"


def load(
    path: str | PathLike[str],
    schema: str | PathLike[str] | None = None,
    seed: int = 0,
    *,
    rows: int = WARD_ROWS,
    protocol: Protocol = "honest",
    without_fingerprints: bool = False,
    own_classes: bool = False,
) -> Data:
    """Read a table.

    Args:
        path: a file or folder (CSV, also compressed, or Parquet), or a data set's name; "ward" is the synthetic one.
        schema: a schema file that says what the columns mean; a data set that medward knows is recognised without one.
        seed: what the synthetic ward is drawn from.
        rows: how many rows the synthetic ward has.
        protocol: "paper" also reads the columns that leak the label.
        without_fingerprints: leave out the features that identify the attack tool.
        own_classes: where a data set counts unknown names of attacks as one class, make each a class of its own; what
            several hospitals train together leaves that out, since all must have the same classes.

    Raises:
        MedwardError: there is no such table, it fits no schema, or a cell is wrong; one sentence says what and where.
    """
    _check_protocol(protocol)
    if schema is not None and (protocol == "paper" or without_fingerprints):
        raise BadUsage(
            "A schema file says itself which columns are features: leave out the protocol paper and "
            "without_fingerprints."
        )
    described = None if schema is None else read_schema(Path(schema))
    dataset, flows = open_data(
        str(path), seed, protocol, rows, without_fingerprints, described, own_classes=own_classes
    )
    return Data(dataset, flows, protocol)


def split(data: Data, protocol: Protocol = "honest", seed: int = 0, *, thin: tuple[float, ...] = ()) -> PreparedData:
    """Split a table into rows that train, choose and test, and build its features.

    Args:
        data: the table.
        protocol: "honest" keeps what is close in time in one part, "random" and "paper" do not (docs/data.md).
        seed: what the split is drawn from.
        thin: show training rows again as if these shares of their stream were known, each above 0 and at most 1;
            without any, as the data set asks for.

    Returns:
        The rows with their features: `split.train`, `split.validation` and `split.test` number the rows of `x` and
        of `flows`.

    Raises:
        BadSplit: a part would lack attacks or benign rows.
        BadUsage: the table was read with the columns of another protocol.
    """
    _check_protocol(protocol)
    if (protocol == "paper") != (data.protocol == "paper"):
        raise BadUsage(
            f"The table was read with the columns of the protocol {data.protocol}: "
            f"load it with protocol={protocol!r} to split it so."
        )
    return prepare(data.dataset, data.flows, protocol, seed, thin or None)


def as_split(data: "Data | PreparedData", seed: int) -> PreparedData:
    """Return a table split honestly, or as it was split already."""
    return data if isinstance(data, PreparedData) else split(data, seed=seed)


def _check_protocol(protocol: str) -> None:
    if protocol not in get_args(Protocol):
        raise BadUsage(f"A protocol is one of {', '.join(get_args(Protocol))}, not {protocol}.")
