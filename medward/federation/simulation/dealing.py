"""Dealing one data set's rows to simulated hospitals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medward.federation.model.hospital import TrainingRows, training_rows
from medward.flows.errors import BadSplit
from medward.flows.partition import Partition, partition_rows
from medward.flows.prepared import PreparedData


def deal(
    prepared: PreparedData, rows: NDArray[np.intp], sites: int, partition: Partition, seed: int
) -> list[NDArray[np.intp]]:
    """Deal rows of a data set to hospitals, each row to one of them.

    Raises:
        BadSplit: a hospital would get no rows.
    """
    return partition_rows(prepared.flows, rows, prepared.split.block, sites, partition, seed)


def rows_of_hospitals(
    prepared: PreparedData, shares: Sequence[NDArray[np.intp]], partition: Partition, seed: int
) -> list[tuple[TrainingRows, TrainingRows]]:
    """Return each hospital's training rows, and its validation rows where there are enough blocks of them."""
    try:
        validation = deal(prepared, prepared.split.validation, len(shares), partition, seed)
    except BadSplit:
        validation = [np.zeros(0, np.intp)] * len(shares)
    own = [training_rows(prepared.flows, prepared.x, prepared.stream, share) for share in shares]
    tried = [training_rows(prepared.flows, prepared.x, prepared.stream, share) for share in validation]
    return list(zip(own, tried, strict=True))
