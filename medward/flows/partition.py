"""Which hospital holds which training rows, when one data set plays several hospitals.

Every way gives each row to exactly one hospital. The shares of real hospitals differ, so only `blocks` is close to
identical; `devices` follows the machines, and `dirichlet` skews the classes as the literature does (Hsu et al. 2019).
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medward.flows.errors import BadSplit
from medward.flows.schema import Flows

Partition = Literal["blocks", "devices", "dirichlet"]
PARTITIONS: tuple[str, ...] = get_args(Partition)
CONCENTRATION = 0.5


def partition_rows(
    flows: Flows,
    rows: NDArray[np.intp],
    block: NDArray[np.int32],
    sites: int,
    how: Partition,
    seed: int,
) -> list[NDArray[np.intp]]:
    """Deal training rows to hospitals.

    Args:
        flows: the data set.
        rows: the rows to deal.
        block: for each row of the data set its contiguous block (`Split.block`).
        sites: the number of hospitals, at least 1.
        how: whole blocks at random; whole devices; or classes by a Dirichlet draw with concentration 0.5.
        seed: what the draw derives from.

    Returns:
        For each hospital its rows, ascending.

    Raises:
        BadSplit: a hospital would get no rows.
    """
    rng = np.random.default_rng([seed, 0x517E5, sites])
    if how == "dirichlet":
        # Copies of a row (medward.flows.thinning) go where the row goes.
        first, original = _originals(flows, rows)
        site = _by_class(flows.y[rows[first]], sites, rng)[original]
    else:
        keys = block[rows] if how == "blocks" else flows.device[rows]
        units, unit_of_row = np.unique(keys, return_inverse=True)
        if len(units) < sites:
            raise BadSplit(
                f"{flows.schema.title} has {len(units)} {how} for {sites} hospitals: ask for fewer sites or for "
                "another partition."
            )
        # Dealt like cards, not drawn: no hospital is left empty, and sizes differ by one unit at most.
        site = (rng.permutation(len(units)) % sites)[unit_of_row]
    shares = [rows[site == s] for s in range(sites)]
    empty = [s for s, own in enumerate(shares) if len(own) == 0]
    if empty:
        raise BadSplit(f"Hospital {empty[0]} would get no rows: ask for fewer sites, more rows or another partition.")
    return shares


def _originals(flows: Flows, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where each flow stands first among `rows`, ascending, and for each of `rows` the number of its flow."""
    if not flows.schema.history or flows.order is None:
        return np.arange(len(rows)), np.arange(len(rows))
    keys = np.stack([flows.device[rows], flows.order[rows]], axis=1)
    _, first, flow = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.sort(first), rank[flow.ravel()]


def _by_class(y: NDArray[np.int32], sites: int, rng: np.random.Generator) -> NDArray[np.intp]:
    site = np.empty(len(y), np.intp)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        bounds = np.cumsum(rng.dirichlet(np.full(sites, CONCENTRATION)))
        # Contiguous runs of a class stay in one hospital, as its incidents would.
        site[rows] = np.minimum(np.searchsorted(bounds, (np.arange(len(rows)) + 0.5) / len(rows)), sites - 1)
    return site
