"""The option `--data`: a data set's name, or the path of a file or folder that holds one."""

from pathlib import Path
from typing import TYPE_CHECKING

from medward.cli._console import errors
from medward.errors import BadUsage

if TYPE_CHECKING:
    from medward.flows.datasets import Dataset
    from medward.flows.prepared import Protocol
    from medward.flows.schema import Flows

WARD_ROWS = 40_000
SCHEMA_HELP = "The schema file that says what the columns of --data mean; `medward data schema` proposes one."
DATA_HELP = "A data set's name (see `medward data list`), or the path of a file or folder that holds one."

COURIER_HELP = (
    "Who decides when the members sum: every:K, event:LEVEL, random:MEAN, learned (spec/courier.md); "
    "without it, after every round."
)


def open_data(
    data: str,
    seed: int,
    protocol: "Protocol" = "honest",
    rows: int = WARD_ROWS,
    without_fingerprints: bool = False,
    schema: Path | None = None,
) -> "tuple[Dataset, Flows]":
    """Read what `--data` names, and --schema describes; see `medward.flows.opening.open_data`."""
    from medward.flows import opening
    from medward.flows.schema_file import read_schema

    described = None if schema is None else read_schema(schema)
    if described is not None and (protocol == "paper" or without_fingerprints):
        raise BadUsage(
            "A schema file says itself which columns are features: leave out --protocol paper and "
            "--without-fingerprints."
        )
    dataset, flows = opening.open_data(data, seed, protocol, rows, without_fingerprints, described)
    if described is not None:
        for caution in dataset.cautions:
            errors().print(f"caution: {caution}", markup=False)
    return dataset, flows
