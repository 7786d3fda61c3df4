"""The option `--data`: a data set's name, or the path of a file or folder that holds one."""

from pathlib import Path
from typing import TYPE_CHECKING

import medward
from medward.cli._console import errors, say

if TYPE_CHECKING:
    from medward.flows.datasets import Dataset
    from medward.flows.prepared import Protocol
    from medward.flows.schema import Flows

WARD_ROWS = 40_000
SCHEMA_HELP = "The schema file that says what the columns of --data mean; `medward data schema` proposes one."
DATA_HELP = "A data set's name (see `medward data list`), or the path of a file or folder that holds one."

CLOSED_FORM_HELP = "Make the model of one sum of second moments, in one round, instead of training in rounds."
#: How many random features a model in closed form has where nobody says.
FEATURES = 512
#: As in medward.agents.closed_form.features, which takes long to import.
LEAST_FEATURES = 16
FEATURES_HELP = "How many random features --closed-form takes, a multiple of 4."
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
    own_classes: bool = False,
) -> "tuple[Dataset, Flows]":
    """Read what `--data` names, and --schema describes; see `medward.load`."""
    say(f"reading {data}")
    read = medward.load(
        data,
        schema,
        seed,
        rows=rows,
        protocol=protocol,
        without_fingerprints=without_fingerprints,
        own_classes=own_classes,
    )
    say(f"read {data}")
    return read.dataset, read.flows


def warn_of(dataset: "Dataset", flows: "Flows") -> tuple[str, ...]:
    """Say on standard error what scores on a hospital's own rows are worth, and return it."""
    from medward.flows.cautions import cautions_about

    cautions = cautions_about(dataset, flows) if dataset.own else ()
    for caution in cautions:
        errors().print(f"caution: {caution}", markup=False)
    return cautions
