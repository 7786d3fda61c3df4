"""The option `--data`: a data set's name, or the path of a file or folder that holds one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medward.flows.datasets import Dataset
    from medward.flows.prepared import Protocol
    from medward.flows.schema import Flows

WARD_ROWS = 40_000
DATA_HELP = "A data set's name (see `medward data list`), or the path of a file or folder that holds one."

COURIER_HELP = (
    "Who decides when the members sum: every:K, event:LEVEL, random:MEAN, learned (spec/courier.md); "
    "without it, after every round."
)


def open_data(
    data: str, seed: int, protocol: "Protocol" = "honest", rows: int = WARD_ROWS, without_fingerprints: bool = False
) -> "tuple[Dataset, Flows]":
    """Read what `--data` names; see `medward.flows.opening.open_data`, which is loaded only when it is needed."""
    from medward.flows import opening

    return opening.open_data(data, seed, protocol, rows, without_fingerprints)
